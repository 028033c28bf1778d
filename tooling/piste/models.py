"""Models on the environment's stage: what stands for which commit, and what of a repository transformers needs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from piste.errors import PisteError
from piste.garbage import size

STAGE: Final = "MODELS"
FILE: Final = "MODEL.json"
"""Written last into a model's folder: a folder that has it is whole."""

SCHEMA: Final = "model/v1"
NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
REPOSITORY: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

WEIGHTS: Final = (
    ("model.safetensors",),
    ("model-*-of-*.safetensors", "model.safetensors.index.json"),
    ("adapter_model.safetensors",),
    ("*.safetensors", "*.safetensors.index.json"),
    ("pytorch_model.bin",),
    ("pytorch_model-*-of-*.bin", "pytorch_model.bin.index.json"),
    ("adapter_model.bin",),
)
"""Forms of the same weights, the best first. A repository has a form if a file fits its first pattern."""

BESIDE: Final = (
    "*config.json",
    "tokenizer*.json",
    "*.model",
    "*.tiktoken",
    "vocab.*",
    "merges.txt",
    "tekken.json",
    "added_tokens.json",
    "special_tokens_map.json",
    "chat_template.*",
    "additional_chat_templates/*.jinja",
    "*.py",
    "README.md",
    *(f"{word}{more}" for word in ("LICENSE", "LICENCE", "NOTICE", "COPYING", "USE_POLICY") for more in ("", "[.-]*")),
)
"""What else transformers reads, and what says under which terms."""

_PLAIN = re.compile(r"[A-Za-z0-9_][\w.+=,-]*(/[A-Za-z0-9_][\w.+=,-]*)?")
_COMMIT = re.compile(r"[0-9a-f]{7,64}")
_FRONT = re.compile(r"---\s*\n(.*?)\n---\s*(?:\n|$)", re.DOTALL)

NEVER_CHANGES: Final = "Choose another name; a model's name is part of identity, so its content never changes."


@dataclass(frozen=True)
class Wish:
    """What somebody asks for. `repository` is "" for a folder of this machine; `revision` "" for the hub's default."""

    name: str
    repository: str = ""
    revision: str = ""
    licence: str = ""

    @property
    def title(self) -> str:
        source = self.repository or "a folder of this machine"
        return f"{source} at {short(self.revision)}" if self.revision else source


@dataclass(frozen=True)
class Model:
    """A model that is whole, as its MODEL.json says it; `document` is all of that."""

    name: str
    repository: str
    revision: str
    licence: str
    bytes: int
    at: str
    actor: str
    document: Mapping[str, Any]

    @property
    def title(self) -> str:
        """`HuggingFaceTB/SmolLM2-135M at 93efa2f097d5 (apache-2.0, 269 MB)`"""
        source = self.repository or "a folder"
        return f"{source} at {short(self.revision)} ({self.licence}, {size(self.bytes)})"


@dataclass(frozen=True)
class Pin:
    """What a name stands for, for ever. `asked` is the revision as it was asked for first."""

    repository: str
    revision: str
    asked: str = ""


def place(name: str) -> str:
    """As an experiment's `inputs` names it."""
    return f"@{STAGE}/{name}"


def pin_name(name: str) -> str:
    """The stage that pins a name: its first creator decides what the name stands for."""
    return f"MODEL_{hashlib.sha256(name.encode()).hexdigest()[:12].upper()}"


def attempt_name(name: str, nonce: str) -> str:
    """The stage that one job works on, and the beginning of the job's name."""
    return f"{pin_name(name)}_{nonce[:8].upper()}"


def attempt_of(text: str) -> str | None:
    """The attempt that a stage or a job belongs to."""
    match = re.match(r"MODEL_[0-9A-F]{12}_[0-9A-F]{8}(?![0-9A-Z])", text)
    return match[0] if match else None


def short(revision: str) -> str:
    return revision[:12] if _COMMIT.fullmatch(revision) else revision[:19]


def read_model(content: bytes) -> Model | None:
    """None for what is no MODEL.json of a form that is known."""
    try:
        document = json.loads(content)
        if document["schema"] != SCHEMA:
            return None
        of_files = sum(int(file["bytes"]) for file in document["files"].values())
        said = {key: str(document[key]) for key in ("name", "repository", "revision", "licence", "at", "actor")}
        return Model(**said, bytes=of_files, document=document)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def document(
    wish: Wish, revision: str, licence: str, files: Mapping[str, Mapping[str, Any]], at: str, actor: str
) -> dict[str, Any]:
    """The content of MODEL.json. `files` is {path: {"sha256", "bytes"}}; `at` is ISO 8601, UTC."""
    said = {"name": wish.name, "repository": wish.repository, "revision": revision, "licence": licence}
    return {"schema": SCHEMA, **said, "files": dict(sorted(files.items())), "at": at, "actor": actor}


