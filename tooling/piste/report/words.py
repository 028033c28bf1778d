"""Numbers, names and links as a report writes them; independent of locale."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import quote

from piste.durations import duration as duration

SCORE_NAMES = {
    "json_valid": "valid JSON",
    "json_fields": "field accuracy",
    "exact_match": "exact match",
    "rouge_l": "ROUGE-L",
    "reference_loss": "loss of the reference",
    "judge": "judge's verdict",
    "judge_pairwise": "wins by the judge",
}
HEADLINES = {
    "json_valid": "share of valid JSON",
    "json_fields": "mean field accuracy",
    "exact_match": "share of exact matches",
    "judge_pairwise": "share of wins by the judge",
}
UNKNOWN = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
PLUS_MINUS = "\N{PLUS-MINUS SIGN}"


def score_name(name: str) -> str:
    return SCORE_NAMES.get(name, name.replace("_", " "))


def headline_name(name: str) -> str:
    return HEADLINES.get(name, f"mean {score_name(name)}")


def number(value: float | None, places: int = 3) -> str:
    if value is None:
        return UNKNOWN
    return f"{round(value, places) + 0.0:.{places}f}".replace("-", MINUS)


def signed(value: float | None, places: int = 3) -> str:
    if value is None:
        return UNKNOWN
    near = round(value, places) + 0.0
    return f"{near:+.{places}f}".replace("-", MINUS) if near else f"{PLUS_MINUS}{0:.{places}f}"


def with_interval(value: float | None, ends: Mapping[str, Any], write: Callable[[float | None], str]) -> str:
    """`0.958 (0.936 to 0.976)`; the value alone where its interval is not known."""
    spread = "" if ends["low"] is None else f" ({write(ends['low'])} to {write(ends['high'])})"
    return write(value) + spread


def loss_value(value: float) -> str:
    return f"{value:.3g}".replace("-", MINUS)


def credit_text(value: float) -> str:
    """Two digits that count; below a thousandth the digits say nothing."""
    if value < 0.001:
        return "under 0.001 credits"
    return f"{value:.0f} credits" if value >= 10 else f"{value:.2g} credits"


def about(value: float) -> str:
    """`about 0.02 credits`"""
    said = credit_text(value)
    return said if said.startswith("under") else f"about {said}"


def period(start: str, end: str) -> str:
    """Two ISO 8601 times, to the minute, and how long it is between them."""
    if not start or not end:
        return ""
    lasted = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    until = end[11:16] if end[:10] == start[:10] else f"{end[:10]} {end[11:16]}"
    return f"{start[:10]} {start[11:16]} to {until} UTC, {duration(lasted.total_seconds())}"


def count(amount: int, noun: str) -> str:
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def prose(text: object) -> str:
    """Text that people wrote, on one line, unable to open a tag or to end a table's cell."""
    flat = " ".join(str(text).split())
    return flat.replace("<", "&lt;").replace("|", "\\|")


def code(text: object) -> str:
    """As a code span, whatever backticks the text has."""
    flat = " ".join(str(text).split()).replace("|", "\\|")
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", flat)), default=0))
    return f"{ticks} {flat} {ticks}" if "`" in flat else f"`{flat}`"


def fence(text: str, language: str = "") -> list[str]:
    ticks = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return [f"{ticks}{language}", text.rstrip("\n"), ticks]


def link(label: str, target: str) -> str:
    return f"[{label}]({quote(target, safe='/.=,+@~-_')})"


def samples(n: int, split: str) -> str:
    """`50 held-out samples`, or the split that they are."""
    return count(n, f"{split or 'held-out'} sample")


def table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> list[str]:
    """The last `numbers` columns are numbers and stand to the right."""
    left = len(head) - numbers
    rule = ["---" if column < left else "--:" for column in range(len(head))]
    return ["| " + " | ".join(cells) + " |" for cells in (head, rule, *rows)]


def listed(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Named values, a line each; without those that are empty."""
    return [f"- {name}: {value}" for name, value in rows if value]


def folded(summary: str, lines: Sequence[str]) -> list[str]:
    return ["<details>", f"<summary>{summary}</summary>", "", *lines, "", "</details>"]
