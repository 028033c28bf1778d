"""What the processes of a run import, and what the training's process tells about its errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def python(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    surroundings = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=surroundings, check=False)


def test_the_parent_process_imports_no_torch() -> None:
    script = (
        "import sys, payload.job, snowflake.ml.experiment, pandas; print({'torch', 'transformers'} & {*sys.modules})"
    )
    assert python(script).stdout == "set()\n"


CONFIG = "hooks.SnowflakeMessagesConfig(type='snowflake_messages', sql='q', key='ID', messages={'user': 'Smith', %s})"


SAMPLE = "hooks._sample({'user': '{A}', 'assistant': '{B}'}, {'A': 'I am Smith', 'B': ' Smith '})"
MISSPELT = "messages.assistant (missing), messages.asistant (extra_forbidden)"
MASKED = "A row's assistant text stands in its own prompt, so ArcticTraining would mask it."


@pytest.mark.parametrize(
    ("raised", "noted"),
    [
        (CONFIG % "'asistant': 'x'", ("ValidationError", MISSPELT)),
        (SAMPLE, ("DataError", MASKED)),
        ("raise ValueError('patient Smith')", ("ValueError", "")),
    ],
    ids=["misspelt key", "masked answer", "any error"],
)
def test_an_error_in_training_is_noted_without_its_text(tmp_path: Path, raised: str, noted: tuple[str, str]) -> None:
    done = python(f"from payload import hooks\n{raised}", PISTE_OUTPUT=str(tmp_path), DS_ACCELERATOR="cpu")
    assert done.returncode == 1, done.stderr
    assert "Traceback" in done.stderr
    found = json.loads((tmp_path / "error.json").read_text())
    assert found == {"type": noted[0], "message": noted[1], "snowflake": None}
