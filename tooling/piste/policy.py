"""What a repository refuses, by the rules of `policy_rules` and their exceptions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Final

from piste.environment import Policy, PolicyException
from piste.errors import Refusal
from piste.experiment import Variant
from piste.policy_rules import RULES, Case, Rule, above
from piste.spending import bound

ALLOWANCES: Final = ("max-submissions", "max-vanished")
"""The rules that `--allow` may name: they are against accidents, not against people."""


def refusals(case: Case, policy: Policy, allow: Collection[str] = ()) -> tuple[Refusal, ...]:
    """All that is refused, by rule. `allow` names rules that need not hold for this once."""
    return tuple(
        refusal
        for rule in RULES
        if rule.name not in allow and (case.live or rule.always)
        for refusal in _refused(rule, case, policy)
    )


def _refused(rule: Rule, case: Case, policy: Policy) -> Iterator[Refusal]:
    """What is excepted does not count, neither for itself nor for a sum."""
    exceptions = [one for one in policy.exceptions if one.rule == rule.name]
    now = [one for one in exceptions if one.until >= case.at[:10]]
    within = _without(case, now) if now else case
    expired = [one for one in exceptions if one not in now]
    if rule.of_all is not None:
        if said := rule.of_all(within, policy):
            names = {*(one.experiment for one in within.asked), *(run.experiment for run in within.runs)}
            yield Refusal(rule.name, "", said + _ended(expired, names), rule.hint)
    elif rule.of_action is not None:
        for one in within.asked:
            if said := rule.of_action(one, within, policy):
                yield Refusal(rule.name, one.title, said + _ended(expired, {one.experiment}), rule.hint)


def _without(case: Case, exceptions: Sequence[PolicyException]) -> Case:
    def counts(experiment: str) -> bool:
        return not any(fnmatchcase(experiment, one.experiment) for one in exceptions)

    return replace(
        case,
        asked=[one for one in case.asked if counts(one.experiment)],
        runs=[run for run in case.runs if counts(run.experiment)],
    )


def _ended(expired: Iterable[PolicyException], names: Collection[str]) -> str:
    mine = [one for one in expired if any(fnmatchcase(name, one.experiment) for name in names)]
    return "".join(f"; the exception of {one.owner} expired after {one.until}" for one in mine)


def at_most(variant: Variant, rate: float | None) -> float | None:
    """Credits of a run that takes its timeout; None where the rate of its pool's family is not known."""
    return bound(variant.spec["experiment"], rate)


def too_dear(variant: Variant, credits: float | None) -> str:
    """What to say of a run that may cost more than its compute.max_credits; "" if it may not."""
    most = variant.spec["experiment"].get("compute", {}).get("max_credits")
    return f"{variant.label} {said}." if (said := above(credits, most, "compute.max_credits")) else ""
