"""What a job gets."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import yaml

from builders import run, variant
from piste.digest import SCORE_VERSIONS
from piste.payload import claim_name, job_name, payload, resolved_recipe
from piste.plan import plan
from piste.resources import schema
from piste.scores import need_the_model

PAYLOAD = {"main.py": b"main", "job.py": b"job"}
LORA = variant()


def test_files_of_a_training() -> None:
    (action,) = plan([LORA], []).actions
    made = payload(action, PAYLOAD, {"train.py": b"code"}, b"torch==2.13.0\n")
    assert made.claim == f"RUN_{LORA.digests.training[:12].upper()}_1"
    assert made.job_name == f"{made.claim}_NOTES_LORA"
    ours = {"main.py", "payload/main.py", "payload/job.py", "run.json"}
    assert set(made.files) == ours | {"files/train.py", "recipe.resolved.yaml", "requirements.txt"}
    told = json.loads(made.files["run.json"])
    assert (told["run"], told["steps"], told["files"]) == (made.claim, ["train", "generate", "score"], ["train.py"])
    assert told["tracking"]["parameters"]["recipe.optimizer.learning_rate"] == "0.001"


def test_an_evaluation_carries_no_recipe_and_names_its_checkpoint() -> None:
    trained = run(LORA)
    (action,) = plan([variant(**{"suite.generate.max_new_tokens": 9})], [trained]).actions
    made = payload(action, PAYLOAD, {}, b"")
    told = json.loads(made.files["run.json"])
    assert "recipe.resolved.yaml" not in made.files
    assert told["files"] == []
    assert (told["adapter_or_model"], told["predictions"]) == ({"run": trained.name}, None)
    assert (
        claim_name(action) == f"RUN_{LORA.digests.training[:12].upper()}_{action.variant.digests.suite[:12].upper()}_1"
    )


def test_scoring_names_the_predictions() -> None:
    trained = run(LORA)
    (action,) = plan([variant(**{"suite.scores.1": {"name": "rouge_l"}})], [trained]).actions
    told = json.loads(payload(action, PAYLOAD, {}, b"").files["run.json"])
    assert (told["adapter_or_model"], told["predictions"]) == (None, {"run": trained.name})


def test_the_resolved_recipe_keeps_to_the_runs_own_folder() -> None:
    recipe = {
        "optimizer": {"learning_rate": 1e-5},
        "code": "train.py",
        "kill_switch_path": "/tmp/at_kill_switch",
        "checkpoint": {"type": "deepspeed", "output_dir": "/mnt/x", "save_every_n_steps": 5},
        "data": {"cache_dir": "/tmp", "sources": []},
    }
    made = resolved_recipe(recipe)
    assert made["checkpoint"] == [
        {"type": "deepspeed", "output_dir": "./output/resume", "save_every_n_steps": 5, "auto_resume": True},
        {"type": "huggingface", "output_dir": "./output/checkpoint", "save_end_of_training": True},
    ]
    assert (made["code"], made["kill_switch_path"]) == ("payload_hooks.py", "./kill-switch")
    assert made["data"] == {"cache_dir": "./cache", "sources": []}
    assert recipe["data"] == {"cache_dir": "/tmp", "sources": []}
    assert yaml.safe_load(yaml.safe_dump(made))["optimizer"]["learning_rate"] == 1e-5


@pytest.mark.parametrize(
    ("engines", "resuming"),
    [
        ([{"type": "deepspeed", "auto_resume": True}], []),
        ([{"type": "deepspeed", "save_every_n_steps": 0, "save_end_of_training": False}], []),
        ([{"type": "deepspeed", "save_every_n_steps": 5, "enabled": False}], []),
        ([{"type": "huggingface", "save_every_n_steps": 5, "auto_resume": True}], []),
        ([{"save_every_n_epochs": 1}], [0]),
        ([{"type": "huggingface"}, {"type": "deepspeed", "save_every_n_steps": "1k"}], [1]),
        ([{"type": "deepspeed", "save_every_n_steps": 5}, {"type": "deepspeed", "save_end_of_training": True}], [0]),
    ],
)
def test_the_one_engine_that_saves_states_resumes(engines: list[dict[str, Any]], resuming: list[int]) -> None:
    made = resolved_recipe({"checkpoint": engines})["checkpoint"]
    assert [index for index, engine in enumerate(made) if engine.get("auto_resume")] == resuming


def test_a_run_knows_its_time_and_its_earlier_attempts() -> None:
    (action,) = plan([LORA], []).actions
    told = json.loads(payload(replace(action, earlier=("RUN_A_2", "RUN_A_1")), PAYLOAD, {}, b"").files["run.json"])
    assert (told["timeout_seconds"], told["resume_from"]) == (3600, ["RUN_A_2", "RUN_A_1"])
    (action,) = plan([variant(**{"compute.timeout": "1h30m"})], []).actions
    assert json.loads(payload(action, PAYLOAD, {}, b"").files["run.json"])["timeout_seconds"] == 5400
    (action,) = plan([variant(**{"compute": {}})], []).actions
    assert json.loads(payload(action, PAYLOAD, {}, b"").files["run.json"])["timeout_seconds"] == 7200


def test_only_a_training_resumes() -> None:
    (action,) = plan([variant(**{"suite.generate.max_new_tokens": 9})], [run(LORA)]).actions
    made = payload(replace(action, earlier=("RUN_A_1",)), PAYLOAD, {}, b"")
    assert json.loads(made.files["run.json"])["resume_from"] == []


def test_job_names_are_identifiers() -> None:
    assert job_name("RUN_A_1", "a-" + "b" * 80) == "RUN_A_1_A_" + "B" * 38


def test_score_versions_are_the_payloads() -> None:
    from payload import scores

    assert scores.VERSIONS == SCORE_VERSIONS
    assert scores.VERSIONS.keys() == {*scores.OF_TEXTS, *scores.OF_NUMBERS}
    known = schema("suite")["properties"]["scores"]["items"]["properties"]["name"]["enum"]
    assert known == list(scores.VERSIONS)


@pytest.mark.parametrize("name", SCORE_VERSIONS)
def test_which_scores_need_the_model_is_known_to_both(name: str) -> None:
    from payload import evaluation

    suite = {"scores": [{"name": "rouge_l"}, {"name": name}]}
    assert evaluation.needs_loss(suite) == need_the_model(suite) == (name in ("reference_loss", "perplexity"))
