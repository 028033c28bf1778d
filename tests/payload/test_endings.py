"""Real trainings that are stopped, and one that goes on where another was: jobs of the tiny model, planted to go wrong.

The planted code is the recipe's own; what is too long is given to the job by its main.py, so that nothing waits.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from payload import evaluation, spec
from payload.failure import RunError
from payload.progress import Reporter
from payload.snowflake_session import Store
from payload.watch import Deadline
from processes import find

FULL = ["train", "generate", "score"]

STATE = {"type": "deepspeed", "output_dir": "./output/resume", "save_every_n_steps": 3, "auto_resume": True}


@pytest.fixture(scope="module")
def resumable(recipe: dict[str, Any]) -> dict[str, Any]:
    return {**recipe, "train_iters": 12, "checkpoint": [*recipe["checkpoint"], STATE]}


@pytest.fixture(scope="module")
def long(recipe: dict[str, Any]) -> dict[str, Any]:
    return {**recipe, "train_iters": 400, "eval_interval": 0, "data": {**recipe["data"], "eval_sources": []}}


AT_STEP = """
import time
from pathlib import Path
from arctic_training.trainer.sft_trainer import SFTTrainer

def at_step(self):
    if self.global_step == {step}:
        {do}

SFTTrainer._class_callbacks.append(("post-step", at_step))
"""
WAIT_FOR_THE_SWITCH = """Path("time-is-up").touch()
        for _ in range(600):
            if Path("kill-switch").exists():
                break
            time.sleep(0.1)"""

TIME_IS_UP = """
import tempfile, time
from payload.watch import Watch

def clock():
    there = any(Path(tempfile.gettempdir()).glob("piste-*/inputs/of-RUN_T_1/../../time-is-up"))
    return time.monotonic() + (7200 if there else 0)

__return__ = run(watch=Watch(clock=clock))
"""
IMPATIENT = """
from payload.watch import Watch
__return__ = run(watch=Watch(step_seconds=4, step_factor=1))
"""


@pytest.fixture(scope="module")
def ended(account: Any, resumable: Any, long: Any) -> dict[str, Any]:
    """Three at once: most of a short training is start-up."""
    timeout = {"user_code": "plant.py", "files": {"plant.py": AT_STEP.format(step=5, do=WAIT_FOR_THE_SWITCH)}}
    own_input = {"inputs": {"base-model": "@MODELS/tiny", "of-RUN_T_1": "@MODELS/tiny"}}
    hang = {"user_code": "plant.py", "files": {"plant.py": AT_STEP.format(step=4, do="time.sleep(600)")}}
    too_fast = {**long, "optimizer": {"learning_rate": 1e30}, "scheduler": {"name": "constant"}}
    submitted = {
        "RUN_T_1": account.submit("RUN_T_1", FULL, recipe=resumable, main=TIME_IS_UP, **timeout, **own_input),
        "RUN_NAN_1": account.submit("RUN_NAN_1", FULL, recipe=too_fast),
        "RUN_HANG_1": account.submit("RUN_HANG_1", FULL, recipe=long, main=IMPATIENT, **hang),
    }
    return {name: account.ended(name, job) for name, job in submitted.items()}


def last_beat(account: Any, run: str) -> dict[str, Any]:
    sql = f"SELECT BODY FROM LEDGER WHERE RUN = '{run}' AND EVENT = 'heartbeat' ORDER BY \"AT\" DESC LIMIT 1"
    found: dict[str, Any] = json.loads(account.rows(sql)[0][0])
    return found


@pytest.mark.parametrize(
    ("run", "kind", "message", "steps"),
    [
        ("RUN_T_1", "timeout", "The time of 60 min was up at step 5 of 12; the checkpoint is on the stage.", 5),
        ("RUN_NAN_1", "diverged", "The loss is not a number since step 2.", None),
        ("RUN_HANG_1", "stalled", "The step after step 4 did not come within 4 s.", 4),
    ],
)
def test_what_stopped_a_run_is_named_and_nothing_is_evaluated(
    ended: Any, account: Any, run: str, kind: str, message: str, steps: int | None
) -> None:
    found = ended[run]
    assert found.status == "FAILED", found.log[-3000:]
    failure, training = found.results["failure"], found.results["training"]
    assert (failure["phase"], failure["kind"], failure["message"]) == ("train", kind, message), found.log[-3000:]
    assert (training["status"], found.results["evaluation"]["status"]) == ("failed", "failed")
    assert found.results["evaluation"]["samples"] == 0
    assert training["steps"] == (steps or training["steps"])
    assert (last_beat(account, run)["phase"], last_beat(account, run)["step"]) == ("train", training["steps"])
    assert {"/logs/train.log", "/metrics/train.jsonl", "/results.json"} <= set(account.stage(run))


def test_a_lost_loss_stops_long_before_the_end_and_keeps_no_checkpoint(ended: Any, account: Any) -> None:
    assert ended["RUN_NAN_1"].results["training"]["steps"] < 100
    assert not [path for path in account.stage("RUN_NAN_1") if path.startswith(("/checkpoint/", "/resume/"))]


def test_nothing_of_a_stopped_run_is_left(ended: Any, account: Any) -> None:
    assert not account.processes("recipe.resolved.yaml")


def test_a_run_whose_time_is_up_leaves_its_checkpoint_and_one_state(ended: Any, account: Any) -> None:
    there = account.stage("RUN_T_1")
    assert {"/checkpoint/adapter_model.safetensors", "/resume/latest"} <= set(there)
    states = {path.split("/")[2] for path in there if path.startswith("/resume/")} - {"latest"}
    assert states == {"epoch_0_global_step_4"}
    assert "piste apply --retry tiny" in ended["RUN_T_1"].results["failure"]["hint"]


def test_the_next_attempt_goes_on_from_the_state(ended: Any, account: Any, resumable: Any) -> None:
    more = {"resume_from": ["RUN_T_NONE", "RUN_T_1"]}
    again = account.run("RUN_T_2", ["train"], recipe=resumable, **more)
    assert again.status == "DONE", again.log[-3000:]
    assert "resumed from step 4 of RUN_T_1" in again.log
    first, second = ended["RUN_T_1"].results["training"], again.results["training"]
    assert second["resumed"] == {"run": "RUN_T_1", "step": 4}
    assert (first["resumed"], second["status"], second["steps"]) == (None, "done", 12)
    assert [step for step, _ in second["loss"]] == list(range(1, 13))
    assert [step for step, _ in second["eval_loss"]] == [2, 4, 6, 8, 10, 12]
    assert second["loss"][:5] == [[step, pytest.approx(loss, rel=1e-4)] for step, loss in first["loss"]]
    states = {path.split("/")[2] for path in account.stage("RUN_T_2") if path.startswith("/resume/")}
    assert states == {"latest", "epoch_2_global_step_12"}


def test_a_generation_ends_when_time_is_up(account: Any, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(account.instructions("RUN_SLOW_1", FULL)))
    task = spec.read(tmp_path / "run.json")
    rows = {key: {"DIALOGUE": "", "NOTE": ""} for key in "abc"}
    reporter = Reporter(Store(account.session, "RUN_SLOW_1"), 1000)
    source, log = (None, tmp_path / "model"), tmp_path / "generate.log"
    with pytest.raises(RunError, match="The time of 0 s was up after 0 of 3 answers") as caught:
        evaluation.predict(task, rows, source, tmp_path, tmp_path, log, reporter, Deadline(0))
    assert caught.value.failure.kind == "timeout"
    assert not find("payload.generate", str(tmp_path))
