"""The winner of a matrix: judged on validation, then scored on the test split. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from piste.experiment import TEST, VALIDATION, Experiment, Variant, primary_score
from piste.plan import Action, Verb, plan
from piste.run import Run
from piste.variants import chooses, has_splits, variants

UNDECIDED = (Verb.TRAIN, Verb.EVALUATE, Verb.WAIT)


def decided(
    experiments: Iterable[Experiment], asked: Sequence[Variant], runs: Iterable[Run], retry: Collection[str] = ()
) -> tuple[Variant, ...]:
    """`asked`, and of each matrix whose every variant has been judged on validation the winner on test.

    A variant that is blocked is out, until somebody has it tried again.
    """
    choosing = {one.name: one for one in experiments if has_splits(one) and chooses(one)}
    candidates = [one for one in asked if one.experiment in choosing and one.split == VALIDATION]
    if not candidates:
        return tuple(asked)
    found = list(asked)
    judged: dict[str, list[Action]] = defaultdict(list)
    for action in plan(candidates, runs, retry).actions:
        judged[action.variant.experiment].append(action)
    for name, experiment in choosing.items():
        found += _winner(experiment, judged[name])
    return tuple(found)


def _winner(experiment: Experiment, judged: Sequence[Action]) -> list[Variant]:
    """All seeds of the recipe with the best mean of the primary score; of equals, the first."""
    from piste.judged import awaits
    from piste.measures import best_recipe, recipes

    means = {action.variant.name: _rank(action) for action in judged if action.verb is Verb.KEEP}
    if not means or any(action.verb in UNDECIDED or awaits(action.variant, action.run) for action in judged):
        return []
    asked = [action.variant for action in judged]
    best = best_recipe((one for one in asked if one.name in means), lambda one: means[one.name])
    names = {variant.name for variant in best}
    on_test = (one for one in variants(experiment, TEST, aside=True) if one.name in names)
    return [replace(one, chosen_from=len(recipes(asked))) for one in on_test]


def _rank(action: Action) -> float:
    """By the primary score."""
    from piste.judged import seen_by
    from piste.measures import rank_of

    suite = action.variant.spec["suite"]
    known = seen_by(action.run, action.variant.digests.judge) if action.run else None
    return rank_of(known, suite, primary_score(suite)) if known else float("-inf")
