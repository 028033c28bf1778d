"""Runs the launchers of jobs, each in a process of its own that was forked when the client was imported.

python launching.py SOCKET              waits for jobs until its stdin closes
python launching.py SOCKET LAUNCHER …   stands for that process where the job's shell started it

What a launcher imports takes some three seconds of a processor, several times as much as all else of a quick job.
Signals go through; when whoever stands for a launcher is killed, so is the launcher with all that it started.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path

LENGTH = 8
"""Bytes that say how many bytes of JSON follow."""


def stand_for(place: str, arguments: list[str]) -> None:
    """Until the launcher has ended, and then as it did."""
    with socket.socket(socket.AF_UNIX) as server:
        server.connect(place)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda told, _: server.sendall(bytes([told])))
        body = json.dumps({"arguments": arguments, "cwd": str(Path.cwd()), "environment": dict(os.environ)}).encode()
        socket.send_fds(server, [len(body).to_bytes(LENGTH)], [0, 1, 2])
        server.sendall(body)
        code = int(server.makefile().readline() or -signal.SIGKILL)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if code != -signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    sys.exit(code)


def serve(place: str) -> None:
    import select

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(place)
        server.listen(64)
        import snowflake.ml.experiment
        import snowflake.ml.jobs._utils.constants
        import snowflake.snowpark  # noqa: F401

        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever watches a launcher has nobody to tell but its stand-in
        while True:
            ready, _, _ = select.select([server, 0], [], [])
            if 0 in ready:
                return
            client, _ = server.accept()
            if os.fork() == 0:
                server.close()
                watch(client)
                return  # of the launcher, which ends as any program does
            client.close()


def watch(client: socket.socket) -> None:
    """Returns in the launcher's process, when that has run; the one that watches it never returns."""
    from snowglobe import supervisor

    length, files, _, _ = socket.recv_fds(client, LENGTH, 3)
    told = json.loads(client.makefile("rb").read(int.from_bytes(length)))
    supervisor.adopt_orphans()
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number in (client.fileno(), wake_read, wake_write):
            os.close(number)
        launch(files, **told)
        return
    code = _until_ended(pid, client, wake_read)
    supervisor.sweep()
    client.sendall(f"{code}\n".encode())
    os._exit(0)


def _until_ended(pid: int, client: socket.socket, wake: int) -> int:
    import select

    from snowglobe import supervisor

    while (code := supervisor.reap(pid)) is None:
        ready, _, _ = select.select([wake, client], [], [])
        if wake in ready:
            os.read(wake, 512)
        if client in ready:
            said = client.recv(1)
            if not said:
                return -signal.SIGKILL
            supervisor.kill(supervisor.descendants(), said[0])
    return code


def launch(files: list[int], arguments: list[str], cwd: str, environment: dict[str, str]) -> None:
    import runpy

    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
    sys.argv = arguments
    paths = environment["PYTHONPATH"].split(os.pathsep)
    sys.path[:1] = [str(Path(arguments[0]).parent), *paths]
    runpy.run_path(str(Path(paths[0], "sitecustomize.py")))
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    if sys.argv[2:]:
        stand_for(sys.argv[1], sys.argv[2:])
    else:
        serve(sys.argv[1])
