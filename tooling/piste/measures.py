"""Numbers that the ledger keeps of evaluated runs, so that a report needs no sample.

Means with intervals, comparisons of pairs, and of recipes over their seeds: what is missing, and how it is made. Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from piste import scores, statistics
from piste.experiment import Document, Variant
from piste.gates import for_experiment
from piste.run import Run, Status
from piste.scores import Better

VERSION = 3
"""Of the statistics; rows of an older one are made again."""

GROUP = "_group"
"""In place of a score: the number of the group that a sample belongs to."""

LENGTH = "_length"
"""In place of a score: how many characters the answer has."""

Samples = Mapping[str, Mapping[str, Mapping[str, float]]]
"""By run, score and sample."""


@dataclass(frozen=True)
class Seeds:
    """Runs of one recipe, and of the one that it is compared with, that differ in their seed alone."""

    ours: tuple[Run, ...]
    theirs: tuple[Run, ...]

    @property
    def key(self) -> str:
        return f"{'+'.join(run.name for run in self.ours)}|{'+'.join(run.name for run in self.theirs)}"


@dataclass(frozen=True)
class Missing:
    measured: tuple[Run, ...] = ()
    compared: tuple[tuple[Run, Run], ...] = ()
    pooled: tuple[Seeds, ...] = ()

    @property
    def runs(self) -> tuple[str, ...]:
        """Those whose samples are needed."""
        pairs = (run for pair in self.compared for run in pair)
        seeds = (run for pool in self.pooled for run in (*pool.ours, *pool.theirs))
        return tuple(sorted({run.name for run in (*self.measured, *pairs, *seeds)}))


def missing(desired: Sequence[Variant], runs: Iterable[Run]) -> Missing:
    """Of what git asks for. Runs that were imported have no samples here: their reports tell what there is."""
    known = evaluated(runs)
    asked = {name: run for variant in desired if (run := known.get(identity(variant))) for name in [run.name]}
    unmeasured = (run for run in asked.values() if not run.imported and _version(run.measured) < VERSION)
    pairs = {
        (mine.name, theirs.name): (mine, theirs)
        for variant in desired
        if (mine := known.get(identity(variant)))
        for other in targets(variant, desired)
        if (theirs := known.get((other.digests.training, variant.digests.evaluation)))
        and mine is not theirs
        and not (mine.imported and theirs.name in mine.comparisons)
        and _version(mine.comparisons.get(theirs.name)) < VERSION
    }
    pools = (pool for pool in _pools(desired, known) if _version(pool.ours[0].pooled.get(pool.key)) < VERSION)
    return Missing(tuple(unmeasured), tuple(pairs.values()), tuple(pools))


def records(due: Missing, samples: Samples) -> Iterable[tuple[str, str, dict[str, Any]]]:
    """Ledger rows: the run, the kind of row and what it says."""
    for run in due.measured:
        yield run.name, "measured", measured(samples.get(run.name, {}))
    for run, other in due.compared:
        yield run.name, "compared", _compared(run, other, samples)
    for pool in due.pooled:
        yield pool.ours[0].name, "pooled", _pooled(pool, samples)


def targets(variant: Variant, desired: Iterable[Variant]) -> list[Variant]:
    """The variants that `compare` and gates name, one or all of an experiment, on the same split."""
    gates = for_experiment(variant.experiment, variant.spec["experiment"], variant.spec["suite"])
    return _named(variant, desired, {_compare(variant), *(gate.other for gate in gates)})


def compared(variant: Variant, desired: Iterable[Variant]) -> list[Variant]:
    """Of these, those that `compare` names."""
    return _named(variant, desired, {_compare(variant)})


def _compare(variant: Variant) -> str:
    return str(variant.spec["experiment"].get("compare") or "")


def _named(variant: Variant, desired: Iterable[Variant], names: set[str]) -> list[Variant]:
    return [other for other in desired if names & {other.title, other.experiment} and other.split == variant.split]


def without_seed(variant: Variant) -> str:
    """A variant's name without its seed: its recipe."""
    seed = variant.spec.get("settings", {}).get("seed")
    return variant.name if seed is None else variant.name.removesuffix(f"seed={seed}").rstrip(",")


def recipes(variants: Iterable[Variant]) -> dict[tuple[str, str, str], list[Variant]]:
    """Variants that differ in their seed alone, by `recipe_of`."""
    found: dict[tuple[str, str, str], list[Variant]] = defaultdict(list)
    for variant in variants:
        found[recipe_of(variant)].append(variant)
    return dict(found)


def recipe_of(variant: Variant) -> tuple[str, str, str]:
    """What its seeds have in common: the experiment, the name without the seed, and the split."""
    return variant.experiment, without_seed(variant), variant.split


