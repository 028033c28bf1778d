"""Checks of `compare`: that it names another experiment, one whose results can be compared."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from piste import matrix
from piste.documents import Parsed
from piste.errors import Problem
from piste.problems import quoted
from piste.sources import Known, Source, choose, matrix_of, section, seeds_of


def check(source: Source, known: Known) -> Iterator[Problem]:
    compare = source.experiment.data.get("compare")
    if not isinstance(compare, str) or not compare:
        return
    other, _, variant = compare.partition("/")
    problem = partial(source.experiment.problem, ("compare",))
    if other == source.name:
        yield problem("This compares the experiment with itself.", "Name another experiment, or remove the key.")
    elif other not in known.experiments:
        others = {*known.experiments} - {source.name}
        yield problem(f"There is no experiment {quoted(other)}.", choose(other, others, "add it"))
    elif cycle := _cycle(source.name, known.experiments):
        message = f"These comparisons go in a circle: {' → '.join(cycle)}."
        yield problem(message, "Let one of them compare with nothing.")
    else:
        yield from _comparable(source, known.experiments[other], variant, known, problem)


def _cycle(start: str, experiments: Mapping[str, Source]) -> list[str]:
    """`start` and what it compares with in turn, if that comes back to `start`."""
    chain = [start]
    while (name := _compared(experiments[chain[-1]])) in experiments and name not in chain:
        chain.append(name)
    return [*chain, start] if name == start else []


def _compared(source: Source) -> str:
    compare = source.experiment.data.get("compare") if isinstance(source.experiment.data, Mapping) else None
    return compare.partition("/")[0] if isinstance(compare, str) else ""


def _comparable(
    source: Source, other: Source, variant: str, known: Known, problem: Callable[[str, str], Problem]
) -> Iterator[Problem]:
    ours, theirs = (str(section(each.experiment.data, "evaluate").get("suite")) for each in (source, other))
    if (
        ours != theirs
        and {ours, theirs} <= known.suites.keys()
        and _task(known.suites[ours]) != _task(known.suites[theirs])
    ):
        message = f"{quoted(other.name)} is evaluated with the suite {quoted(theirs)}, and this with {quoted(ours)}."
        yield problem(message, "Only results of the same suite compare.")
    names = variant_names(other) if variant else None
    if names is not None and variant not in names:
        hint = choose(variant, filter(None, names), "name the experiment alone")
        yield problem(f"{quoted(other.name)} has no variant {quoted(variant)}.", hint)


def _task(suite: Parsed) -> Any:
    return {**suite.data, "title": "", "gates": []} if isinstance(suite.data, Mapping) else None


def variant_names(source: Source) -> list[str] | None:
    """The variants' names, if they can be told."""
    train = section(source.experiment.data, "train")
    paths, seeds = matrix_of(train), seeds_of(train)
    if matrix.size(paths, seeds) > matrix.MAX_VARIANTS:
        return None
    return [name for name, _ in matrix.named(paths, seeds)]
