"""Runs piste commands and scripts, each in a process that was forked when all was imported: a tenth of the time.

stdin takes a JSON line for each ({"id", "arguments", "script", "out", "err"}), stdout answers with {"id", "pid"} and,
when the process has ended, {"id", "code"}: a signal's number is negative, as in subprocess.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import sys
import traceback
from typing import Any

IMPORTED = ("piste.journeys", "piste.snowflake", "piste.rendering", "piste.report", "piste.garbage", "piste.payload")


def main() -> None:
    for name in IMPORTED:
        importlib.import_module(name)
    running: dict[int, int] = {}
    with os.fdopen(os.dup(1), "w") as answers:
        while True:
            ready, _, _ = select.select([0], [], [], 0.02)
            if ready:
                line = sys.stdin.buffer.raw.readline()  # type: ignore[attr-defined]
                if not line:
                    return
                command = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    run(command)
                running[pid] = command["id"]
                print(json.dumps({"id": command["id"], "pid": pid}), file=answers, flush=True)
            for pid in list(running):
                ended, state = os.waitpid(pid, os.WNOHANG)
                if ended:
                    code = os.waitstatus_to_exitcode(state)
                    print(json.dumps({"id": running.pop(pid), "code": code}), file=answers, flush=True)


def run(command: dict[str, Any]) -> None:
    """Never returns."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(command[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    code: Any = 1
    try:
        from piste.cli import main as piste

        if command["script"]:
            sys.argv = ["-c", *command["arguments"]]
            exec(compile(command["script"], "<script>", "exec"), {"__name__": "__main__"})
        else:
            piste(command["arguments"])
        code = 0
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main()
