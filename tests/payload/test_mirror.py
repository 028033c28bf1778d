"""What the job that mirrors a model says when the hub says no."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import hub as hubs
import pytest
from hub import Hub
from huggingface_hub import constants

from payload import mirror
from payload.failure import RunError
from payload.mirror import Commit, Entry, Task
from piste.models import BESIDE, WEIGHTS

TOKEN = "hf_never-told"
TASK = Task(
    "RUN", "MODELS", "MODEL_X", "model/v1", "tiny", "org/tiny", "", "", "@ana", WEIGHTS, BESIDE, "P.D.HF_TOKEN", ""
)  # fmt: skip


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with hubs.serve() as serving:
        monkeypatch.setattr(constants, "ENDPOINT", serving.address)
        yield serving


def said(task: Task, revision: str = "") -> str:
    with pytest.raises(Exception) as raised:  # noqa: PT011
        mirror.look(task, revision)
    failure = mirror.explained(raised.value, task)
    assert TOKEN not in str(failure)
    return f"{failure.message} {failure.hint}"


def test_what_the_hub_lists(hub: Hub) -> None:
    head = hub.add("org/tiny", {"config.json": b"{}", "model.safetensors": b"\1" * 9}, card={"license": "mit"})
    small = Entry("config.json", 2, "", hubs.blob(b"{}"))
    large = Entry("model.safetensors", 9, hashlib.sha256(b"\1" * 9).hexdigest(), hubs.blob(b"\1" * 9))
    assert mirror.look(TASK, "") == mirror.look(TASK, "main") == Commit(head, "mit", (small, large))
    assert mirror.needed(TASK, mirror.look(TASK, "")) == (small, large)


def test_what_it_does_not_have(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "The hub shows no org/tiny. It is written differently, or it is private." in (words := said(TASK))
    assert "CREATE SECRET P.D.HF_TOKEN TYPE = GENERIC_STRING SECRET_STRING = '<token>';" in words
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert said(TASK).endswith("or the token may not see it")
    hub.add("org/tiny", {})
    assert "org/tiny has no revision 'v9'. Name a branch, a tag or a commit." in said(
        Task(**{**vars(TASK), "revision": "v9"}), "v9"
    )


def test_a_token_that_is_not_enough(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    head = hub.add("org/tiny", {"config.json": b"{}"}, token="another")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    url = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE", url)
    transfer = mirror.Transfer(TASK, None, head)  # type: ignore[arg-type]
    with pytest.raises(Exception) as raised:  # noqa: PT011
        transfer.try_one(Entry("config.json", 2, "", hubs.blob(b"{}")))
    failure = mirror.explained(raised.value, TASK)
    assert failure.message == "org/tiny is gated, and the token has no access."
    assert TOKEN not in str(failure)


def test_a_hub_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9 can't be reached from the job" in (words := said(TASK))
    assert 'model_access = "PISTE_HUB"' in words
    assert "the integration HUB" in said(Task(**{**vars(TASK), "access": "HUB"}))


def test_licences(hub: Hub) -> None:
    with pytest.raises(RunError, match="The hub names no licence for org/tiny"):
        mirror._licence(TASK, Commit("", "", ()))
    told = Task(**{**vars(TASK), "licence": "mit"})
    assert mirror._licence(told, Commit("", "", ())) == mirror._licence(told, Commit("", "MIT", ())).lower() == "mit"
    with pytest.raises(RunError, match="The hub says licence gpl, not mit"):
        mirror._licence(told, Commit("", "gpl", ()))
    with pytest.raises(RunError, match="no weights that transformers reads"):
        mirror.needed(TASK, Commit("", "", (Entry("model.gguf", 1, "", ""),)))


@pytest.mark.parametrize("content", [b"{}", b"{ }", b"[]"])
def test_other_bytes_are_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(content)
    small, large = Entry("file", 2, "", hubs.blob(b"{}")), Entry("file", 2, hashlib.sha256(b"{}").hexdigest(), "")
    for entry in (small, large):
        if content == b"{}":
            assert mirror._verified(tmp_path / "file", entry) == large.sha256
        else:
            with pytest.raises(RunError, match="is not what the hub's list says"):
                mirror._verified(tmp_path / "file", entry)
