"""Runs one job's command and leaves nothing of it behind. Started as a script, isolated, for each job.

stdin is the life line: when it closes (the server ended, however it ended) the job is stopped. stdout carries JSON
lines for the server ({"pid": …}, {"code": …}); the job's own output goes to stderr. On Linux the supervisor is the
subreaper of all that the job starts, whatever sessions or environments those make for themselves.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def main(grace_seconds: float, command: list[str]) -> None:
    adopt_orphans()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    pid = start(command)
    say(pid=pid)
    code = watch(pid, wake_read, grace_seconds)
    sweep()
    say(code=code)


def start(command: list[str]) -> int:
    files = [(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, 2, 1)]
    defaults = [signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE]
    try:
        return os.posix_spawnp(
            command[0], command, os.environ, file_actions=files, setsid=True, setsigdef=defaults, setsigmask=[]
        )
    except OSError as error:
        os.write(2, f"snowglobe: {command[0]}: {error}\n".encode())
        say(code=127)
        sys.exit(0)


def watch(pid: int, wake: int, grace_seconds: float) -> int:
    """Waits for the main process; told to stop, asks all processes to end and waits no longer than the grace.

    SIGHUP leaves no grace.
    """
    deadline = float("inf")
    while (code := reap(pid)) is None:
        left = deadline - time.monotonic()
        if left <= 0:
            return -signal.SIGKILL
        waiting = [wake] if deadline < float("inf") else [wake, 0]
        ready, _, _ = select.select(waiting, [], [], None if left == float("inf") else left)
        told = set(os.read(wake, 512)) - {signal.SIGCHLD} if wake in ready else set()
        if signal.SIGHUP in told:
            return -signal.SIGKILL
        if deadline == float("inf") and (told or 0 in ready):
            deadline = time.monotonic() + grace_seconds
            kill(descendants(), signal.SIGTERM)
    return code


def reap(pid: int) -> int | None:
    """Collects every ended child; the code of the main process once it is among them."""
    code = None
    while True:
        try:
            ended, state = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return -signal.SIGKILL if code is None else code
        if ended == 0:
            return code
        if ended == pid:
            code = os.waitstatus_to_exitcode(state)
            return code


def sweep() -> None:
    """Ends all that is left: with a subreaper, no child left means no descendant left."""
    while True:
        kill(descendants(), signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.005)


def descendants() -> list[int]:
    """Every process below this one. Without /proc (not Linux): the groups of the direct children are all we know."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError, IndexError):
            continue
    found: list[int] = []
    level = {os.getpid()}
    while level:
        level = {pid for pid, parent in parents.items() if parent in level}
        found += level
    return found


def kill(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def say(**line: int) -> None:
    try:
        os.write(1, (json.dumps(line) + "\n").encode())
    except OSError:
        return


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
