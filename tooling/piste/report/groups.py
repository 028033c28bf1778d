"""Variants that differ only in their seed, together as one row."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from piste import scores
from piste.measures import without_seed
from piste.report import words
from piste.report.result import Result


@dataclass(frozen=True)
class Group:
    """`name` holds the settings without the seed; empty where only seeds differ."""

    name: str
    results: Sequence[Result]

    @property
    def means(self) -> list[float]:
        return [result.mean for result in self.results if result.mean is not None]

    @property
    def mean(self) -> float | None:
        """Of the primary score, over the seeds."""
        return sum(self.means) / len(self.means) if self.means else None

    @property
    def rank(self) -> float:
        """The greater the better; below all others without a mean."""
        first = self.results[0]
        return scores.rank(first.suite, first.primary, self.mean)

    @property
    def per_thousand(self) -> float | None:
        """Credits of 1,000 answers, on average over the seeds."""
        known = [result.per_thousand for result in self.results if result.per_thousand is not None]
        return sum(known) / len(known) if known else None

    @property
    def differences(self) -> list[float]:
        return [result.difference["difference"] for result in self.results if result.difference]

    def mean_text(self) -> str:
        return _with_range(words.number, self.means)

    def sample_text(self) -> str:
        """Samples, and seeds where there are several."""
        scored = [result for result in self.results if result.mean is not None]
        n = scored[0].scores[scored[0].primary]["n"]
        return f"n {n}, {len(scored)} seeds" if len(scored) > 1 else f"n {n}"

    @property
    def other(self) -> str:
        """What the differences are to."""
        return next((result.comparison.title for result in self.results if result.comparison), "")

    @property
    def seeds(self) -> Mapping[str, Any] | None:
        """The comparison of the primary score over all seeds, where the ledger has it."""
        return next((result.seeds[result.primary] for result in self.results if result.primary in result.seeds), None)

    @property
    def compared(self) -> Mapping[str, Any] | None:
        """The comparison that tells most: over the seeds, or that of the only one."""
        alone = [result.difference for result in self.results if result.difference]
        return self.seeds or (alone[0] if len(alone) == 1 else None)

    @property
    def minimum(self) -> float:
        """The smallest difference of the primary score that is of interest."""
        return self.results[0].minimum(self.results[0].primary)

    def difference_text(self) -> str:
        """With its 95% interval and the verdict, over samples and seeds; the range over seeds until that is known."""
        if not self.differences:
            return words.UNKNOWN
        found = self.compared
        if found is None:
            return _with_range(words.signed, self.differences)
        return f"{words.with_interval(found['difference'], found, words.signed)}, {found['verdict']}"


def _with_range(write: Callable[[float | None], str], values: Sequence[float]) -> str:
    if not values:
        return words.UNKNOWN
    middle = write(sum(values) / len(values))
    return f"{middle} ({write(min(values))} to {write(max(values))})" if len(values) > 1 else middle


def groups(results: Sequence[Result]) -> list[Group]:
    """Best first by the mean of the primary score; those without one last, in the experiment's order."""
    found: dict[str, list[Result]] = defaultdict(list)
    for result in results:
        found[without_seed(result.variant)].append(result)
    made = [Group(name, members) for name, members in found.items()]
    return sorted(made, key=lambda group: -group.rank)


def seed_of(result: Result) -> object:
    return result.variant.spec.get("settings", {}).get("seed")
