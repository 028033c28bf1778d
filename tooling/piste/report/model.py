"""report.json: written from a result, and read back as a run where Snowflake can't be asked."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from piste.errors import Problem
from piste.experiment import JUDGE, PAIRWISE, Digests
from piste.report import gate_words
from piste.report.plain import plain
from piste.report.provenance import provenance
from piste.report.result import ENDS, Comparison, Result
from piste.run import Failure, Run, Status

SCHEMA = "report/v1"
COMPARED = (
    "mean", "difference", "low", "high", "n", "method", "p_value", "adjusted", "test", "minimum", "verdict",
    "samples_needed",
)  # fmt: skip
"""What git keeps of a comparison's score."""

MEASURED = ("answering_seconds", "tokens", "read_tokens")
"""What git keeps of an evaluation's effort, where the run tells it."""

LENGTH = ("mean", "n", *ENDS)
"""What git keeps of the answers' length."""

_PAIR = re.compile(r"\[\n\s+([^\s,\[\]{}\"]+),\n\s+([^\s,\[\]{}\"]+)\n\s+\]")
_CLASS_NAME = re.compile(r"[A-Za-z_][\w.-]{0,79}")


def report_json(result: Result) -> bytes:
    """Measured numbers have six significant digits; `spec` is exact."""
    spec = result.run.spec or result.variant.spec
    document = plain(_rounded(_document(result)), in_order=False) | {"spec": plain(spec)}
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    return (_PAIR.sub(r"[\1, \2]", text) + "\n").encode()


def _document(result: Result) -> dict[str, Any]:
    run, digests = result.run, result.variant.digests
    return {
        "schema": SCHEMA,
        "experiment": result.variant.experiment,
        "variant": result.variant.name,
        "split": result.variant.split or None,
        "chosen_from": result.variant.chosen_from or None,
        "status": str(result.status),
        "training_status": _text(result.training_status),
        "evaluation_status": _text(run.evaluation),
        "training_digest": digests.training,
        "generation_digest": digests.generation,
        "scoring_digest": digests.scoring,
        "suite_digest": digests.suite,
        **({"judge_digest": digests.judge} if digests.judge else {}),
        "suite": result.experiment.suite.name,
        "run": run.name,
        "scores": {name: _score(score) for name, score in result.scores.items()},
        "comparison": _comparison(result.comparison),
        **({"gates": [gate_words.document(outcome) for outcome in result.gates]} if result.gates else {}),
        **({"judge": result.judge} if result.judge else {}),
        "training": _training(result),
        "evaluation": _evaluation(result),
        "cost": result.cost,
        "failure": failure_body(result),
        "provenance": provenance(run, result.trainer),
    }


def _score(score: Mapping[str, Any]) -> dict[str, Any]:
    fields = {"per_field": dict(score["per_field"])} if score.get("per_field") else {}
    return {key: score[key] for key in ("mean", "low", "high", "n", "groups", "method")} | fields


def _comparison(comparison: Comparison | None) -> dict[str, Any] | None:
    if comparison is None:
        return None
    length = {"length": {key: comparison.length.get(key) for key in COMPARED}} if comparison.length else {}
    return {
        "experiment": comparison.experiment,
        "variant": comparison.variant,
        "run": comparison.run,
        "scores": {name: {key: score.get(key) for key in COMPARED} for name, score in comparison.scores.items()},
        **length,
    }


def _training(result: Result) -> dict[str, Any] | None:
    found = result.training
    if not found:
        return None
    return {
        "steps": found.get("steps"),
        "loss": [list(point) for point in result.loss],
        "eval_loss": [list(point) for point in result.eval_loss],
        "seconds": found.get("seconds"),
        "tokens_per_second": found.get("tokens_per_second"),
    }


def _evaluation(result: Result) -> dict[str, Any] | None:
    found = result.evaluation
    if not found:
        return None
    length = {"length": {key: result.length.get(key) for key in LENGTH}} if result.length else {}
    measured = {key: found[key] for key in MEASURED if "answering_seconds" in found and found.get(key) is not None}
    cost = {} if result.per_thousand is None else {"credits_per_thousand_answers": result.per_thousand}
    answers = {"answers": dict(found["answers"])} if found.get("answers") else {}
    return {"samples": found.get("samples"), "seconds": found.get("seconds"), **measured, **answers, **cost, **length}


def failure_body(result: Result) -> dict[str, Any] | None:
    """Classes and names only: a message may quote what was read, so it stays in Snowflake."""
    failure = result.failure
    if failure is None:
        return None
    exit_code = ((result.run.results or {}).get("failure") or {}).get("exit_code")
    return {
        "phase": _class_name(failure.phase),
        "kind": _class_name(failure.kind),
        "type": _class_name(failure.type),
        "exit_code": exit_code if isinstance(exit_code, int) else None,
    }


