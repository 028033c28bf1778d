"""Runs as they go on: follow, stop what takes too long, status, logs, cancel."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from piste import ending, git, observed
from piste.errors import PisteError, SnowflakeUnreachable
from piste.gates import check
from piste.health import Standing, standings
from piste.journeys.planning import planned
from piste.journeys.reading import Desired
from piste.observed import Observation
from piste.run import Run, Status
from piste.selection import means

if TYPE_CHECKING:
    from piste.snowflake import Account

OUTAGE_SECONDS = 2 * 3600.0
"""How long `follow` outlasts a Snowflake that does not answer."""


@dataclass(frozen=True)
class Look:
    """The runs that are followed, as last seen. `silence` is how long, in seconds, Snowflake has not answered."""

    runs: tuple[Run, ...]
    silence: float = 0.0


def follow(
    account: Account,
    claims: Collection[str],
    pause: Callable[[float], None] = time.sleep,
    seconds: float = 3.0,
    patience: int = 100,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Look]:
    """The runs of these claims again and again, until all have ended; a run that overstays its timeout is cancelled.

    A claim that is not to be seen (its stage belongs to a role that this one can't look into) is given up after
    `patience` looks.

    Raises:
        SnowflakeUnreachable: nothing was answered for OUTAGE_SECONDS.
    """
    found, heard = tuple[Run, ...](), clock()
    for look in itertools.count():
        try:
            seen = account.observe()
            found, answered = tuple(run for run in observed.runs(seen) if run.name in claims), True
            stop_overdue(account, found, seen)
            heard = clock()
        except SnowflakeUnreachable:
            if clock() - heard > OUTAGE_SECONDS:
                raise
            answered = False
        yield Look(found, 0.0 if answered else clock() - heard)
        complete = len(found) == len(set(claims)) or look >= patience
        if answered and complete and all(ending.is_over(run) for run in found):
            return
        pause(seconds)


def stop_overdue(account: Account, runs: Collection[Run], seen: Observation) -> tuple[Run, ...]:
    """Cancel jobs that did not stop by themselves at their compute.timeout; `collect` records how they ended."""
    overdue = tuple(run for run in runs if ending.is_overdue(run, seen.at))
    for run in overdue:
        account.record(run.name, "stopping", {"kind": "timeout"})
        account.cancel(str(run.job))
    return overdue


def live(account: Account) -> tuple[Run, ...]:
    """Runs to which something will still happen."""
    return tuple(run for run in observed.runs(account.observe()) if not ending.is_over(run))


def ended_well(run: Run) -> bool:
    return run.evaluation is Status.DONE and (run.training is Status.DONE or "train" not in run.steps)


def cancel(desired: Desired, account: Account, name: str) -> tuple[Run, ...]:
    """Cancel the live runs of an experiment (or experiment/variant); their end is recorded by `collect`."""
    going = [run for run in named(desired, account, [name]) if run.job is not None and not ending.is_over(run)]
    who = git.provenance(desired.root)["actor"]
    for run in going:
        account.record(run.name, "stopping", {"kind": "cancelled", "actor": who})
        account.cancel(str(run.job))
    return tuple(going)


def logs(desired: Desired, account: Account, name: str) -> str:
    """The log of an experiment's latest run: of all nodes, or from its stage once Snowflake has dropped the job."""
    return log_of(account, latest(desired, account, name))


def latest(desired: Desired, account: Account, name: str) -> Run:
    found = named(desired, account, [name])
    if not found:
        raise PisteError(f"{name} has not been run.", f"`piste run {name}` runs it.")
    return found[-1]


def log_of(account: Account, run: Run) -> str:
    text = account.logs(run.job, int(run.provenance.get("nodes") or 1)) if run.job else ""
    if text:
        return text
    kept = (account.read(run.name, f"logs/{part}.log") or b"" for part in ("train", "generate"))
    return b"\n".join(kept).decode(errors="replace")


def follow_log(
    desired: Desired, account: Account, name: str, pause: Callable[[float], None] = time.sleep, seconds: float = 3.0
) -> Iterator[str]:
    """What is new in the log of an experiment's latest run, until the run has ended."""
    run, shown = latest(desired, account, name), 0
    while True:
        text = log_of(account, run)
        yield text[shown:]
        shown = len(text)
        if ending.is_over(run):
            return
        pause(seconds)
        run = next((one for one in observed.runs(account.observe()) if one.name == run.name), run)


def named(desired: Desired, account: Account, names: Sequence[str]) -> list[Run]:
    """Runs by the name they were submitted under or by what git asks for under that name now, the latest last."""
    runs = sorted(observed.runs(account.observe()), key=lambda run: (run.claimed_at, run.name))
    if not names:
        return runs
    wanted = {one.digests.training for one in desired.variants if any(means(word, one) for word in names)}
    found = [run for run in runs if run.digests.training in wanted or any(means(word, run) for word in names)]
    if not found:
        desired.only(names)
    return found


def status(desired: Desired, account: Account, names: Collection[str]) -> tuple[Standing, ...]:
    """How everything stands that git asks for, or that ran; of what is selected."""
    seen = account.observe()
    due = planned(desired, account, seen)
    found = standings(due, seen.at)
    chosen = tuple(one for one in found if not names or any(_means(word, one) for word in names))
    if desired.touched is not None:
        chosen = tuple(one for one in chosen if one.action and one.action.variant.experiment in desired.touched)
    elif names and not chosen:
        desired.only(names)
    return _with_gates(chosen, desired, due.runs, seen.at)


def _with_gates(found: Iterable[Standing], desired: Desired, runs: Sequence[Run], now: str) -> tuple[Standing, ...]:
    """Those of an experiment once, with its first variant."""
    from piste.report.gating import all_outcomes

    left = all_outcomes(desired.experiments, desired.decided(runs).variants, runs)
    gates = ((one, left.pop(one.action.variant.experiment, ()) if one.action else ()) for one in found)
    return tuple(replace(one, gates=check(outcomes, now[:10])) for one, outcomes in gates)


def _means(word: str, standing: Standing) -> bool:
    run, action = standing.run, standing.action
    return bool((run and means(word, run)) or (action and means(word, action.variant)))
