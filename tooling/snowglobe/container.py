"""The "runtime image" of a job on this machine: its environment, its mounts, its python and pip."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

from snowglobe import pins

STAGE_MOUNT = "/mnt/job_stage"
RESULT_MOUNT = "/mnt/job_result"
IMAGE = Path(__file__).parent / "image"
# Passed on because caches, compilers and devices of this machine are used by the job; nothing else is.
PASSED = (
    "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "XDG_CACHE_HOME", "HF_HOME", "TORCH_EXTENSIONS_DIR", "CC", "CXX",
    "MAX_JOBS", "OMP_NUM_THREADS", "CUDA_HOME", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH", "SYSTEMROOT",
)  # fmt: skip
# The client uploads these; on the real image they bring up Ray and cron as root.
STUBBED = ("start_mlruntime.sh", "signal_workers.py")
_PYTHON = '#!/bin/sh\nexport PYTHONPATH={image}${{PYTHONPATH:+:$PYTHONPATH}}\nexec {python} "$@"\n'
_PIP = """#!/bin/sh
# Checks the pins against what is installed: nothing is downloaded, nothing is changed.
case "$1" in uninstall|download|wheel) echo "snowglobe: pip $1 is refused in a job" >&2; exit 1;; esac
export PIP_NO_INDEX=1 PIP_DRY_RUN=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
exec {python} -I {pins} "$@"
"""


def build(directory: Path) -> Path:
    """The folder of commands that a job's PATH begins with."""
    commands = directory / "bin"
    commands.mkdir(parents=True, exist_ok=True)
    words = {"python": sys.executable, "image": str(IMAGE), "pins": pins.__file__}
    quoted = {name: shlex.quote(word) for name, word in words.items()}
    scripts = {"python": _PYTHON, "python3": _PYTHON, "pip": _PIP, "pip3": _PIP}
    for name, text in scripts.items():
        (commands / name).write_text(text.format(**quoted))
        (commands / name).chmod(0o755)
    return commands


def home(directory: Path) -> Path:
    """A home without anybody's Snowflake configuration, sharing this machine's caches."""
    private = directory / "home"
    private.mkdir(exist_ok=True)
    cache = private / ".cache"
    if not cache.is_symlink() and not cache.exists():
        real = Path.home() / ".cache"
        real.mkdir(exist_ok=True)
        cache.symlink_to(real)
    return private


def stub(system: Path) -> None:
    for name in STUBBED:
        if (system / name).exists():
            (system / name).write_text("")


def environment(spec: dict[str, str], *, directory: Path, mounts: list[Path], commands: Path) -> dict[str, str]:
    passed = {name: os.environ[name] for name in PASSED if name in os.environ}
    path = os.pathsep.join([str(commands), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {
        # Compiled for this interpreter's torch: another environment of this machine would compile them anew.
        "TORCH_EXTENSIONS_DIR": str(Path(sys.prefix) / "torch-extensions"),
        **passed,
        "PATH": path,
        "HOME": str(home(directory.parent.parent)),
        "SNOWFLAKE_HOME": str(directory),
        "NO_PROXY": "127.0.0.1",
        "PYTHONUNBUFFERED": "1",
        **spec,
        "SNOWGLOBE_JOB": str(directory),
        "SNOWGLOBE_MOUNTS": os.pathsep.join(str(m.resolve()) for m in mounts),
    }


def substitute(value: Any, stage: Path, result: Path) -> str:
    """The container's mount paths as folders of this machine."""
    return str(value).replace(RESULT_MOUNT, str(result)).replace(STAGE_MOUNT, str(stage))
