"""Samples on a page: what the suite lets people see of some rows, and the answers to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from piste import samples
from piste.report import words
from piste.report.result import Result


def sample_lines(result: Result) -> list[str]:
    """Empty where nothing may be shown, or nothing was read yet."""
    found = samples.shown(result.run, result.suite)
    if not found.get("samples"):
        return []
    by = words.score_name(str(found["by"]))
    lines = [f"From the lowest {by} to the highest. The suite names what is shown of a row."]
    for place, sample in enumerate(found["samples"], 1):
        lines += ["", f"**{place}. {by} {words.number(sample['value'])}**", *_texts(found, sample)]
    return lines


def _texts(found: Mapping[str, Any], sample: Mapping[str, Any]) -> list[str]:
    named = [*zip(map(words.code, found["columns"]), sample["columns"], strict=True), ("answer", sample["answer"])]
    return [line for name, text in named for line in ("", f"{name}:", "", *words.fence(text or " ", "text"))]
