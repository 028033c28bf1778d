"""Checks of `gates` and `waivers`: that they name what there is, and that a waiver ends on a day of the calendar."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from piste.comparisons import variant_names
from piste.documents import Parsed
from piste.errors import Problem
from piste.gates import Gate, Rule, for_experiment, read
from piste.problems import Path, listed, quoted
from piste.scores import Better, better, label
from piste.sources import Known, Source, choose, section

Entries = list[tuple[int, Mapping[str, Any]]]


def check(source: Source, known: Known) -> Iterator[Problem]:
    """Of an experiment's own gates, and its waivers of them and of the suite's."""
    experiment = source.experiment
    if not experiment.data.get("gates") and not experiment.data.get("waivers"):
        return
    suite = known.suites.get(str(section(experiment.data, "evaluate").get("suite")))
    above = suite.data if suite is not None and isinstance(suite.data, Mapping) else {}
    yield from _gates(experiment, above, known, source.name)
    yield from _twice(experiment, [gate.name for _, gate in _named(above)])
    own, suites = ({"gates": [entry for _, entry in _valid(part)]} for part in (experiment.data, above))
    names = [gate.name for gate in for_experiment(source.name, own, suites)]
    yield from _waivers(experiment, names)


def check_suite(suite: Parsed, known: Known) -> Iterator[Problem]:
    yield from _gates(suite, suite.data, known, "")
    yield from _twice(suite, [])


def _entries(document: Mapping[str, Any], key: str) -> Entries:
    entries = document.get(key)
    entries = entries if isinstance(entries, list) else []
    return [(index, entry) for index, entry in enumerate(entries) if isinstance(entry, Mapping)]


def _valid(document: Mapping[str, Any]) -> Entries:
    """Those that the schema has nothing against."""
    return [(index, entry) for index, entry in _entries(document, "gates") if _sound(entry)]


def _sound(entry: Mapping[str, Any]) -> bool:
    asked = [(rule, entry[rule]) for rule in Rule if rule in entry]
    return isinstance(entry.get("score"), str) and all(
        isinstance(section(entry, rule).get("experiment"), str)
        if rule in (Rule.NO_WORSE_THAN, Rule.BETTER_THAN)
        else isinstance(value, int | float)
        for rule, value in asked
    )


def _named(document: Mapping[str, Any]) -> list[tuple[int, Gate]]:
    return [(index, gate) for index, entry in _valid(document) for gate in read(entry)]


def _gates(parsed: Parsed, suite: Mapping[str, Any], known: Known, name: str) -> Iterator[Problem]:
    scores = [score for _, score in _entries(suite, "scores") if isinstance(score.get("name"), str)]
    known_scores = [label(score) for score in scores]
    for index, entry in _entries(parsed.data, "gates"):
        score, rules = entry.get("score"), [rule for rule in Rule if rule in entry]
        if isinstance(score, str) and known_scores and score not in known_scores:
            hint = choose(score, known_scores, "add it to the suite's scores")
            yield parsed.problem(("gates", index, "score"), f"{quoted(score)} is not a score of the suite.", hint)
        differs = next((rule for rule in rules if rule in (Rule.NO_WORSE_THAN, Rule.BETTER_THAN)), None)
        if differs and score in known_scores and better({"scores": scores}, str(score)) is Better.NEITHER:
            message = f"{quoted(score)} is neither better nor worse in any direction."
            yield parsed.problem(("gates", index, differs.value), message, "Write at_least or at_most with a bound.")
        if len(rules) != 1:
            has = f"has {len(rules)} rules: {listed(rules)}" if rules else "has no rule"
            hint = f"Write one of {listed(Rule)}."
            yield parsed.problem(("gates", index), f"This gate {has}.", hint)
        for rule in rules:
            other = section(entry, rule).get("experiment")
            if isinstance(other, str):
                yield from _other(parsed, ("gates", index, rule.value, "experiment"), other, known, name)


def _other(parsed: Parsed, place: Path, other: str, known: Known, name: str) -> Iterator[Problem]:
    named, _, variant = other.partition("/")
    if named == name:
        message = "This measures the experiment against itself."
        yield parsed.problem(place, message, "Name another experiment, or give a bound with at_least.")
    elif named not in known.experiments:
        hint = choose(named, {*known.experiments} - {name}, "add it")
        yield parsed.problem(place, f"There is no experiment {quoted(named)}.", hint)
    elif variant and (names := variant_names(known.experiments[named])) is not None and variant not in names:
        hint = choose(variant, filter(None, names), "name the experiment alone")
        yield parsed.problem(place, f"{quoted(named)} has no variant {quoted(variant)}.", hint)


def _twice(parsed: Parsed, above: list[str]) -> Iterator[Problem]:
    """A gate that its suite or an entry before it has already: a waiver could not tell them apart."""
    before: list[str] = []
    for index, gate in _named(parsed.data):
        if gate.name in above:
            yield parsed.problem(("gates", index), f"The suite has the gate {quoted(gate.name)} already.", "Remove it.")
        elif gate.name in before:
            message = f"The gate {quoted(gate.name)} is in this list already."
            yield parsed.problem(("gates", index), message, "Keep one of them.")
        before.append(gate.name)


def _waivers(experiment: Parsed, names: list[str]) -> Iterator[Problem]:
    before: list[str] = []
    for index, waiver in _entries(experiment.data, "waivers"):
        gate, until = waiver.get("gate"), waiver.get("until")
        if isinstance(gate, str) and gate not in names:
            hint = choose(gate, names, "remove the waiver")
            message = f"Neither this experiment nor its suite has a gate {quoted(gate)}."
            yield experiment.problem(("waivers", index, "gate"), message, hint)
        elif gate in before:
            yield experiment.problem(("waivers", index, "gate"), "This gate is waived already.", "Keep one of them.")
        before.append(str(gate))
        if isinstance(until, str) and not _is_day(until):
            message = f"{quoted(until)} is not a day of the calendar."
            yield experiment.problem(("waivers", index, "until"), message, "Write e.g.  until: 2026-12-31")


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
