"""What is due becomes jobs: one claim each, and exactly one training however many try."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from piste import ending, git, repository, resources
from piste.approvals import Approval
from piste.asked import Asked
from piste.cost import token_price
from piste.environment import Environment, Pool, Runtime, Settings
from piste.errors import PisteError, SnowflakeRefused, SnowflakeUnreachable
from piste.journeys.ledger import claim_row, prepare
from piste.journeys.planning import pool_name
from piste.journeys.reading import Desired
from piste.journeys.refusing import Judged, judge, refused, told_by_ledger
from piste.observed import is_closed
from piste.payload import Payload, payload
from piste.plan import Action, Plan
from piste.policy import ALLOWANCES
from piste.run import Run

if TYPE_CHECKING:
    from piste.snowflake import Account


@dataclass(frozen=True)
class Submission:
    """What came of one action: the job's name, or who was faster. `credits` is what it may cost at most."""

    action: Action
    claim: str
    credits: float | None
    job: str | None = None
    taken_by: str | None = None

    def __str__(self) -> str:
        title = self.action.variant.label
        if self.taken_by is not None:
            return f"{title}: {self.taken_by} was faster ({self.claim})"
        price = f", {self.credits:.2f} credits if it takes its timeout" if self.credits is not None else ""
        return f"{title}: submitted {self.job}{price}"


def apply(
    desired: Desired,
    account: Account,
    due: Plan,
    tried: bool = False,
    allow: Collection[str] = (),
    origin: Mapping[str, Any] = MappingProxyType({}),
    approved: Sequence[Approval] | None = None,
) -> Iterator[Submission]:
    """Submit what the plan says, one claim each. `tried` marks runs that come from somebody's working tree.

    `allow` names the rules of [tool.piste.policy] that need not hold this time. `origin` is what is to be recorded
    besides what git and the environment tell. `approved` is what merged pull requests asked for; the ledger tells it
    otherwise.

    Raises:
        PolicyRefused: nothing was submitted; or, at the end, what is refused by a rule of `policy_rules.ALONE` was not.
        PisteError: a pool or a runtime is missing; then nothing was submitted.
    """
    approved = None if tried else told_by_ledger(desired, due) if approved is None else approved
    spender = account.spender() if due.submissions else ""
    judged = judge(desired, account, due, approved, {*allow, *(ALLOWANCES if tried else ())}, spender)
    if judged.nothing_goes:
        raise refused(judged.refusals, "Nothing was submitted.")
    jobs = _jobs(desired, account, due, judged)
    archived = [] if tried else [run for run in due.orphans if not run.archived and ending.is_over(run)]
    if jobs or archived:
        prepare(account, due.ledger)
        origin = {**git.provenance(desired.root), **origin, **({"tried": True} if tried else {})}
        for job in jobs:
            yield _submit(account, job, {**origin, **job.told})
        for run in archived:
            account.record(run.name, "archived", {"actor": origin["actor"], "commit": origin["commit"]})
    if judged.refusals:
        raise refused(judged.refusals, "The rest was submitted." if jobs else "Nothing was submitted.")


@dataclass(frozen=True)
class _Job:
    """An action with where and on what it is to run; `credits` is what it may cost at most, `rate` what a
    node costs an hour, `token_rates` what a hosted model's tokens cost a million; None without a price.
    `told` is who pays, and the pull request that asked."""

    action: Action
    payload: Payload
    pool: Pool
    runtime: Runtime
    nodes: int
    credits: float | None
    rate: float | None
    token_rates: tuple[float, float] | None
    told: Mapping[str, Any]


def _jobs(desired: Desired, account: Account, due: Plan, judged: Judged) -> list[_Job]:
    actions = [action for action in due.submissions if action.variant.label not in judged.titles]
    if not actions:
        return []
    pools, code = due.pools or account.pools(), resources.payload_files()
    return [
        _job(desired, _pool(account.environment, pools, action), code, action, judged.asked[action.variant.label])
        for action in actions
    ]


def _job(desired: Desired, pool: Pool, code: Mapping[str, bytes], action: Action, asked: Asked) -> _Job:
    train = action.variant.spec["experiment"]["train"]
    rate = desired.settings.rates.get(pool.family)
    runtime = runtime_of(desired.settings, train.get("runtime", ""))
    files = repository.declared_files(desired.root, desired.experiment(action.variant.experiment))
    made = payload(action, code, files, (desired.settings_root / runtime.lock).read_bytes())
    tokens = token_price(train["hosted"], desired.settings.token_credits) if "hosted" in train else None
    told = {"spender": asked.spender, **({"approved": asked.approved} if asked.approved else {})}
    return _Job(action, made, pool, runtime, train.get("nodes", 1), asked.credits, rate, tokens, told)


def _pool(environment: Environment, pools: Mapping[str, Pool], action: Action) -> Pool:
    experiment = action.variant.spec["experiment"]
    name = pool_name(environment, experiment)
    if name is None:
        alias = experiment.get("compute", {}).get("pool", "")
        raise PisteError(
            f"The environment {environment.name} has no pool {alias!r}." if alias else "No pool is chosen.",
            f"It has: {', '.join(environment.pools) or 'none'}. See [tool.piste.environments.{environment.name}].",
        )
    if name.upper() not in pools:
        message = f"{action.variant.title}: there is no compute pool {name} (or this role may not see it)."
        raise PisteError(message, "Run `piste doctor` for the SQL that makes it.")
    return pools[name.upper()]


