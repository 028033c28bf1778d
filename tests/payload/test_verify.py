"""What a finished training is believed by; folders as ArcticTraining and the hooks leave them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from payload import training
from payload.failure import Failure, RunError
from payload.training import Training

FINISHED = "Train iter: 2/2 100% | loss: 0.5\n*** Training finished normally.\n"


def safetensors(path: Path, tensors: dict[str, bytes]) -> None:
    header, start = {}, 0
    for name, data in tensors.items():
        header[name] = {"dtype": "U8", "shape": [len(data)], "data_offsets": [start, start + len(data)]}
        start += len(data)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(tensors.values()))


def lines(path: Path, items: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(item) + "\n" for item in items))


@pytest.fixture
def good(tmp_path: Path) -> Training:
    folder = tmp_path / "output" / "checkpoint" / "global_step_2"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    safetensors(folder / "adapter_model.safetensors", {"q.lora_A.weight": b"\1\2", "q.lora_B.weight": b"\0\3"})
    lines(tmp_path / "output" / "train-log-metrics.jsonl", [{"iter": i, "loss": 1 / i} for i in (1, 2)])
    steps = [{"step": i, "steps": 2, "loss": 1 / i, "tokens": 100, "seconds": 2.0} for i in (1, 2)]
    lines(tmp_path / "output" / "steps.jsonl", steps)
    (tmp_path / "train.log").write_text(FINISHED)
    return Training(tmp_path, tmp_path / "train.log", 9.5)


def failure(found: Training, code: int = 0) -> dict[str, Any]:
    with pytest.raises(RunError) as caught:
        training.verify(found, code)
    return caught.value.failure.as_dict()


def test_a_good_training_is_believed_and_summed_up(good: Training) -> None:
    training.verify(good, 0)
    summary = training.summary(good, "done")
    assert {key: summary[key] for key in ("status", "steps", "loss", "tokens", "tokens_per_second")} == {
        "status": "done",
        "steps": 2,
        "loss": [[1, 1.0], [2, 0.5]],
        "tokens": 200,
        "tokens_per_second": 50.0,
    }
    assert (summary["final_line"], summary["early_exit"]) == (True, None)
    assert summary["checkpoint"]["kind"] == "adapter"
    assert summary["checkpoint"]["files"] == 2


def break_log(good: Training) -> None:
    good.log.write_text("Train iter: 2/2\n")


def break_last_step(good: Training) -> None:
    lines(good.output / "steps.jsonl", [{"step": 1, "steps": 2, "loss": 1.0, "tokens": 1, "seconds": 1.0}])


def break_steps(good: Training) -> None:
    (good.output / "steps.jsonl").unlink()


def break_loss(good: Training) -> None:
    lines(good.output / "train-log-metrics.jsonl", [{"iter": 2, "loss": float("nan")}])


def break_adapter(good: Training) -> None:
    assert good.checkpoint
    safetensors(good.checkpoint / "adapter_model.safetensors", {"q.lora_A.weight": b"\1", "q.lora_B.weight": b"\0\0"})


def break_weights(good: Training) -> None:
    assert good.checkpoint
    (good.checkpoint / "adapter_model.safetensors").unlink()


def break_checkpoint(good: Training) -> None:
    assert good.checkpoint
    good.checkpoint.rename(good.checkpoint.with_name("tmp"))


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (break_log, "without saying that the training finished"),
        (break_last_step, "stopped at step 1 of 2"),
        (break_steps, "without a single step"),
        (break_adapter, "adapter is as it started"),
        (break_weights, "checkpoint has no weights"),
        (break_checkpoint, "There is no checkpoint"),
    ],
)
def test_exit_code_0_alone_is_not_believed(good: Training, break_it: Any, told: str) -> None:
    break_it(good)
    found = failure(good)
    assert found["kind"] == "training"
    assert told in found["message"]
    json.dumps(training.summary(good, "failed"), allow_nan=False)


def test_a_loss_that_is_no_number_at_the_end_is_diverged(good: Training) -> None:
    break_loss(good)
    found = failure(good)
    assert (found["kind"], found["message"]) == ("diverged", "The loss is not a number since step 2.")
    assert training.summary(good, "failed")["loss"] == [[2, None]]


def test_what_stopped_a_training_is_what_it_is_told_by(good: Training) -> None:
    stopped = dataclasses.replace(good, stopped=Failure("stalled", "The step after step 2 did not come within 100 s."))
    assert failure(stopped)["kind"] == "stalled"


@pytest.mark.parametrize(
    ("words", "ending"),
    [
        ("reached exit_iteration of 2", "exit_iteration"),
        ("reached exit_iteration_this_run of 2", "exit_iteration_this_run"),
        ("detected kill switch /tmp/secret/kill-switch", "kill_switch"),
        ("likes patient Smith", "user_code"),
        ("reached training_horizon of 2", "finished"),
    ],
)
def test_an_early_end_is_named_without_the_logs_words(good: Training, words: str, ending: str) -> None:
    good.log.write_text(f"*** Exiting training early because training {words}\n")
    training.verify(good, 0)
    assert training.summary(good, "done")["early_exit"] == (None if ending == "finished" else ending)
    assert good.ending() == ending


LOG_OF_A_BAD_DTYPE = """\
  File "config.py", line 1, in <module>
