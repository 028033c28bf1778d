"""`piste model` through the whole stack, beside a stand-in of the hub; and secrets, which only jobs may learn."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hub as hubs
import pytest
from hub import Hub, sha256

from faults.stack import DATA, Stack, stack

PLANTED = "hf_planted8c41d7"
SMALL = {"config.json": b"{}", "tokenizer.json": b"{ }", "README.md": b"# a model"}
WEIGHTS = {"model.safetensors": b"\1" * 300_000}
SHARDS = {"model-00001-of-00002.safetensors": b"\2" * 200_000, "model-00002-of-00002.safetensors": b"\3" * 250_000}
INDEX = {"model.safetensors.index.json": b'{"weight_map": {}}'}
NOT_NEEDED = {
    "pytorch_model.bin": b"the same",
    "consolidated.safetensors": b"the same",
    "model-q4.gguf": b"the same",
    "onnx/model.onnx": b"the same",
    "original/params.json": b"{}",
    ".gitattributes": b"",
    "figure.png": b"",
}
FREE = {"license": "apache-2.0"}


@pytest.fixture(scope="module")
def hub() -> Iterator[Hub]:
    with hubs.serve() as serving:
        yield serving


@pytest.fixture(scope="module")
def place(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    before = os.environ.get("HF_ENDPOINT")
    os.environ["HF_ENDPOINT"] = hub.address
    try:
        with stack(tmp_path_factory.mktemp("models")) as made:
            yield made
    finally:
        os.environ.pop("HF_ENDPOINT")
        if before is not None:
            os.environ["HF_ENDPOINT"] = before


def on_stage(place: Stack, name: str) -> dict[str, bytes]:
    folder = place.directory / "globe/stages/PISTE/DEV/MODELS" / name
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def document(place: Stack, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(on_stage(place, name)["MODEL.json"])
    return found


def stages(place: Stack) -> list[str]:
    return sorted(path.stem for path in (place.directory / "globe/catalog/stages/PISTE/DEV").glob("MODEL_*.json"))


def sql(place: Stack, *statements: str) -> None:
    done = place.world.script(DATA, "globe", *statements)
    assert done.code == 0, done.err


def test_a_model_of_the_hub(place: Stack, hub: Hub) -> None:
    first = hub.add("org/tiny", SMALL | SHARDS | INDEX | NOT_NEEDED, card=FREE)
    hub.unavailable = 1
    done = place.piste("model", "add", "tiny-1.5b", "--repo", "org/tiny")
    assert done.code == 0, done.err
    assert done.out == f"@MODELS/tiny-1.5b is complete: org/tiny at {first[:12]} (apache-2.0, 450 kB)\n"
    wanted = SMALL | SHARDS | INDEX
    found = on_stage(place, "tiny-1.5b")
    said = json.loads(found.pop("MODEL.json"))
    assert found == wanted
    assert said.pop("at").startswith("20")
    assert said == {
        "schema": "model/v1", "name": "tiny-1.5b", "repository": "org/tiny", "revision": first,
        "licence": "apache-2.0", "actor": "ana",
        "files": {path: {"sha256": sha256(content), "bytes": len(content)} for path, content in wanted.items()},
    }  # fmt: skip
    assert len(stages(place)) == 1, "only what the name stands for is left of it"

    jobs, second = len(place.jobs()), hub.add("org/tiny", SMALL | WEIGHTS)
    for same in ((), ("--revision", first), ("--revision", first[:9])):
        again = place.piste("model", "add", "tiny-1.5b", "--repo", "org/tiny", *same)
        assert (again.code, again.err) == (0, "nothing to do\n")
        assert again.out.startswith("@MODELS/tiny-1.5b is there since 20")
    for other in (("org/tiny", "--revision", second), ("org/other",)):
        refused = place.piste("model", "add", "tiny-1.5b", "--repo", *other)
        assert refused.code == 1
        assert f"tiny-1.5b stands for org/tiny at {first[:12]}" in refused.err
        assert "a model's name is part of identity, so its content never changes" in refused.err
    assert len(place.jobs()) == jobs
    moved = place.piste("model", "add", "tiny-1.5b", "--repo", "org/tiny", "--revision", "main")
    assert (moved.code, moved.out) == (1, "")
    assert f"not for org/tiny at {second[:12]}" in moved.err
    assert "never changes" in moved.err
    assert on_stage(place, "tiny-1.5b").items() > wanted.items()


def test_a_file_that_is_not_what_the_hub_lists(place: Stack, hub: Hub) -> None:
    hub.add("org/changed", {"config.json": b"{}", "LICENSE": b"MIT", "model.safetensors": b"\5" * 9}, card=FREE)
    hub.tampered.add("model.safetensors")
    done = place.piste("model", "add", "changed", "--repo", "org/changed")
    hub.tampered.clear()
    assert done.code == 1
    assert "model.safetensors is not what the hub's list says" in done.err
    assert not on_stage(place, "changed").keys() & {"MODEL.json", "model.safetensors"}
    assert "@MODELS/changed: no MODEL.json" in place.piste("model", "list").err


def test_an_interrupted_one_goes_on(place: Stack, hub: Hub) -> None:
    first, second = SHARDS
    add = ("model", "add", "large", "--repo", "org/large")
    hub.add("org/large", SMALL | SHARDS | INDEX, card=FREE)
    served = hub.served[first]
    with hub.holding(second):
        begun = place.start(*add)
        assert hub.asked.wait(120)
        os.kill(begun.pid, signal.SIGINT)
        left = begun.wait()
        assert (left.code, "goes on: the same command follows it again" in left.err) == (130, True)
        following = place.start(*add)
        until(lambda: following.err.exists() and "is at it already" in following.err.read_text())
        until(lambda: first in on_stage(place, "large"))
        (job,) = (job for job in place.jobs() if job["status"] == "RUNNING")
        place.globe.lose_node(job["name"][-1])
        lost = following.wait()
    assert lost.code == 1
    assert "INTERNAL_ERROR" in lost.err
    assert "Run the same command again" in lost.err
    assert "MODEL.json" not in on_stage(place, "large")
    assert "large" not in place.piste("model", "list").out
    other = place.piste("model", "add", "large", "--repo", "org/tiny")
    assert (other.code, "It is not complete." in other.err) == (1, True)
    (place.directory / "globe/stages/PISTE/DEV/MODELS/large/config").write_text("left by somebody")
    hub.add("org/large", SMALL | WEIGHTS)  # the branch moves on; what was begun is what is completed
    done = place.piste(*add)
    assert done.code == 0, done.err
    found = on_stage(place, "large")
    assert found.pop("MODEL.json")
    assert found == SMALL | SHARDS | INDEX
    assert hub.served[first] - served == 1, "what had reached the stage is not fetched again"


def until(happened: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.05)


def told(place: Stack, name: str) -> Any:
    """The licences that the ledger tells of a model."""
    query = f"SELECT BODY:licence::VARCHAR FROM LEDGER WHERE EVENT = 'mirrored' AND BODY:name::VARCHAR = '{name}'"
    return json.loads(place.world.rows(query))


def test_a_folder_of_this_machine(place: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "our base"
    (folder / "onnx").mkdir(parents=True)
    card = {"README.md": b"---\nlicense: other\nlicense_name: ours-1\n---\n# Ours\n"}
    for path, content in (SMALL | WEIGHTS | NOT_NEEDED | card).items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(content)
    jobs = len(place.jobs())
    done = place.piste("model", "add", "ours", "--from", str(folder))
    assert done.code == 0, done.err
    assert on_stage(place, "ours").keys() == (SMALL | WEIGHTS).keys() | {"MODEL.json"}
    said = document(place, "ours")
    assert (said["repository"], said["licence"]) == ("", "ours-1")
    assert said["files"]["model.safetensors"] == {"sha256": sha256(WEIGHTS["model.safetensors"]), "bytes": 300_000}
    again = place.piste("model", "add", "ours", "--from", str(folder))
    assert (again.code, again.err) == (0, "nothing to do\n")
    assert told(place, "ours") == [["ours-1"]], "once, where whoever may only look can read it"
    (folder / "config.json").write_bytes(b"[]")
    other = place.piste("model", "add", "ours", "--from", str(folder))
    assert (other.code, other.out) == (1, "")
    assert "never changes" in other.err
    assert on_stage(place, "ours")["config.json"] == b"{}"
    (folder / "README.md").write_bytes(b"# Ours")
    unknown = place.piste("model", "add", "ours-2", "--from", str(folder))
    assert (unknown.code, unknown.err.splitlines()[0]) == (1, "The model's README.md names no licence.")
    assert place.piste("model", "add", "ours-2", "--from", str(folder), "--licence", "mit").code == 0
    foreign = place.piste("model", "add", "tiny", "--from", str(folder), "--licence", "mit")
    assert (foreign.code, "no `piste model add` put there" in foreign.err) == (1, True)
    assert on_stage(place, "tiny").keys() == {"config.json"}
    assert len(place.jobs()) == jobs


def test_a_gated_model_needs_a_secret_and_nothing_else_learns_it(place: Stack, hub: Hub) -> None:
    hub.add("org/gated", SMALL | WEIGHTS, card={"license": "other"}, token=PLANTED)
    add = ("model", "add", "gated", "--repo", "org/gated", "--licence", "of-the-org")
    refused = place.piste(*add)
    assert refused.code == 1
    assert "org/gated is gated, and there is no token." in refused.err
    assert "CREATE SECRET PISTE.DEV.HF_TOKEN TYPE = GENERIC_STRING SECRET_STRING = '<token>';" in refused.err
    assert 'secrets = {HF_TOKEN = "PISTE.DEV.HF_TOKEN"}' in refused.err
    assert not on_stage(place, "gated")

    secrets = 'secrets = {HF_TOKEN = "PISTE.DEV.HF_TOKEN", MY_KEY = "PISTE.DEV.MY_KEY"}'
    settings = (place.world.root / "pyproject.toml").read_text()
    place.world.write("pyproject.toml", settings.replace("pools = ", f"{secrets}\npools = "))
    missing = place.piste(*add)
    assert (missing.code, "Secret 'PISTE.DEV.HF_TOKEN' does not exist" in missing.err) == (1, True)
    assert "MISSING  secret PISTE.DEV.HF_TOKEN (HF_TOKEN)" in place.piste("doctor").out
    sql(
        place,
        f"CREATE SECRET HF_TOKEN TYPE = GENERIC_STRING SECRET_STRING = '{PLANTED}'",
        f"CREATE SECRET MY_KEY TYPE = GENERIC_STRING SECRET_STRING = '{PLANTED}-2'",
    )
    assert "ok       secret PISTE.DEV.HF_TOKEN (HF_TOKEN)" in place.piste("doctor").out
    done = place.piste(*add)
    assert done.code == 0, done.err
    assert document(place, "gated")["licence"] == "of-the-org"

    trainer = place.directory / "globe/bin/arctic_training"
    seen = place.directory / "seen"
    trainer.write_text(trainer.read_text().replace(
        "recipe = ", f"pathlib.Path({str(seen)!r}).write_text(os.environ['MY_KEY'][::-1])\nrecipe = ", 1
    ))  # fmt: skip
    place.add(["with-key"], 1)
    assert place.piste("apply", "with-key").code == 0
    place.until_jobs_ended()
    assert place.piste("collect").code == 0
    assert seen.read_text() == f"{PLANTED}-2"[::-1], "a training has its environment's secrets"
    assert place.report("with-key")
    assert holding(PLANTED, place.directory) == [
        f"globe/catalog/secrets/PISTE/DEV/{name}.json" for name in ("HF_TOKEN", "MY_KEY")
    ]


def holding(text: str, directory: Path) -> list[str]:
    """All files below that have it in them: state of the account, logs, trace, repository, what commands said."""
    done = subprocess.run(["grep", "-rla", text, str(directory)], capture_output=True, text=True, check=False)
    return sorted(str(Path(line).relative_to(directory)) for line in done.stdout.splitlines())


def test_wrong_usage(place: Stack, tmp_path: Path) -> None:
    for wrong in (
        ("model", "add", "x"),
        ("model", "add", "x", "--repo", "org/tiny", "--from", str(tmp_path)),
        ("model", "add", "x", "--repo", "tiny"),
        ("model", "add", "X/Y", "--repo", "org/tiny"),
        ("model", "add", "x", "--from", str(tmp_path), "--revision", "main"),
    ):
        assert place.piste(*wrong).code == 2, wrong
    for refused, word in (("--pool", "gpu"), ("--secret", "HF_TOKN")):
        done = place.piste("model", "add", "x", "--repo", "org/tiny", refused, word)
        assert (done.code, word in done.err) == (1, True)
    assert place.piste("model", "add", "x", "--from", str(tmp_path)).err.startswith("There are no weights")
    assert [one["name"] for one in place.piste("model", "list", "--format", "json").json()] == sorted(
        one["name"] for one in map(json.loads, models_on(place))
    )


def models_on(place: Stack) -> list[str]:
    return [path.read_text() for path in (place.directory / "globe/stages/PISTE/DEV/MODELS").glob("*/MODEL.json")]
