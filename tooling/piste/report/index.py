"""experiments/README.md: every experiment, those of one suite digest together, because only they compare."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from piste import scores
from piste.experiment import Experiment, Variant, primary_score
from piste.report import gate_words, words
from piste.report.groups import Group
from piste.report.markdown import WRITTEN
from piste.report.result import evaluation_of
from piste.run import Run, Status

HEAD = ("experiment", "score", "difference", "status")
RULE = "Scores compare only within a section: the same data, prompt, generation and scoring."


@dataclass(frozen=True)
class Entry:
    """An experiment with its best group of variants, otherwise with the latest run of an earlier version."""

    experiment: Experiment
    suite_digest: str
    best: Group | None
    earlier: Run | None
    status: str

    @property
    def primary(self) -> str:
        return primary_score(self.experiment.suite.document)

    @property
    def split(self) -> str:
        return self.best.results[0].variant.split if self.best else self.earlier.split if self.earlier else ""

    @property
    def mean(self) -> float | None:
        if self.best:
            return self.best.mean
        score = (evaluation_of(self.earlier).get("scores") or {}).get(self.primary)
        return None if score is None or score["mean"] is None else float(score["mean"])


def entry(
    experiment: Experiment,
    variants: Sequence[Variant],
    groups: Sequence[Group],
    chosen: Group | None,
    earlier: Run | None,
) -> Entry | None:
    """`chosen` is the winner of a matrix, on test: its result stands for the experiment."""
    if groups:
        best = chosen if chosen and chosen.mean is not None else groups[0]
        digest = best.results[0].variant.digests.suite
        return Entry(experiment, digest, best, None, overall(groups, len(variants)))
    if earlier:
        status = earlier.evaluation or earlier.training
        return Entry(experiment, earlier.digests.suite, None, earlier, f"{status}, earlier version")
    return Entry(experiment, variants[0].digests.suite, None, None, "no result yet") if variants else None


def overall(groups: Sequence[Group], wanted: int) -> str:
    """The one status of all variants, or how many are done."""
    found = [result.status for group in groups for result in group.results]
    if len(found) == wanted and len(set(found)) == 1:
        return str(found[0])
    other = Counter(str(status) for status in found if status is not Status.DONE)
    done = f"{len(found) - other.total()} of {wanted} done"
    return ", ".join([done, *(f"{count} {status}" for status, count in sorted(other.items()))])


def index(entries: Sequence[Entry]) -> str:
    current = {item.suite_digest for item in entries if not item.earlier}
    sections: dict[tuple[str, bool, str], list[Entry]] = defaultdict(list)
    for item in entries:
        sections[item.experiment.suite.name, item.suite_digest not in current, item.suite_digest].append(item)
    parts = [[WRITTEN, "# Experiments"], [RULE]]
    for (suite, old, digest), items in sorted(sections.items()):
        split = next((f" on {item.split}" for item in items if item.split), "")
        parts.append([f"## {_suite(items[0], suite)}{split}{', as it was before' if old else ''}"])
        parts.append([f"Suite digest `{digest[:12]}`, score: {words.headline_name(items[0].primary)}."])
        parts.append(words.table(HEAD, [_row(item) for item in sorted(items, key=_best_first)]))
    return "\n\n".join("\n".join(lines) for lines in parts) + "\n"


def _suite(item: Entry, name: str) -> str:
    return words.link(words.prose(item.experiment.suite.document.get("title") or name), f"_suites/{name}/suite.yaml")


def _best_first(item: Entry) -> tuple[float, str]:
    return -scores.rank(item.experiment.suite.document, item.primary, item.mean), item.experiment.name


def _row(item: Entry) -> list[str]:
    document = item.experiment.document
    name = item.experiment.name
    target = f"{name}/report/README.md" if item.best else f"{name}/"
    asked = words.prose(document.get("question") or document.get("title") or "")
    concluded = words.prose(document.get("conclusion") or "")
    about = [words.link(f"**{name}**", target), asked, f"**Conclusion.** {concluded}" if concluded else ""]
    return [
        "<br>".join(part for part in about if part),
        _score(item),
        _difference(item.best) if item.best else words.UNKNOWN,
        "<br>".join(part for part in (item.status, _gates(item), _when(item)) if part),
    ]


def _gates(item: Entry) -> str:
    found = next((result.gates for result in item.best.results if result.gates), ()) if item.best else ()
    return f"gates: {gate_words.summary(found)}" if found else ""


def _difference(best: Group) -> str:
    return f"{best.difference_text()}<br>to {words.prose(best.other)}" if best.other else words.UNKNOWN


def _score(item: Entry) -> str:
    if item.mean is None:
        return words.UNKNOWN
    if item.best:
        cost = item.best.per_thousand
        dear = "" if cost is None else f"<br>{words.credit_text(cost)} per 1,000 answers"
        return f"**{words.number(item.mean)}**<br>{item.best.sample_text()}{dear}"
    n = evaluation_of(item.earlier)["scores"][item.primary]["n"]
    return f"{words.number(item.mean)}<br>n {n}"


def _when(item: Entry) -> str:
    runs = [result.run for result in item.best.results] if item.best else [item.earlier] if item.earlier else []
    return max((run.ended_at or run.claimed_at for run in runs), default="")[:10]
