"""Committed reports for the page of all runs: those of the golden files, hostile ones, and many."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parents[1] / "golden" / "report"
HOSTILE = "</script><img src=x onerror='window.hit = 1'><!-- {} ${{data}} \u2028 \ud800 \u202e".format("&amp;")
"""What a title may be: the end of a script, a picture that fails to load, half a character, text from right to left."""


def committed(*cases: str) -> dict[str, bytes]:
    """The report.json files of golden cases, by path."""
    found = {}
    for case in cases or ("pair", "matrix", "failures", "history"):
        for path in sorted((GOLDEN / case).rglob("report.json")):
            found[path.relative_to(GOLDEN / case).as_posix()] = path.read_bytes()
    return found


def document(experiment: str = "soap-smollm2-lora", case: str = "pair") -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((GOLDEN / case / f"experiments/{experiment}/report/report.json").read_bytes())
    return loaded


def hostile() -> dict[str, bytes]:
    """Every text that somebody may have chosen is HOSTILE."""
    made = document()
    made["suite"] = made["experiment"] = made["variant"] = HOSTILE
    for key in ("title", "question", "owner"):
        made["spec"]["experiment"][key] = HOSTILE
    made["spec"]["suite"]["prompt"]["system"] = HOSTILE
    made["provenance"]["branch"] = HOSTILE
    made["comparison"]["experiment"] = HOSTILE
    made["scores"][HOSTILE] = made["scores"]["rouge_l"]
    made["comparison"]["scores"]["json_fields"]["verdict"] = HOSTILE
    return {"experiments/bad'\"><i>/report/report.json": json.dumps(made).encode()}


def many(count: int) -> dict[str, bytes]:
    """As many runs of one experiment, each with values of its own."""
    made, found = document(), {}
    for place in range(count):
        made["experiment"] = f"soap-{place:04d}"
        mean = (place * 7919 % count) / count
        for score in made["scores"].values():
            score |= {"mean": mean, "low": max(0, mean - 0.03), "high": min(1, mean + 0.03)}
        made["spec"]["recipe"]["optimizer"]["learning_rate"] = place / 1e6
        found[f"experiments/soap-{place:04d}/report/report.json"] = json.dumps(made).encode()
    return found
