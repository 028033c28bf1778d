"""Comparisons as text, Markdown and JSON: what is known, how sure that is, and what would make it surer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Compared = Mapping[str, Mapping[str, Any]]
"""By score, what `statistics.compare` or `statistics.over_seeds` found."""


def as_json(compared: Compared) -> str:
    return json.dumps({"scores": {name: _plain(found) for name, found in compared.items()}}, indent=2) + "\n"


def _plain(found: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("n", "mean_a", "mean_b", "difference")
    interval = None if found["low"] is None else [found["low"], found["high"]]
    told = {key: found[key] for key in kept} | {"interval": interval, "method": found["method"]}
    told |= {key: found[key] for key in ("p_value", "test")} | {"verdict": str(found["verdict"])}
    return told | {key: found[key] for key in ("seeds", "samples_needed", "seeds_needed") if found.get(key) is not None}


def as_text(compared: Compared) -> str:
    width = max(map(len, compared), default=0)
    return "".join(f"{name:{width}}  {sentence(found)}\n" for name, found in compared.items())


def as_markdown(compared: Compared) -> str:
    rows = [
        f"| {name} | {found['mean_a']:.3f} | {found['mean_b']:.3f} | {difference(found)} | {conclusion(found)} |"
        for name, found in compared.items()
        if found["n"]
    ]
    return "\n".join(["| score | a | b | difference (95% interval) | verdict |", "|---|--:|--:|--:|---|", *rows]) + "\n"


def sentence(found: Mapping[str, Any]) -> str:
    """`0.964 to 0.912: +0.052 (+0.021 to +0.083), improved; n 50, p 0.002`"""
    if not found["n"]:
        return "no sample is in both"
    p = "" if found["p_value"] is None else f", p {found['p_value']:.2g}"
    means = f"{found['mean_a']:.3f} to {found['mean_b']:.3f}"
    return f"{means}: {difference(found)}, {conclusion(found)}; n {found['n']}{p}"


def difference(found: Mapping[str, Any]) -> str:
    spread = "" if found["low"] is None else f" ({found['low']:+.3f} to {found['high']:+.3f})"
    return f"{found['difference']:+.3f}{spread}"


def conclusion(found: Mapping[str, Any]) -> str:
    """The verdict, and what would settle it where there is none."""
    if needed := found.get("samples_needed"):
        return f"{found['verdict']}: about {needed:,} samples would tell"
    if needed := found.get("seeds_needed"):
        return f"{found['verdict']}: about {needed:,} seeds would tell"
    return str(found["verdict"])


RENDER = {"text": as_text, "json": as_json, "markdown": as_markdown}
