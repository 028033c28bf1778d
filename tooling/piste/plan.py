"""The heart: desired minus observed. `plan` decides what to do about each variant and says why; nothing happens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from piste.change_rules import compute
from piste.changes import Change, changes
from piste.cost import Estimate
from piste.environment import Pool
from piste.experiment import Deferred, Variant
from piste.observed import Observation
from piste.problems import listed
from piste.run import Run, Status


class Verb(StrEnum):
    TRAIN = "train"
    EVALUATE = "evaluate"
    WAIT = "wait"
    KEEP = "keep"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class Like:
    """A run of something else that a new variant is most like, and the fields in which the two train differently."""

    run: Run
    changes: tuple[Change, ...]


_NOTHING: Deferred[tuple[Change, ...]] = Deferred(lambda: ())


@dataclass(frozen=True)
class Action:
    """What to do about one variant.

    `steps` is what a submitted job would do. `run` names the run that the reason speaks of: the one to wait for, to
    keep, that failed, or whose checkpoint or predictions an evaluation uses. `attempt` numbers the next claim;
    `earlier` names the claims of earlier attempts, the latest first: their stages may hold a state to resume from.
    `after` is the attempt before, which has to be shut before this one is claimed. `queue` is the position of work
    that waits for a free place in its pool, from 1; 0 means that it does not. `against` is the earlier run that
    `changes` tell the difference to; where there is none, `like` may say what is nearest (`piste.nearest`).
    `cost` is what a submitted job may cost (`piste.estimate`), None where nothing is submitted or no account was asked.
    """

    variant: Variant
    verb: Verb
    reason: str
    steps: tuple[str, ...] = ()
    differences: Deferred[tuple[Change, ...]] = field(default=_NOTHING, repr=False, compare=False)
    run: Run | None = None
    attempt: int = 1
    earlier: tuple[str, ...] = ()
    after: Run | None = None
    queue: int = 0
    against: Run | None = None
    like: Like | None = None
    cost: Estimate | None = None

    @property
    def changes(self) -> tuple[Change, ...]:
        """Of what is kept, worked out when they are first asked for: that reads the documents of variant and run."""
        return self.differences.value

    @property
    def submits(self) -> bool:
        return self.verb in (Verb.TRAIN, Verb.EVALUATE)

    @property
    def asks_judge(self) -> bool:
        """Whether what is kept has yet to be judged as git asks for."""
        return self.verb is Verb.KEEP and self.run is not None and _lacks_judge(self.variant, self.run)


@dataclass(frozen=True)
class Plan:
    """`runs` are those that it was made from, by the time they were claimed; `ledger` is what it says of itself.

    `pools` are the compute pools by name, known where something would be submitted to one. `seen` is all that Snowflake
    said. `wanted` is what would be submitted if every pool had a place for it.
    """

    actions: tuple[Action, ...]
    orphans: tuple[Run, ...] = ()
    runs: tuple[Run, ...] = ()
    ledger: Mapping[str, Any] = field(default_factory=dict)
    pools: Mapping[str, Pool] = field(default_factory=dict)
    seen: Observation = field(default_factory=Observation)
    wanted: tuple[Action, ...] = ()

    @property
    def submissions(self) -> tuple[Action, ...]:
        return tuple(action for action in self.actions if action.submits)

    def count(self, verb: Verb) -> int:
        return sum(action.verb is verb for action in self.actions)


TRAIN, GENERATE, SCORE = ("train", "generate", "score"), ("generate", "score"), ("score",)

LOST_CLAIMS = 5
"""So many claims in a row may come to nothing before somebody has to look."""

BACK_OFF = timedelta(minutes=5)
"""How long after the platform's first failure the next attempt is due; doubled for each further failure."""


def plan(desired: Sequence[Variant], observed: Iterable[Run], retry: Collection[str] = (), now: str = "") -> Plan:
    """One action per variant, in the order of `desired`.

    `retry` names experiments (or experiment/variant) whose failed runs may be tried again. `now` is Snowflake's clock,
    ISO 8601; without it nothing waits for its next attempt.
    """
    runs = sorted(observed, key=lambda run: (run.claimed_at, run.name))
    past, due, actions = _Past(runs), _Due(), []
    for variant in desired:
        told = bool(retry) and (variant.experiment in retry or variant.title in retry)
        action = _decide(variant, past, told)
        actions.append(due.after_earlier(action if told else _later(action, now)))
    return Plan(tuple(actions), orphans(desired, runs), tuple(runs))


