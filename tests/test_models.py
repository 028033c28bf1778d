"""Names, revisions, files and licences of models; the whole way is in journeys/test_models.py."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from payload import mirror
from piste import models
from piste.errors import PisteError
from piste.journeys import mirroring
from piste.models import BESIDE, WEIGHTS, Model, Pin, Wish
from piste.resources import schema

COMMIT = "93efa2f097d58c2a74874c7e644dbc9b0cee75a2"
PINNED = Pin("org/model", COMMIT, "v1")
FILES = {"config.json": {"sha256": "0" * 64, "bytes": 2}, "model.safetensors": {"sha256": "1" * 64, "bytes": 3_000_000}}
DOCUMENT = models.document(Wish("tiny", "org/model"), COMMIT, "mit", FILES, "2026-11-28T01:29:12+00:00", "@ana")


@pytest.mark.parametrize(
    ("weights", "others"),
    [
        (["model.safetensors"], ["pytorch_model.bin", "consolidated.safetensors", "model.fp16.safetensors"]),
        (
            ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors", "model.safetensors.index.json"],
            ["consolidated.00.pth", "original/model.safetensors", "pytorch_model.bin.index.json", "tf_model.h5"],
        ),
        (["adapter_model.safetensors"], ["adapter_model.bin", "optimizer.pt"]),
        (["gpt.safetensors"], ["pytorch_model.bin"]),
        (["pytorch_model.bin"], ["flax_model.msgpack", "rust_model.ot"]),
        (["pytorch_model-00001-of-00001.bin", "pytorch_model.bin.index.json"], ["training_args.bin"]),
    ],
)
def test_one_form_of_the_weights_and_what_is_beside_them(weights: list[str], others: list[str]) -> None:
    beside = [
        "LICENSE",
        "LICENSE.txt",
        "NOTICE",
        "README.md",
        "USE_POLICY.md",
        "additional_chat_templates/tool.jinja",
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "merges.txt",
        "modeling_own.py",
        "qwen.tiktoken",
        "special_tokens_map.json",
        "spiece.model",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.json",
    ]
    never = [
        ".gitattributes",
        "model.gguf",
        "onnx/model.onnx",
        "runs/x.log",
        "../config.json",
        "a b.json",
        "LICENSE'.md",
    ]
    every = [*others, *never, *weights, *beside]
    assert models.chosen(every) == tuple(sorted([*weights, *beside]))
    assert mirror.chosen(every, WEIGHTS, BESIDE) == models.chosen(every), "the job chooses as piste does"


def test_without_weights_there_is_no_model() -> None:
    with pytest.raises(PisteError):
        models.chosen(["model.gguf", "config.json"])
    assert mirror.chosen(["model.gguf", "config.json"], WEIGHTS, BESIDE) == ()


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ({"license": "apache-2.0"}, "apache-2.0"),
        ({"license": "other", "license_name": "llama3.1"}, "llama3.1"),
        ({"license": ["mit", "cc-by-4.0"]}, "mit, cc-by-4.0"),
        ({"license": "other"}, ""),
        ({"license": "unknown"}, ""),
        ({"license": None}, ""),
        ({}, ""),
    ],
)
def test_a_licence_is_what_the_card_names(card: dict[str, Any], said: str) -> None:
    assert mirror.licence_of(card) == said, "the job reads the hub's card as piste a README"
    readme = f"---\n{json.dumps(card)}\n---\n# A model\n"
    if said:
        assert models.licence(readme, "") == said
        assert models.licence(readme, said.upper()) == said
        with pytest.raises(PisteError, match="not gpl"):
            models.licence(readme, "gpl")
    else:
        with pytest.raises(PisteError, match="names no licence"):
            models.licence(readme, "")
        assert models.licence(readme, "ours") == "ours"


@pytest.mark.parametrize(
    "readme", ["", "# no front matter", "---\nlicense: [\n---\n", "---\n- mit\n---\n", "---\nlicense: mit"]
)
def test_a_readme_without_front_matter_names_none(readme: str) -> None:
    with pytest.raises(PisteError, match="names no licence"):
        models.licence(readme, "")


@pytest.mark.parametrize(
    ("repository", "revision", "stands"),
    [
        ("org/model", "", True),
        ("org/model", "v1", True),
        ("org/model", COMMIT, True),
        ("org/model", COMMIT[:7], True),
        ("org/model", COMMIT[:6], None),
        ("org/model", "0" * 40, False),
        ("org/model", "main", None),
        ("org/other", "", False),
        ("", COMMIT, False),
    ],
)
def test_what_a_name_stands_for(repository: str, revision: str, stands: bool | None) -> None:
    wish = Wish("tiny", repository, revision)
    assert models.stands(PINNED, wish) is stands
    assert models.read_pin(json.dumps(models.pin_comment(wish, COMMIT))) == Pin(repository, COMMIT, revision)
    own = dict.fromkeys(mirror.Task.__dataclass_fields__, "")
    task = mirror.Task(**{**own, "repository": repository, "revision": revision})  # type: ignore[arg-type]
    assert task.is_meant_by(vars(PINNED)) is bool(stands), "the job judges as piste does"


def test_names_of_stages_tell_models_and_attempts_apart() -> None:
    assert models.pin_name("qwen2.5") != models.pin_name("qwen2-5")
    attempt = models.attempt_name("qwen2.5", "0f" * 16)
    assert models.attempt_of(attempt) == models.attempt_of(f"{attempt}_QWEN2_5_1A2B") == attempt
    assert models.attempt_of(models.pin_name("qwen2.5")) is None
    assert models.attempt_of("RUN_0F0F0F0F0F0F_1") is None


def test_a_document_is_as_its_schema_says_and_comes_back() -> None:
    assert list(Draft202012Validator(schema("model")).iter_errors(DOCUMENT)) == []
    found = models.read_model(json.dumps(DOCUMENT).encode())
    assert found == Model("tiny", "org/model", COMMIT, "mit", 3_000_002, "2026-11-28T01:29:12+00:00", "@ana", DOCUMENT)
    assert models.text([found]).splitlines()[1].split() == [
        "tiny", "org/model", COMMIT[:12], "mit", "3.0", "MB", "2026-11-28", "@ana",
    ]  # fmt: skip
    assert json.loads(models.as_json([found])) == [DOCUMENT]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"schema": "model/v1"}', json.dumps({**DOCUMENT, "files": 3}).encode()]
)
def test_what_is_no_document_is_none(content: bytes) -> None:
    assert models.read_model(content) is None
    assert models.read_model(json.dumps({**DOCUMENT, "schema": "model/v2"}).encode()) is None


def test_the_job_installs_the_hubs_client_as_the_lock_pins_it() -> None:
    lock = (
        "--extra-index-url x\ntorch==2.13.0  # large\nHuggingFace_Hub==0.36.2 \\\n    --hash=sha256:00\n"
        "requests[socks]==2.34.2\n"
    )
    assert models.requirements(lock) == {
        "requirements.txt": b"--extra-index-url x\n-c lock.txt\nHuggingFace_Hub==0.36.2\n",
        "lock.txt": b"torch==2.13.0\nHuggingFace_Hub==0.36.2\nrequests==2.34.2\n",
    }
    assert models.requirements("torch==2.13.0\n") is None


def test_a_mirror_of_the_hub_is_passed_on_without_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """The job's specification can be read by whoever may see the job."""
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example/hf")
    assert mirroring._endpoint() == {"HF_ENDPOINT": "https://hub.example/hf"}
    monkeypatch.setenv("HF_ENDPOINT", "https://ana:planted@hub.example")
    with pytest.raises(PisteError) as raised:
        mirroring._endpoint()
    assert "planted" not in str(raised.value)
    monkeypatch.delenv("HF_ENDPOINT")
    assert mirroring._endpoint() == {}
