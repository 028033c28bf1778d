from __future__ import annotations

import hashlib
from pathlib import Path

from showcase import tiny_model


def test_the_tiny_model_is_the_same_each_time(tmp_path: Path) -> None:
    one, two = (tiny_model.build(tmp_path / name) for name in ("one", "two"))
    digests = [hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() for folder in (one, two)]
    assert digests[0] == digests[1]
    assert (one / "tokenizer.json").read_bytes() == (two / "tokenizer.json").read_bytes()
    assert (one / "model.safetensors").stat().st_size < 5e6
