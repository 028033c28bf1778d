"""A suite applied to a model: its rows, the model's answers, the scores."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from payload import child, examples, generate, hosted, scores, similarity, templates
from payload.failure import LOGS_HINT, Failure, RunError, killed_by
from payload.progress import Lines, Reporter, State, generation_state
from payload.snowflake_session import Store
from payload.spec import Spec
from payload.training import environment
from payload.watch import Deadline

LENGTH, GROUP, LOSS, READ = "_length", "_group", "_loss", "_read"
"""Rows beside the scores, whose names have no such beginning: the answer's characters, the number of the sample's
group, what the model said of the reference, and how many tokens a hosted model read."""


@dataclass(frozen=True)
class Evaluation:
    """`predictions`: sample -> {PREDICTION, TOKENS, SECONDS and, where there is one, LOSS or READ}; `values`: sample ->
    score -> field -> value; `aside`: sample -> name of a row beside the scores -> value."""

    predictions: Mapping[str, Mapping[str, Any]]
    generated: bool
    values: Mapping[str, Mapping[str, scores.Values]] = field(default_factory=dict)
    aside: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    seconds: float = 0.0

    def prediction_rows(self) -> list[list[Any]]:
        return [[key, line["PREDICTION"], line["TOKENS"], line["SECONDS"]] for key, line in self.predictions.items()]

    def score_rows(self) -> list[list[Any]]:
        scored = [
            [sample, name, part, value]
            for sample, found in self.values.items()
            for name, parts in found.items()
            for part, value in parts.items()
        ]
        return scored + [
            [sample, name, "", value] for sample, found in self.aside.items() for name, value in found.items()
        ]

    def summary(self, status: str, suite: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The `evaluation` part of results.json."""
        read = [int(line["READ"]) for line in self.predictions.values() if "READ" in line]
        return {
            "status": status,
            "samples": len(self.predictions),
            "generated": self.generated,
            "seconds": self.seconds,
            "answering_seconds": round(sum(float(line["SECONDS"] or 0) for line in self.predictions.values()), 2),
            "tokens": sum(int(line["TOKENS"] or 0) for line in self.predictions.values()),
            **({"read_tokens": sum(read)} if read else {}),
            **({"answers": self._faults(suite)} if suite else {}),
            "scores": scores.summary(list(self.values.values())),
        }

    def _faults(self, suite: Mapping[str, Any]) -> dict[str, int]:
        """How many answers have no text, and how many ended only because they might not be longer."""
        most = int(suite.get("generate", {}).get("max_new_tokens", generate.MAX_NEW_TOKENS))
        lines = self.predictions.values()
        return {
            "empty": sum(not (line["PREDICTION"] or "").strip() for line in lines),
            "cut_off": sum(int(line["TOKENS"] or 0) >= most for line in lines),
        }


