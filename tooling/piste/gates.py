"""Gates: what a result must surely be before it is taken further, judged on 95% intervals; and their waivers.

A gate passes when the whole interval is on the good side, and fails when the whole of it is on the bad side. Pure: that
a waiver has expired is said only to whoever brings the day.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from piste.experiment import Document, Experiment
from piste.scores import Better, better
from piste.statistics import CONFIDENCE, needed

Found = Mapping[str, Any]
"""What `statistics.mean`, `compare` or `over_seeds` found."""


class Rule(StrEnum):
    AT_LEAST = "at_least"
    AT_MOST = "at_most"
    NO_WORSE_THAN = "no_worse_than"
    BETTER_THAN = "better_than"


class State(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"
    MISSING = "missing"
    INCOMPARABLE = "incomparable"
    WAIVED = "waived"


WAIVABLE = (State.FAILED, State.UNDECIDED, State.MISSING)
WORST_FIRST = (State.FAILED, State.INCOMPARABLE, State.MISSING, State.UNDECIDED, State.WAIVED, State.PASSED)


@dataclass(frozen=True)
class Gate:
    """`bound` is of a mean, or the margin of a difference to `other`, an experiment or experiment/variant.

    `lower` says that less of the score is better, as of a loss.
    """

    score: str
    rule: Rule
    bound: float = 0.0
    other: str = ""
    lower: bool = False

    @property
    def name(self) -> str:
        """As waivers write it; without the bound, which may be mended while it is waived."""
        return f"{self.score} {self.rule} {self.other}".rstrip()

    @property
    def sign(self) -> int:
        """-1 where the good side is that of lower values."""
        return -1 if self.rule is Rule.AT_MOST or (self.other and self.lower) else 1

    @property
    def threshold(self) -> float:
        return -self.sign * self.bound if self.rule is Rule.NO_WORSE_THAN else self.bound


@dataclass(frozen=True)
class Waiver:
    """`until` is the last day on which it counts, in UTC: YYYY-MM-DD."""

    gate: str
    owner: str
    until: str
    reason: str

    def expired(self, today: str) -> bool:
        return self.until < today


@dataclass(frozen=True)
class Outcome:
    """How a result stands to a gate: its number with the interval, or in `reason` why there is nothing to decide by.

    `needed` is how many samples would settle an undecided one, or how many seeds if `seeds`.
    """

    gate: Gate
    state: State
    value: float | None = None
    low: float | None = None
    high: float | None = None
    needed: int | None = None
    seeds: bool = False
    reason: str = ""
    waiver: Waiver | None = None

    @property
    def waived(self) -> Waiver | None:
        """What lets it pass although it has not, if that has not expired."""
        return self.waiver if self.state in WAIVABLE else None


@dataclass(frozen=True)
class Checked:
    """An outcome on a day: `state` is what it comes to with its waiver, or without one that has expired."""

    outcome: Outcome
    state: State
    expired: bool


def gates_of(experiment: Experiment) -> list[Gate]:
    """The suite's and its own. A suite's gate that names this experiment is not for it."""
    return for_experiment(experiment.name, experiment.document, experiment.suite.document)


def for_experiment(name: str, document: Document, suite: Document) -> list[Gate]:
    found = [gate for part in (suite, document) for entry in part.get("gates") or () for gate in read(entry)]
    others = (gate for gate in found if gate.other.partition("/")[0] != name)
    return [replace(gate, lower=better(suite, gate.score) is Better.LOWER) for gate in others]


def read(entry: Document) -> list[Gate]:
    """One for each rule of an entry; a valid one has one rule."""
    return [_gate(str(entry["score"]), rule, entry[rule]) for rule in Rule if rule in entry]


def _gate(score: str, rule: Rule, asked: Any) -> Gate:
    if isinstance(asked, Mapping):
        return Gate(score, rule, float(asked.get("margin") or 0.0), str(asked["experiment"]))
    return Gate(score, rule, float(asked))


def waivers_of(experiment: Experiment) -> dict[str, Waiver]:
    """By the gate's name."""
    keys = ("gate", "owner", "until", "reason")
    found = (Waiver(*(str(entry[key]) for key in keys)) for entry in experiment.document.get("waivers") or ())
    return {waiver.gate: waiver for waiver in found}


def judge(gate: Gate, found: Iterable[Found]) -> Outcome:
    """By what was found of each seed, or over all of them; of several the worst counts."""
    outcomes = [_judged(gate, one) for one in found]
    return min(outcomes, key=lambda one: (WORST_FIRST.index(one.state), gate.sign * (one.value or 0.0)))


def _judged(gate: Gate, found: Found) -> Outcome:
    value = found["difference"] if gate.other else found["mean"]
    low, high = found["low"], found["high"]
    known = Outcome(gate, State.UNDECIDED, value, low, high)
    if low is None or high is None:
        return replace(known, reason=str(found["method"]))
    if _good(gate, low) and _good(gate, high):
        return replace(known, state=State.PASSED)
    if not _good(gate, low) and not _good(gate, high):
        return replace(known, state=State.FAILED)
    return replace(known, needed=_needed(gate, value, found), seeds="seeds" in found)


def _good(gate: Gate, value: float) -> bool:
    beyond = gate.sign * (value - gate.threshold)
    return beyond > 0 if gate.rule is Rule.BETTER_THAN else beyond >= 0


def _needed(gate: Gate, value: float, found: Found) -> int | None:
    there = found["seeds"][0] if "seeds" in found else found["n"]
    return needed(abs(value - gate.threshold), found.get("spread") or _spread(found), there)


def _spread(found: Found) -> float:
    """The standard deviation of independent samples that would give the same interval."""
    from scipy import stats

    half = float(found["high"] - found["low"]) / 2
    return half / float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * math.sqrt(found["n"])


def check(outcomes: Iterable[Outcome], today: str) -> tuple[Checked, ...]:
    return tuple(_checked(outcome, today) for outcome in outcomes)


def _checked(outcome: Outcome, today: str) -> Checked:
    waiver = outcome.waived
    expired = waiver is not None and waiver.expired(today)
    return Checked(outcome, State.WAIVED if waiver and not expired else outcome.state, expired)


def exit_code(found: Iterable[Checked]) -> int:
    """4 where a gate has failed, 3 where one can't be told to pass, else 0."""
    states = {one.state for one in found}
    if State.FAILED in states:
        return 4
    return 3 if states - {State.PASSED, State.WAIVED} else 0


def counted(found: Iterable[Checked]) -> str:
    """`1 failed, 2 passed, 1 waived`, as of the day of the check, the worst first."""
    states = Counter(one.state for one in found)
    return ", ".join(f"{states[state]} {state}" for state in WORST_FIRST if states[state])
