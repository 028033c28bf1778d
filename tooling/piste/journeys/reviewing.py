"""A pull request, before it is merged: what it changes, and trying it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from piste import data_access, observed
from piste.environment import Environment
from piste.experiment import TEST, Variant
from piste.journeys.ledger import look
from piste.journeys.planning import plan_offline, planned, pool_in
from piste.journeys.reading import Desired
from piste.journeys.refusing import Judged, judge, judge_offline, only, refused
from piste.journeys.submitting import Submission, apply
from piste.plan import Plan
from piste.policy import at_most
from piste.review import Review
from piste.run import Run
from piste.smoke import smoke
from piste.variants import on_every_split

if TYPE_CHECKING:
    from piste.github import PullRequest
    from piste.snowflake import Account


def review(desired: Desired, base: Desired, pull_request: PullRequest, account: Account | None) -> Review:
    """What a pull request changes against the branch that it is for; `base` is what that branch asks for.

    Without an account, by the reports committed in git. Nothing of the pull request's SQL or code runs.
    """
    environment = account.environment if account else _environment(desired)
    due, tried = _live(desired, account, pull_request) if account else (plan_offline(desired)[0], ())
    mine, credits = changed(desired, base), prices(desired, environment, due)
    return Review(
        plan=due,
        mine={variant.label for variant in mine},
        offline=account is None,
        removed=removed(desired, base),
        credits=credits,
        refused=_judged(desired, environment, account, due, mine).refusals,
        access=data_access.access(_on_every_split(desired, mine), environment.database, environment.schema),
        tried=tried,
        head=pull_request.head,
        triable=account is not None and not pull_request.fork,
        approves=desired.settings.policy.reviewed_plan,
    )


def _on_every_split(desired: Desired, mine: Sequence[Variant]) -> Iterator[Variant]:
    """With what is scored later: who approves a matrix approves what its winner reads."""
    names = {variant.experiment for variant in mine}
    for experiment in desired.experiments:
        if experiment.name in names:
            yield from on_every_split(experiment)


def _environment(desired: Desired) -> Environment:
    return desired.settings.chosen() if desired.settings.environments else Environment("", "", "")


def _live(desired: Desired, account: Account, pull_request: PullRequest) -> tuple[Plan, tuple[Run, ...]]:
    seen = look(desired, account)
    tried = [run for run in observed.runs(seen) if run.provenance.get("pull_request") == pull_request.number]
    return planned(desired, account, seen), tuple(tried)


def changed(desired: Desired, base: Desired) -> tuple[Variant, ...]:
    """Variants that the base does not ask for: by identity, so that a renamed folder changes nothing."""
    asked = {variant.digests for variant in base.variants}
    return tuple(variant for variant in desired.variants if variant.digests not in asked)


def removed(desired: Desired, base: Desired) -> tuple[str, ...]:
    """Experiments of the base that are gone, and with them all that they trained."""
    names = {variant.experiment for variant in desired.variants}
    asked = {variant.digests.training for variant in desired.variants}
    gone = (one for one in base.variants if one.experiment not in names and one.digests.training not in asked)
    return tuple(sorted({one.experiment for one in gone}))


def prices(desired: Desired, environment: Environment, due: Plan) -> dict[str, float | None]:
    """By title, the credits of what would be submitted if it takes its timeout; None where the rate is not known."""
    return {
        action.variant.label: action.cost.at_most
        if action.cost
        else at_most(action.variant, _rate(desired, environment, due, action.variant))
        for action in due.submissions
    }


def _rate(desired: Desired, environment: Environment, due: Plan, variant: Variant) -> float | None:
    pool = pool_in(due.pools, environment, variant.spec["experiment"])
    return desired.settings.rates.get(pool.family) if pool else None


def _judged(
    desired: Desired, environment: Environment, account: Account | None, due: Plan, mine: Sequence[Variant]
) -> Judged:
    """By the policy of the branch that the pull request is for: the settings are from there. Merging it approves it."""
    asked = only(due, {variant.label for variant in mine})
    return judge(desired, account, asked) if account else judge_offline(desired, environment, asked)


def cut_down(desired: Desired, names: Collection[str]) -> tuple[Desired, tuple[str, ...]]:
    """With a smoke variant of these experiments beside what git asks for, and their titles."""
    chosen = smoke(one for one in desired.trying().only(names) if one.split != TEST)
    return replace(desired, variants=(*desired.variants, *chosen)), tuple(variant.title for variant in chosen)


def try_(
    desired: Desired, base: Desired, pull_request: PullRequest, account: Account, cut: bool
) -> Iterator[Submission]:
    """Submit what a pull request changes, before it is merged; `cut` down to a smoke test of each experiment.

    What failed before is tried again: somebody asked for it.

    Raises:
        PolicyRefused: by the policy of the branch that the pull request is for.
    """
    mine = tuple(variant for variant in changed(desired.trying(), base.trying()) if variant.split != TEST)
    chosen = smoke(mine) if cut else mine
    asked = replace(desired, variants=(*desired.variants, *chosen) if cut else desired.variants)
    names = [variant.title for variant in chosen]
    due = planned(asked, account, look(asked, account), names, names, tried=True)
    judged = judge(asked, account, due, allow=("max-vanished",))
    if judged.nothing_goes:
        raise refused(judged.refusals, "Nothing was submitted.")
    yield from apply(asked, account, due, tried=True, origin=_origin(pull_request, cut))


def _origin(pull_request: PullRequest, cut: bool) -> Mapping[str, Any]:
    told = {"pull_request": pull_request.number, "commit": pull_request.head, "branch": pull_request.branch}
    return {**told, **({"smoke": True} if cut else {})}
