"""Looking back: what differs between two experiments or runs, and what changed from run to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from piste import history, observed
from piste.errors import PisteError
from piste.experiment import Variant
from piste.history import Difference, Entry
from piste.journeys.reading import Desired
from piste.journeys.watching import named
from piste.problems import listed
from piste.run import Run

if TYPE_CHECKING:
    from piste.snowflake import Account


def is_run(name: str) -> bool:
    return observed.CLAIM.fullmatch(name) is not None


def difference(desired: Desired, account: Account | None, a: str, b: str) -> Difference:
    """Between experiments (or experiment/variant) as git has them, and runs by their names; those need an account.

    Raises:
        PisteError: there is no such thing, or a name stands for several variants.
    """
    runs = {run.name: run for run in observed.runs(account.observe())} if account else {}
    return history.difference(*(_one(desired, runs, name) for name in (a, b)))


def _one(desired: Desired, runs: dict[str, Run], name: str) -> Variant | Run:
    if is_run(name):
        if name not in runs:
            raise PisteError(f"The ledger knows no run {name}.", "`piste log NAME` lists the runs of an experiment.")
        return runs[name]
    found = sorted(desired.only([name]), key=lambda variant: variant.aside)
    titles = list(dict.fromkeys(variant.title for variant in found))
    if len(titles) > 1:
        raise PisteError(f"{name} stands for {len(titles)} variants.", f"Name one of them: {listed(titles, 6)}.")
    return found[0]


def log(desired: Desired, account: Account, name: str) -> tuple[Entry, ...]:
    """The runs that a word selects, in git or not any more, the latest first.

    Raises:
        PisteError: there is no such experiment, or it has not been run.
    """
    found = named(desired, account, [name])
    if not found:
        raise PisteError(f"{name} has not been run.", f"`piste run {name}` runs it.")
    return history.entries(found, desired.settings.rates)
