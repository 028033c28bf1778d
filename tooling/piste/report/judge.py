"""What a page says of the judge: who judged, how far to trust it, what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from piste.judge import is_on_pool
from piste.report import words
from piste.report.result import Result

UNSTEADY = 0.8
"""Share of pairs with the same verdict in both orders, below which a judge goes by the order too often."""


def judge_lines(result: Result) -> list[str]:
    """Empty without a judge, or before it has said anything."""
    found = result.judge
    if not found:
        return []
    answers = found["judged"] + found["unparsed"] + found["refused"] + found["required"]
    required = f"{found['required']} of {answers}, by {', '.join(found['require'])}" if found["require"] else ""
    rows = [
        ("model", words.code(found["model"])),
        ("question", f"{words.code(found['prompt'][:12])}, {_parameters(found['parameters'])}"),
        ("judge digest", words.code(result.variant.digests.judge[:12])),
        ("judged", f"{found['judged']} of {answers}{_reused(found['reused'])}"),
        ("failed to judge", f"{_failed(found)} of {answers}; they count for no model"),
        ("lowest verdict without asking", required),
        ("in both orders", _consistency(found["consistency"])),
        ("agreement with people", _agreement(found["gold"])),
        ("canaries", _canaries(found["canaries"])),
        ("tokens", _tokens(found)),
        ("cost", _cost(found)),
    ]
    return [*words.listed(rows), *_warnings(found)]


def _warnings(found: Mapping[str, Any]) -> list[str]:
    said = []
    if found["family"]:
        said.append(f"The judge and the judged model are both of the family {found['family']}: it may favour its own.")
    pairs = found["consistency"]
    if pairs and pairs["pairs"] and pairs["same"] < UNSTEADY * pairs["pairs"]:
        said.append("The judge's verdict on a pair often depends on which answer comes first; those count as ties.")
    if found["canaries"] and found["canaries"]["flipped"]:
        said.append("Canaries flipped: the model behind this name may have changed since its first verdicts.")
    if found["unparsed"] or found["refused"]:
        said.append("Means are over the answers that have a verdict.")
    return [line for warning in said for line in ("", warning)]


def _parameters(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in sorted(found.items()))


def _reused(number: int) -> str:
    return f", {number} of them when another run gave the same answer" if number else ""


def _failed(found: Mapping[str, Any]) -> int:
    return int(found["unparsed"] + found["refused"])


def _consistency(found: Mapping[str, Any] | None) -> str:
    if not found or not found["pairs"]:
        return ""
    first, same = found["first"] / (2 * found["pairs"]), found["same"] / found["pairs"]
    told = f"the same verdict for {words.number(same, 2)} of {found['pairs']} pairs"
    return f"{told}; the first answer wins {words.number(first, 2)} of the time"


def _agreement(found: Mapping[str, Any] | None) -> str:
    if not found:
        return ""
    if found["kappa"] is None:
        return f"can't be told from {words.count(found['n'], 'answer')} that people judged"
    ends = f"{words.number(found['low'], 2)} to {words.number(found['high'], 2)}"
    kappa = words.number(found["kappa"], 2)
    same = words.number(found["observed"], 2)
    return f"Cohen's kappa {kappa} (95% interval {ends}), the same verdict for {same} of {found['n']} answers"


def _canaries(found: Mapping[str, Any] | None) -> str:
    return f"{found['flipped']} of {found['n']} have another verdict than at first" if found else ""


def _tokens(found: Mapping[str, Any]) -> str:
    if is_on_pool(found["model"]):
        return f"{found['tokens'][1]:,.0f} written"
    (read, wrote), (guess, answer) = found["tokens"], found["estimated_tokens"]
    return f"{read:,.0f} read and {wrote:,.0f} written; estimated {guess:,.0f} and {answer:,.0f}"


def _cost(found: Mapping[str, Any]) -> str:
    if is_on_pool(found["model"]):
        return "in that of the run: it judged in the same job"
    if found["credits"] is None:
        return "no price is known; name it in [tool.piste.token_credits]"
    prices = "settings" if found["priced"] == "settings" else f"list prices of {found['priced']}"
    actual, estimated = (words.credit_text(found[key]) for key in ("credits", "estimated_credits"))
    return f"{actual}, estimated {estimated} ({prices})"
