"""The run's scratch folder: the recipe, the declared files, and what is fetched from stages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path, PurePosixPath

import yaml

from payload import weights
from payload.failure import Failure, RunError
from payload.snowflake_session import Store
from payload.spec import Spec
from payload.training import RECIPE

BASE_MODEL = "base-model"


def prepare(spec: Spec, app: Path, folder: Path) -> None:
    """The same layout as the experiment's folder, so that relative paths in a recipe mean the same."""
    for name in ("inputs", "output", "cache", "logs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    if spec.trains:
        shutil.copyfile(app / RECIPE, folder / RECIPE)
    for name in spec.files if spec.trains else ():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(app / "files" / name, folder / name)


def fetch(spec: Spec, store: Store, folder: Path) -> None:
    """Nothing for a run that only scores; the checkpoint of an earlier run where this one evaluates it."""
    if spec.trained_run and spec.generates:
        store.fetch(f"@{spec.trained_run}/checkpoint", folder / "checkpoint")
    if spec.generates and spec.hosted is None:
        base_model(spec, folder)  # without one, a run ends before it has trained
    if spec.trains or spec.generates:
        for name, location in spec.inputs.items():
            fetch_input(store, location, folder / "inputs" / name)


def fetch_input(store: Store, location: str, folder: Path) -> None:
    if not location.startswith("@"):
        raise RunError(
            Failure("recipe", f"The input {location} is no stage path.", "", "Inputs look like @STAGE/folder.")
        )
    files = store.fetch(location, folder)
    size = sum(path.stat().st_size for path in files)
    print(f"piste | fetched {location}: {len(files)} files, {size / 1e6:,.0f} MB", flush=True)


def model_source(spec: Spec, folder: Path, checkpoint: Path | None) -> tuple[Path | None, Path]:
    """(checkpoint to evaluate or None, base model): the run's own, an earlier run's, or the base as it is."""
    earlier = folder / "checkpoint"
    return checkpoint or (earlier if spec.trained_run else None), base_model(spec, folder)


def base_model(spec: Spec, folder: Path) -> Path:
    """A baseline, or what is below an adapter: the input it was trained from, else `base-model`, else the only one."""
    path = _trained_from(spec, folder)
    only = spec.inputs if len(spec.inputs) == 1 else ()
    for inside in (_inside_inputs(path or ""), PurePosixPath(BASE_MODEL), *map(PurePosixPath, only)):
        if inside.parts and inside.parts[0] in spec.inputs:
            return folder / "inputs" / inside
    if path is None:
        return folder / "inputs" / BASE_MODEL
    hint = "Name that input base-model, and in a recipe write  model: {name_or_path: ./inputs/base-model}"
    raise RunError(Failure("recipe", "Which of the inputs is the base model can't be told.", "", hint))


def _trained_from(spec: Spec, folder: Path) -> str | None:
    """The path of the model below an adapter, "" if it is not known; None for a model that needs no other."""
    if spec.trains:
        model = yaml.safe_load((folder / RECIPE).read_text()).get("model") or {}
        return str(model.get("name_or_path", "")) if model.get("peft_config") else None
    checkpoint = folder / "checkpoint"
    if not spec.trained_run:
        return ""
    if not weights.is_adapter(checkpoint):
        return None
    return str(json.loads((checkpoint / weights.ADAPTER).read_text()).get("base_model_name_or_path") or "")


def _inside_inputs(path: str) -> PurePosixPath:
    parts = PurePosixPath(path).parts
    return PurePosixPath(*parts[parts.index("inputs") + 1 :] if "inputs" in parts else ())