def seeds_key(ours: Iterable[Run], theirs: Iterable[Run]) -> str:
    """The name under which the comparison of these runs is kept, whatever their order."""
    return Seeds(*(tuple(sorted(side, key=lambda run: run.name)) for side in (ours, theirs))).key


def evaluated(runs: Iterable[Run]) -> dict[tuple[str, str], Run]:
    """The latest run of each identity that is evaluated."""
    found = {}
    for run in sorted(runs, key=lambda run: (run.claimed_at, run.name)):
        if run.evaluation is Status.DONE:
            found[run.digests.training, run.digests.evaluation] = run
    return found


def identity(variant: Variant) -> tuple[str, str]:
    """What a run has in common with a variant whose result it is, whoever judges."""
    return variant.digests.training, variant.digests.evaluation


def rank_of(run: Run, suite: Document, score: str) -> float:
    """By the mean of a score: the greater the better, below every number where the run has none."""
    return scores.rank(suite, score, run.scores.get(score, {}).get("mean"))


def best_recipe(variants: Iterable[Variant], rank: Callable[[Variant], float | None]) -> Sequence[Variant]:
    """All seeds of the recipe with the best mean rank over those that have one; of equals, the first."""

    def mean(same: Sequence[Variant]) -> float:
        ranks = [found for one in same if (found := rank(one)) is not None]
        return sum(ranks) / len(ranks) if ranks else float("-inf")

    return max(recipes(variants).values(), key=mean, default=())


def _pools(desired: Sequence[Variant], known: Mapping[tuple[str, str], Run]) -> Iterable[Seeds]:
    """Where at least one side has two seeds or more, and no run is its own comparison."""
    for ours in recipes(desired).values():
        for theirs in recipes(targets(ours[0], desired)).values():
            suite = ours[0].digests.evaluation
            sides = ([known.get((one.digests.training, suite)) for one in side] for side in (ours, theirs))
            mine, other = (sorted({run.name: run for run in side if run}.items()) for side in sides)
            if (
                mine
                and other
                and len(mine) + len(other) > 2
                and not {name for name, _ in mine} & {name for name, _ in other}
            ):
                pool = Seeds(tuple(run for _, run in mine), tuple(run for _, run in other))
                if not any(run.imported for run in (*pool.ours, *pool.theirs)):
                    yield pool


def _version(body: Mapping[str, Any] | None) -> int:
    return int((body or {}).get("version") or 0)


def groups_of(of_run: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """The group of each sample; empty where the suite names none."""
    return {sample: str(value) for sample, value in of_run.get(GROUP, {}).items()}


def in_all(*of_runs: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The scores that all of them have."""
    return sorted(scores.of_samples(set.intersection(*(set(of_run) for of_run in of_runs))))


def measured(of_run: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """The row that says a run's means with their intervals."""
    groups = groups_of(of_run)
    length = {"length": statistics.mean(of_run[LENGTH], groups)} if LENGTH in of_run else {}
    return {
        "version": VERSION,
        "scores": {name: statistics.mean(of_run[name], groups) for name in in_all(of_run)},
        **length,
    }


def _compared(run: Run, other: Run, samples: Samples) -> dict[str, Any]:
    mine, theirs = (samples.get(one.name, {}) for one in (run, other))
    groups, suite = groups_of(mine), run.spec["suite"]
    found = {
        name: statistics.compare(mine[name], theirs[name], groups=groups, better=scores.better(suite, name))
        for name in in_all(mine, theirs)
    }
    named = {"other": other.name, "run": other.name, "experiment": other.experiment, "variant": other.variant}
    return {**named, "version": VERSION, "scores": found, **_lengths(mine, theirs, groups)}


def _lengths(
    mine: Mapping[str, Mapping[str, float]], theirs: Mapping[str, Mapping[str, float]], groups: Mapping[str, str]
) -> dict[str, Any]:
    """Beside every result: what is longer often scores otherwise, for no other reason."""
    if LENGTH not in mine or LENGTH not in theirs:
        return {}
    return {"length": statistics.compare(mine[LENGTH], theirs[LENGTH], groups=groups, better=Better.NEITHER)}


def _pooled(pool: Seeds, samples: Samples) -> dict[str, Any]:
    ours, theirs = ([samples.get(run.name, {}) for run in side] for side in (pool.ours, pool.theirs))
    groups, suite = groups_of(ours[0]), pool.ours[0].spec["suite"]
    found = {
        name: statistics.over_seeds(
            [run[name] for run in ours], [run[name] for run in theirs], groups=groups, better=scores.better(suite, name)
        )
        for name in in_all(*ours, *theirs)
    }
    return {"other": pool.key, "version": VERSION, "scores": found}
