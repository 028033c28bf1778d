"""Plans and runs as text, Markdown and JSON. Pure: returns strings, prints nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from piste import estimate
from piste.cost import Estimate
from piste.durations import duration
from piste.errors import Refusal
from piste.experiment import Variant
from piste.gates import counted
from piste.health import Standing
from piste.plan import Action, Like, Plan, Verb, arrows, shown
from piste.run import Run, Status

HEADLINE = {
    Verb.TRAIN: "to train",
    Verb.EVALUATE: "to evaluate",
    Verb.WAIT: "to wait for",
    Verb.BLOCKED: "blocked",
    Verb.KEEP: "kept",
}


def headline(plan: Plan) -> str:
    """`2 to train, 1 to evaluate, 14 kept`"""
    counted = [f"{plan.count(verb)} {words}" for verb, words in HEADLINE.items() if plan.count(verb)]
    if not plan.submissions:
        counted.insert(0, "nothing to do")
    return ", ".join(counted)


def plan_json(plan: Plan, observed: str, refused: Iterable[Refusal] = ()) -> str:
    """plan/v1; `observed` is `reports` or `snowflake`."""
    document = {
        "schema": "plan/v1",
        "observed": observed,
        "actions": [_action(action) for action in plan.actions],
        "orphans": [_orphan(run) for run in plan.orphans],
        "cost": _cost(estimate.total(plan.actions)),
        "refused": [vars(one) for one in refused],
        "summary": {verb.value: plan.count(verb) for verb in Verb},
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _action(action: Action) -> dict[str, Any]:
    variant = action.variant
    return {
        "experiment": variant.experiment,
        "variant": variant.name,
        "action": action.verb.value,
        "steps": list(action.steps),
        "reason": action.reason,
        "changes": [vars(change) for change in action.changes],
        "against": action.against.name if action.against else None,
        "like": _like(action.like) if action.like else None,
        "cost": _cost(action.cost),
        "training_digest": variant.digests.training,
        "suite_digest": variant.digests.suite,
        "run": action.run.name if action.run else None,
        "queue": action.queue or None,
    }


def _like(like: Like) -> dict[str, Any]:
    run, differing = like.run, [vars(change) for change in like.changes]
    return {"run": run.name, "experiment": run.experiment, "variant": run.variant, "changes": differing}


def _cost(found: Estimate | None) -> dict[str, Any] | None:
    if found is None:
        return None
    keys = ("at_most", "low", "high", "basis", "judge")
    return {**{key: getattr(found, key) for key in keys}, "unknown": list(found.unknown)}


def cost_text(found: Estimate | None) -> str:
    """`at most 2.68 credits; 0.41 to 0.47 by 3 runs of it; the judge's tokens: about 0.34 more at most`"""
    if found is None:
        return ""
    bound = "no price is known" if found.at_most is None else f"at most {credits(found.at_most)}"
    return "; ".join((bound, expected(found) or "no like run yet", *besides(found)))


def expected(found: Estimate) -> str:
    """What like runs took, and which those were; "" before there are any."""
    return f"{took(found)} by {found.basis}" if found.basis else ""


def took(found: Estimate) -> str:
    assert found.low is not None
    assert found.high is not None
    low, high = f"{found.low:.3g}", f"{found.high:.3g}"
    return low if low == high else f"{low} to {high}"


def besides(found: Estimate) -> list[str]:
    """What comes to it: a judge that was never asked, and what nobody can tell."""
    unknown = f"not in it: {', '.join(found.unknown)}" if found.unknown else ""
    return [said for said in (of_judge(found), unknown) if said]


def of_judge(found: Estimate) -> str:
    """In two digits: it is by assumptions."""
    if found.judge is None:
        return ""
    about = f"{found.judge:,.0f}" if found.judge >= 10 else f"{found.judge:.2g}"
    return f"the judge's tokens: about {about} more at most"


def credits(amount: float) -> str:
    return f"{amount:,.0f} credits" if amount >= 100 else f"{amount:.3g} credits"


def _orphan(run: Run) -> dict[str, Any]:
    return {
        "run": run.name,
        "experiment": run.experiment,
        "variant": run.variant,
        "training_digest": run.digests.training,
        "status": status_of(run),
    }


def plan_text(plan: Plan, refused: Iterable[Refusal] = ()) -> str:
    lines, order = [headline(plan)], list(HEADLINE)
    for action in sorted(plan.actions, key=lambda action: order.index(action.verb)):
        lines.append(f"  {verb_text(action):18} {action.variant.label:34} {why(action)}".rstrip())
        differing = () if action.verb is Verb.KEEP else action.changes
        lines += [f"  {'':18} {_difference(change)}" for change in differing]
        lines += [f"  {'':18} {cost_text(action.cost)}"] if action.cost else []
    lines += [f"  {'orphan':18} {run.label:34} {run.name}: nothing in git asks for it any more" for run in plan.orphans]
    if found := estimate.total(plan.actions):
        lines.append(f"together {cost_text(found)}")
    lines += [f"  {'refused':18} {one.title:34} {one.rule}: {one.message}" for one in refused]
    return "\n".join(lines) + "\n"


def why(action: Action) -> str:
    """The reason, with what the action is like where it is new, and that reused work costs nothing."""
    if action.like:
        return f"{action.reason}; like {action.like.run.title} but {arrows(action.like.changes)}"
    if reused := _reused(action):
        return f"{action.reason}; {reused}"
    return action.reason


def _reused(action: Action) -> str:
    """Of work that somebody did elsewhere: a branch, another experiment."""
    run = action.run
    if run is None or action.verb not in (Verb.KEEP, Verb.EVALUATE):
        return ""
    elsewhere = run.experiment != action.variant.experiment or run.provenance.get("tried")
    return ("0 credits" if action.verb is Verb.KEEP else "0 credits for the training") if elsewhere else ""


def verb_text(action: Action) -> str:
    if action.verb is Verb.EVALUATE:
        return "evaluate (score)" if action.steps == ("score",) else "evaluate"
    return action.verb.value


def _difference(change: Any) -> str:
    return f"{change.path}: {shown(change.old)} → {shown(change.new)}  [{change.rule}]"


def status_of(run: Run) -> str:
    """One word for both statuses: what is live, else what went wrong, else done."""
    statuses = [status for status in (run.training, run.evaluation) if status is not None]
    for status in statuses:
        if status is not Status.DONE:
            return status.value
    return Status.DONE.value


def status_json(standings: Iterable[Standing]) -> str:
    """Every row has the same keys; those of a run are null where there is none."""
    return json.dumps([_standing(one) for one in standings], indent=2, ensure_ascii=False) + "\n"


def _standing(standing: Standing) -> dict[str, Any]:
    action = standing.action
    named = action.variant if action else standing.run
    assert named is not None
    return {
        "experiment": named.experiment,
        "variant": named.name if isinstance(named, Variant) else named.variant,
        "sync": standing.sync.value,
        "health": standing.health.value or None,
        "since": standing.since or None,
        "reason": _reason(standing),
        "queue": action.queue or None if action else None,
        "gates": {one.outcome.gate.name: one.state.value for one in standing.gates},
        **(_status(standing.run) if standing.run else dict.fromkeys(_STATUS)),
    }


_STATUS = (
    "run",
    "job",
    "steps",
    "training",
    "evaluation",
    "progress",
    "failure",
    "actor",
    "claimed_at",
    "ended_at",
    "archived",
)


def _status(run: Run) -> dict[str, Any]:
    return {
        "run": run.name,
        "job": run.job,
        "steps": list(run.steps),
        "training": run.training,
        "evaluation": run.evaluation,
        "progress": vars(run.progress) if run.progress and run.live else None,
        "failure": vars(run.failure) if run.failure else None,
        "actor": run.provenance.get("actor"),
        "claimed_at": run.claimed_at,
        "ended_at": run.ended_at,
        "archived": run.archived or None,
    }


def status_text(standings: Sequence[Standing]) -> str:
    if not standings:
        return "no experiments, no runs\n"
    width = max(len("experiment"), *(len(one.title) for one in standings))
    lines = [f"{'experiment':{width}}  {'sync':11}  {'health':11}  {'since (UTC)':16}  what"]
    for one in standings:
        since = one.since[:16].replace("T", " ")
        health = one.health.value or "–"
        lines.append(f"{one.title:{width}}  {one.sync:11}  {health:11}  {since:16}  {_reason(one)}".rstrip())
        lines += [f"{'':{width}}  {text}" for text in (*_next(one), *_gates(one))]
    return "\n".join(lines) + "\n"


def _reason(standing: Standing) -> str:
    """What its run does or came to, or why there is none."""
    run, action = standing.run, standing.action
    if run is not None and run.live:
        quiet = f"; not heard of for {duration(standing.quiet)}" if standing.quiet else ""
        return what(run) + quiet
    if action is None:
        assert run is not None
        archived = f"archived {run.archived[:10]}; " if run.archived else ""
        return archived + (what(run) if run.failure else f"{run.name}, kept")
    if action.verb is Verb.KEEP and run is not None:
        return what(run)
    if run is not None and run.failure is not None and action.verb is Verb.BLOCKED:
        return what(run)
    return f"to {action.verb}: {action.reason}" if action.submits else action.reason


def _gates(standing: Standing) -> list[str]:
    """How many stand how, and which waivers have expired."""
    if not standing.gates:
        return []
    waivers = [(one.outcome.gate.name, one.outcome.waiver) for one in standing.gates if one.expired]
    expired = [f"the waiver of {gate} expired after {waiver.until}" for gate, waiver in waivers if waiver]
    return ["; ".join([f"gates: {counted(standing.gates)}", *expired])]


def _next(standing: Standing) -> list[str]:
    run, action = standing.run, standing.action
    if run is None or run.failure is None or action is None or action.verb is not Verb.BLOCKED:
        return []
    return [text for text in (run.failure.hint, f"piste logs {run.title}") if text]


def what(run: Run) -> str:
    """What a run is doing, what it said, or why it ended."""
    if run.failure is not None:
        failure = run.failure
        return f"{failure.phase}: {failure.kind}: {failure.message or failure.type}"
    if run.live:
        return doing(run)
    return ", ".join(f"{name} {score['mean']:.3f}" for name, score in sorted(run.scores.items())) or run.name


def doing(run: Run) -> str:
    progress = run.progress
    if progress is None:
        return f"job {run.job_status.lower()}" if run.job_status else "claimed"
    parts = [progress.phase]
    if progress.phase == "train" and not progress.steps:
        parts.append("starting; the first time on a machine DeepSpeed compiles its operators, a minute or two")
    if progress.steps:
        parts.append(f"{progress.step}/{progress.steps}")
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.4f}")
    if progress.tokens_per_second:
        parts.append(f"{progress.tokens_per_second:,.0f} tokens/s")
    if progress.seconds_left is not None:
        parts.append(f"{duration(progress.seconds_left)} left")
    return " ".join(parts)
