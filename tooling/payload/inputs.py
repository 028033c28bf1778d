"""The run's scratch folder: the recipe, the declared files, and what is fetched from stages."""

from __future__ import annotations

import shutil
from pathlib import Path

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
    for name in spec.files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(app / "files" / name, folder / name)


def fetch(spec: Spec, store: Store, folder: Path) -> None:
    """Nothing for a run that only scores; the checkpoint of an earlier run where this one evaluates it."""
    if spec.trained_run and spec.generates:
        store.fetch(f"@{spec.trained_run}/checkpoint", folder / "checkpoint")
    if spec.trains or spec.generates:
        for name, location in spec.inputs.items():
            _fetch_input(store, location, folder / "inputs" / name)


def _fetch_input(store: Store, location: str, folder: Path) -> None:
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
    return checkpoint or (earlier if spec.trained_run else None), folder / "inputs" / BASE_MODEL