class _Past:
    """Runs by what they trained and by whose they are, each list in the order of all: no variant looks at every run."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self.of_training: dict[str, list[Run]] = defaultdict(list)
        self.of_experiment: dict[str, list[Run]] = defaultdict(list)
        for run in runs:
            self.of_training[run.digests.training].append(run)
            self.of_experiment[run.experiment].append(run)


def orphans(desired: Iterable[Variant], observed: Iterable[Run]) -> tuple[Run, ...]:
    """Runs that nothing in git asks for any more. A run tried from somebody's branch is not one."""
    asked = {variant.digests.training for variant in desired}
    return tuple(run for run in observed if run.digests.training not in asked and not run.provenance.get("tried"))


def _decide(variant: Variant, past: _Past, retry: bool) -> Action:
    same = past.of_training.get(variant.digests.training, [])
    runs = past.of_experiment.get(variant.experiment, [])
    trained = [run for run in same if run.training is Status.DONE]
    if variant.trains and not trained:
        return _training(variant, same, runs, retry)
    return _evaluation(variant, same, trained, runs, retry)


def _training(variant: Variant, same: Sequence[Run], runs: Sequence[Run], retry: bool) -> Action:
    """`runs` are those of the experiment."""
    tries = [run for run in same if run.training is not None]
    for run in tries:
        if run.live:
            return Action(variant, Verb.WAIT, _in_progress(run, "training"), run=run)
    if tries and not _again(variant, tries, retry):
        return Action(variant, Verb.BLOCKED, _ended_badly(variant, tries[-1], tries[-1].training), run=tries[-1])
    cause = _since(variant, runs, {"train"}) if not tries else _Cause(_another_try(tries[-1]), against=tries[-1])
    action = Action(variant, Verb.TRAIN, cause.reason, TRAIN, cause.differences, against=cause.against)
    return _attempt(action, tries)


def _attempt(action: Action, tries: Sequence[Run]) -> Action:
    """The next one, with what is to be known of those before."""
    if not tries:
        return action
    number = max(run.attempt for run in tries) + 1
    earlier = tuple(run.name for run in reversed(tries))
    return replace(action, attempt=number, earlier=earlier, after=tries[-1])


def _later(action: Action, now: str) -> Action:
    """A platform that failed a moment ago is given time."""
    failed = action.after
    if not now or not action.submits or failed is None or _fault(failed) != "platform" or not failed.ended_at:
        return action
    due = datetime.fromisoformat(failed.ended_at) + BACK_OFF * 2 ** (failed.attempt - 1)
    if datetime.fromisoformat(now) >= due:
        return action
    reason = f"the platform failed; tried again after {due:%H:%M} UTC"
    return Action(action.variant, Verb.WAIT, reason, run=failed)


def _fault(run: Run) -> str:
    return run.failure.fault if run.failure else ""


def _evaluation(
    variant: Variant, same: Sequence[Run], trained: Sequence[Run], runs: Sequence[Run], retry: bool
) -> Action:
    tries = [run for run in same if run.digests.evaluation == variant.digests.evaluation and _got_to_evaluate(run)]
    for run in tries:
        if run.evaluation is Status.DONE:
            origin = trained[0] if trained else run
            reason = _done(variant, origin) + _unjudged(variant, run)
            return Action(variant, Verb.KEEP, reason, differences=_prose(variant, run), run=run, against=run)
    for run in tries:
        if run.live:
            return Action(variant, Verb.WAIT, _in_progress(run, "evaluation"), run=run)
    if tries and not _again(variant, tries, retry):
        return Action(variant, Verb.BLOCKED, _ended_badly(variant, tries[-1], tries[-1].evaluation), run=tries[-1])
    gone = bool(trained) and all(run.deleted for run in trained)
    if gone and not _predicted(variant, same):
        if retry:
            return _training(variant, same, runs, retry)
        return Action(variant, Verb.BLOCKED, _without_weights(variant, trained[-1]), run=trained[-1])
    return _evaluate(variant, same, trained, runs, tries)


