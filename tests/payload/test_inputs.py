"""A run's folder, and which of its inputs is the model that answers or that an adapter belongs to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from payload import inputs
from payload.failure import RunError
from payload.snowflake_session import Store
from payload.spec import Spec


def spec(steps: str, names: tuple[str, ...] = ("base-model",), trained_run: str | None = None) -> Spec:
    return Spec(
        run="RUN_A_1",
        experiment="tiny",
        variant="",
        steps=tuple(steps.split()),
        gpus=1,
        nodes=1,
        user_code=None,
        files=("code/words.py",),
        inputs={name: f"@MODELS/{name}" for name in names},
        trained_run=trained_run,
        predicted_run=None,
        suite={},
        tracking={},
        heartbeat_seconds=1,
        timeout_seconds=60,
        resume_from=(),
        examples=None,
        hosted=None,
        judge=None,
    )


class NoStage(Store):
    """Notes what is fetched."""

    def fetch(self, location: str, folder: Path) -> list[Path]:
        self.session.append(location)  # type: ignore[attr-defined]
        return []


def recipe(folder: Path, model: Mapping[str, Any]) -> None:
    (folder / "recipe.resolved.yaml").write_text(yaml.safe_dump({"type": "sft", "model": dict(model)}))


def test_declared_files_are_there_for_a_run_that_trains(tmp_path: Path) -> None:
    app = tmp_path / "app"
    (app / "files" / "code").mkdir(parents=True)
    (app / "files" / "code" / "words.py").write_text("A = 1\n")
    recipe(app, {})
    inputs.prepare(spec("train generate score"), app, tmp_path / "run")
    assert (tmp_path / "run" / "code" / "words.py").read_text() == "A = 1\n"


def test_a_run_that_only_evaluates_needs_no_declared_files(tmp_path: Path) -> None:
    inputs.prepare(spec("generate score"), tmp_path / "app", tmp_path / "run")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["cache", "inputs", "logs", "output"]


LORA = {"peft_config": {"r": 4}}


@pytest.mark.parametrize(
    ("path", "names", "base"),
    [
        ("./inputs/base-model", ("base-model", "words"), "base-model"),
        ("./inputs/other", ("base-model", "other"), "other"),
        ("inputs/models/small", ("base-model", "models"), "models/small"),
        ("org/small", ("base-model", "words"), "base-model"),
        ("org/small", ("small",), "small"),
        ("", ("small",), "small"),
    ],
)
def test_an_adapter_is_put_on_what_it_was_trained_from(
    tmp_path: Path, path: str, names: tuple[str, ...], base: str
) -> None:
    recipe(tmp_path, {"name_or_path": path, **LORA})
    assert inputs.base_model(spec("train generate score", names), tmp_path) == tmp_path / "inputs" / base
    adapter = {"base_model_name_or_path": path or None}
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint" / "adapter_config.json").write_text(json.dumps(adapter))
    again = spec("generate score", names, trained_run="RUN_A_1")
    assert inputs.model_source(again, tmp_path, None) == (tmp_path / "checkpoint", tmp_path / "inputs" / base)


@pytest.mark.parametrize("names", [("one", "other"), ()])
@pytest.mark.parametrize("steps", ["train generate score", "generate score"])
def test_a_base_that_cannot_be_told_ends_the_run_before_it_trains(
    tmp_path: Path, names: tuple[str, ...], steps: str
) -> None:
    recipe(tmp_path, {"name_or_path": "org/small", **LORA})
    fetched: Any = []
    with pytest.raises(RunError, match="base model can't be told") as caught:
        inputs.fetch(spec(steps, names), NoStage(fetched, "RUN_A_1"), tmp_path)
    assert caught.value.failure.kind == "recipe"
    assert fetched == []


def test_a_full_fine_tune_needs_no_base(tmp_path: Path) -> None:
    recipe(tmp_path, {"name_or_path": "./inputs/one"})
    (tmp_path / "checkpoint").mkdir()
    fetched: Any = []
    inputs.fetch(spec("train generate score", ()), NoStage(fetched, "RUN_A_1"), tmp_path)
    inputs.fetch(spec("generate score", (), trained_run="RUN_B_1"), NoStage(fetched, "RUN_A_1"), tmp_path)
    assert fetched == ["@RUN_B_1/checkpoint"]
