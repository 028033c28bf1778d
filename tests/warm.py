"""Compile DeepSpeed's operators before the tests: some kill trainings, which must not be compiling just then."""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("TORCH_EXTENSIONS_DIR", str(Path(sys.prefix) / "torch-extensions"))
os.environ.setdefault("DS_ACCELERATOR", "cpu")

if __name__ == "__main__":
    from deepspeed.accelerator import get_accelerator

    from payload.training import drop_stale_locks

    drop_stale_locks(Path(os.environ["TORCH_EXTENSIONS_DIR"]))
    for name in ("ShareMemCommBuilder", "FusedAdamBuilder"):
        builder = get_accelerator().create_op_builder(name)
        if builder is not None:
            builder.load()
