"""The hand-written schemas: every key is described, has an example and a change rule."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from piste import change_rules, recipe, repository
from piste.change_rules import RULES, Kind, defaults, rule_of
from piste.plan import plan
from piste.rendering import plan_json
from piste.report.model import offline_runs
from piste.resources import payload_files, schema
from piste.variants import all_variants

FOLDER = Path(__file__).parents[1] / "schemas"
NAMES = ("experiment", "suite", "report", "plan", "settings", "model")
INPUTS = ("experiment", "suite", "settings")


def nodes(node: dict[str, Any], path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield path, node
    for key, child in node.get("properties", {}).items():
        yield from nodes(child, f"{path}.{key}")
    for key in ("items", "additionalProperties", "propertyNames"):
        if isinstance(node.get(key), dict):
            yield from nodes(node[key], f"{path}.{key}")


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one_and_says_which(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))
    assert schema(name)["title"] == f"{name}/v1"
    assert schema(name) == json.loads((FOLDER / f"{name}.schema.json").read_text())


@pytest.mark.parametrize("name", NAMES)
def test_every_key_is_described(name: str) -> None:
    every = list(nodes(schema(name), name))
    assert len(every) > 10
    lacking = [
        path
        for path, node in every
        if not node.get("description") or not node.get("examples") or node.get("x-change") not in RULES
    ]
    assert lacking == []


@pytest.mark.parametrize("name", NAMES)
def test_examples_and_defaults_are_valid(name: str) -> None:
    for path, node in nodes(schema(name), name):
        for value in [*node["examples"], *([node["default"]] if "default" in node else [])]:
            assert list(Draft202012Validator(node).iter_errors(value)) == [], path


@pytest.mark.parametrize("name", INPUTS)
def test_documents_that_people_write_have_no_unknown_keys(name: str) -> None:
    for path, node in nodes(schema(name), name):
        if "object" in str(node.get("type")):
            closed = node.get("additionalProperties")
            assert closed is False or isinstance(closed, dict), path


@pytest.mark.parametrize("name", INPUTS)
def test_a_pattern_can_be_said_in_words(name: str) -> None:
    patterns = [(path, node) for path, node in nodes(schema(name), name) if "pattern" in node]
    assert patterns
    assert [path for path, node in patterns if not node.get("x-form")] == []


REPORTS = sorted((Path(__file__).parent / "golden/report").rglob("report.json"))


@pytest.mark.parametrize("file", REPORTS, ids=lambda path: path.parent.parent.name)
def test_reports_are_as_their_schema_says(file: Path) -> None:
    problems = Draft202012Validator(schema("report")).iter_errors(json.loads(file.read_text()))
    assert [f"{problem.json_path}: {problem.message}" for problem in problems] == []


def test_plans_are_as_their_schema_says() -> None:
    assert REPORTS
    observed, _ = offline_runs({str(file): file.read_bytes() for file in REPORTS})
    desired = repository.read(Path(__file__).parent / "examples/valid/seeds-and-matrix").experiments
    made = plan(all_variants(desired), observed)
    assert made.submissions
    assert made.orphans
    problems = Draft202012Validator(schema("plan")).iter_errors(json.loads(plan_json(made, "reports")))
    assert [f"{problem.json_path}: {problem.message}" for problem in problems] == []


def test_every_schema_is_tested() -> None:
    assert {path.name.removesuffix(".schema.json") for path in FOLDER.glob("*.schema.json")} >= set(NAMES)


@pytest.mark.parametrize(
    ("kind", "path", "rule"),
    [
        ("experiment", ("title",), "prose"),
        ("experiment", ("tags", 0), "prose"),
        ("experiment", ("schema",), "prose"),
        ("experiment", ("train", "runtime"), "train"),
        ("experiment", ("train", "gpus"), "train"),
        ("experiment", ("train", "inputs", "base-model"), "train"),
        ("experiment", ("train", "matrix", "optimizer.lr", 0), "train"),
        ("experiment", ("train", "recipe"), "placement"),
        ("experiment", ("train", "files", 0), "placement"),
        ("experiment", ("evaluate", "suite"), "report"),
        ("experiment", ("compare",), "report"),
        ("experiment", ("gates", 0, "no_worse_than", "margin"), "report"),
        ("experiment", ("waivers", 0, "until"), "report"),
        ("experiment", ("compute", "pool"), "placement"),
        ("experiment", ("train", "of-another-version"), "train"),
        ("suite", ("title",), "prose"),
        ("suite", ("data", "sql"), "generate"),
        ("suite", ("generate", "max_new_tokens"), "generate"),
        ("suite", ("generate", "batch_size"), "placement"),
        ("suite", ("scores", 3, "fields", 0), "score"),
        ("suite", ("reference",), "score"),
        ("suite", ("primary",), "report"),
        ("suite", ("gates", 0, "at_least"), "report"),
        ("recipe", ("optimizer", "learning_rate"), "train"),
        ("recipe", ("something", "new"), "train"),
        ("recipe", ("eval_interval",), "train"),
        ("recipe", ("data", "seed"), "train"),
        ("recipe", ("data",), "train"),
        ("recipe", ("wandb", "project"), "placement"),
        ("recipe", ("wandb",), "placement"),
        ("recipe", ("logger", "print_output_ranks", 0), "placement"),
        ("recipe", ("data", "cache_dir"), "placement"),
        ("recipe", ("data", "dl_num_workers"), "placement"),
        ("recipe", ("checkpoint", 0, "output_dir"), "placement"),
        ("recipe", ("checkpoint", "output_dir"), "placement"),
        ("recipe", ("checkpoint", 0, "type"), "train"),
        ("recipe", ("deepspeed", "steps_per_print"), "placement"),
        ("recipe", ("deepspeed", "zero_optimization", "stage"), "train"),
    ],
)
def test_what_a_change_triggers(kind: Kind, path: tuple[str | int, ...], rule: str) -> None:
    assert rule_of(path, kind) == rule


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        ({"data": {"num_proc": 2}}, "placement"),
        ({"type": "dpo", "data": {"num_proc": 2}}, "placement"),
        ({"data": {"num_proc": 2, "pack_samples": True}}, "train"),
        ({"type": "causal", "data": {"num_proc": 2}}, "train"),
        ({"data": {"num_proc": 2, "type": "causal"}}, "train"),
        ({"type": "swiftkv", "data": {"num_proc": 2}}, "train"),
        (None, "train"),
    ],
)
def test_worker_processes_count_where_they_decide_how_samples_are_packed(document: Any, rule: str) -> None:
    assert rule_of(("data", "num_proc"), "recipe", document) == rule


def test_placement_keys_of_recipes_exist_in_arctic_training() -> None:
    assert {path[0] for path in recipe.PLACEMENT} <= recipe.KEYS


def test_defaults() -> None:
    assert defaults("experiment")[("train", "gpus")] == 1
    assert defaults("experiment")[("compute", "timeout")] == "2h"
    assert defaults("suite")[("generate", "temperature")] == 0
    assert defaults("recipe") == {}
    assert ("title",) not in defaults("experiment")


def test_recipe_keys_are_those_of_the_installed_arctic_training() -> None:
    """Read from the source: importing it takes seconds and torch."""
    source = Path(change_rules.__file__).parents[2] / ".venv"
    files = sorted(source.glob("lib/python3*/site-packages/arctic_training/config/trainer.py"))
    if not files:
        pytest.skip("arctic-training is not installed here")
    assert field_names(files[0].read_text(), "TrainerConfig") == recipe.KEYS
    dpo = files[0].parents[1] / "trainer/dpo_trainer.py"
    assert field_names(dpo.read_text(), "DPOTrainerConfig") == recipe.DPO_KEYS


def test_keys_of_a_recipe_s_sections_are_those_of_the_installed_arctic_training() -> None:
    source = Path(change_rules.__file__).parents[2] / ".venv"
    folder = next(source.glob("lib/python3*/site-packages/arctic_training"), None)
    if folder is None:
        pytest.skip("arctic-training is not installed here")

    def keys(file: str, name: str) -> set[str]:
        return field_names((folder / file).read_text(), name)

    scheduler = keys("config/scheduler.py", "SchedulerConfig") | keys("scheduler/hf_factory.py", "HFSchedulerConfig")
    assert keys("config/model.py", "ModelConfig") == recipe.SECTIONS["model"]
    assert keys("config/optimizer.py", "OptimizerConfig") | {"lr"} == recipe.SECTIONS["optimizer"]
    assert scheduler - {"learning_rate"} == recipe.SECTIONS["scheduler"], "which it refuses"
    assert keys("config/data.py", "DataConfig") == recipe.SECTIONS["data"]
    for kind, name in (("sft", "SFTDataConfig"), ("causal", "CausalDataConfig"), ("dpo", "DPODataConfig")):
        assert keys(f"data/{kind}_factory.py", name) == recipe.DATA_KEYS[kind]


def field_names(source: str, name: str) -> set[str]:
    (found,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == name)
    return {
        node.target.id for node in found.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def test_the_payload_s_files_are_found_without_importing_it() -> None:
    assert "main.py" in payload_files()
    assert all(not path.endswith(".pyc") for path in payload_files())