def _class_name(text: str) -> str:
    return text if _CLASS_NAME.fullmatch(text) else ""


def _text(status: Status | None) -> str | None:
    return None if status is None else str(status)


def _rounded(value: Any) -> Any:
    """Floats to six significant digits; what JSON has no number for becomes null."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def offline_runs(reports: Mapping[str, bytes]) -> tuple[tuple[Run, ...], tuple[Problem, ...]]:
    """The runs that committed report.json files (by path) tell of, and a warning for each that tells of none."""
    runs, problems = [], []
    for path in sorted(reports):
        try:
            runs.append(_run(json.loads(reports[path], parse_constant=_refuse)))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            problems.append(foreign(path, error))
    return tuple(runs), tuple(problems)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def foreign(path: str, error: Exception) -> Problem:
    """A warning for a report.json that piste did not write."""
    what = f"{error.args[0]} is missing" if isinstance(error, KeyError) else "it can't be read"
    message = f"This is no {SCHEMA} document ({what}), so its run is not taken into account."
    return Problem(path, 0, 0, "", message, "Remove it, or let `piste collect` write it again.", "warning")


def _run(document: Mapping[str, Any]) -> Run:
    if document["schema"] != SCHEMA:
        raise ValueError(document["schema"])
    trained, evaluated = (_status(document[f"{part}_status"]) for part in ("training", "evaluation"))
    return Run(
        name=_string(document["run"]),
        experiment=_string(document["experiment"]),
        variant=_string(document["variant"]),
        digests=Digests(
            *(_digest(document[f"{part}_digest"]) for part in ("training", "generation", "scoring", "suite")),
            *([_digest(document["judge_digest"])] if "judge_digest" in document else []),
        ),
        attempt=int(document["run"].rsplit("_", 1)[1]),
        steps=tuple(document["provenance"]["steps"]),
        training=trained,
        evaluation=evaluated,
        spec=_spec(document["spec"]),
        provenance={**_mapping(document["provenance"]), **_estimate(document)},
        job=document["provenance"]["job"],
        results=_results(document),
        measured=_measured(document),
        judged=_judged(document),
        failure=_failed(document["failure"]),
        claimed_at=_string(document["provenance"]["claimed_at"] or ""),
        started_at=document["provenance"]["started_at"] or "",
        ended_at=document["provenance"]["ended_at"] or "",
    )


def _estimate(document: Mapping[str, Any]) -> dict[str, Any]:
    """What like runs had taken when it was submitted, which only its cost tells."""
    found = {key: document["cost"][key] for key in ("low", "high", "basis") if key in (document["cost"] or {})}
    return {"estimate": found} if found else {}


def _spec(spec: Any) -> Mapping[str, Any]:
    for part in ("experiment", "suite", "files"):
        _mapping(spec[part])
    if spec["recipe"] is not None:
        _mapping(spec["recipe"])
    return _mapping(spec)


def _results(document: Mapping[str, Any]) -> dict[str, Any]:
    """What results.json said, as far as the report kept it."""
    training, evaluation = document["training"], document["evaluation"]
    return {
        "training": training and {**training, "status": document["training_status"]},
        "evaluation": evaluation
        and {**evaluation, "status": document["evaluation_status"], "scores": _means(document)},
    }


def _means(document: Mapping[str, Any]) -> dict[str, Any]:
    scores = _mapping(document["scores"]).items()
    return {name: {key: score[key] for key in ("mean", "n", "per_field") if key in score} for name, score in scores}


def _measured(document: Mapping[str, Any]) -> dict[str, Any]:
    """The intervals of the means; a report of an older piste has none."""
    scores = _mapping(document["scores"]).items()
    found = {name: {key: score[key] for key in ENDS} for name, score in scores if score.get("method")}
    length = (document["evaluation"] or {}).get("length")
    return {**({"scores": found} if found else {}), **({"length": _mapping(length)} if length else {})}


def _judged(document: Mapping[str, Any]) -> dict[str, Any]:
    if "judge" not in document:
        return {}
    digest = document["judge_digest"]
    scores = {name: score for name, score in document["scores"].items() if name in (JUDGE, PAIRWISE)}
    return {digest: {"other": digest, "scores": scores, "judge": _mapping(document["judge"])}}


def _status(text: str | None) -> Status | None:
    """A report is of an ended run; a status that says otherwise is not one that piste wrote."""
    if text is None:
        return None
    status = Status(text)
    if status.live:
        raise ValueError(text)
    return status


def _failed(body: Mapping[str, Any] | None) -> Failure | None:
    return Failure(_string(body["phase"]), _string(body["kind"]), _string(body["type"])) if body else None


def _digest(text: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError(text)
    return text


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(value)
    return value
