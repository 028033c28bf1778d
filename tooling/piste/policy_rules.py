"""The rules of [tool.piste.policy], in one table: what each forbids, what it says, and what to do then."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Final

from piste import approvals
from piste.approvals import Approval
from piste.asked import Asked
from piste.environment import FILE, Policy
from piste.experiment import Variant
from piste.problems import listed
from piste.run import Run
from piste.spending import EPSILON, spent

FEW = 3
"""So many experiments have to be gone before their share counts: in a small repository one is much at once."""

TABLE: Final = f"[tool.piste.policy] of {FILE}"


@dataclass(frozen=True)
class Case:
    """All that rules look at.

    `asked` is of every action that is submitted or waits in a queue, `submitted` the titles of the former. `desired` is
    all that git asks for, `runs` all that the ledger knows. `at` is Snowflake's clock, ISO 8601 in UTC. `approved` is
    None where nothing has to be. `live` says that Snowflake was asked: what only it can tell is not judged without it.
    """

    asked: Sequence[Asked]
    submitted: Collection[str] = ()
    desired: Sequence[Variant] = ()
    runs: Sequence[Run] = ()
    at: str = ""
    pinned: bool = False
    approved: Sequence[Approval] | None = None
    live: bool = True

    @cached_property
    def bounds(self) -> Mapping[str, float]:
        """Credits of what is asked for, by who pays."""
        found: dict[str, float] = {}
        for one in self.asked:
            found[one.spender] = found.get(one.spender, 0.0) + (one.credits or 0.0)
        return found

    @cached_property
    def spent(self) -> Mapping[str, float]:
        return spent(self.runs, self.at)


OfAction = Callable[[Asked, Case, Policy], str]
OfAll = Callable[[Case, Policy], str]


@dataclass(frozen=True)
class Rule:
    """`of_action` or `of_all` says what is wrong, "" if nothing is. `always` rules need no account.

    What one is against is not submitted, nor anything beside it; only of an `alone` one the rest goes.
    """

    name: str
    forbids: str
    hint: str
    of_action: OfAction | None = None
    of_all: OfAll | None = None
    always: bool = False
    alone: bool = False


def above(credits: float | None, most: float | None, key: str) -> str:
    if credits is None or most is None or credits <= most + EPSILON:
        return ""
    return f"may cost {credits:.2f} credits; {key} is {most:g}"


def _max_submissions(case: Case, policy: Policy) -> str:
    count = sum(one.title in case.submitted for one in case.asked)
    if count <= policy.max_submissions:
        return ""
    return f"{count} jobs would be submitted at once; max_submissions is {policy.max_submissions}"


def _max_vanished(case: Case, policy: Policy) -> str:
    known = _known(case.runs)
    gone = _gone(known, case.desired)
    if len(gone) < FEW or len(gone) / len(known) <= policy.max_vanished:
        return ""
    what = f"{len(gone)} of the {len(known)} experiments that the ledger knows are gone from git at once"
    return f"{what} ({listed(gone, 5)}); max_vanished is {policy.max_vanished:g}"


def _known(runs: Iterable[Run]) -> dict[str, set[str]]:
    """Training digests of each experiment; without what was tried from a branch, and what is known to be gone."""
    known: dict[str, set[str]] = {}
    for run in runs:
        if not run.provenance.get("tried") and not run.archived:
            known.setdefault(run.experiment, set()).add(run.digests.training)
    return known


def _gone(known: Mapping[str, set[str]], desired: Sequence[Variant]) -> list[str]:
    """Those whose folder is gone, and with it all that they trained: one that was renamed or changed is still there."""
    asked = {variant.digests.training for variant in desired}
    names = {variant.experiment for variant in desired}
    return sorted(name for name, digests in known.items() if name not in names and not digests & asked)


def _max_credits(one: Asked, _: Case, __: Policy) -> str:
    return above(one.credits, one.max_credits, "compute.max_credits")


_NO_PRICE: Final = "what it may cost is not known, as its pool's instance family has no rate"


def _max_credits_per_action(one: Asked, _: Case, policy: Policy) -> str:
    if policy.max_credits_per_action is None:
        return ""
    said = above(one.credits, policy.max_credits_per_action, "max_credits_per_action")
    return _NO_PRICE if one.credits is None else said


def _max_credits_per_plan(case: Case, policy: Policy) -> str:
    most, all_of_it = policy.max_credits_per_plan, sum(case.bounds.values())
    if most is None or not case.asked:
        return ""
    if lacking := sum(one.credits is None for one in case.asked):
        return f"{lacking} of {len(case.asked)} actions have no price, as the instance family has no rate"
    said = above(all_of_it, most, "max_credits_per_plan")
    return f"{len(case.asked)} actions together {said}" if said else ""


def _max_credits_per_month(one: Asked, case: Case, policy: Policy) -> str:
    most = policy.max_credits_per_month
    if most is None:
        return ""
    if one.credits is None:
        return _NO_PRICE
    before, more = case.spent.get(one.spender, 0.0), case.bounds[one.spender]
    if before + more <= most + EPSILON:
        return ""
    month = f"{one.spender or 'somebody'} has spent, or may spend with live runs, {before:.2f} credits in {case.at[:7]}"
    return f"{month}, and what is due may cost {more:.2f} more; max_credits_per_month is {most:g}"


def _allowed(key: str, what: str, names: Callable[[Asked], Iterable[str]], exact: bool = False) -> OfAction:
    """Of a list of globs; `exact` where upper and lower case differ. "" stands for what is not known or not there."""

    def judge(one: Asked, _: Case, policy: Policy) -> str:
        globs: tuple[str, ...] | None = getattr(policy, key)
        if globs is None:
            return ""
        others = [name for name in names(one) if not any(_fits(name, glob, exact) for glob in globs)]
        return f"{what} {listed(dict.fromkeys(others), 5)}, not one of {listed(globs)} ({key})" if others else ""

    return judge


def _fits(name: str, glob: str, exact: bool) -> bool:
    return fnmatchcase(name, glob) if exact else fnmatchcase(name.casefold(), glob.casefold())


def _licences(one: Asked, case: Case, policy: Policy) -> str:
    """What is not known without an account is judged with one."""
    if policy.allowed_licences is None:
        return ""
    globs, known = policy.allowed_licences, {name: said for name, said in one.models.items() if said or case.live}
    bad = [
        f"{name} has the licence {said}" if said else f"{name} has a licence that nobody told"
        for name, said in known.items()
        if not said or not any(_fits(said, glob, False) for glob in globs)
    ]
    return f"{listed(bad, 5)}: not one of {listed(globs)} (allowed_licences)" if bad else ""


def _owners(one: Asked, _: Case, policy: Policy) -> str:
    globs = policy.allowed_owners
    if globs is None or (one.owner and any(_fits(one.owner, glob, False) for glob in globs)):
        return ""
    return f"the owner {one.owner} is not one of {listed(globs)} (allowed_owners)" if one.owner else "it has no owner"


def _pinned(one: Asked, case: Case, _: Policy) -> str:
    if not case.pinned or not one.unpinned:
        return ""
    return f"{listed(one.unpinned, 5)} may change under this name (pinned_inputs of the environment)"


def _reviewed(one: Asked, case: Case, _: Policy) -> str:
    return "" if case.approved is None else approvals.lacking(one, case.approved)


_CHOOSE: Final = f"Choose an allowed one, or propose a change or an exception of {TABLE}."

RULES: Final = (
    Rule(
        "max-submissions",
        "more jobs at once than `max_submissions`",
        f"If that is meant: --allow max-submissions, or raise max_submissions in {TABLE}.",
        of_all=_max_submissions,
    ),
    Rule(
        "max-vanished",
        "to go on when a larger share than `max_vanished` of the ledger's experiments has gone from git",
        f"If that is meant: --allow max-vanished, or raise max_vanished in {TABLE}.",
        of_all=_max_vanished,
    ),
    Rule(
        "max-credits",
        "a run that may cost more than its experiment's `compute.max_credits`",
        "Lower compute.timeout, or raise compute.max_credits.",
        of_action=_max_credits,
    ),
    Rule(
        "max-credits-per-action",
        "a run that may cost more than `max_credits_per_action`",
        f"Lower compute.timeout, take a smaller pool, or propose an exception in {TABLE}.",
        of_action=_max_credits_per_action,
    ),
    Rule(
        "max-credits-per-plan",
        "a plan that may cost more than `max_credits_per_plan` together",
        f"Submit some of it (piste apply NAME), lower compute.timeout, or propose an exception in {TABLE}.",
        of_all=_max_credits_per_plan,
    ),
    Rule(
        "max-credits-per-month",
        "runs of whoever would have spent more than `max_credits_per_month` with them",
        f"Wait for runs to end, or for the next month, or propose an exception in {TABLE}.",
        of_action=_max_credits_per_month,
        alone=True,
    ),
    Rule(
        "allowed-pools",
        "other compute pools than `allowed_pools`",
        _CHOOSE,
        of_action=_allowed("allowed_pools", "the pool is", lambda one: [one.pool] if one.pool else []),
        always=True,
    ),
    Rule(
        "allowed-families",
        "other instance families than `allowed_families`",
        _CHOOSE,
        of_action=_allowed("allowed_families", "the instance family is", lambda one: [one.family or "unknown"]),
    ),
    Rule(
        "allowed-models",
        "to train or to evaluate other models than `allowed_models`",
        _CHOOSE,
        of_action=_allowed("allowed_models", "the model is", lambda one: one.models, exact=True),
        always=True,
    ),
    Rule(
        "allowed-licences",
        "models with other licences than `allowed_licences`, or without a known one",
        "`piste model add` says a model's licence; for others write it into [tool.piste.model_licences].",
        of_action=_licences,
        always=True,
    ),
    Rule(
        "allowed-runtimes",
        "other runtimes than `allowed_runtimes`",
        _CHOOSE,
        of_action=_allowed("allowed_runtimes", "the runtime is", lambda one: [one.runtime], exact=True),
        always=True,
    ),
    Rule(
        "allowed-tables",
        "recipes and suites that read other tables than `allowed_tables`, or SQL that can't be read",
        _CHOOSE,
        of_action=_allowed("allowed_tables", "it reads", lambda one: one.tables),
        always=True,
    ),
    Rule(
        "allowed-owners",
        "experiments of other owners than `allowed_owners`, or without one",
        "Write  owner: …  in experiment.yaml.",
        of_action=_owners,
        always=True,
    ),
    Rule(
        "pinned-inputs",
        "inputs that may change under their name, in an environment with `pinned_inputs`",
        "Bring a model with `piste model add`; name a version in the path of other inputs, such as @DATA/notes/v3.",
        of_action=_pinned,
        always=True,
    ),
    Rule(
        "reviewed-plan",
        "what no merged pull request asked for at that price, with `reviewed_plan`",
        f"Propose it by a pull request; where it is on the branch already, as an exception in {TABLE}.",
        of_action=_reviewed,
        alone=True,
    ),
)
ALONE: Final = frozenset(rule.name for rule in RULES if rule.alone)
