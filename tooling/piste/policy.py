"""What an apply does only when it is told to: submit very much or dearly, or go on after much has gone from git."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Final

from piste import cost, durations
from piste.change_rules import compute
from piste.environment import FILE, Policy
from piste.errors import PolicyRefused
from piste.experiment import Variant
from piste.plan import Plan
from piste.problems import listed
from piste.run import Run

ALLOWANCES: Final = ("many", "vanished")
"""What `--allow` may name."""

FEW = 3
"""So many experiments have to be gone before their share counts: in a small repository one is much at once."""


def refusals(
    due: Plan, runs: Iterable[Run], desired: Sequence[Variant], policy: Policy, allow: Collection[str]
) -> None:
    """Pass, or raise; `allow` holds what was allowed for this once. `desired` is all that git asks for.

    Raises:
        PolicyRefused: with everything that is refused, and how to allow it.
    """
    refused = {"many": _many(due, policy), "vanished": _vanished(runs, desired, policy)}
    found = [(name, said) for name in ALLOWANCES if (said := refused[name]) and name not in allow]
    if found:
        allowing = " ".join(f"--allow {name}" for name, _ in found)
        settings = " and ".join(f"max_{'submissions' if name == 'many' else name}" for name, _ in found)
        hint = f"If that is meant: {allowing}, or raise {settings} in [tool.piste.policy] of {FILE}."
        raise PolicyRefused("\n".join(said for _, said in found), f"{hint} Nothing was submitted.")


def at_most(variant: Variant, rate: float | None) -> float | None:
    """Credits of a run that takes its timeout; None where the rate of its pool's family is not known."""
    experiment = variant.spec["experiment"]
    nodes = experiment["train"].get("nodes", 1)
    return None if rate is None else cost.billed(durations.seconds(compute(experiment, "timeout")), nodes, rate)


def too_dear(variant: Variant, credits: float | None) -> str:
    """What to say of a run that may cost more than its compute.max_credits; "" if it may not."""
    most = variant.spec["experiment"].get("compute", {}).get("max_credits")
    if credits is None or most is None or credits <= most:
        return ""
    return f"{variant.label} may cost {credits:.2f} credits; compute.max_credits is {most}."


def _many(due: Plan, policy: Policy) -> str:
    count = len(due.submissions)
    if count <= policy.max_submissions:
        return ""
    return f"{count} jobs would be submitted at once; max_submissions is {policy.max_submissions}."


def _vanished(runs: Iterable[Run], desired: Sequence[Variant], policy: Policy) -> str:
    known = _known(runs)
    gone = _gone(known, desired)
    if len(gone) < FEW or len(gone) / len(known) <= policy.max_vanished:
        return ""
    what = f"{len(gone)} of the {len(known)} experiments that the ledger knows are gone from git at once"
    return f"{what} ({listed(gone, 5)}); max_vanished is {policy.max_vanished:g}."


def _known(runs: Iterable[Run]) -> dict[str, set[str]]:
    """Training digests of each experiment; without what was tried from a branch, and what is known to be gone."""
    known: dict[str, set[str]] = {}
    for run in runs:
        if not run.provenance.get("tried") and not run.archived:
            known.setdefault(run.experiment, set()).add(run.digests.training)
    return known


def _gone(known: dict[str, set[str]], desired: Sequence[Variant]) -> list[str]:
    """Those whose folder is gone, and with it all that they trained: one that was renamed or changed is still there."""
    asked = {variant.digests.training for variant in desired}
    names = {variant.experiment for variant in desired}
    return sorted(name for name, digests in known.items() if name not in names and not digests & asked)
