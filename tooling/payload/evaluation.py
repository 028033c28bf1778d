"""A suite applied to a model: its rows, the model's answers, the scores."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from payload import child, generate, scores, templates
from payload.failure import LOGS_HINT, Failure, RunError, killed_by
from payload.progress import Lines, Reporter, generation_state
from payload.spec import Spec
from payload.training import environment
from payload.watch import Deadline


@dataclass(frozen=True)
class Evaluation:
    """`predictions`: sample -> {PREDICTION, TOKENS, SECONDS}; `values`: sample -> score -> field -> value."""

    predictions: Mapping[str, Mapping[str, Any]]
    generated: bool
    values: Mapping[str, Mapping[str, scores.Values]] = field(default_factory=dict)
    seconds: float = 0.0

    def prediction_rows(self) -> list[list[Any]]:
        return [[key, line["PREDICTION"], line["TOKENS"], line["SECONDS"]] for key, line in self.predictions.items()]

    def score_rows(self) -> list[list[Any]]:
        return [
            [sample, name, part, value]
            for sample, found in self.values.items()
            for name, parts in found.items()
            for part, value in parts.items()
        ]

    def summary(self, status: str) -> dict[str, Any]:
        """The `evaluation` part of results.json."""
        return {
            "status": status,
            "samples": len(self.predictions),
            "generated": self.generated,
            "seconds": self.seconds,
            "tokens": sum(int(line["TOKENS"] or 0) for line in self.predictions.values()),
            "scores": scores.summary(list(self.values.values())),
        }


def samples(suite: Mapping[str, Any], rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The suite's rows by their key as text, sorted by it."""
    if not rows:
        raise templates.DataError("The suite's data query gives no rows.")
    templates.require([*suite["prompt"].values(), suite["reference"], f"{{{suite['data']['key']}}}"], rows[0])
    key = templates.spelled(suite["data"]["key"], rows[0])
    order = templates.order(row[key] for row in rows)
    return {templates.text(rows[i][key], key): rows[i] for i in order}


def predict(
    spec: Spec,
    rows: Mapping[str, Mapping[str, Any]],
    source: tuple[Path | None, Path],
    app: Path,
    folder: Path,
    log: Path,
    reporter: Reporter,
    deadline: Deadline,
) -> Evaluation:
    started = time.monotonic()
    work = folder / "generate"
    work.mkdir()
    _write_request(spec, rows, source, work)
    lines = Lines(work / generate.PREDICTIONS)

    def look() -> None:
        reporter.show(generation_state(lines.update(), len(rows)))
        if deadline.up:
            raise RunError(deadline.failure(f"after {len(lines.all)} of {len(rows)} answers", spec.title))

    code = child.run(
        [sys.executable, "-m", "payload.generate", str(work)],
        cwd=folder,
        log=log,
        environment=environment(spec, app, folder),
        watch=look,
    )
    found = {line["sample"]: line for line in lines.update()}
    if code != 0 or found.keys() != rows.keys():
        raise RunError(_failure(code))
    reporter.show(generation_state(lines.all, len(rows)))
    return Evaluation(
        {key: {name.upper(): found[key][name] for name in ("prediction", "tokens", "seconds")} for key in rows},
        generated=True,
        seconds=round(time.monotonic() - started, 1),
    )


def _write_request(
    spec: Spec, rows: Mapping[str, Mapping[str, Any]], source: tuple[Path | None, Path], work: Path
) -> None:
    checkpoint, base = source
    request = {
        "checkpoint": str(checkpoint) if checkpoint else None,
        "base": str(base),
        "options": spec.suite.get("generate", {}),
    }
    (work / generate.REQUEST).write_text(json.dumps(request))
    with (work / generate.SAMPLES).open("w") as file:
        for key, row in rows.items():
            messages = templates.chat(spec.suite["prompt"], row)
            file.write(json.dumps({"sample": key, "messages": messages}) + "\n")


def _failure(code: int) -> Failure:
    if name := killed_by(code):
        hint = "Most often memory ran out: a smaller generate.batch_size, or a bigger pool."
        return Failure("killed", f"The generation was killed by {name}.", name, hint, code)
    return Failure("evaluation", "The generation ended before all samples had an answer.", "", LOGS_HINT, code)


def reuse(rows: Mapping[str, Any], predictions: Mapping[str, Mapping[str, Any]]) -> Evaluation:
    """Predictions of an earlier run, for a suite of which only the scoring changed."""
    if predictions.keys() != rows.keys():
        raise templates.DataError(
            f"The suite's query gives {len(rows)} rows, and the earlier run predicted {len(predictions)} others or"
            " fewer of them: its data has changed since."
        )
    return Evaluation({key: predictions[key] for key in rows}, generated=False)


def score(evaluation: Evaluation, suite: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]) -> Evaluation:
    started = time.monotonic()
    values = {
        key: scores.score(line["PREDICTION"] or "", templates.fill(suite["reference"], rows[key]), suite["scores"])
        for key, line in evaluation.predictions.items()
    }
    seconds = round(evaluation.seconds + time.monotonic() - started, 1)
    return Evaluation(evaluation.predictions, evaluation.generated, values, seconds)
