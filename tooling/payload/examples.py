"""Examples that a model is shown before the question: which rows, and as which messages."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from payload import templates

Row = Mapping[str, Any]


def chosen(
    asked: Mapping[str, Any], suite: Mapping[str, Any], rows: Sequence[Row], evaluated: Collection[str]
) -> list[Row]:
    """`asked.count` of the rows, by a hash of key and seed: the same in every run, whatever the order of the rows.

    Raises DataError if there are too few, or if a row is also evaluated: the model would be shown its answer.
    """
    if len(rows) < asked["count"]:
        raise templates.DataError(f"evaluate.examples.sql gives {len(rows)} rows, and {asked['count']} are asked for.")
    texts = [suite["prompt"]["user"], suite["reference"], f"{{{suite['data']['key']}}}"]
    templates.require(texts, rows[0])
    key = templates.spelled(suite["data"]["key"], rows[0])
    by_key = {templates.text(rows[place][key], key): rows[place] for place in templates.order(row[key] for row in rows)}
    if shown := by_key.keys() & set(evaluated):
        raise templates.DataError(
            f"{len(shown)} of the {len(rows)} rows of evaluate.examples.sql are also among the evaluated samples:"
            " write a query of rows of the training split."
        )
    seed = asked.get("seed", 0)
    order = sorted(by_key, key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    return [by_key[name] for name in order[: asked["count"]]]


def chat(suite: Mapping[str, Any], row: Row, shown: Sequence[Row]) -> list[dict[str, str]]:
    """The suite's prompt for a row; before its question the examples, as if asked and answered already."""
    *before, question = templates.chat(suite["prompt"], row)
    turn = {"user": suite["prompt"]["user"], "assistant": suite["reference"]}
    return [*before, *(message for example in shown for message in templates.chat(turn, example)), question]
