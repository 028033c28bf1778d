"""One experiment from git to its report and on, through the real client, ArcticTraining and transformers.

The tests of this module build on each other, in order.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from world import RECIPE, SCHEMA, World

GOLDEN = Path(__file__).parents[1] / "golden" / "submission.txt"
JOBS = """
import json, sys
from snowflake.ml import jobs
from snowflake.snowpark import Session
with Session.builder.configs(dict(connection_name=sys.argv[1], database="PISTE", schema="DEV")).create() as session:
    listed = sorted(jobs.list_jobs(limit=100, session=session)["name"])
    print(json.dumps([listed, jobs.get_job(f"PISTE.DEV.{sys.argv[2]}", session=session).status]))
"""


def jobs_started(world: World) -> int:
    return sum("SYSTEM$EXECUTE_ML_JOB" in one["sql"] for one in world.statements())


def test_a_new_experiment_is_planned(world: World) -> None:
    world.add("tiny-lora", compare="tiny-base")
    world.add("tiny-base")
    world.edit("experiments/tiny-base/experiment.yaml", train={"inputs": {"base-model": "@MODELS/tiny"}})
    (world.root / "experiments/tiny-base/recipe.yaml").unlink()
    world.commit("two experiments")
    found = world.actions()
    assert {name: (one["action"], one["reason"]) for name, one in found.items()} == {
        "tiny-base": ("evaluate", "new"),
        "tiny-lora": ("train", "new"),
    }
    assert world.piste("plan", "--check").code == 3


def test_a_run_that_may_cost_too_much_is_refused_and_nothing_is_submitted(world: World) -> None:
    world.edit("experiments/tiny-lora/experiment.yaml", **{"compute.max_credits": 0.01})
    done = world.piste("apply")
    assert (done.code, done.err.splitlines()[0]) == (
        4,
        "max-credits: tiny-lora: may cost 0.02 credits; compute.max_credits is 0.01",
    )
    assert world.statuses() == {}
    world.git("checkout", "-q", ".")


def test_what_the_policy_refuses_is_said_by_the_plan_and_is_not_submitted(world: World) -> None:
    bounds = (
        '[tool.piste.policy]\nmax_credits_per_action = 0.01\nallowed_families = ["GPU_*"]\nmax_credits_per_month = 9\n'
    )
    settings = (world.root / "pyproject.toml").read_text()
    world.write("pyproject.toml", settings.replace("[tool.piste.policy]\n", bounds))
    found = world.piste("plan", "--format", "json").json()["refused"]
    both = [
        (rule, name) for rule in ("max-credits-per-action", "allowed-families") for name in ("tiny-base", "tiny-lora")
    ]
    assert [(one["rule"], one["title"]) for one in found] == both
    assert "allowed-families: the instance family is CPU_X64_S, not one of GPU_*" in world.piste("plan").out
    assert world.piste("plan", "--check").code == 4
    done = world.piste("apply")
    assert (done.code, done.err.splitlines()[-1]) == (4, "Nothing was submitted.")
    assert world.statuses() == {}
    world.git("checkout", "-q", ".")


def test_apply_trains_and_evaluates(world: World) -> None:
    done = world.piste("apply", "--wait")
    assert done.code == 0, done.out + done.err
    assert "tiny-lora: generate" in done.err, done.err
    assert re.search(r"train  3/3  loss \d", world.piste("logs", "tiny-lora").out)
    assert world.statuses() == {"tiny-base": (None, "done"), "tiny-lora": ("done", "done")}


def test_a_separate_process_sees_the_job(world: World) -> None:
    status = {one["experiment"]: one for one in world.piste("status", "--format", "json").json()}
    job = status["tiny-lora"]["job"]
    done = world.shell(sys.executable, "-c", JOBS, world.connection, job)
    listed, state = json.loads(done.out.splitlines()[-1])
    assert job in listed
    assert state == "DONE"


def test_the_unmodified_client_sends_these_statements_for_one_submission(world: World, update: bool) -> None:
    if world.trace is None:
        pytest.skip("a live account has no trace")
    statements = [one["sql"] for one in world.statements()]
    start = next(i for i, sql in enumerate(statements) if re.match(r"CREATE STAGE RUN_\w+_1 ", sql))
    end = next(i for i, sql in enumerate(statements) if i > start and "SYSTEM$EXECUTE_ML_JOB" in sql)
    text = "\n".join(_in_order(_without_what_varies(sql) for sql in statements[start : end + 1])) + "\n"
    if update:
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def _in_order(statements: Iterable[str]) -> list[str]:
    """Uploads sorted, and without compiled files: the client sends them in the order of the folder."""
    runs = itertools.groupby(statements, lambda sql: sql.startswith("PUT "))
    ordered = (sorted(run) if uploads else list(run) for uploads, run in runs)
    return [sql for run in ordered for sql in run if "__pycache__" not in sql]


def _without_what_varies(sql: str) -> str:
    sql = re.sub(r"RUN_[0-9A-F]{12}(_[0-9A-F]{12})?_1", "RUN_<digest>_1", " ".join(sql.split()))
    sql = re.sub(r"[0-9a-f]{32,64}", "<hex>", sql)
    return re.sub(r"file://[^'\"]*/", "file://…/", sql)


def test_collect_writes_reports_and_doing_it_again_does_nothing(world: World) -> None:
    done = world.piste("collect")
    assert done.code == 0, done.err
    assert "wrote experiments/tiny-lora/report/report.json" in done.out
    report = json.loads((world.root / "experiments/tiny-lora/report/report.json").read_text())
    assert (report["schema"], report["status"], report["training"]["steps"]) == ("report/v1", "done", 3)
    assert report["comparison"]["experiment"] == "tiny-base"
    assert set(report["scores"]) == {"json_valid", "exact_match"}
    world.commit("report")
    before = jobs_started(world)
    assert world.piste("collect").out == "nothing to do\n"
    assert "nothing to do, 2 kept" in world.piste("apply").out
    assert jobs_started(world) == before
    assert world.git("status", "--porcelain") == ""


GATES = [
    {"score": "json_valid", "at_least": 0},
    {"score": "exact_match", "no_worse_than": {"experiment": "tiny-base", "margin": 1}},
    {"score": "json_valid", "at_most": -0.5},
]
WAIVER = {"gate": "json_valid at_most", "owner": "@ana", "until": "2999-12-31", "reason": "It is a test."}


@pytest.mark.parametrize(
    ("gates", "waivers", "code", "states"),
    [
        (GATES[:2], [], 0, ["passed", "passed"]),
        (GATES, [], 4, ["passed", "passed", "failed"]),
        (GATES, [WAIVER], 0, ["passed", "passed", "waived"]),
        (GATES, [WAIVER | {"until": "2001-12-31"}], 4, ["passed", "passed", "failed"]),
        ([{"score": "json_valid", "better_than": {"experiment": "tiny-new"}}], [], 3, ["missing"]),
    ],
    ids=["passed", "failed", "waived", "expired", "missing"],
)
def test_gates_are_judged_without_a_job(world: World, gates: Any, waivers: Any, code: int, states: list[str]) -> None:
    before = jobs_started(world)
    world.add("tiny-new", **{"train.seeds": [77]})
    world.edit("experiments/tiny-lora/experiment.yaml", gates=gates, waivers=waivers)
    done = world.piste("collect", "--check", "tiny-lora", "--format", "json")
    found = done.json()["gates"]
    assert (done.code, [one["state"] for one in found]) == (code, states), done.out + done.err
    page = (world.root / "experiments/tiny-lora/report/README.md").read_text()
    for one in found:
        waived = f", waived by @ana until {one['waiver']['until']}" if one["waiver"] else ""
        assert f"- **{one['judged']}{waived}** {one['said']}" in page
    text = world.piste("status", "tiny-lora").out
    assert "gates: " in text
    assert ("the waiver of json_valid at_most expired after 2001-12-31" in text) == ("2001" in str(waivers))
    assert world.piste("collect", "--check", "tiny-base").out == "no gates\n"
    assert world.piste("collect", "tiny-base").code == 2
    assert jobs_started(world) == before
    world.git("checkout", "-q", ".")
    world.git("clean", "-fdq")


KEPT: dict[str, tuple[str, dict[str, Any]]] = {
    "owner": ("experiment.yaml", {"owner": "@ben"}),
    "title": ("experiment.yaml", {"title": "Another title"}),
    "timeout": ("experiment.yaml", {"compute.timeout": "20m"}),
    "wandb": ("recipe.yaml", {"wandb": {"enable": False}}),
    "cache path": ("recipe.yaml", {"data.cache_dir": "/elsewhere"}),
}
TRAINED: dict[str, tuple[str, dict[str, Any], str]] = {
    "learning rate": (
        "recipe.yaml",
        {"optimizer.learning_rate": 0.0003},
        "recipe.optimizer.learning_rate 0.001 → 0.0003",
    ),
    "gpus": ("experiment.yaml", {"train.gpus": 2}, "train.gpus – → 2"),
    "base model": (
        "experiment.yaml",
        {"train.inputs": {"base-model": "@MODELS/other"}},
        "train.inputs.base-model @MODELS/tiny → @MODELS/other",
    ),
    "data query": ("recipe.yaml", {"data.sources.0.limit": 5}, "recipe.data.sources[0].limit – → 5"),
}


@pytest.mark.parametrize(("file", "changes"), KEPT.values(), ids=KEPT.keys())
def test_edits_that_keep(world: World, file: str, changes: dict[str, Any]) -> None:
    world.edit(f"experiments/tiny-lora/{file}", **changes)
    assert world.actions("--offline", "tiny-lora")["tiny-lora"]["action"] == "keep"
    world.git("checkout", "-q", ".")


@pytest.mark.parametrize(("file", "changes", "reason"), TRAINED.values(), ids=TRAINED.keys())
def test_edits_that_train(world: World, file: str, changes: dict[str, Any], reason: str) -> None:
    world.edit(f"experiments/tiny-lora/{file}", **changes)
    action = world.actions("--offline", "tiny-lora")["tiny-lora"]
    assert (action["action"], action["reason"]) == ("train", reason)
    world.git("checkout", "-q", ".")


def test_comments_key_order_and_other_spellings_keep(world: World) -> None:
    file = world.root / "experiments/tiny-lora/recipe.yaml"
    lines = file.read_text().replace("0.001", "1e-3").splitlines()
    turned = lines.index("micro_batch_size: 4")
    file.write_text("# a comment\n" + lines.pop(turned) + "\n" + "\n".join(lines) + "\n")
    assert world.actions("tiny-lora")["tiny-lora"]["action"] == "keep"
    world.git("checkout", "-q", ".")


def test_a_renamed_folder_keeps_and_says_whose_it_was(world: World) -> None:
    world.git("mv", "experiments/tiny-lora", "experiments/renamed")
    assert world.actions("renamed")["renamed"]["reason"].endswith("as tiny-lora")
    world.git("reset", "-q", "--hard")


def test_a_declared_file_trains_when_it_changes_and_not_before(world: World) -> None:
    world.write("experiments/tiny-lora/notes.txt", "one")
    refused = world.piste("plan", "--offline")
    assert refused.code == 1
    assert "experiments/tiny-lora/notes.txt" in refused.err
    world.edit("experiments/tiny-lora/experiment.yaml", **{"train.files": ["notes.txt"]})
    assert world.actions("--offline", "tiny-lora")["tiny-lora"]["changes"][0]["path"] == "files.notes.txt"
    world.git("clean", "-qfd")
    world.git("checkout", "-q", ".")


def test_a_seed_added_trains_only_the_new_variant(world: World) -> None:
    world.edit("experiments/tiny-lora/experiment.yaml", **{"train.seeds": [7, 8]})
    found = world.actions("--offline", "tiny-lora")
    assert {name: one["action"] for name, one in found.items()} == {
        "tiny-lora/seed=7": "train",
        "tiny-lora/seed=8": "train",
    }
    world.git("checkout", "-q", ".")


def test_a_score_added_is_scored_without_training_or_generating(world: World) -> None:
    world.edit("experiments/_suites/tiny-notes/suite.yaml", **{"scores.2": {"name": "rouge_l"}})
    planned = world.actions()
    assert {name: one["steps"] for name, one in planned.items()} == {"tiny-base": ["score"], "tiny-lora": ["score"]}
    done = world.piste("apply", "--wait")
    assert done.code == 0, done.out + done.err
    assert "wrote experiments/tiny-lora/report/report.json" in world.piste("collect").out
    log = world.piste("logs", "tiny-lora").out
    assert "trains nothing" in log
    assert "generates nothing" in log
    report = json.loads((world.root / "experiments/tiny-lora/report/report.json").read_text())
    assert set(report["scores"]) == {"json_valid", "exact_match", "rouge_l"}
    assert report["training"]["steps"] == 3
    world.commit("another score")


def test_longer_generation_generates_with_the_checkpoint_there_is(world: World) -> None:
    world.edit("experiments/_suites/tiny-notes/suite.yaml", **{"generate.max_new_tokens": 12})
    assert world.actions("tiny-lora")["tiny-lora"]["steps"] == ["generate", "score"]
    done = world.piste("apply", "tiny-lora", "--wait")
    assert done.code == 0, done.out + done.err
    assert "trains nothing" in world.piste("logs", "tiny-lora").out
    world.piste("collect")
    world.commit("longer answers")


def test_what_was_run_on_a_branch_is_kept_by_the_merge(world: World) -> None:
    world.git("checkout", "-q", "-b", "try-more-steps")
    recipe = copy.deepcopy(RECIPE)
    recipe["train_iters"] = 2
    world.add("tiny-short", recipe)
    done = world.piste("run", "tiny-short")
    assert done.code == 0, done.out + done.err
    assert (world.root / "experiments/tiny-short/report/README.md").exists()
    world.commit("a shorter training")
    world.git("checkout", "-q", "main")
    world.git("merge", "-q", "try-more-steps")
    action = world.actions("tiny-short")["tiny-short"]
    assert action["action"] == "keep"
    assert "on try-more-steps" in action["reason"]


def test_observing_takes_three_statements(world: World) -> None:
    if world.trace is None:
        pytest.skip("a live account has no trace")
    before = len(world.statements())
    world.piste("plan")
    asked = [one["sql"] for one in world.statements()[before:]]
    observed = [sql for sql in asked if re.match(r"SELECT RUN|SHOW ", sql) and sql != "SHOW COMPUTE POOLS"]
    assert len(observed) == 3, asked


def test_doctor_is_content(world: World) -> None:
    found = {one["what"]: one["well"] for one in world.piste("doctor", "--format", "json").json()}
    assert found[f"schema {SCHEMA}"]
    assert found["compute pool PISTE_CPU (cpu)"]
    assert found["files at @MODELS/tiny"]
