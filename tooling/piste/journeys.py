"""What people do with piste, each from top to bottom: validate, plan, apply, collect, follow."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piste import cost, durations, ending, git, observed, repository, resources
from piste.change_rules import defaults
from piste.environment import Environment, Runtime, Settings
from piste.errors import InvalidInput, PisteError, PolicyRefused, Problem
from piste.experiment import Experiment, Variant
from piste.payload import Payload, payload
from piste.plan import Action, Plan, orphans, plan
from piste.repository import Repository
from piste.run import Run, Status
from piste.variants import all_variants

if TYPE_CHECKING:
    from piste.snowflake import Account, Pool


@dataclass(frozen=True)
class Desired:
    """What the working tree asks for."""

    root: Path
    settings: Settings
    experiments: tuple[Experiment, ...]
    variants: tuple[Variant, ...]
    reports: Mapping[str, bytes]

    def experiment(self, name: str) -> Experiment:
        return next(one for one in self.experiments if one.name == name)

    def only(self, names: Collection[str]) -> tuple[Variant, ...]:
        """The variants of these experiments (or experiment/variant); all of them without a name."""
        chosen = tuple(v for v in self.variants if not names or v.experiment in names or v.title in names)
        known = {v.experiment for v in self.variants} | {v.title for v in self.variants}
        for name in names:
            if name not in known:
                raise PisteError(
                    f"There is no experiment {name!r}.", f"There are: {', '.join(sorted(known)) or 'none'}."
                )
        return chosen


@dataclass(frozen=True)
class Submission:
    """What came of one action: the job's name, or who was faster. `credits` is what it may cost at most."""

    action: Action
    claim: str
    credits: float | None
    job: str | None = None
    taken_by: str | None = None


def validate(root: Path) -> Repository:
    return repository.read(root)


def read(root: Path, tolerant: bool = False) -> Desired:
    """What git asks for. `tolerant` passes over experiments with errors: to look at runs, or to end one.

    Raises:
        InvalidInput: any file of any experiment has an error.
    """
    found = validate(root)
    errors = [problem for problem in found.problems if problem.severity == "error"]
    if errors and not tolerant:
        raise InvalidInput(errors)
    return Desired(root, found.settings, found.experiments, all_variants(found.experiments), found.reports)


def plan_offline(desired: Desired, names: Collection[str] = ()) -> tuple[Plan, tuple[Problem, ...]]:
    """By the reports committed in git alone: needs no account, and can't see runs in progress.

    With the plan come the reports that could not be read.
    """
    from piste.report.model import offline_runs

    runs, problems = offline_runs(desired.reports)
    return _plan(desired, runs, names), problems


def plan_live(desired: Desired, account: Account, names: Collection[str] = (), retry: Collection[str] = ()) -> Plan:
    desired.only(retry)
    return _plan(desired, observed.runs(account.observe()), names, retry)


def _plan(desired: Desired, runs: Sequence[Run], names: Collection[str], retry: Collection[str] = ()) -> Plan:
    """For the named experiments; an orphan is what no experiment at all asks for."""
    return replace(plan(desired.only(names), runs, retry), orphans=orphans(desired.variants, runs))


def apply(desired: Desired, account: Account, due: Plan, tried: bool = False) -> Iterator[Submission]:
    """Submit what the plan says, one claim each. `tried` marks runs that come from somebody's working tree.

    Raises:
        PolicyRefused: a submission may cost more than its experiment allows; then nothing was submitted.
        PisteError: a pool or a runtime is missing; then nothing was submitted.
    """
    jobs = [_job(desired, account, action) for action in due.submissions]
    if not jobs:
        return
    account.prepare()
    origin = {**git.provenance(desired.root), **({"tried": True} if tried else {})}
    for job in jobs:
        yield _submit(account, job, origin)


@dataclass(frozen=True)
class _Job:
    """An action with where and on what it is to run; `credits` is what it may cost at most, None without a price."""

    action: Action
    payload: Payload
    pool: Pool
    runtime: Runtime
    nodes: int
    credits: float | None