def _got_to_evaluate(run: Run) -> bool:
    """A run whose own training failed says nothing of the evaluation."""
    return run.evaluation is not None and run.training in (None, Status.DONE)


def _predicted(variant: Variant, same: Sequence[Run]) -> list[Run]:
    """Runs whose predictions only need to be scored."""
    return [
        run
        for run in same
        if "generate" in run.steps
        and run.evaluation is Status.DONE
        and run.digests.generation == variant.digests.generation
        and not run.deleted
    ]


def _evaluate(
    variant: Variant, same: Sequence[Run], trained: Sequence[Run], runs: Sequence[Run], tries: Sequence[Run]
) -> Action:
    generated = _predicted(variant, same)
    kept = [run for run in trained if not run.deleted]
    source = generated[-1] if generated else kept[0] if kept else None
    deciding = {"generate", "score", "judge"} | ({"train"} if not variant.trains else set())
    cause = _since(variant, same or runs, deciding)
    if tries:
        cause = _Cause(_another_try(tries[-1]), against=tries[-1])
    elif source is not None and variant.split not in {run.split for run in same}:
        cause = _Cause(_first_on(variant, source), against=source)
    elif cause is _NEW and source is not None:
        cause = _Cause(f"trained by {_who(source)}", against=source)
    wanted = variant.digests.evaluation
    evaluations = [run for run in same if run.training is None and run.digests.evaluation == wanted]
    steps = SCORE if generated else GENERATE
    action = Action(variant, Verb.EVALUATE, cause.reason, steps, cause.differences, source, against=cause.against)
    return replace(_attempt(action, evaluations), after=tries[-1] if tries else None)


def _first_on(variant: Variant, source: Run) -> str:
    if variant.chosen_from:
        return f"the best of {variant.chosen_from} on validation"
    return f"trained by {_who(source)}, not scored on {variant.split or 'this suite'} yet"


class _Due:
    """What is to be submitted so far. Two variants may ask for the same work: the first gets it, the second waits."""

    def __init__(self) -> None:
        self.trainings: dict[str, Action] = {}
        self.evaluations: dict[tuple[str, str], Action] = {}

    def after_earlier(self, action: Action) -> Action:
        if not action.submits:
            return action
        digests, trains = action.variant.digests, action.verb is Verb.TRAIN
        training, evaluation = digests.training, (digests.training, digests.evaluation)
        other = self.trainings.get(training) if trains else self.evaluations.get(evaluation)
        if other is not None:
            what = "trains" if trains else "is evaluated"
            return Action(action.variant, Verb.WAIT, f"{what} as {other.variant.label}, whose result serves both")
        self.trainings.setdefault(training, action)
        self.evaluations.setdefault(evaluation, action)
        return action


def _again(variant: Variant, tries: Sequence[Run], retry: bool) -> bool:
    """A lost claim was nobody's fault and cost nothing; a platform failure is retried as often as compute allows."""
    last = tries[-1]
    if retry:
        return True
    if last.abandoned:
        return not all(run.abandoned for run in tries[-LOST_CLAIMS:]) or len(tries) < LOST_CLAIMS
    platform = [run for run in tries if _fault(run) == "platform"]
    retries = compute(variant.spec["experiment"], "retries")
    return bool(platform) and platform[-1] is last and len(platform) <= int(retries)


class _Cause(NamedTuple):
    """Why an action is due: in words, by field, and against which earlier run."""

    reason: str
    changes: tuple[Change, ...] = ()
    against: Run | None = None

    @property
    def differences(self) -> Deferred[tuple[Change, ...]]:
        return Deferred(lambda: self.changes) if self.changes else _NOTHING


_NEW = _Cause("new")


