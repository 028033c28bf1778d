"""Runs a command that must not outlive whoever started it: `python lifeline.py COMMAND…`.

Started in a session of its own, with a pipe as its input. When the pipe closes, because the other end let go or
was killed, it kills its whole process group: launchers, ranks and data workers included.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from types import FrameType


def main(command: list[str]) -> int:
    threading.Thread(target=_watch, daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _go_on)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    code = child.wait()
    return code if code >= 0 else 128 - code


def _go_on(number: int, frame: FrameType | None) -> None:
    """The whole group got the signal: the command ends, and this one reports how."""


def _watch() -> None:
    while os.read(0, 4096):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