def _job(desired: Desired, account: Account, action: Action) -> _Job:
    experiment = action.variant.spec["experiment"]
    compute, train = experiment.get("compute", {}), experiment["train"]
    name = _pool(account.environment, compute.get("pool", ""))
    pool = account.pool(name)
    if pool is None:
        message = f"{action.variant.title}: there is no compute pool {name} (or this role may not see it)."
        raise PisteError(message, "Run `piste doctor` for the SQL that makes it.")
    nodes = train.get("nodes", 1)
    at_most = _at_most(compute, nodes, desired.settings.credits.get(pool.family))
    _refuse_if_too_dear(action, compute, at_most)
    runtime = _runtime(desired.settings, train.get("runtime", ""))
    made = payload(
        action,
        resources.payload_files(),
        repository.declared_files(desired.root, desired.experiment(action.variant.experiment)),
        (desired.root / runtime.lock).read_bytes(),
    )
    return _Job(action, made, pool, runtime, nodes, at_most)


def _at_most(compute: Mapping[str, Any], nodes: int, rate: float | None) -> float | None:
    timeout = compute.get("timeout", defaults("experiment")["compute", "timeout"])
    return None if rate is None else cost.credits(durations.seconds(timeout), nodes, rate)


def _refuse_if_too_dear(action: Action, compute: Mapping[str, Any], at_most: float | None) -> None:
    if at_most is not None and at_most > compute.get("max_credits", at_most):
        raise PolicyRefused(
            f"{action.variant.title} may cost {at_most:.2f} credits; compute.max_credits is {compute['max_credits']}.",
            "Lower compute.timeout, or raise compute.max_credits. Nothing was submitted.",
        )


def _submit(account: Account, job: _Job, origin: Mapping[str, Any]) -> Submission:
    action, variant, made = job.action, job.action.variant, job.payload
    named = {"experiment": variant.experiment, "variant": variant.name}
    digests = vars(variant.digests)
    taken_by = account.claim(made.claim, {**digests, **named, "actor": origin["actor"], "commit": origin["commit"]})
    if taken_by is not None:
        return Submission(action, made.claim, job.credits, taken_by=taken_by)
    provenance = {**origin, "runtime": job.runtime.name, "environment": account.environment.name}
    claimed = {"digests": digests, "steps": list(action.steps), "spec": variant.spec, "provenance": provenance}
    account.record(made.claim, "claimed", {**named, **claimed, "attempt": action.attempt})
    name = account.submit(made, job.pool.name, job.nodes, job.runtime.image, f"piste {variant.title} {made.claim}")
    where = {"pool": job.pool.name, "family": job.pool.family, "nodes": job.nodes}
    account.record(made.claim, "submitted", {"job": name, **where})
    return Submission(action, made.claim, job.credits, job=name)


def _runtime(settings: Settings, name: str) -> Runtime:
    """The runtime of that name; a baseline names none and gets the settings' own."""
    wanted = name or settings.runtime
    if wanted in settings.runtimes:
        return settings.runtimes[wanted]
    raise PisteError(
        f"There is no runtime {wanted!r}." if wanted else "No runtime evaluates baselines.",
        'Add it to [tool.piste.runtimes] in pyproject.toml; runtime = "…" in [tool.piste] is for baselines.',
    )


def _pool(environment: Environment, alias: str) -> str:
    """The compute pool behind an alias; without one, the environment's only pool."""
    if not alias and len(environment.pools) == 1:
        return next(iter(environment.pools.values()))
    if alias in environment.pools:
        return environment.pools[alias]
    raise PisteError(
        f"The environment {environment.name} has no pool {alias!r}." if alias else "No pool is chosen.",
        f"It has: {', '.join(environment.pools) or 'none'}. See [tool.piste.environments.{environment.name}].",
    )


@dataclass(frozen=True)
class Collected:
    """What `collect` did: runs whose end was recorded, files that changed."""

    ended: tuple[Run, ...]
    changed: tuple[str, ...]


