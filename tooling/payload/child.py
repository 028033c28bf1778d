"""A child process in a group of its own, its output in a log file that is also shown, ended whole."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from payload import lifeline

POLL_SECONDS = 0.3
GRACE_SECONDS = 5.0


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    log: Path,
    environment: Mapping[str, str],
    watch: Callable[[], None],
) -> int:
    """Wait for the command and return its exit code; `watch` is called several times a second."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output, log.open("rb") as reader:
        process = subprocess.Popen(
            [sys.executable, str(Path(lifeline.__file__).resolve()), *command],
            cwd=cwd,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        shown = _Shown(reader)
        try:
            while process.poll() is None:
                shown.update()
                watch()
                time.sleep(POLL_SECONDS)
            return process.returncode
        finally:
            end(process)
            shown.update(last=True)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask the group to end if its command still runs, then make sure that nothing of it is left."""
    if process.poll() is None:
        _signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_SECONDS)
    _signal_group(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin:
        process.stdin.close()


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


class _Shown:
    """What of a growing log went to stdout: whole lines, so that no other line lands in the middle of one."""

    def __init__(self, log: BinaryIO) -> None:
        self._log, self._rest = log, b""

    def update(self, last: bool = False) -> None:
        whole, end, self._rest = (self._rest + self._log.read()).rpartition(b"\n")
        ready = whole + end + (self._rest + b"\n" if last and self._rest else b"")
        if ready:
            sys.stdout.write(ready.decode(errors="replace"))
            sys.stdout.flush()
