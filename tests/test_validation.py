"""The rules that tests/examples don't show one by one, and that no document makes validation itself fail."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from piste import recipe, shape
from piste.documents import Parsed, parse
from piste.environment import Environment, Runtime, Settings
from piste.resources import schema
from piste.sources import Known, Source
from piste.templates import columns, selected
from piste.validation import check_experiment, check_suite

EXPERIMENT: dict[str, Any] = {
    "schema": "experiment/v1",
    "title": "Notes",
    "question": "Why?",
    "tags": ["lora"],
    "train": {
        "recipe": "recipe.yaml",
        "runtime": "cpu",
        "gpus": 1,
        "inputs": {"base-model": "@MODELS/small"},
        "files": ["train.py"],
        "seeds": [1, 2],
        "matrix": {"optimizer.learning_rate": [0.001, 0.0003]},
    },
    "evaluate": {"suite": "notes"},
    "compare": "other",
    "compute": {"pool": "cpu", "timeout": "2h", "retries": 1, "max_credits": 5},
}
RECIPE: dict[str, Any] = {
    "type": "sft",
    "code": "train.py",
    "model": {"name_or_path": "./inputs/base-model"},
    "data": {
        "sources": [
            {
                "type": "snowflake_messages",
                "sql": "SELECT ID, DIALOGUE, NOTE FROM NOTES",
                "key": "ID",
                "messages": {"user": "{DIALOGUE}", "assistant": "{NOTE}"},
            }
        ]
    },
    "optimizer": {"learning_rate": 0.001},
}
SUITE: dict[str, Any] = {
    "schema": "suite/v1",
    "title": "Notes",
    "data": {"sql": "SELECT ID, DIALOGUE, NOTE FROM NOTES", "key": "ID"},
    "prompt": {"system": "As JSON.", "user": "{DIALOGUE}"},
    "generate": {"max_new_tokens": 10, "temperature": 0},
    "reference": "{NOTE}",
    "scores": [{"name": "json_fields", "fields": ["S"]}, {"name": "rouge_l"}],
    "primary": "rouge_l",
}
OTHER = {
    "schema": "experiment/v1",
    "title": "Base",
    "train": {"inputs": {"base-model": "@M/x"}},
    "evaluate": {"suite": "notes"},
}
SETTINGS = Settings(
    environment="dev",
    environments={"dev": Environment("dev", "D", "S", pools={"cpu": "CPU"})},
    runtimes={"cpu": Runtime("cpu", "cpu.txt")},
)
WEIRD: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 10**18, "", "x", "../x", "a\nb", "é" * 500, [], [[]], [None], [{}], {}, {"x": {}}, {"": 1},
)  # fmt: skip


def parsed(document: Any, name: str = "a.yaml") -> Parsed:
    return Parsed(name, document)


def problems(experiment: Any = EXPERIMENT, recipe_: Any = RECIPE, suite: Any = SUITE) -> list[tuple[str, str]]:
    source = Source("mine", parsed(experiment, "experiment.yaml"), parsed(recipe_, "recipe.yaml"), ("train.py",))
    known = Known(SETTINGS, {"notes": parsed(suite)}, {"mine": source, "other": Source("other", parsed(OTHER))})
    found = [*check_experiment(source, known), *check_suite(parsed(suite, "suite.yaml"), known)]
    assert all(problem.message and problem.hint for problem in found), found
    return [(problem.file, problem.path) for problem in found]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, child in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(child, (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(document)
    target = changed
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return changed


def test_the_documents_of_this_module_are_right() -> None:
    assert problems() == []


@pytest.mark.parametrize("weird", WEIRD, ids=repr)
def test_no_value_anywhere_makes_validation_fail(weird: Any) -> None:
    said = 0
    for path in places(EXPERIMENT):
        said += bool(problems(experiment=changed(EXPERIMENT, path, weird)))
    for path in places(RECIPE):
        said += bool(problems(recipe_=changed(RECIPE, path, weird)))
    for path in places(SUITE):
        said += bool(problems(suite=changed(SUITE, path, weird)))
    assert said > 20


def test_no_missing_key_makes_validation_fail() -> None:
    for path in places(EXPERIMENT):
        without = changed(EXPERIMENT, path, None)
        target = without
        for key in path[:-1]:
            target = target[key]
        del target[path[-1]]
        problems(experiment=without)


def test_one_mistake_is_one_problem() -> None:
    assert problems(changed(EXPERIMENT, ("train", "runtime"), 5)) == [("experiment.yaml", "train.runtime")]
    assert problems(changed(EXPERIMENT, ("evaluate", "suite"), "")) == [("experiment.yaml", "evaluate.suite")]
    wrong_score = problems(suite=changed(SUITE, ("scores", 1, "name"), "bleu"))
    assert wrong_score == [("suite.yaml", "scores[1].name"), ("suite.yaml", "primary")]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("train", "runtime"), "cpu\n"), (("train", "inputs", "base-model"), "@M/../x"),
        (("train", "inputs", "base-model"), "@M/x\n"),
        (("train", "inputs", "base-model"), "@M/a b"), (("train", "inputs", "base-model"), "snow://dataset/x"),
        (("compute", "timeout"), "0h"), (("compute", "timeout"), "h"), (("compute", "timeout"), "30m1h"),
        (("compute", "timeout"), "2h\n"),
        (("tags",), ["a"] * 2), (("tags",), ["A"]), (("train", "seeds"), [-1]), (("train", "gpus"), True),
        (("compare",), "mine"), (("compare",), "other/"), (("compare",), "other/x"), (("compare",), "mine/seed=1"),
    ],
)  # fmt: skip
def test_values_that_are_refused(path: tuple[str, ...], value: Any) -> None:
    where = ".".join(path)
    assert [place for _, place in problems(changed(EXPERIMENT, path, value)) if place.startswith(where)]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("train", "inputs", "base-model"), "@DB.S.MODELS/a/b-1.0"), (("train", "inputs", "base-model"), "@M"),
        (("compute", "timeout"), "90m"), (("compute", "timeout"), "1h30m"), (("compute", "max_credits"), 0.5),
        (("compare",), "other"), (("compare",), ""), (("train", "gpus"), 8), (("conclusion",), "Yes."),
        (("train", "matrix", "model.name_or_path"), ["./inputs/base-model", "a b"]),
    ],
)  # fmt: skip
def test_values_that_are_fine(path: tuple[str, ...], value: Any) -> None:
    assert problems(changed(EXPERIMENT, path, value)) == []


@pytest.mark.parametrize(
    ("path", "own", "value", "fine"),
    [
        ("optimizer.learning_rate", 0.001, 1, True), ("optimizer.learning_rate", 0.001, "fast", False),
        ("optimizer.learning_rate", 0.001, True, False), ("train_iters", 1000, "1.5k", True),
        ("train_iters", "1.5k", 1000, True), ("deepspeed.zero", 1, "auto", True), ("model.dtype", "bf16", "fp32", True),
        ("model.init", True, "gaussian", True), ("model.targets", "all-linear", ["q"], True),
    ],
)  # fmt: skip
def test_types_of_values_in_a_matrix(path: str, own: Any, value: Any, fine: bool) -> None:
    experiment = changed(EXPERIMENT, ("train", "matrix"), {path: [value]})
    document: Any = {key: part for key, part in RECIPE.items() if key != "code"}
    head, _, last = path.partition(".")
    document |= {head: {**document.get(head, {}), last: own}} if last else {head: own}
    found = [place for file, place in problems(experiment, document) if file == "experiment.yaml"]
    assert found == ([] if fine else [f"train.matrix.{path}[0]"])


@pytest.mark.parametrize(
    ("model", "inputs", "severity"),
    [
        ("./inputs/base-model", ["base-model", "other"], []), ("inputs/small", ["small"], []), ("project", [], []),
        ("./inputs/small/deep", ["small"], []), ("org/small", ["base-model"], ["warning"]), ("small", [], ["warning"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("adapter", [False, True])
def test_where_a_model_comes_from(model: str, inputs: list[str], severity: list[str], adapter: bool) -> None:
    document = {**RECIPE, "model": {"name_or_path": model, **({"peft_config": {"r": 8}} if adapter else {})}}
    found = recipe.check(parsed(document), ("train.py", "project/config.json"), dict.fromkeys(inputs, "@M"))
    assert [problem.severity for problem in found] == (["error"] if adapter and not inputs else severity)


def test_at_most_256_variants() -> None:
    for count, said in ((256, []), (257, [("experiment.yaml", "train.matrix")])):
        train = EXPERIMENT["train"] | {"seeds": [1], "matrix": {"optimizer.learning_rate": list(range(count))}}
        assert problems(EXPERIMENT | {"train": train}) == said


def test_names_that_one_disk_can_not_tell_apart() -> None:
    matrix = {"model.name_or_path": ["a/b", "A-B"]}
    assert problems(changed(EXPERIMENT, ("train", "matrix"), matrix))[0] == ("experiment.yaml", "train.matrix")


def test_every_keyword_of_the_schemas_is_explained() -> None:
    said = {"type", "properties", "items", "propertyNames", "default", "additionalProperties", *shape._EXPLAIN}
    annotations = {"$schema", "title", "description", "examples", "writeOnly", "x-change", "x-form"}

    def keywords(node: dict[str, Any]) -> Iterator[str]:
        yield from node
        below = (node.get(key) for key in ("items", "additionalProperties", "propertyNames"))
        children = [*node.get("properties", {}).values(), *below]
        for child in children:
            if isinstance(child, dict):
                yield from keywords(child)

    for name in ("experiment", "suite", "settings"):
        assert set(keywords(schema(name))) - annotations <= said


def test_suggestions_for_recipe_keys() -> None:
    text = b"type: sft\nmodel: {name_or_path: ./inputs/x}\ndata: {sources: [x]}\noptimzer: {}\nzzz: 1\n"
    found = list(recipe.check(parse(text, "recipe.yaml", recipe=True), (), {"x": "@M"}))
    assert [(problem.line, problem.path, problem.hint.split("?")[0]) for problem in found] == [
        (4, "optimzer", "Did you mean optimizer"),
        (5, "zzz", "Its documentation lists the keys there are."),
    ]


def test_templates() -> None:
    assert columns('{A} {"S": {"a": "text"}} {b_2} {A} {} {1} { C }') == ["A", "b_2"]


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT ID, n.DIALOGUE, Note note FROM T n", ["ID", "DIALOGUE", "NOTE"]),
        ('select distinct a as "b", "C d" from t', ["b", "C d"]),
        ("SELECT\n  ID,\n  NOTE\nFROM T", ["ID", "NOTE"]),
        ("SELECT * FROM T", None),
        ("SELECT UPPER(A) FROM T", None),
        ("SELECT A || 'x, y' FROM T", None),
        ("SELECT A -- B\nFROM T", None),
        ("WITH X AS (SELECT 1) SELECT A FROM X", None),
        ("", None),
    ],
)
def test_columns_of_a_query(sql: str, names: list[str] | None) -> None:
    assert selected(sql) == names
