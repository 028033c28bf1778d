"""What a failed run's report says: classes, names and what to try. Messages stay in Snowflake, they may quote data."""

from __future__ import annotations

from piste.report import words
from piste.report.model import failure_body
from piste.report.result import Result

ADVICE = {
    "recipe": "ArcticTraining refused a value of the recipe. The log names the key; correct it in the recipe.",
    "data": "A table, stage or column that is read is missing, empty or not granted. Check the names in the recipe and "
    "the suite, then the role with `piste doctor`.",
    "killed": "The process was killed, most often for lack of memory. Lower the batch size or the sequence length, or "
    "take a larger pool (`compute.pool`).",
    "training": "Training ended without what a trained model needs: the last step, a checkpoint, weights that moved. "
    "The end of the log says which.",
    "evaluation": "The model is there, its evaluation ended early. Check the suite's query, prompt and scores; nothing "
    "is trained again for it.",
    "platform": "Snowflake ended the job. It is tried again up to `compute.retries` times.",
    "cancelled": "Somebody cancelled it.",
    "lost": "Its claim has neither a job nor a word of its submitter. The next `piste apply` makes another attempt.",
}
BY_ITSELF = ("platform", "lost")
"""Kinds that the next `piste apply` tries again, unasked."""
OTHERWISE = "The end of the log says what happened."


def failure_lines(result: Result) -> list[str]:
    found = failure_body(result)
    if found is None:
        return []
    rows = [
        ("class", _code(found["kind"])),
        ("rule", _code("/".join(part for part in (found["phase"], found["kind"]) if part))),
        ("exception or signal", _code(found["type"])),
        ("exit code", "" if found["exit_code"] is None else str(found["exit_code"])),
        ("run", _code(result.run.name)),
    ]
    return [*words.listed(rows), "", f"**What to try.** {_advice(found['kind'], result)}"]


def _advice(kind: str, result: Result) -> str:
    name = result.variant.title
    logs = f"`piste status {name}` has the message and `piste logs {name}` the log; both stay in Snowflake."
    again = f"Then change the experiment, or try the same again: `piste run {result.variant.experiment} --retry`."
    said = [ADVICE.get(kind, OTHERWISE), *([] if kind == "lost" else [logs]), *([] if kind in BY_ITSELF else [again])]
    return " ".join(said)


def _code(text: str) -> str:
    return words.code(text) if text else ""
