"""In every Python process of a test's jobs: a program that is slow to import stands for a process that was forked.

First comes whatever other sitecustomize there is. Where nothing can be forked, the program runs as it does anywhere.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

SCRIPTS = Path(sys.prefix, "bin")
PROGRAMS = {
    "payload.generate": "answers",
    "payload.similarity": "answers",
    "deepspeed.launcher.launch": "training",
    str(SCRIPTS / "arctic_training"): "training",
    str(SCRIPTS / "arctic_training_run"): "training",
}
"""By module or script, the kind of servers that have imported what it needs."""

INTERPRETER = ("path", "orig_argv", "executable", "prefix", "exec_prefix")

LENGTH = 8
"""Bytes that say how many bytes of JSON follow."""


def run_others() -> None:
    for place in map(Path, sys.path):
        file = place / "sitecustomize.py"
        if file.is_file() and not file.samefile(__file__):
            exec(compile(file.read_text(), str(file), "exec"), {"__name__": "sitecustomize", "__file__": str(file)})
            return


def kind_of(words: list[str]) -> str:
    """The kind of servers for this program; "" for any that need not be forked."""
    program = "".join(words[1:2] if words[:1] == ["-m"] else words[:1])
    return "client" if program.endswith(("/mljob_launcher.py", "/bin/piste")) else PROGRAMS.get(program, "")


def stand_for(kind: str, words: list[str]) -> None:
    """Until the program has ended, and then as it did; returns where it could not begin."""
    import json
    import signal
    import socket

    passed_on = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
    ignored = [number for number in signal.valid_signals() if signal.getsignal(number) == signal.SIG_IGN]
    request = {
        "words": words,
        "interpreter": {name: getattr(sys, name) for name in INTERPRETER},
        "cwd": str(Path.cwd()),
        "environment": dict(os.environ),
        "ignored": ignored,
    }
    body = json.dumps(request).encode()
    with socket.socket(socket.AF_UNIX) as server:
        if not _connected(server, json.dumps({"kind": kind, "environment": request["environment"]})):
            return
        socket.send_fds(server, [len(body).to_bytes(LENGTH, "big")], [0, 1, 2])
        server.sendall(body)
        for number in {*passed_on} - {*ignored}:
            signal.signal(number, lambda told, _: server.sendall(bytes([told])))
        end(int(server.makefile().readline() or -signal.SIGKILL))


def end(code: int) -> None:
    import signal

    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if code != -signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


def _connected(server: socket.socket, question: str) -> bool:
    """To the server that the keeper names, if it names one and that has begun."""
    import socket

    try:
        with socket.socket(socket.AF_UNIX) as keeper:
            keeper.connect(os.environ["TEST_FORKS"])
            keeper.sendall(f"{question}\n".encode())
            place = keeper.makefile().readline().strip()
        if place:
            server.connect(place)
        return bool(place) and server.recv(1) == b"+"
    except OSError:
        return False


run_others()
if "TEST_FORKS" in os.environ:
    _words = [word for word in sys.orig_argv[1:] if word != "-u"]
    if _kind := kind_of(_words):
        stand_for(_kind, _words)
