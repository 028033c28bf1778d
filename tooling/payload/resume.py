"""States to go on from: DeepSpeed checkpoints with the curve so far, kept on the run's stage under resume/.

A state is a folder epoch_E_global_step_N; the hooks add the curve and, last, complete.json with its step and the sizes
of its files. On the stage the file `latest` comes last: what it names is whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from payload.snowflake_session import Store

COMPLETE, LATEST, STAGED = "complete.json", "latest", "resume"
STATES = Path("output", "resume")
CURVE = ("steps.jsonl", "train-log-metrics.jsonl", "eval.jsonl")


@dataclass(frozen=True)
class Resumed:
    """The run whose state a training goes on from, and that state's step."""

    run: str
    step: int


def restore(store: Store, earlier: Iterable[str], folder: Path) -> Resumed | None:
    """Put the newest state into the run's folder: this run's own, of a start before this one, else an earlier run's.

    A state that can't be had costs time, so the run begins at its start; it does not end for that.
    """
    for run in (store.run, *earlier):
        try:
            step = _restore(replace(store, run=run), folder)
        except Exception as error:
            print(f"piste | the state of {run} could not be fetched: {type(error).__name__}", flush=True)
            shutil.rmtree(folder / STATES, ignore_errors=True)
            continue
        if step is not None:
            print(f"piste | resumed from step {step} of {run}", flush=True)
            return Resumed(run, step)
    return None


def _restore(store: Store, folder: Path) -> int | None:
    scratch = folder / "tmp" / store.run
    shutil.rmtree(scratch, ignore_errors=True)
    if f"{STAGED}/{LATEST}" not in store.names() or _diverged(store, scratch):
        return None
    store.fetch(f"@{store.run}/{STAGED}", scratch)
    tag = (scratch / LATEST).read_text().strip()
    state = scratch / tag
    complete = json.loads((state / COMPLETE).read_text())
    if any((state / name).stat().st_size != size for name, size in complete["files"].items()):
        raise ValueError("a file of the state has another size")
    shutil.rmtree(folder / STATES, ignore_errors=True)
    shutil.move(state, folder / STATES / tag)
    (folder / STATES / LATEST).write_text(tag)
    _restore_curve(folder, folder / STATES / tag, complete["step"])
    return int(complete["step"])


def _diverged(store: Store, scratch: Path) -> bool:
    """A run that lost its way would lose it again."""
    if "results.json" not in store.names():
        return False
    store.fetch(f"@{store.run}/results.json", scratch)
    failure = json.loads((scratch / "results.json").read_text())["failure"] or {}
    return bool(failure.get("kind") == "diverged")


def _restore_curve(folder: Path, state: Path, step: int) -> None:
    for name in CURVE:
        if (state / name).exists():
            kept = [line for line in (state / name).read_text().splitlines() if _step(line) <= step]
            (folder / "output" / name).write_text("".join(f"{line}\n" for line in kept))


def _step(line: str) -> int:
    found: Mapping[str, Any] = json.loads(line)
    return int(found.get("step", found.get("iter", 0)))


class StateUploads:
    """Uploads each state that is complete, and removes older ones when it is up."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store, self._folder, self._scratch = store, folder / STATES, folder / "keep"
        self._uploaded = self._newest()[1]  # what is there came from a stage

    def upload(self) -> None:
        state, complete = self._newest()
        if state is None or complete == self._uploaded:
            return
        self._store.upload_folder(state, f"{STAGED}/{state.name}")
        if self._read(state) != complete:  # written again meanwhile
            return
        self._scratch.mkdir(exist_ok=True)
        (self._scratch / LATEST).write_text(state.name)
        self._store.upload(self._scratch / LATEST, STAGED)
        self._uploaded = complete
        self._remove_others(state.name)

    def _newest(self) -> tuple[Path | None, bytes]:
        found = [(path, self._read(path)) for path in self._folder.glob("epoch_*_global_step_*")]
        complete = [(path, content) for path, content in found if content]
        return max(complete, key=lambda item: int(json.loads(item[1])["step"]), default=(None, b""))

    def _read(self, state: Path) -> bytes:
        path = state / COMPLETE
        return path.read_bytes() if path.exists() else b""

    def _remove_others(self, newest: str) -> None:
        parts = {name.split("/")[1] for name in self._store.names() if name.startswith(f"{STAGED}/")}
        for other in parts - {newest, LATEST}:
            self._store.remove(f"{STAGED}/{other}/")
