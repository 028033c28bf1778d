"""Answers of a model that Snowflake hosts, by AI_COMPLETE: some samples with each statement, nothing in its text."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from payload import generate
from payload.failure import LOGS_HINT, Failure, RunError
from payload.snowflake_session import Store

BATCH = 32
"""Samples of a statement: between two of them the run looks at its time and says how far it is."""

ROUNDS = 3
"""How often a sample is asked for again that got no answer: a hosted model has its moments."""

Line = dict[str, Any]


def answers(
    store: Store,
    model: str,
    messages: Mapping[str, Sequence[Mapping[str, str]]],
    options: Mapping[str, Any],
    look: Callable[[int], None],
) -> dict[str, Line]:
    """By sample as `evaluation.Evaluation.predictions` has them, with the tokens of the prompt.

    `look` is told how many there are, before each statement.
    Raises RunError where some have none after all rounds: they would count as wrong answers of the model.
    """
    prompts, found = {sample: prompt(turns) for sample, turns in messages.items()}, dict[str, Line]()
    for _ in range(ROUNDS):
        for batch in _batches([sample for sample in prompts if sample not in found]):
            look(len(found))
            found |= _ask(store, model, {sample: prompts[sample] for sample in batch}, options)
    look(len(found))
    if missing := len(prompts) - len(found):
        message = f"{model} gave no answer to {missing} of {len(prompts)} samples, asked {ROUNDS} times."
        raise RunError(Failure("evaluation", message, "", f"Perhaps their prompts are too long for it. {LOGS_HINT}"))
    return {sample: found[sample] for sample in prompts}


def prompt(turns: Sequence[Mapping[str, str]]) -> str:
    """Messages as one text, which is what AI_COMPLETE takes: who speaks is written where there are examples."""
    system = [turn["content"] for turn in turns if turn["role"] == "system"]
    spoken = [turn for turn in turns if turn["role"] != "system"]
    if len(spoken) == 1:
        return "\n\n".join([*system, spoken[0]["content"]])
    told = [f"{turn['role'].capitalize()}: {turn['content']}" for turn in spoken]
    return "\n\n".join([*system, *told, "Assistant:"])


def _batches(samples: Sequence[str]) -> Iterator[Sequence[str]]:
    yield from (samples[start : start + BATCH] for start in range(0, len(samples), BATCH))


def _ask(store: Store, model: str, prompts: Mapping[str, str], options: Mapping[str, Any]) -> dict[str, Line]:
    started = time.monotonic()
    rows = store.rows(_statement(model, options, len(prompts)), [part for pair in prompts.items() for part in pair])
    seconds = round((time.monotonic() - started) / len(prompts), 4)
    lines = ((row["SAMPLE_ID"], _line(row["ANSWER"], seconds)) for row in rows)
    return {sample: line for sample, line in lines if line is not None}


def _statement(model: str, options: Mapping[str, Any], count: int) -> str:
    temperature = float(options.get("temperature", 0))
    most = int(options.get("max_new_tokens", generate.MAX_NEW_TOKENS))
    asked = f"{{'temperature': {temperature}, 'max_tokens': {most}}}"
    quoted = model.replace("\\", "\\\\").replace("'", "''")
    values = ", ".join(["(?, ?)"] * count)
    return (
        f"SELECT SAMPLE_ID, AI_COMPLETE(model => '{quoted}', prompt => PROMPT, model_parameters => {asked},"
        f" show_details => TRUE) AS ANSWER FROM (VALUES {values}) AS ASKED(SAMPLE_ID, PROMPT)"
    )


def _line(answer: Any, seconds: float) -> Line | None:
    """None for a sample without an answer: Snowflake says NULL where the model failed."""
    told = json.loads(answer) if isinstance(answer, str) else answer
    text = (((told or {}).get("choices") or [{}])[0]).get("messages")
    if not isinstance(text, str):
        return None
    usage = told.get("usage") or {}
    tokens, read = int(usage.get("completion_tokens") or 0), int(usage.get("prompt_tokens") or 0)
    return {"PREDICTION": text, "TOKENS": tokens, "SECONDS": seconds, "READ": read}
