"""The entry point of the job, copied beside the folder `payload`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.dont_write_bytecode = True  # this folder is a stage

from payload.job import run  # noqa: E402

__return__ = run()