pydantic_core._pydantic_core.ValidationError: 1 validation error for SFTConfig
model.dtype
  Input should be 'fp32' [type=enum, input_value='patient Smith']
[2026-11-22 10:00:00,000] [ERROR] [launch.py:325:sigkill_handler] exits with return code = 1
"""


@pytest.mark.parametrize(
    ("code", "noted", "log", "kind", "type_", "told"),
    [
        (247, None, "", "killed", "SIGKILL", "killed by SIGKILL"),
        (137, None, "", "killed", "SIGKILL", "killed by SIGKILL"),
        (-9, None, "", "killed", "SIGKILL", "killed by SIGKILL"),
        (143, None, "", "killed", "SIGTERM", "killed by SIGTERM"),
        (1, ("ValidationError", None, "model.dtype (enum)"), "", "recipe", "ValidationError", "model.dtype (enum)"),
        (1, None, LOG_OF_A_BAD_DTYPE, "recipe", "ValidationError", "rejects the recipe."),
        (1, ("DataError", None, "There is no column A."), "", "data", "DataError", "no column A"),
        (1, ("SnowparkSQLException", 2003, ""), "", "data", "SnowparkSQLException", "does not exist"),
        (1, ("SnowparkSQLException", 630, ""), "", "platform", "SnowparkSQLException", "error 000630"),
        (1, None, "x (1304): 002003 (42S02): Object 'SMITH'", "data", "SnowparkSQLException", "does not exist"),
        (1, None, "torch.OutOfMemoryError: CUDA Smith\n", "training", "OutOfMemoryError", "OutOfMemoryError"),
        (1, None, "PatientSmithError: Smith\n", "training", "", "an error"),
        (1, None, "ValueError: Smith\nSmithError: a row of data\n", "training", "ValueError", "ValueError"),
        (1, None, "", "training", "", "an error"),
    ],
)
def test_failures_have_a_kind_and_no_text_of_the_log(
    good: Training, code: int, noted: tuple[str, int | None, str] | None, log: str, kind: str, type_: str, told: str
) -> None:
    good.log.write_text(log)
    if noted:
        error = dict(zip(("type", "snowflake", "message"), noted, strict=True))
        (good.output / "error.json").write_text(json.dumps(error))
    found = failure(good, code)
    assert (found["kind"], found["type"]) == (kind, type_)
    assert told in found["message"]
    assert "smith" not in json.dumps(found).lower()


def test_the_buffers_of_its_port_are_dropped_and_no_others(tmp_path: Path) -> None:
    names = [f"deepspeed_allreduce_buffer_0_127.0.0.1_{port}_0" for port in (32801, 32802)]
    for name in (*names, "psm_32801_0"):
        (tmp_path / name).touch()
    training.drop_buffers(32801, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {names[1], "psm_32801_0"}
