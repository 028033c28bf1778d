"""Checkpoint folders as transformers and peft write them, read without torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ADAPTER = "adapter_config.json"


def describe(folder: Path) -> dict[str, Any]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    kind = "adapter" if is_adapter(folder) else "model"
    return {"kind": kind, "bytes": sum(path.stat().st_size for path in files), "files": len(files)}


def is_adapter(folder: Path) -> bool:
    return (folder / ADAPTER).exists()


def doubt(folder: Path | None) -> str:
    """What is wrong with a checkpoint, or ""."""
    if folder is None:
        return "There is no checkpoint."
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        return "The checkpoint has no weights."
    if is_adapter(folder) and not any(_moved(path) for path in files):
        return "The adapter is as it started: all its second matrices are zero."
    return ""


def _moved(path: Path) -> bool:
    """LoRA starts with B = 0, so weights that are still zero have learned nothing. Other adapters pass."""
    names = [name for name, _ in _tensors(path)]
    second = [name for name in names if "lora_B" in name or "lora_embedding_B" in name]
    return not second or any(any(data) for name, data in _tensors(path) if name in second)


def _tensors(path: Path) -> Iterator[tuple[str, memoryview]]:
    """The format of safetensors: the header's length in 8 bytes, a JSON header with offsets, the tensors' bytes."""
    content = memoryview(path.read_bytes())
    size = int.from_bytes(content[:8], "little")
    header = json.loads(bytes(content[8 : 8 + size]))
    for name, tensor in header.items():
        if name != "__metadata__":
            start, end = tensor["data_offsets"]
            yield name, content[8 + size + start : 8 + size + end]
