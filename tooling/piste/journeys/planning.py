"""What is due."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from piste import ending, observed, selection
from piste.environment import Environment, Pool
from piste.errors import Problem, Refusal
from piste.experiment import TEST, Document, Variant
from piste.journeys.reading import Desired
from piste.nearest import explained
from piste.observed import Observation
from piste.plan import Plan, orphans, plan
from piste.run import Run

if TYPE_CHECKING:
    from piste.snowflake import Account


def plan_offline(desired: Desired, names: Collection[str] = ()) -> tuple[Plan, tuple[Problem, ...]]:
    """By the reports committed in git alone: needs no account, and can't see runs in progress.

    With the plan come the reports that could not be read.
    """
    runs, problems = _reported(desired.reports)
    desired = desired.decided(runs)
    made = plan(desired.only(names), runs)
    gone = orphans(desired.variants, runs)
    return explained(replace(made, orphans=gone, wanted=made.submissions)), problems


def refusals_offline(desired: Desired, due: Plan, environment: str | None) -> tuple[Refusal, ...]:
    """What the policy has against the plan, by the rules that need no account."""
    known = desired.settings
    chosen = known.chosen(environment or "") if known.environments else Environment("", "", "")
    if not known.has_rules_offline(chosen):
        return ()
    from piste.journeys.refusing import judge_offline

    return judge_offline(desired, chosen, due).refusals


def _reported(reports: Mapping[str, bytes]) -> tuple[tuple[Run, ...], tuple[Problem, ...]]:
    if not reports:
        return (), ()
    from piste.report.model import offline_runs

    return offline_runs(reports)


def plan_live(
    desired: Desired,
    account: Account,
    names: Collection[str] = (),
    retry: Collection[str] = (),
    seen: Observation | None = None,
    tried: bool = False,
) -> Plan:
    """By what Snowflake knows. What has no place now, by its pool or by compute.max_parallel, waits in a queue.

    `seen` is what was observed a moment ago. What is only `tried` is never scored on a test split.

    Raises:
        PolicyRefused: the ledger has forgotten what committed reports tell of.
    """
    from piste.journeys.ledger import look

    return planned(desired, account, seen or look(desired, account), names, retry, tried)


def planned(
    desired: Desired,
    account: Account,
    seen: Observation,
    names: Collection[str] = (),
    retry: Collection[str] = (),
    tried: bool = False,
) -> Plan:
    runs = observed.runs(seen)
    retry = {one.title for one in selection.select(retry, desired.variants)} if retry else ()
    desired = desired.trying() if tried else desired.decided(runs, retry)
    chosen = [variant for variant in desired.only(names) if not (tried and variant.split == TEST)]
    made = plan(chosen, runs, retry, seen.at)
    gone = orphans(desired.variants, made.runs)
    made = replace(made, orphans=gone, ledger=seen.ledger, seen=seen, wanted=made.submissions)
    if made.submissions:
        return explained(_admitted(made, desired, account))
    return _priced(made, desired, lambda _: None)


def _priced(made: Plan, desired: Desired, pool_of: Callable[[Variant], Pool | None]) -> Plan:
    from piste.estimate import Prices, priced

    prices = Prices(desired.settings.rates, desired.settings.token_credits)
    return replace(made, actions=priced(made.actions, made.runs, pool_of, prices))


def _admitted(made: Plan, desired: Desired, account: Account) -> Plan:
    from piste.admission import admit

    live = [run for run in made.runs if not ending.is_over(run)]

    def name_of(variant: Variant) -> str | None:
        return pool_name(account.environment, variant.spec["experiment"])

    def pool_of(variant: Variant) -> Pool | None:
        return pool_in(pools, account.environment, variant.spec["experiment"])

    pools = account.pools()
    nodes = {name: pool.nodes for name, pool in pools.items()}
    actions = admit(made.actions, live, nodes, name_of, desired.settings.policy.backlog)
    return _priced(replace(made, actions=actions, pools=pools), desired, pool_of)


def pool_name(environment: Environment, experiment: Document) -> str | None:
    """The compute pool behind the alias of an experiment.yaml; without one, the environment's only pool."""
    alias = experiment.get("compute", {}).get("pool", "")
    if not alias and len(environment.pools) == 1:
        return next(iter(environment.pools.values()))
    return environment.pools.get(alias)


def pool_in(pools: Mapping[str, Pool], environment: Environment, experiment: Document) -> Pool | None:
    """That pool, if it is among these, which are by name."""
    return pools.get((pool_name(environment, experiment) or "").upper())


def cheapest_pool(account: Account, rates: Mapping[str, float]) -> Pool | None:
    """Of the environment's pools that this role may see; `rates` is credits per node-hour by instance family."""
    known = account.pools()
    found = [known[name.upper()] for name in account.environment.pools.values() if name.upper() in known]
    return min(found, key=lambda pool: (rates.get(pool.family, math.inf), pool.name), default=None)