def runtime_of(settings: Settings, name: str) -> Runtime:
    """The runtime of that name; a baseline names none and gets the settings' own."""
    wanted = name or settings.runtime
    if wanted in settings.runtimes:
        return settings.runtimes[wanted]
    raise PisteError(
        f"There is no runtime {wanted!r}." if wanted else "No runtime evaluates baselines.",
        'Add it to [tool.piste.runtimes] in pyproject.toml; runtime = "…" in [tool.piste] is for baselines.',
    )


def _submit(account: Account, job: _Job, origin: Mapping[str, Any]) -> Submission:
    """Close what came before, claim, record, look once more, submit, record: each may be the last that happens."""
    action, claim = job.action, job.payload.claim
    taken_by = _close_earlier(account, action, origin) or account.claim(claim, _comment(action, origin))
    if taken_by:
        return Submission(action, claim, job.credits, taken_by=taken_by)
    body = claimed(job, origin, account.environment.name)
    account.record(claim, "claimed", body)
    # Between the claim and here a laptop may have slept: a later attempt has then shut this one's fence.
    if fence := account.fence(claim):
        return Submission(action, claim, job.credits, taken_by=closer(fence))
    name = _start(account, job, body)
    account.record(claim, "submitted", {"job": name})
    return Submission(action, claim, job.credits, job=name)


def _close_earlier(account: Account, action: Action, origin: Mapping[str, Any]) -> str:
    """Of the attempt before, no job may begin any more. Who is at it all the same; "" if nobody is."""
    earlier = action.after
    if earlier is None:
        return ""
    passed = account.close(earlier.name, f"{origin['actor']} for attempt {action.attempt}")
    if passed and earlier.abandoned:
        return passed
    if earlier.job and not earlier.job_status:
        _cancel_quietly(account, earlier)
    return ""


def _cancel_quietly(account: Account, run: Run) -> None:
    """Snowflake does not list the job. If it lives in spite of that, this ends it; no answer is not a no."""
    try:
        account.cancel(str(run.job))
    except SnowflakeUnreachable:
        raise
    except SnowflakeRefused:
        return


def _comment(action: Action, origin: Mapping[str, Any]) -> dict[str, Any]:
    variant = action.variant
    named = {"experiment": variant.experiment, "variant": variant.name, "steps": list(action.steps)}
    who = {key: origin[key] for key in ("actor", "commit", "tried") if key in origin}
    return {**variant.digests.told, **named, **who}


def claimed(job: _Job, origin: Mapping[str, Any], environment: str) -> dict[str, Any]:
    """The ledger's row of a claim; the job carries it too, in case its submitter dies before it is written."""
    variant = job.action.variant
    where = {"pool": job.pool.name, "family": job.pool.family, "nodes": job.nodes, "rate": job.rate}
    hosted = {} if job.token_rates is None else {"token_rates": list(job.token_rates)}
    like = job.action.cost
    told = {"low": like.nodes[0], "high": like.nodes[1], "basis": like.basis} if like and like.nodes else {}
    estimate = {"estimate": told} if told else {}
    provenance = {**origin, "runtime": job.runtime.name, "environment": environment, **where, **hosted, **estimate}
    row = claim_row(variant.digests, job.action.steps, variant.spec, provenance, job.action.attempt)
    return {"experiment": variant.experiment, "variant": variant.name, **row}


def _job_comment(job: _Job, origin: Mapping[str, Any]) -> str:
    """`piste TITLE RUN owner=… cost_center=…`: without quotes, which no two layers of SQL and JSON escape alike."""
    variant = job.action.variant
    said = {**variant.spec["experiment"], **origin}
    told = {key: said.get(key) for key in ("owner", "cost_center", "environment", "actor", "commit")}
    words = [f"{key}={quote(str(value), safe='@./+')}" for key, value in told.items() if value]
    return " ".join(["piste", variant.title, job.payload.claim, *words])


CLAIM_FILE = "claim.json"
"""The ledger's row of the claim, in the job's folder on the run's stage."""


def _start(account: Account, job: _Job, body: Mapping[str, Any]) -> str:
    """A submission that Snowflake refuses leaves no claim that would have to grow old before it counts as lost."""
    files = {**job.payload.files, CLAIM_FILE: json.dumps(body, sort_keys=True, ensure_ascii=False).encode()}
    comment = _job_comment(job, body["provenance"])
    try:
        made = replace(job.payload, files=files, secrets=account.environment.secrets)
        return account.submit(made, job.pool.name, job.nodes, job.runtime.image, comment)
    except SnowflakeRefused:
        account.close(job.payload.claim, "its submitter, whose submission was refused")
        raise


def closer(fence: str) -> str:
    """Who is meant by what is written on a fence."""
    return str(json.loads(fence)["closed_by"]) if is_closed(fence) else fence
