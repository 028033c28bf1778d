"""Samples in a report: rows and answers that a suite lets people see, where the settings allow it. Pure.

They are chosen by number alone, and only they are read: evenly from the lowest value of the primary score to the
highest. A sample whose group has few others is never shown: it could be told whose it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from piste.experiment import Document, Variant, primary_score
from piste.measures import GROUP, evaluated, identity
from piste.run import Run
from piste.scores import of_samples
from piste.sql import column, literal, query

EVENT: Final = "shown"
"""The ledger's row with the text of a run's samples."""

LEAST: Final = 10
"""So many samples a group has to have, and an evaluation without groups, for one of them to be shown."""

LONGEST: Final = 2_000
"""Characters of a text in a report."""

Scores = Mapping[str, Mapping[str, float]]
"""Of one run, by score and sample."""


@dataclass(frozen=True)
class Due:
    """A run whose samples are to be read, and the suite that says which."""

    run: Run
    suite: Document


def asked(suite: Document) -> Mapping[str, Any]:
    """What is to be shown, as the row of the ledger repeats it; empty where a suite shows nothing."""
    wanted = suite.get("samples")
    if not wanted:
        return {}
    return {"columns": list(wanted["columns"]), "count": wanted.get("count", 3), "by": primary_score(suite)}


def missing(desired: Iterable[Variant], runs: Iterable[Run]) -> tuple[Due, ...]:
    """Of what git asks for, the runs of which the ledger has no such samples yet."""
    known = evaluated(runs)
    found = {}
    for variant in desired:
        run, suite = known.get(identity(variant)), variant.spec["suite"]
        if run and not run.imported and not run.deleted and asked(suite) and not shown(run, suite):
            found[run.name] = Due(run, suite)
    return tuple(found.values())


def shown(run: Run, suite: Document) -> Mapping[str, Any]:
    """The ledger's row if it holds what the suite asks for; what it asked for once is not shown any more."""
    wanted = asked(suite)
    said = {key: run.shown.get(key) for key in wanted}
    return run.shown if wanted and said == wanted else {}


def chosen(of_run: Scores, suite: Document) -> dict[str, float | None]:
    """The samples to show with their value, from the lowest to the highest."""
    values = of_run.get(asked(suite)["by"]) or next((of_run[name] for name in sorted(of_samples(of_run))), {})
    groups = of_run.get(GROUP) or dict.fromkeys(values, 0.0)
    sizes = Counter(groups.values())
    ranked = sorted((value, sample) for sample, value in values.items() if sizes[groups.get(sample, -1.0)] >= LEAST)
    return {sample: value for value, sample in _evenly(ranked, asked(suite)["count"])}


def _evenly(ranked: Sequence[tuple[float, str]], count: int) -> Iterable[tuple[float, str]]:
    if len(ranked) <= count:
        return ranked
    places = [len(ranked) // 2] if count == 1 else [round(n * (len(ranked) - 1) / (count - 1)) for n in range(count)]
    return [ranked[place] for place in places]


def statement(run: str, suite: Document, chosen: Iterable[str]) -> str:
    """SAMPLE_ID, ANSWER, and the suite's columns under C0, C1 and so on: the text of these samples and of no others."""
    texts = [f"{column(name)} AS C{place}" for place, name in enumerate(asked(suite)["columns"])]
    return (
        f"SELECT P.SAMPLE_ID AS SAMPLE_ID, P.PREDICTION AS ANSWER, {', '.join(texts)} FROM PREDICTIONS P"
        f" JOIN ({query(suite['data']['sql'])}) S ON {column(suite['data']['key'])} = P.SAMPLE_ID"
        f" WHERE P.RUN = {literal(run)} AND P.SAMPLE_ID IN ({', '.join(map(literal, chosen))})"
    )


def body(suite: Document, chosen: Mapping[str, float | None], rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The row of the ledger. A sample's key is not in it: who may be told it names it among the columns."""
    by_key = {row["SAMPLE_ID"]: row for row in rows}
    names = asked(suite)["columns"]
    told = [
        {
            "value": value,
            "columns": [_cut(by_key[sample][f"C{place}"]) for place in range(len(names))],
            "answer": _cut(by_key[sample]["ANSWER"]),
        }
        for sample, value in chosen.items()
        if sample in by_key
    ]
    return {**asked(suite), "samples": told}


def _cut(text: Any) -> str:
    said = "" if text is None else str(text)
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}…"
