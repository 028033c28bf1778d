"""What the processes of a run import, and what the training's process tells about its errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


def python(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    surroundings, command = {**os.environ, **environment}, [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=surroundings, check=False)


def test_the_parent_process_imports_no_torch() -> None:
    script = (
        "import sys, payload.job, snowflake.ml.experiment, pandas; print({'torch', 'transformers'} & {*sys.modules})"
    )
    assert python(script).stdout == "set()\n"


CONFIG = "hooks.SnowflakeMessagesConfig(type='snowflake_messages', sql='q', key='ID', messages={'user': 'Smith', %s})"


SAMPLE = "hooks._sample({'user': '{A}', 'assistant': '{B}'}, {'A': 'I am Smith', 'B': ' Smith '})"
MISSPELT = "messages.assistant (missing), messages.asistant (extra_forbidden)"
MASKED = "A row's assistant text stands in its own prompt, so ArcticTraining would mask it."


RAISED = {
    "misspelt key": (CONFIG % "'asistant': 'x'", ("ValidationError", MISSPELT)),
    "masked answer": (SAMPLE, ("DataError", MASKED)),
    "a row as a key": (
        "import pydantic; pydantic.TypeAdapter(dict[str, int]).validate_python({'Smith': 'x'})",
        ("ValidationError", ""),
    ),
    "any error": ("raise ValueError('patient Smith')", ("ValueError", "")),
}
IN_TRAINING = """
import json, os, sys
from pathlib import Path
from payload import hooks
for name, code in json.loads(sys.argv[1]).items():
    if os.fork() == 0:
        hooks.OUTPUT = Path(sys.argv[2], name)
        hooks.OUTPUT.mkdir()
        os.dup2(os.open(hooks.OUTPUT / "stderr", os.O_WRONLY | os.O_CREAT), 2)
        exec(code)
        os._exit(0)
    print(name, os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each error, of processes that were forked when all was imported: that takes ten seconds."""
    folder = tmp_path_factory.mktemp("ended")
    codes = json.dumps({name: code for name, (code, _) in RAISED.items()})
    done = python(IN_TRAINING, codes, str(folder), DS_ACCELERATOR="cpu")
    assert done.stdout.splitlines() == [f"{name} 1" for name in RAISED], done.stderr
    return folder


@pytest.mark.parametrize("name", RAISED)
def test_an_error_in_training_is_noted_without_its_text(ended: Path, name: str) -> None:
    kind, message = RAISED[name][1]
    assert "Traceback" in (ended / name / "stderr").read_text()
    found = json.loads((ended / name / "error.json").read_text())
    assert found == {"type": kind, "message": message, "snowflake": None}
