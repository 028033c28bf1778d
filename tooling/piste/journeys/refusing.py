"""What the policy has against a plan."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from piste import approvals, models, policy
from piste.approvals import Approval
from piste.asked import Asked, asked
from piste.environment import Environment
from piste.errors import PolicyRefused, Refusal
from piste.journeys.planning import pool_in, pool_name
from piste.journeys.reading import Desired
from piste.plan import Action, Plan
from piste.policy_rules import ALONE, Case

if TYPE_CHECKING:
    from piste.snowflake import Account

MOST = 50
"""So many refusals are enough to read on a terminal."""


@dataclass(frozen=True)
class Judged:
    """`asked` is what the actions of a plan ask for, by the title of their variants."""

    asked: Mapping[str, Asked]
    refusals: tuple[Refusal, ...] = ()

    @property
    def nothing_goes(self) -> bool:
        return any(refusal.rule not in ALONE for refusal in self.refusals)

    @property
    def titles(self) -> frozenset[str]:
        """Of what does not go."""
        return frozenset(refusal.title for refusal in self.refusals)


def judge(
    desired: Desired,
    account: Account,
    due: Plan,
    approved: Sequence[Approval] | None = None,
    allow: Collection[str] = (),
    spender: str = "",
) -> Judged:
    """By all rules. `approved` is what merged pull requests asked for, if the policy asks for that."""
    bounds = desired.settings.policy
    if not spender and bounds.max_credits_per_month is not None and due.wanted:
        spender = account.spender()
    found = _asked(desired, account.environment, due, spender, approved or ())
    case = Case(
        asked=found,
        submitted={action.variant.label for action in due.submissions},
        desired=desired.variants,
        runs=due.runs,
        at=due.seen.at,
        pinned=account.environment.pinned_inputs,
        approved=approved,
    )
    return Judged({one.title: one for one in found}, policy.refusals(case, bounds, allow))


def judge_offline(desired: Desired, environment: Environment, due: Plan) -> Judged:
    """By the rules that need no account. Where none of them is on, no document is read for it."""
    if not desired.settings.has_rules_offline(environment):
        return Judged({})
    found = _asked(desired, environment, due, "", ())
    now = datetime.now(UTC).isoformat()
    case = Case(asked=found, at=now, pinned=environment.pinned_inputs, live=False)
    return Judged({one.title: one for one in found}, policy.refusals(case, desired.settings.policy))


def refusals(
    desired: Desired, account: Account, due: Plan, approved: Sequence[Approval] | None = None
) -> tuple[Refusal, ...]:
    """What `apply` would refuse of a plan."""
    told = told_by_ledger(desired, due) if approved is None else approved
    return judge(desired, account, due, told).refusals


def told_by_ledger(desired: Desired, due: Plan) -> tuple[Approval, ...] | None:
    """What the ledger says was approved; None if nothing has to be."""
    return approvals.read(due.seen.events) if desired.settings.policy.reviewed_plan else None


def only(due: Plan, titles: Collection[str]) -> Plan:
    """Of a plan the actions on these variants."""

    def of(actions: Sequence[Action]) -> tuple[Action, ...]:
        return tuple(action for action in actions if action.variant.label in titles)

    return replace(due, actions=of(due.actions), wanted=of(due.wanted))


def refused(refusals: Sequence[Refusal], then: str) -> PolicyRefused:
    """All of them, with what to do about each rule; `then` is what became of the rest."""
    lines = [str(one) for one in refusals[:MOST]]
    more = [f"and {len(refusals) - MOST} more"] if len(refusals) > MOST else []
    hints = dict.fromkeys(f"{one.rule}: {one.hint}" for one in refusals if one.hint)
    return PolicyRefused("\n".join([*lines, *more]), "\n".join([*hints, then]), refusals)


def _asked(
    desired: Desired, environment: Environment, due: Plan, spender: str, approved: Sequence[Approval]
) -> list[Asked]:
    rows = (event.body for event in due.seen.events if event.kind == models.MIRRORED)
    licences = models.licences(rows)

    def of(action: Action) -> Asked:
        variant, pool = action.variant, _pool(environment, due, action)
        credits = policy.at_most(variant, desired.settings.rates.get(pool[1]))
        one = asked(variant, desired.settings, environment, licences, pool, credits, spender)
        merged = approvals.covering(one, approved)
        return replace(one, spender=merged.actor, approved=merged.number) if merged else one

    return [of(action) for action in due.wanted]


def _pool(environment: Environment, due: Plan, action: Action) -> tuple[str, str]:
    """Its name and its instance family, "" where they are not known."""
    experiment = action.variant.spec["experiment"]
    pool = pool_in(due.pools, environment, experiment)
    return pool_name(environment, experiment) or "", pool.family if pool else ""
