"""Choosing and reporting are kept apart: what is scored on which split, and when a matrix has its winner."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from builders import experiment, run
from piste.choosing import decided
from piste.experiment import TEST, VALIDATION, Experiment, Suite, Variant
from piste.plan import plan
from piste.run import Run, Status
from piste.variants import all_variants, for_trying, variants

RATES = {"optimizer.learning_rate": [0.1, 0.2, 0.3]}
ROWS = "SELECT * FROM NOTES WHERE SPLIT = 'validation'"


def split(name: str, **changes: Any) -> Experiment:
    return experiment(name, **{"suite.data.validation": ROWS, **changes})


def swept(**changes: Any) -> Experiment:
    return split("swept", **{"train.matrix": RATES, **changes})


def scored(variant: Variant, mean: float | None) -> Run:
    scores = {} if mean is None else {"json_valid": {"mean": mean, "n": 10}}
    return run(variant, results={"evaluation": {"status": "done", "scores": scores}})


def winners(of: Experiment, *means: float | None) -> list[tuple[str, int]]:
    asked = variants(of)
    runs = [scored(variant, mean) for variant, mean in zip(asked, means, strict=False)]
    return [(one.name, one.chosen_from) for one in decided([of], asked, runs)[len(asked) :]]


def labels(found: tuple[Variant, ...]) -> list[str]:
    return [one.label for one in found]


def test_a_suite_without_a_validation_split_is_scored_on_what_it_has() -> None:
    (alone,) = variants(experiment())
    assert (alone.split, alone.label) == ("", "notes-lora")


def test_one_recipe_is_scored_on_test_as_if_there_were_no_validation() -> None:
    (alone,) = variants(split("notes-lora"))
    assert alone.split == TEST
    assert alone.digests == variants(experiment("notes-lora"))[0].digests
    assert "validation" not in alone.spec["suite"]["data"]


def test_a_matrix_is_scored_on_validation() -> None:
    every = variants(swept())
    assert {one.split for one in every} == {VALIDATION}
    assert {one.spec["suite"]["data"]["sql"] for one in every} == {ROWS}


def test_seeds_alone_are_nothing_to_choose_from() -> None:
    assert {one.split for one in variants(split("seeds", **{"train.seeds": [1, 2]}))} == {TEST}


def test_what_a_matrix_is_compared_with_is_scored_on_both() -> None:
    found = all_variants([split("base"), swept(compare="base"), split("other")])
    assert [one for one in labels(found) if "swept" not in one] == ["base (test)", "base (validation)", "other (test)"]


def test_what_is_tried_never_sees_the_test_split() -> None:
    found = for_trying([split("base"), split("mine", compare="base"), swept()], ["mine"])
    assert labels(found) == ["base (validation)", "mine (validation)"]


@pytest.mark.parametrize(
    ("means", "winner"),
    [
        ((0.1, 0.9, 0.5), [("learning_rate=0.2", 3)]),
        ((0.5, 0.5, 0.1), [("learning_rate=0.1", 3)]),
        ((None, 0.2, 0.1), [("learning_rate=0.2", 3)]),
        ((0.1, 0.9), []),
        ((), []),
    ],
)
def test_the_best_on_validation_is_scored_on_test(
    means: tuple[float | None, ...], winner: list[tuple[str, int]]
) -> None:
    assert winners(swept(), *means) == winner


def test_a_recipe_wins_with_the_mean_of_its_seeds_and_takes_all_of_them_along() -> None:
    both = swept(**{"train.matrix": {"optimizer.learning_rate": [0.1, 0.2]}, "train.seeds": [1, 2]})
    assert [name for name, _ in winners(both, 0.9, 0.1, 0.6, 0.6)] == [
        "learning_rate=0.2,seed=1",
        "learning_rate=0.2,seed=2",
    ]


def test_a_variant_that_is_blocked_is_out_until_it_is_tried_again() -> None:
    asked = variants(swept())
    failed = run(asked[2], training=Status.FAILED, evaluation=Status.FAILED)
    runs = [scored(asked[0], 0.1), scored(asked[1], 0.9), failed]
    assert labels(decided([swept()], asked, runs))[3:] == ["swept/learning_rate=0.2 (test)"]
    assert labels(decided([swept()], asked, runs, ["swept"]))[3:] == []


def test_the_winner_is_evaluated_and_not_trained_again() -> None:
    asked = variants(swept())
    runs = [scored(variant, mean) for variant, mean in zip(asked, (0.1, 0.9, 0.5), strict=True)]
    action = plan(decided([swept()], asked, runs), runs).actions[-1]
    assert (action.steps, action.reason) == (("generate", "score"), "the best of 3 on validation")


def test_the_primary_score_decides() -> None:
    suite = Suite(
        "notes",
        {**swept().suite.document, "primary": "rouge_l", "scores": [{"name": "json_valid"}, {"name": "rouge_l"}]},
    )
    of = replace(swept(), suite=suite)
    asked = variants(of)
    runs = [scored(variant, 0.9 - 0.1 * place) for place, variant in enumerate(asked)]
    for place, one in enumerate(runs):
        assert one.results is not None
        one.results["evaluation"]["scores"]["rouge_l"] = {"mean": 0.1 * place, "n": 10}
    assert decided([of], asked, runs)[-1].name == "learning_rate=0.3"