def samples(suite: Mapping[str, Any], rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The suite's rows by their key as text, sorted by it."""
    if not rows:
        raise templates.DataError("The suite's data query gives no rows.")
    named = [suite["data"][key] for key in ("key", "group") if key in suite["data"]]
    templates.require([*suite["prompt"].values(), suite["reference"], *(f"{{{name}}}" for name in named)], rows[0])
    key = templates.spelled(suite["data"]["key"], rows[0])
    order = templates.order(row[key] for row in rows)
    return {templates.text(rows[i][key], key): rows[i] for i in order}


def fingerprint(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """SHA-256 over the rows as they were read, by their keys: another one says that the data is not what it was."""
    lines = ([key, sorted((name, str(value)) for name, value in row.items())] for key, row in sorted(rows.items()))
    return hashlib.sha256("".join(json.dumps(line) + "\n" for line in lines).encode()).hexdigest()


def predict(
    spec: Spec,
    rows: Mapping[str, Mapping[str, Any]],
    source: tuple[Path | None, Path],
    app: Path,
    folder: Path,
    log: Path,
    reporter: Reporter,
    deadline: Deadline,
    shown: Sequence[Mapping[str, Any]] = (),
) -> Evaluation:
    """`shown` are the rows of the examples that come before each question."""
    started = time.monotonic()
    work = folder / "generate"
    work.mkdir()
    _write_request(spec, rows, source, work, shown)
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
    kept = ("prediction", "tokens", "seconds", "loss")
    return Evaluation(
        {key: {name.upper(): found[key][name] for name in kept if name in found[key]} for key in rows},
        generated=True,
        seconds=round(time.monotonic() - started, 1),
    )


def _write_request(
    spec: Spec,
    rows: Mapping[str, Mapping[str, Any]],
    source: tuple[Path | None, Path],
    work: Path,
    shown: Sequence[Mapping[str, Any]],
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
            line = {"sample": key, "messages": examples.chat(spec.suite, row, shown)}
            if needs_loss(spec.suite):
                line["reference"] = templates.fill(spec.suite["reference"], row).strip()
            file.write(json.dumps(line) + "\n")


def ask_hosted(
    spec: Spec,
    model: str,
    rows: Mapping[str, Mapping[str, Any]],
    store: Store,
    reporter: Reporter,
    deadline: Deadline,
    shown: Sequence[Mapping[str, Any]] = (),
) -> Evaluation:
    """As `predict`, by a model that Snowflake hosts."""
    started = time.monotonic()

    def look(there: int) -> None:
        reporter.show(State("generate", there, len(rows)))
        if deadline.up:
            raise RunError(deadline.failure(f"after {there} of {len(rows)} answers", spec.title))

    messages = {key: examples.chat(spec.suite, row, shown) for key, row in rows.items()}
    found = hosted.answers(store, model, messages, spec.suite.get("generate", {}), look)
    return Evaluation(found, generated=True, seconds=round(time.monotonic() - started, 1))


def needs_loss(suite: Mapping[str, Any]) -> bool:
    return any(one["name"] in scores.OF_THE_MODEL for one in suite["scores"])


def _failure(code: int) -> Failure:
    if name := killed_by(code):
        hint = "Most often memory ran out: a smaller generate.batch_size, or a bigger pool."
        return Failure("killed", f"The generation was killed by {name}.", name, hint, code)
    return Failure("evaluation", "The generation ended before all samples had an answer.", "", LOGS_HINT, code)


def reuse(
    rows: Mapping[str, Any],
    predictions: Mapping[str, Mapping[str, Any]],
    beside: Mapping[str, Mapping[str, float]] | None = None,
) -> Evaluation:
    """Predictions of an earlier run, for a suite of which only the scoring changed.

    `beside` holds what that run found with them, a number for each sample: LOSS or READ.
    """
    kept = beside or {}
    if any(found.keys() != rows.keys() for found in (predictions, *kept.values())):
        raise templates.DataError(
            f"The suite's query gives {len(rows)} rows, and the earlier run predicted {len(predictions)} others or"
            " fewer of them: its data has changed since."
        )
    lines = {key: {**predictions[key], **{name: found[key] for name, found in kept.items()}} for key in rows}
    return Evaluation(lines, generated=False)


def similarities(
    evaluation: Evaluation,
    suite: Mapping[str, Any],
    rows: Mapping[str, Mapping[str, Any]],
    models: Mapping[str, Path],
    run: Callable[[list[str]], int],
    work: Path,
) -> dict[str, dict[str, float]]:
    """By score's label and sample; `models` holds the folder of each score's model, `run` runs a child process."""
    found = {}
    for label, model in models.items():
        folder = work / label
        folder.mkdir(parents=True)
        (folder / similarity.REQUEST).write_text(json.dumps({"model": str(model)}))
        with (folder / similarity.PAIRS).open("w") as file:
            for key, line in evaluation.predictions.items():
                texts = [line["PREDICTION"] or "", templates.fill(suite["reference"], rows[key])]
                file.write(json.dumps({"sample": key, "texts": texts}) + "\n")
        code = run([sys.executable, "-m", "payload.similarity", str(folder)])
        lines = Lines(folder / similarity.SIMILARITIES).update() if code == 0 else []
        found[label] = {line["sample"]: line["value"] for line in lines}
        if found[label].keys() != rows.keys():
            raise RunError(_not_embedded(label, code))
    return found


def _not_embedded(label: str, code: int) -> Failure:
    name = killed_by(code)
    return Failure(
        "evaluation", f"The embedding model of the score {label} ended without a value.", name, LOGS_HINT, code
    )


def score(
    evaluation: Evaluation,
    suite: Mapping[str, Any],
    rows: Mapping[str, Mapping[str, Any]],
    similar: Mapping[str, Mapping[str, float]] | None = None,
) -> Evaluation:
    """`similar` holds the similarities of samples by the label of their score."""
    started = time.monotonic()
    values, numbers = {}, {}
    for key, line in evaluation.predictions.items():
        prediction, reference = line["PREDICTION"] or "", templates.fill(suite["reference"], rows[key])
        numbers[key] = scores.numbers_of(prediction, int(line["TOKENS"] or 0))
        numbers[key] |= {scores.LOSS: line["LOSS"]} if "LOSS" in line else {}
        numbers[key] |= {label: found[key] for label, found in (similar or {}).items()}
        values[key] = scores.score(prediction, reference, suite["scores"], numbers[key])
    seconds = round(evaluation.seconds + time.monotonic() - started, 1)
    return replace(
        evaluation, values=values, aside=_aside(suite, rows, numbers, evaluation.predictions), seconds=seconds
    )


def _aside(
    suite: Mapping[str, Any],
    rows: Mapping[str, Mapping[str, Any]],
    numbers: Mapping[str, Mapping[str, float]],
    lines: Mapping[str, Mapping[str, Any]],
) -> dict[str, dict[str, float]]:
    """A group is told by its number, never by its text."""
    groups = _groups(suite["data"].get("group"), rows)
    return {
        key: {LENGTH: float(found[scores.CHARACTERS])}
        | ({GROUP: groups[key]} if key in groups else {})
        | ({LOSS: found[scores.LOSS]} if scores.LOSS in found else {})
        | ({READ: float(lines[key]["READ"])} if "READ" in lines[key] else {})
        for key, found in numbers.items()
    }


def _groups(column: str | None, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    if column is None:
        return {}
    texts = {key: templates.text(row[templates.spelled(column, row)], column) for key, row in rows.items()}
    places = {text: float(place) for place, text in enumerate(sorted(set(texts.values())))}
    return {key: places[text] for key, text in texts.items()}
