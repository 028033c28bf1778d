"""Matrix and seeds to variants."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from piste.experiment import Experiment, Suite
from piste.matrix import exists, expand, named, size

RECIPE: dict[str, Any] = {
    "optimizer": {"learning_rate": 0.001, "weight_decay": 0.0},
    "scheduler": {"learning_rate": 1},
    "model": {"peft_config": {"target_modules": ["q_proj"], "r": 16}, "seed": 7},
    "data": {"sources": [{"sql": "a"}, {"sql": "b"}]},
}


def experiment(**train: Any) -> Experiment:
    return Experiment("x", {"train": {"recipe": "recipe.yaml", **train}}, RECIPE, Suite("s", {}))


def names(**train: Any) -> list[str]:
    return [point.name for point in expand(experiment(**train))]


def test_without_matrix_and_seeds_there_is_one_with_no_name() -> None:
    assert expand(experiment()) == (("", {}, RECIPE),)


def test_a_baseline_has_one_without_recipe() -> None:
    assert expand(Experiment("x", {"train": {"inputs": {}}}, None, Suite("s", {}))) == (("", {}, None),)


def test_matrix_times_seeds() -> None:
    points = expand(experiment(matrix={"optimizer.learning_rate": [1e-3, 3e-4]}, seeds=[1, 2]))
    assert [point.name for point in points] == [
        "learning_rate=0.001,seed=1", "learning_rate=0.001,seed=2",
        "learning_rate=0.0003,seed=1", "learning_rate=0.0003,seed=2",
    ]  # fmt: skip
    assert points[3].settings == {"optimizer.learning_rate": 3e-4, "seed": 2, "data.seed": 2}
    assert points[3].recipe == {
        **RECIPE,
        "optimizer": {"learning_rate": 3e-4, "weight_decay": 0.0},
        "seed": 2,
        "data": {**RECIPE["data"], "seed": 2},
    }


def test_the_recipe_itself_stays_as_it_is() -> None:
    before = copy.deepcopy(RECIPE)
    expand(experiment(matrix={"data.sources.1.sql": ["c"], "model.peft_config.r": [8]}, seeds=[1]))
    assert before == RECIPE


def test_values_inside_lists_can_be_set() -> None:
    (point,) = expand(experiment(matrix={"data.sources.1.sql": ["c"]}))
    assert (point.name, point.recipe["data"]["sources"]) == ("sql=c", [{"sql": "a"}, {"sql": "c"}])  # type: ignore[index]


def test_names_do_not_depend_on_the_order_of_keys() -> None:
    one = {"optimizer.learning_rate": [1], "model.peft_config.r": [8]}
    assert names(matrix=one) == names(matrix=dict(reversed(one.items()))) == ["r=8,learning_rate=1"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (float("1e-3"), "0.001"), (1e-5, "1e-05"), (3.0, "3"), (1e20, "1e+20"), (-0.5, "-0.5"), (True, "true"),
        (1_000_000, "1000000"), ("cosine", "cosine"), ("a b/c:d", "a-b-c-d"), ("é", "-"), (["q", "v"], "q+v"),
        ("1.5k", "1.5k"),
    ],
)  # fmt: skip
def test_values_in_names(value: Any, shown: str) -> None:
    assert names(matrix={"optimizer.learning_rate": [value]}) == [f"learning_rate={shown}"]


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (["optimizer.learning_rate", "scheduler.learning_rate"], "optimizer.learning_rate=1,scheduler.learning_rate=1"),
        (["a.b.c", "x.b.c", "a.c"], "a.b.c=1,a.c=1,x.b.c=1"),
        (["c", "a.c"], "a.c=1,c=1"),
        (["a.bc", "a.c"], "bc=1,c=1"),
    ],
)
def test_paths_that_end_alike_are_named_longer(paths: list[str], labels: str) -> None:
    assert [name for name, _ in named({path: [1] for path in paths}, ())] == [labels]


def test_a_path_that_ends_in_seed_is_told_from_the_seed() -> None:
    assert names(matrix={"model.seed": [5]}, seeds=[1]) == ["model.seed=5,seed=1"]
    assert names(matrix={"model.seed": [5]}) == ["seed=5"]


def test_size_is_known_without_expanding() -> None:
    assert size({str(number): range(1000) for number in range(10)}, range(1000)) == 10**33
    assert size({}, ()) == 1


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("optimizer.learning_rate", True), ("data.sources.1.sql", True), ("data.sources", True),
        ("data.sources.2", False),
        ("data.sources.-1", False), ("optimizer.lr", False), ("optimizer.learning_rate.x", False), ("", False),
        ("optimizer.", False),
    ],
)  # fmt: skip
def test_paths_of_a_recipe(path: str, there: bool) -> None:
    assert exists(RECIPE, path) is there