def _since(variant: Variant, runs: Sequence[Run], rules: Collection[str]) -> _Cause:
    """Why it is asked for: the changes since the latest run of the same name, or that there is none."""
    if not runs:
        return _NEW
    of_experiment = [run for run in runs if run.experiment == variant.experiment and not run.smoke]
    named = [run for run in of_experiment if run.variant == variant.name]
    earlier = [run for run in named if run.split == variant.split] or named
    if not earlier:
        return _Cause("new variant") if of_experiment else _NEW
    differences = changes(earlier[-1].spec, variant.spec)
    causes = [change for change in differences if change.rule in rules]
    if not causes:
        reason = f"no finished run of it; the latest, {earlier[-1].name}, did not get that far"
        return _Cause(reason, differences, earlier[-1])
    return _Cause(arrows(causes), differences, earlier[-1])


def arrows(differences: Sequence[Change], most: int = 2) -> str:
    """`recipe.optimizer.learning_rate 0.001 → 0.0003; recipe.epochs 1 → 2 and 3 more`"""
    more = f" and {len(differences) - most} more" if len(differences) > most else ""
    return "; ".join(_arrow(change) for change in differences[:most]) + more


def _arrow(change: Change) -> str:
    return f"{change.path} {shown(change.old)} → {shown(change.new)}"


def evaluated_otherwise(a: Variant | Run, b: Variant | Run) -> str:
    """Of two suite digests, the part that differs, and by what: `generation differs: suite.prompt.user …`."""
    parts = ("generation", "scoring", "judge")
    part = next(part for part in parts if getattr(a.digests, part) != getattr(b.digests, part))
    counting = (one for one in changes(a.spec, b.spec) if one.rule in ("generate", "score", "judge"))
    said = (f"{one.path} {shown(one.old)} against {shown(one.new)}" for one in counting)
    return f"{part} differs: {listed(said, 4) or 'another version of a score'}"


def shown(value: object, limit: int = 40) -> str:
    """A value in a sentence: absent as –, long text cut in the middle, never more than one line."""
    text = "–" if value is None else " ".join(str(value).split()) or '""'
    return text if len(text) <= limit else f"{text[: limit // 2]}…{text[-limit // 2 + 1 :]}"


def _prose(variant: Variant, run: Run) -> Deferred[tuple[Change, ...]]:
    return Deferred(lambda: changes(run.spec, variant.spec)) if run.spec else _NOTHING


def _done(variant: Variant, origin: Run) -> str:
    verb = "trained" if variant.trains else "evaluated"
    other = "" if origin.title == variant.title else f" as {origin.title}"
    return f"{verb} by {_who(origin)}{other}"


def _unjudged(variant: Variant, run: Run) -> str:
    return "; `piste collect` asks its judge" if _lacks_judge(variant, run) else ""


def _lacks_judge(variant: Variant, run: Run) -> bool:
    judge = variant.digests.judge
    return bool(judge) and judge not in run.judged and not run.imported


def _who(run: Run) -> str:
    actor = run.provenance.get("actor") or "somebody"
    branch = run.provenance.get("branch")
    commit = str(run.provenance.get("commit") or "")[:7]
    place = " ".join(filter(None, (f"on {branch}" if branch else "", f"({commit})" if commit else "")))
    return f"{actor} {place}".strip()


def _in_progress(run: Run, what: str) -> str:
    if run.progress is not None and run.progress.steps:
        return f"{what} by {_who(run)}: {run.progress.phase} {run.progress.step} of {run.progress.steps}"
    return f"{what} by {_who(run)}"


def _ended_badly(variant: Variant, run: Run, status: Status | None) -> str:
    if run.abandoned:
        again = f"piste apply --retry {variant.title}"
        return f"{LOST_CLAIMS} submissions in a row came to nothing; see piste doctor, then {again}"
    if _fault(run) == "budget":
        return f"stopped by compute.timeout; raise it, then piste apply --retry {variant.title}"
    why = f" ({': '.join(filter(None, (run.failure.kind, run.failure.type)))})" if run.failure else ""
    return f"{status}{why}; change it, or piste apply --retry {variant.title}"


def _without_weights(variant: Variant, run: Run) -> str:
    return f"the weights of {run.name} are not here any more; piste apply --retry {variant.title} trains them again"


def _another_try(run: Run) -> str:
    return f"another try after {run.name} was {run.training if run.training is not Status.DONE else run.evaluation}"
