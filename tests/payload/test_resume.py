"""States to resume from, between a run's folder and the stages of the embedded Snowflake; logs that are uploaded."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from payload import resume
from payload.keep import Growing, Keeper
from payload.resume import COMPLETE, Resumed, StateUploads
from payload.snowflake_session import Store


@pytest.fixture
def stores(account: Any, request: pytest.FixtureRequest) -> Callable[[int], Store]:
    """The stage of one attempt."""
    name = "RUN_" + "".join(letter for letter in request.node.name.upper() if letter.isalnum())

    def made(attempt: int) -> Store:
        store = Store(account.session, f"{name}_{attempt}")
        account.session.sql(f"CREATE STAGE IF NOT EXISTS {store.run} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')").collect()
        return store

    return made


@pytest.fixture
def folders(tmp_path: Path) -> Callable[[str], Path]:
    def made(name: str) -> Path:
        (tmp_path / name / "output").mkdir(parents=True)
        return tmp_path / name

    return made


def lines(key: str, last: int) -> str:
    return "".join(
        json.dumps({key: step, "loss": float("nan") if step == 2 else 1 / step}) + "\n" for step in range(1, last + 1)
    )


def save(folder: Path, step: int, weights: bytes = b"weights", complete: bool = True) -> Path:
    """A state as DeepSpeed and the hooks leave it; lines of later steps are there when one was stopped in between."""
    state = folder / "output" / "resume" / f"epoch_0_global_step_{step}"
    state.mkdir(parents=True, exist_ok=True)
    (state / COMPLETE).unlink(missing_ok=True)
    (state / "mp_rank_00_model_states.pt").write_bytes(weights)
    (state / "steps.jsonl").write_text(lines("step", step + 1))
    (state / "train-log-metrics.jsonl").write_text(lines("iter", step + 1))
    (state.parent / "latest").write_text(state.name)
    if complete:
        sizes = {path.name: path.stat().st_size for path in state.iterdir()}
        (state / COMPLETE).write_text(json.dumps({"step": step, "at": os.urandom(4).hex(), "files": sizes}))
    return state


def states(store: Store) -> set[str]:
    return {name.split("/")[1] for name in store.names() if name.startswith("resume/")}


def test_a_state_goes_to_the_stage_and_the_next_attempt_has_it(stores: Any, folders: Any) -> None:
    first, second = stores(1), stores(2)
    at, there = folders("first"), folders("second")
    uploads = StateUploads(first, at)
    save(at, 5)
    uploads.upload()
    assert resume.restore(second, ["RUN_THAT_IS_GONE_1", first.run], there) == Resumed(first.run, 5)
    found = there / "output" / "resume"
    assert (found / "latest").read_text() == "epoch_0_global_step_5"
    assert (found / "epoch_0_global_step_5" / "mp_rank_00_model_states.pt").read_bytes() == b"weights"
    steps = [json.loads(line)["step"] for line in (there / "output" / "steps.jsonl").read_text().splitlines()]
    iters = [
        json.loads(line)["iter"] for line in (there / "output" / "train-log-metrics.jsonl").read_text().splitlines()
    ]
    assert (steps, iters) == ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5])
    StateUploads(second, there).upload()
    assert states(second) == set()  # its own stage gets states of its own only


def test_a_job_that_starts_again_goes_on_from_its_own_state(stores: Any, folders: Any) -> None:
    first, second = stores(1), stores(2)
    at = folders("again")
    for store, name, step in ((first, "one", 9), (second, "two", 4)):
        folder = folders(name)
        uploads = StateUploads(store, folder)
        save(folder, step)
        uploads.upload()
    assert resume.restore(second, [first.run], at) == Resumed(second.run, 4)


def test_only_the_newest_state_stays_and_only_whole_ones_go(stores: Any, folders: Any) -> None:
    store, at = stores(1), folders("run")
    uploads = StateUploads(store, at)
    for step in (3, 30):
        save(at, step)
        uploads.upload()
    save(at, 31, complete=False)
    uploads.upload()
    assert states(store) == {"latest", "epoch_0_global_step_30"}
    save(at, 30, b"written again")
    uploads.upload()
    assert resume.restore(store, [], folders("again")) == Resumed(store.run, 30)
    written = at.parent / "again" / "output" / "resume" / "epoch_0_global_step_30" / "mp_rank_00_model_states.pt"
    assert written.read_bytes() == b"written again"


def test_a_state_that_is_written_again_during_its_upload_is_not_named(
    stores: Any, folders: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, at = stores(1), folders("run")
    uploads = StateUploads(store, at)
    state, upload = save(at, 3), Store.upload_folder

    def slow(self: Store, folder: Path, target: str) -> None:
        upload(self, folder, target)
        (state / COMPLETE).unlink(missing_ok=True)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "upload_folder", slow)
        uploads.upload()
    assert resume.restore(store, [], folders("none")) is None
    save(at, 3)
    uploads.upload()
    assert resume.restore(store, [], folders("then")) == Resumed(store.run, 3)


def test_a_state_that_is_not_as_it_was_is_left_alone(stores: Any, folders: Any, capsys: Any) -> None:
    first, second = stores(1), stores(2)
    for store, name in ((first, "one"), (second, "two")):
        folder = folders(name)
        uploads = StateUploads(store, folder)
        save(folder, 5)
        uploads.upload()
    cut = folders("cut") / "mp_rank_00_model_states.pt"
    cut.write_bytes(b"wei")
    second.upload(cut, "resume/epoch_0_global_step_5")
    assert resume.restore(stores(3), [second.run, first.run], folders("next")) == Resumed(first.run, 5)
    assert f"the state of {second.run} could not be fetched: ValueError" in capsys.readouterr().out


def test_a_run_that_diverged_is_not_gone_on_from(stores: Any, folders: Any, tmp_path: Path) -> None:
    store, at = stores(1), folders("run")
    uploads = StateUploads(store, at)
    save(at, 5)
    uploads.upload()
    results = tmp_path / "results.json"
    for kind, resumed in (("diverged", None), ("timeout", Resumed(store.run, 5))):
        results.write_text(json.dumps({"failure": {"kind": kind}}))
        store.upload(results)
        assert resume.restore(stores(2), [store.run], folders(kind)) == resumed


def test_logs_are_uploaded_when_they_grew_and_a_failure_ends_nothing(
    stores: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, log = stores(1), tmp_path / "it's a.log"
    growing = Growing(store, [(log, "train.log", "logs"), (tmp_path / "none", "none", "")], tmp_path / "keep", every=0)
    growing.upload()
    assert store.names() == []
    for text in ("one\n", "one\ntwo\n"):
        log.write_text(text)
        growing.upload()
        store.fetch(f"@{store.run}/logs", tmp_path / "fetched")
        assert (tmp_path / "fetched" / "train.log").read_text() == text
    store.remove("logs/")
    growing.upload()
    assert store.names() == []  # nothing new, nothing uploaded
    log.write_text("more\n" * 9)
    failing = Growing(Store(store.session, "NO_SUCH_STAGE"), [(log, "train.log", "logs")], tmp_path / "keep", every=0)
    with Keeper([failing.upload, growing.upload]):
        pass
    assert store.names() == ["logs/train.log"]
    assert "an upload failed, and the run goes on: ProgrammingError" in capsys.readouterr().err


def test_a_thread_uploads_while_the_run_goes_on(stores: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("payload.keep.POLL_SECONDS", 0.01)
    store, log = stores(1), tmp_path / "a.log"
    log.write_text("one\n")
    with Keeper([Growing(store, [(log, "train.log", "logs")], tmp_path / "keep", every=0).upload]):
        for _ in range(200):
            if store.rows(f"LIST @{store.run}"):  # as the run's own statements do, at the same time
                break
        else:
            pytest.fail("nothing was uploaded")
