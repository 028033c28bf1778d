"""Two results against each other: what is known of the difference, and how surely."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from piste import observed, repository, statistics
from piste.errors import PisteError
from piste.experiment import TEST, Variant
from piste.journeys.judging import samples
from piste.journeys.reading import Desired
from piste.measures import groups_of, in_all, without_seed
from piste.plan import evaluated_otherwise
from piste.problems import listed
from piste.run import Run, Status
from piste.scores import Better, better
from piste.scores import minimum as of_interest

if TYPE_CHECKING:
    from piste.snowflake import Account


def compare_files(a: Path, b: Path, minimum: float = 0.0) -> dict[str, dict[str, Any]]:
    """By score, for those that both files have.

    Raises:
        InvalidInput: a line is no score.
        PisteError: the files have no score in common.
    """
    ours, theirs = (repository.read_scores(path) for path in (a, b))
    names = sorted(ours.values.keys() & theirs.values.keys())
    if not names:
        known = f"{a} has {listed(ours.values)}; {b} has {listed(theirs.values)}."
        raise PisteError("No score is in both files.", known)
    groups = {**theirs.groups, **ours.groups}
    return {
        name: statistics.compare(ours.values[name], theirs.values[name], minimum, groups, better({}, name))
        for name in names
    }


def compare(desired: Desired, account: Account, a: str, b: str, minimum: float = 0.0) -> dict[str, dict[str, Any]]:
    """By score, an experiment (or experiment/variant) against another; over their seeds where they have several.

    Raises:
        PisteError: one of them has no result, stands for several recipes, or was evaluated in another way.
    """
    runs = observed.runs(account.observe())
    sides = _on_one_split(*(_chosen(desired.decided(runs), name) for name in (a, b)))
    _refuse_other_suites(*(side[0] for side in sides))
    found = [[_evaluated(variant, runs) for variant in side] for side in sides]
    judge = sides[0][0].digests.judge
    every = [run for side in found for run in side]
    judge = judge if all(judge in run.judged for run in every) else ""
    scores = samples(account, {run.name: judge for run in every}, desired.variants)
    ours, theirs = ([scores.get(run.name, {}) for run in side] for side in found)
    groups, suite = groups_of(ours[0]), sides[0][0].spec["suite"]
    return {
        name: _compared(
            [run[name] for run in ours],
            [run[name] for run in theirs],
            minimum or of_interest(suite, name),
            groups,
            better(suite, name),
        )
        for name in in_all(*ours, *theirs)
    }


def _compared(
    ours: Sequence[statistics.Values],
    theirs: Sequence[statistics.Values],
    minimum: float,
    groups: Mapping[str, str],
    direction: Better,
) -> dict[str, Any]:
    if len(ours) == len(theirs) == 1:
        return statistics.compare(ours[0], theirs[0], minimum, groups, direction)
    return statistics.over_seeds(ours, theirs, minimum, groups, direction)


def _chosen(desired: Desired, name: str) -> Sequence[Variant]:
    """The variants that a name stands for, if they differ in their seed and split alone; of a matrix its winner."""
    variants = desired.only([name])
    winner = [variant for variant in variants if variant.chosen_from]
    settings = {without_seed(variant) for variant in variants}
    if len(settings) > 1 and not winner:
        titles = listed(dict.fromkeys(variant.title for variant in variants), 6)
        raise PisteError(f"{name} stands for {len(settings)} recipes.", f"Name one of them: {titles}.")
    return winner if len(settings) > 1 else variants


def _on_one_split(ours: Sequence[Variant], theirs: Sequence[Variant]) -> tuple[Sequence[Variant], Sequence[Variant]]:
    """Test, where both are scored on it."""
    common = {one.split for one in ours} & {one.split for one in theirs}
    if not common:
        return ours, theirs
    split = TEST if TEST in common else min(common)
    return [one for one in ours if one.split == split], [one for one in theirs if one.split == split]


def _refuse_other_suites(a: Variant, b: Variant) -> None:
    if a.digests.suite == b.digests.suite:
        return
    raise PisteError(
        f"{a.label} and {b.label} are evaluated in different ways; their scores don't compare.",
        f"Their {evaluated_otherwise(b, a)}.",
    )


def _evaluated(variant: Variant, runs: Iterable[Run]) -> Run:
    same = (variant.digests.training, variant.digests.evaluation)
    done = (run for run in runs if run.evaluation is Status.DONE)
    found = [run for run in done if (run.digests.training, run.digests.evaluation) == same]
    if not found:
        raise PisteError(f"{variant.label} has no result to compare.", f"`piste status {variant.title}` says why.")
    return max(found, key=lambda run: (run.claimed_at, run.name))
