"""Finished reports in a few words: the message of the commit that brings them, and the comment on a pull request."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from piste import scores
from piste.experiment import VALIDATION, primary_score
from piste.report import gate_words, words

Report = Mapping[str, Any]
"""A parsed report.json."""

TRAILER = "Piste-Reports"
"""Of a report commit: the experiments that it brings. A commit without it was made by a person."""

LONGEST_SUBJECT = 72


def reports(files: Mapping[str, bytes]) -> tuple[Report, ...]:
    """Those among the files, by path."""
    return tuple(json.loads(content) for path, content in sorted(files.items()) if path.endswith("/report.json"))


def message(changed: Sequence[Report], names: Sequence[str]) -> str:
    """`report: soap-smollm2-lora field accuracy 0.96 (+0.31)`, the others below it. `names` has all experiments."""
    lines = [plain(report) for report in changed]
    subject = f"report: {lines[0]}" if len(lines) == 1 else f"report: {_together(names)}"
    body = [] if len(lines) == 1 and len(subject) <= LONGEST_SUBJECT else lines
    trailer = f"{TRAILER}: {', '.join(names) or 'index'}"
    return "\n\n".join(part for part in (_cut(subject), "\n".join(body), trailer) if part) + "\n"


def _together(names: Sequence[str]) -> str:
    shown = ", ".join(names) or "index"
    return shown if len(shown) < LONGEST_SUBJECT - 10 else words.count(len(names), "experiment")


def _cut(subject: str) -> str:
    return subject if len(subject) <= LONGEST_SUBJECT else f"{subject[: LONGEST_SUBJECT - 1]}…"


def plain(report: Report) -> str:
    return f"{_title(report)} {_came_to(report)}"


def _title(report: Report) -> str:
    return f"{report['experiment']}/{report['variant']}" if report["variant"] else str(report["experiment"])


def _came_to(report: Report) -> str:
    name, score = _primary(report)
    if report["status"] != "done":
        failure = report.get("failure") or {}
        kind = f" ({failure['kind']})" if failure.get("kind") not in (None, "", report["status"]) else ""
        return f"{report['status']}{kind}"
    if score is None:
        return "trained"
    compared = ((report.get("comparison") or {}).get("scores") or {}).get(name)
    gain = f" ({words.signed(compared['difference'], 2)})" if compared else ""
    where = " on validation" if report.get("split") == VALIDATION else ""
    return f"{words.score_name(name)} {words.number(score['mean'], 2)}{gain}{where}"


def _primary(report: Report) -> tuple[str, Mapping[str, Any] | None]:
    name = primary_score(report["spec"]["suite"])
    return name, report["scores"].get(name)


def _rank(report: Report) -> float:
    name, score = _primary(report)
    return scores.rank(report["spec"]["suite"], name, score["mean"] if score else None)


def by_experiment(changed: Iterable[Report]) -> dict[str, list[Report]]:
    found: dict[str, list[Report]] = defaultdict(list)
    for report in changed:
        found[report["experiment"]].append(report)
    return dict(found)


def marker(experiment: str) -> str:
    """Begins the one comment about this experiment's result."""
    return f"<!-- piste:result {experiment} -->"


def comment(variants: Sequence[Report], address: str) -> str:
    """The result of an experiment for whoever asked for it; `address` is the page of its report."""
    name, winner = variants[0]["experiment"], [report for report in variants if report.get("chosen_from")]
    first = VALIDATION if winner else next((str(one["split"]) for one in _test_first(variants) if one.get("split")), "")
    gates = _gates(variants)
    variants = [report for report in variants if (report.get("split") or "") == first]
    done = [report for report in variants if report["status"] == "done"]
    if len(variants) == 1:
        found = f"**{words.prose(name)}: {words.prose(_came_to(variants[0]))}**"
        return "\n".join([found, "", *_what_next(variants[0]), *gates, f"[The report]({address})"]) + "\n"
    best = sorted(done, key=_rank, reverse=True) or list(variants)
    rows = [(words.prose(report["variant"]), words.prose(_came_to(report))) for report in best[:20]]
    table = words.table(("variant", "result"), rows)
    head = f"**{words.prose(name)}: {len(done)} of {len(variants)} variants done**"
    chosen = [f"On test, chosen as the best: {words.prose(plain(report))}." for report in winner]
    more = [*chosen, *([""] if chosen else []), *gates, f"[The report]({address})"]
    return "\n".join([head, "", *table, "", *more]) + "\n"


def _gates(reports: Iterable[Report]) -> list[str]:
    """They are an experiment's, so each of its reports that has them has the same."""
    found = gate_words.told(next((report["gates"] for report in reports if report.get("gates")), ()))
    return ["Gates:", "", *found, ""] if found else []


def _test_first(variants: Sequence[Report]) -> list[Report]:
    return sorted(variants, key=lambda report: report.get("split") == VALIDATION)


def _what_next(report: Report) -> list[str]:
    failure = report.get("failure") or {}
    hint = words.prose(failure.get("hint") or "")
    if report["status"] == "done":
        return []
    return [f"{hint} `piste logs {_title(report)}` shows the log.".strip(), ""]


def pull_request(changed: Sequence[Report], names: Sequence[str]) -> tuple[str, str]:
    """Title and text of the pull request that brings reports."""
    title, _, _ = message(changed, names).partition("\n")
    rows = [(words.prose(_title(report)), words.prose(_came_to(report))) for report in changed]
    table = words.table(("experiment", "result"), rows) if rows else []
    text = (
        "Reports of runs that ended, as `piste collect` renders them from the ledger. Nothing else is in here."
        " While this is open it is brought up to date by itself."
    )
    return title, "\n".join([text, "", *table[:120], "", f"{TRAILER}: {', '.join(names) or 'index'}"]) + "\n"