def collect(desired: Desired, account: Account) -> Collected:
    """Record every run that ended, compare what can be compared, and write each report whose bytes would differ."""
    from piste.report import render

    before = observed.runs(account.observe())
    ended = [run for run in before if ending.has_ended(run)]
    for run in ended:
        account.record(run.name, "ended", ending.record(run, account.read(run.name, "results.json")))
    known = observed.runs(account.observe()) if ended else before
    pairs = ending.missing_comparisons(desired.variants, known)
    for run, other in pairs:
        samples = account.sample_scores(run.name, other.name)
        account.record(run.name, "compared", ending.comparison(run, other, samples))
    if pairs:
        known = observed.runs(account.observe())
    url = git.remote_url(desired.root)
    files = render(desired.experiments, desired.variants, known, desired.settings.credits, url)
    changed = repository.write_files(desired.root, files) + repository.remove_leftovers(desired.root, files)
    names = {run.name for run in ended}
    return Collected(tuple(run for run in known if run.name in names), tuple(changed))


def follow(
    account: Account,
    claims: Sequence[str],
    pause: Callable[[float], None] = time.sleep,
    seconds: float = 3.0,
    patience: int = 100,
) -> Iterator[tuple[Run, ...]]:
    """The runs of these claims again and again, until all have ended.

    A claim that is not to be seen (its stage belongs to a role that this one can't look into) is given up after
    `patience` looks.
    """
    wanted = set(claims)
    for look in itertools.count():
        found = tuple(run for run in observed.runs(account.observe()) if run.name in wanted)
        yield found
        if all(ending.is_over(run) for run in found) and (len(found) == len(wanted) or look >= patience):
            return
        pause(seconds)


def live(account: Account) -> tuple[Run, ...]:
    """Runs to which something will still happen."""
    return tuple(run for run in observed.runs(account.observe()) if not ending.is_over(run))


def ended_well(run: Run) -> bool:
    return run.evaluation is Status.DONE and (run.training is Status.DONE or "train" not in run.steps)


def status(desired: Desired, account: Account, names: Collection[str]) -> tuple[Run, ...]:
    """The latest run of each identity, by name."""
    latest: dict[tuple[str, str, str], Run] = {}
    for run in _named(desired, account, names):
        latest[run.title, run.digests.training, run.digests.suite] = run
    return tuple(sorted(latest.values(), key=lambda run: (run.title, run.claimed_at)))


def cancel(desired: Desired, account: Account, name: str) -> tuple[Run, ...]:
    """Cancel the live runs of an experiment (or experiment/variant); their end is recorded by `collect`."""
    going = [run for run in _named(desired, account, [name]) if run.job is not None and not ending.is_over(run)]
    for run in going:
        account.cancel(str(run.job))
    return tuple(going)


def logs(desired: Desired, account: Account, name: str) -> str:
    """The log of an experiment's latest run: from the job, or from its stage once Snowflake has dropped the job."""
    found = _named(desired, account, [name])
    if not found:
        raise PisteError(f"{name} has not been run.", f"`piste run {name}` runs it.")
    latest = found[-1]
    text = account.logs(latest.job) if latest.job else ""
    kept = (account.read(latest.name, f"logs/{part}.log") or b"" for part in ("train", "generate"))
    return text or b"\n".join(kept).decode(errors="replace")


def _named(desired: Desired, account: Account, names: Collection[str]) -> list[Run]:
    """Runs by the name they were submitted under or by what git asks for under that name now, the latest last."""
    runs = sorted(observed.runs(account.observe()), key=lambda run: (run.claimed_at, run.name))
    if not names:
        return runs
    wanted = {
        variant.digests.training for variant in desired.variants if {variant.experiment, variant.title} & {*names}
    }
    found = [run for run in runs if run.digests.training in wanted or {run.experiment, run.title} & {*names}]
    if not found:
        desired.only(names)
    return found
