"""Judge by a model on a stage, in the run's own job: its replies become rows of JUDGEMENTS, as Cortex's do.

The statements come with the job (run.json). Replies are read, counted and compared by whoever collects the run; a job
that starts again asks only what has no reply yet.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from payload import generate, scores
from payload.failure import LOGS_HINT, Failure, RunError, killed_by
from payload.progress import Lines
from payload.snowflake_session import Store

BATCH_SIZE = 8


def judge(told: Mapping[str, Any], store: Store, model: Path, work: Path, run: Callable[[list[str]], int]) -> int:
    """How many questions were put. `model` is the judge's folder, `run` runs a child process."""
    return sum(_ask(told, asked, store, model, work / str(n), run) for n, asked in enumerate(told["questions"]))


def _ask(
    told: Mapping[str, Any],
    asked: Mapping[str, Any],
    store: Store,
    model: Path,
    work: Path,
    run: Callable[[list[str]], int],
) -> int:
    for statement in asked["before"]:
        store.rows(statement)
    rows = store.rows(asked["select"])
    if not rows:
        return 0
    work.mkdir(parents=True)
    options = {"max_new_tokens": told["max_new_tokens"], "temperature": 0, "batch_size": BATCH_SIZE}
    request = {"checkpoint": None, "base": str(model), "options": options}
    (work / generate.REQUEST).write_text(json.dumps(request))
    with (work / generate.SAMPLES).open("w") as file:
        for place, row in enumerate(rows):
            messages = [{"role": "user", "content": row["PROMPT"] + told["form"]}]
            file.write(json.dumps({"sample": str(place), "messages": messages}) + "\n")
    code = run([sys.executable, "-m", "payload.generate", str(work)])
    found = {line["sample"]: line for line in Lines(work / generate.PREDICTIONS).update()} if code == 0 else {}
    if len(found) != len(rows):
        raise RunError(_silent(code))
    replies = (reply(found[str(place)]["prediction"], found[str(place)]["tokens"]) for place in range(len(rows)))
    store.add_judgements(asked["row"], list(zip(rows, replies, strict=True)))
    return len(rows)


def _silent(code: int) -> Failure:
    return Failure("evaluation", "The judge ended before each answer had a verdict.", killed_by(code), LOGS_HINT, code)


def reply(text: str, tokens: int) -> str:
    """In the form of AI_COMPLETE's details; without a message where the text holds no JSON object. The first one
    counts: models put it into words and fences."""
    choice = {"structured_output": [{"raw_message": _spelled(scores.first_object(text)), "type": "json"}]}
    return json.dumps({"choices": [choice], "usage": {"completion_tokens": tokens}})


def _spelled(message: Any) -> Any:
    """Verdicts as the scale writes them: `Pass` is pass, 4 is 4."""
    if not isinstance(message, Mapping):
        return message if isinstance(message, str) else None
    return {
        key: str(value).strip().lower() if key == "verdict" and isinstance(value, str | int) else _spelled(value)
        for key, value in message.items()
    }
