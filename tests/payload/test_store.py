"""Stages and tables as the payload uses them, on the embedded Snowflake."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from payload.failure import RunError
from payload.snowflake_session import Store
from showcase import loader, soap_notes


@pytest.fixture
def store(account: Any, request: pytest.FixtureRequest) -> Store:
    name = "RUN_" + "".join(letter for letter in request.node.name.upper() if letter.isalnum())
    account.session.sql(f"CREATE STAGE {name} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')").collect()
    return Store(account.session, name)


def test_the_fence_lets_one_job_through_and_the_same_job_again(store: Store) -> None:
    assert store.fence("JOB_A") is True
    assert store.fence("JOB_B") is False
    assert store.fence("JOB_A") is True


def test_jobs_that_are_told_no_name_can_not_both_pass_the_fence(store: Store) -> None:
    nameless = replace(store, run="RUN_NAMELESS_1")
    assert nameless.fence("") is True
    assert nameless.fence("") is False


def test_a_folder_goes_up_and_comes_down_as_it_was(store: Store, tmp_path: Path) -> None:
    files = {"a.txt": b"1", "deep/er/b.bin": bytes(range(256)), "deep/c d.txt": b"3"}
    for name, content in files.items():
        path = tmp_path / "up" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    store.upload_folder(tmp_path / "up", "checkpoint")
    store.fetch(f"@{store.run}/checkpoint", tmp_path / "down")
    down = tmp_path / "down"
    assert {str(p.relative_to(down)): p.read_bytes() for p in down.rglob("*") if p.is_file()} == files


def test_a_prefix_of_a_name_is_another_name(store: Store, tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x")
    for folder in ("model", "model-2"):
        store.upload(tmp_path / "x.txt", folder)
    assert [path.name for path in store.fetch(f"@{store.run}/model", tmp_path / "down")] == ["x.txt"]
    assert len(store.fetch(f"@{store.run}", tmp_path / "all")) == 2
    with pytest.raises(RunError, match="There are no files at"):
        store.fetch(f"@{store.run}/mod", tmp_path / "none")


def test_rows_of_an_interrupted_start_are_replaced(store: Store, account: Any) -> None:
    columns = ["SAMPLE_ID", "PREDICTION", "TOKENS", "SECONDS"]
    for text in ("first", "second"):
        store.replace_rows("PREDICTIONS", columns, [["a", text, 1, 0.5], ["b", '{"x": "é\\n"}', 2, 0.25]])
    found = store.predictions(store.run)
    assert {key: row["PREDICTION"] for key, row in found.items()} == {"a": "second", "b": '{"x": "é\\n"}'}


def test_a_heartbeat_that_cannot_be_written_ends_nothing(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    store.try_event("heartbeat", {"loss": float("nan")})
    assert "heartbeat could not be written: ValueError" in capsys.readouterr().err


def test_loading_the_example_twice_changes_nothing(account: Any, tmp_path: Path) -> None:
    visits = soap_notes.visits({"train": 16, "validation": 4, "test": 8})
    said: list[str] = []
    assert loader.load_rows(account.session, visits, said.append) is False
    assert said == ["table SOAP_NOTES: 28 rows are there"]
    (tmp_path / "weights.bin").write_bytes(b"12345")
    assert loader.load_model(account.session, tmp_path, "toy", said.append) is True
    assert loader.load_model(account.session, tmp_path, "toy", said.append) is False
    (tmp_path / "weights.bin").write_bytes(b"123456")
    assert loader.load_model(account.session, tmp_path, "toy", said.append) is True
