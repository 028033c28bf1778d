"""Plans and runs as text, Markdown and JSON. Pure: returns strings, prints nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from piste.durations import duration
from piste.plan import Action, Plan, Verb, shown
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


def plan_json(plan: Plan, observed: str) -> str:
    """plan/v1; `observed` is `reports` or `snowflake`."""
    document = {
        "schema": "plan/v1",
        "observed": observed,
        "actions": [_action(action) for action in plan.actions],
        "orphans": [_orphan(run) for run in plan.orphans],
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
        "training_digest": variant.digests.training,
        "suite_digest": variant.digests.suite,
        "run": action.run.name if action.run else None,
    }


def _orphan(run: Run) -> dict[str, Any]:
    return {
        "run": run.name,
        "experiment": run.experiment,
        "variant": run.variant,
        "training_digest": run.digests.training,
        "status": status_of(run),
    }


def plan_text(plan: Plan) -> str:
    lines = [headline(plan)]
    for action in sorted(plan.actions, key=lambda action: list(HEADLINE).index(action.verb)):
        lines.append(f"  {_verb(action):18} {action.variant.title:34} {action.reason}".rstrip())
        lines += [f"  {'':18} {_difference(change)}" for change in action.changes if action.submits]
    lines += [f"  {'orphan':18} {run.title:34} {run.name}: nothing in git asks for it any more" for run in plan.orphans]
    return "\n".join(lines) + "\n"


def _verb(action: Action) -> str:
    if action.verb is Verb.EVALUATE:
        return "evaluate (score)" if action.steps == ("score",) else "evaluate"
    return action.verb.value


def _difference(change: Any) -> str:
    return f"{change.path}: {shown(change.old)} → {shown(change.new)}  [{change.rule}]"


def plan_markdown(plan: Plan) -> str:
    lines = [f"### piste plan: {headline(plan)}", ""]
    rows = [action for action in plan.actions if action.verb is not Verb.KEEP]
    lines += _table(("action", "experiment", "why"), [(_verb(a), a.variant.title, a.reason) for a in rows])
    kept = [action for action in plan.actions if action.verb is Verb.KEEP]
    if kept:
        lines += ["", f"<details><summary>{len(kept)} kept</summary>", ""]
        lines += _table(("experiment", "why"), [(a.variant.title, a.reason) for a in kept])
        lines += ["", "</details>"]
    return "\n".join(lines) + "\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    body = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header), *body] if body else []


def _cell(text: str) -> str:
    """No table, link, mention or HTML may come out of a name or a value."""
    escaped = "".join(f"\\{mark}" if mark in "\\|[]*_`" else mark for mark in text)
    return escaped.replace("<", "&lt;").replace("@", "@\u200b").replace("\n", " ")


def status_of(run: Run) -> str:
    """One word for both statuses: what is live, else what went wrong, else done."""
    statuses = [status for status in (run.training, run.evaluation) if status is not None]
    for status in statuses:
        if status is not Status.DONE:
            return status.value
    return Status.DONE.value


def status_json(runs: Iterable[Run]) -> str:
    return json.dumps([_status(run) for run in runs], indent=2, ensure_ascii=False) + "\n"


def _status(run: Run) -> dict[str, Any]:
    return {
        "experiment": run.experiment,
        "variant": run.variant,
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
    }


def status_text(runs: Sequence[Run]) -> str:
    if not runs:
        return "no runs\n"
    lines = [f"{'experiment':34} {'training':10} {'evaluation':10} {'since':17} what"]
    for run in runs:
        training, evaluation = run.training or "–", run.evaluation or "–"
        since = (run.ended_at or run.started_at or run.claimed_at)[:16].replace("T", " ")
        lines.append(f"{run.title:34} {training:10} {evaluation:10} {since:17} {what(run)}".rstrip())
        if run.failure is not None:
            lines += [f"{'':34} {text}" for text in (run.failure.hint, f"piste logs {run.title}") if text]
    return "\n".join(lines) + "\n"


def what(run: Run) -> str:
    """What a run is doing, what it said, or why it ended."""
    if run.failure is not None:
        failure = run.failure
        return f"{failure.phase}: {failure.kind}: {failure.message or failure.type}"
    if run.live:
        return doing(run)
    scores = ((run.results or {}).get("evaluation") or {}).get("scores") or {}
    return ", ".join(f"{name} {score['mean']:.3f}" for name, score in sorted(scores.items())) or run.name


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
