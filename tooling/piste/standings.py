"""What is going on, as `piste status` tells it. Pure: returns strings, prints nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from piste.durations import duration
from piste.experiment import Variant
from piste.gates import counted
from piste.health import Standing
from piste.plan import Verb
from piste.run import Run
from piste.run_words import what


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