def pin_comment(wish: Wish, revision: str) -> dict[str, str]:
    told = {"repository": wish.repository, "revision": revision, "asked": wish.revision}
    return {"model": wish.name, **told}


def read_pin(comment: str) -> Pin | None:
    try:
        told = json.loads(comment)
        return Pin(str(told["repository"]), str(told["revision"]), str(told.get("asked", "")))
    except (ValueError, KeyError, TypeError):
        return None


def stands(pin: Pin, wish: Wish) -> bool | None:
    """Whether a name that is pinned stands for what is wished; None where only the hub can tell."""
    if pin.repository != wish.repository:
        return False
    if wish.revision in ("", pin.asked) or (
        _COMMIT.fullmatch(wish.revision) and pin.revision.startswith(wish.revision)
    ):
        return True
    return False if _COMMIT.fullmatch(wish.revision) else None


def chosen(
    paths: Iterable[str], weights: Sequence[Sequence[str]] = WEIGHTS, beside: Sequence[str] = BESIDE
) -> tuple[str, ...]:
    """The files of a repository that transformers needs: one form of the weights, and what is beside them.

    Raises:
        PisteError: no file looks like weights.
    """
    known = sorted(path for path in paths if _PLAIN.fullmatch(path))
    form = next((one for one in weights if any(_fits(path, one[0]) for path in known)), None)
    if form is None:
        raise PisteError("There are no weights that transformers reads.", f"They are called e.g. {WEIGHTS[0][0]}.")
    return tuple(path for path in known if any(_fits(path, pattern) for pattern in (*form, *beside)))


def _fits(path: str, pattern: str) -> bool:
    return path.count("/") == pattern.count("/") and fnmatchcase(path, pattern)


MIRRORED: Final = "mirrored"
"""The kind of the ledger's rows about models, under the names of their pins: whoever may only look reads no stage."""


def row(model: Model) -> dict[str, str]:
    told = {"repository": model.repository, "revision": model.revision}
    return {"name": model.name, **told, "licence": model.licence}


def licences(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Of models by name, as such rows tell them."""
    return {str(one["name"]): str(one["licence"]) for one in rows}


def licence(card: str, told: str) -> str:
    """By the front matter of a README, or as it was told.

    Raises:
        PisteError: neither says it, or they say different things.
    """
    import yaml

    front = _FRONT.match(card.removeprefix("\ufeff"))
    try:
        read = yaml.safe_load(front[1]) if front else {}
    except yaml.YAMLError:
        read = {}
    said = _licence(read) if isinstance(read, Mapping) else ""
    if said and told and said.lower() != told.lower():
        raise PisteError(f"The model's README.md says licence {said}, not {told}.", "Leave --licence out, or mend it.")
    if not said and not told:
        raise PisteError(
            "The model's README.md names no licence.", "Read its terms, and say which they are with  --licence ID"
        )
    return said or told


def _licence(card: Mapping[str, Any]) -> str:
    """`other` is none, unless it has a name; of several, all."""
    said = card.get("license") or ""
    text = ", ".join(map(str, said)) if isinstance(said, list) else str(said)
    return str(card.get("license_name") or "") if text.lower() in ("", "other", "unknown") else text


def requirements(lock: str) -> dict[str, bytes] | None:
    """What a job installs that only asks the hub: its client, all else held to the lock. None if that has no client.

    pip takes no extras in a file of constraints, and options rather in the other one.
    """
    lines = [line.partition("#")[0].strip().rstrip("\\").strip() for line in lock.splitlines()]
    pins = [re.sub(r"\[.*?\]", "", line) for line in lines if "==" in line and not line.startswith("-")]
    wanted = next((pin for pin in pins if re.match(r"huggingface[-_.]hub\s*==", pin, re.IGNORECASE)), None)
    if wanted is None:
        return None
    asked = [line for line in lines if line.startswith("--") and "url" in line] + ["-c lock.txt", wanted]
    return {"requirements.txt": _text(asked), "lock.txt": _text(pins)}


def _text(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()


_COLUMNS = ("name", "repository", "revision", "licence", "size", "added", "by")


def text(found: Sequence[Model]) -> str:
    if not found:
        return "no models\n"
    rows = [_COLUMNS, *(_row(one) for one in found)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"


def _row(one: Model) -> tuple[str, ...]:
    source = one.repository or "(a folder)"
    return one.name, source, short(one.revision), one.licence, size(one.bytes), one.at[:10], one.actor


def as_json(found: Sequence[Model]) -> str:
    return json.dumps([one.document for one in found], indent=2, ensure_ascii=False) + "\n"
