"""Runs programs in processes that were forked when what they need had been imported.

python serving.py keep FOLDER       starts servers when they are first needed, until its stdin closes
python serving.py serve KIND FILE   is one of them: whoever connects to that listening socket has a program run

Signals go through; when whoever stands for a program is killed, so is the program with all that it started.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import hashlib
import importlib
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snowglobe import supervisor

START = Path(__file__).with_name("start") / "sitecustomize.py"
LENGTH = 8
"""Bytes that say how many bytes of JSON follow."""

_CLIENT = ("snowflake.ml.experiment", "snowflake.ml.jobs._utils.constants", "snowflake.snowpark", "click", "yaml")
_MODEL = ("torch", "transformers.models.qwen3.modeling_qwen3", "peft")
_TRAINER = ("deepspeed.launcher.runner", "arctic_training.entrypoint", "torch._inductor.compile_fx")
IMPORTED = {
    "client": _CLIENT,
    "answers": _MODEL,
    "training": (*_TRAINER, *_MODEL, *_CLIENT),
}
THREADS = {"jemalloc_bg_thd"}
"""That libraries begin as they are imported, and begin again in what is forked."""

OWN = (
    "SNOWFLAKE_", "SNOWGLOBE_", "MLRS_", "PISTE_", "SERVICE_NAME=", "PYTEST_", "TEST_FORKS=", "PYTHONPATH=",
    "GITHUB_", "ACTIONS_", "RUNNER_", "REHEARSAL_", "BASE=", "SELECT=", "CHANGED_SINCE=",
)  # fmt: skip
"""How variables begin that no server has: by some of them snowglobe tells what is left of a job, some are secret."""

VARYING = (
    *OWN, "HOME=", "TMPDIR=", "PATH=", "PWD=", "OLDPWD=", "SHLVL=", "_=", "CUDA_VISIBLE_DEVICES=0",
    "MASTER_ADDR=", "MASTER_PORT=", "WORLD_SIZE=", "LOCAL_SIZE=", "CROSS_", "RANK=0", "LOCAL_RANK=0",
    "TORCHINDUCTOR_CACHE_DIR=", "PYTORCH_NVML_BASED_CUDA_CHECK=",
)  # fmt: skip
"""How those begin that say nothing to an import: any other ones have to be the server's. What an import does read of
them is the same for all programs (a home with one cache, no GPU, the rank 0), or settled anew in `settle`."""

DECIDING = "SNOWFLAKE_DISABLE_"

PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)

MOST = 8
"""Servers, of half a gigabyte each."""


def keep(folder: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked: Counter[Path] = Counter()
    servers: list[subprocess.Popen[bytes]] = []
    with socket.socket(socket.AF_UNIX) as keeper:
        keeper.bind(str(folder / "keeper"))
        keeper.listen(64)
        os.write(1, b"ready\n")
        while 0 not in select.select([keeper, 0], [], [])[0]:
            client, _ = keeper.accept()
            with client, contextlib.suppress(OSError, ValueError):
                question = json.loads(client.makefile().readline())
                place = folder / key(**question)
                asked[place] += 1
                if asked[place] == 2 and len(servers) < MOST:  # what comes only once is not worth a server
                    servers.append(start(place, **question))
                client.sendall(f"{place if place.exists() else ''}\n".encode())
    for server in servers:
        server.terminate()
        server.wait()
    shutil.rmtree(folder)


def key(kind: str, environment: dict[str, str]) -> str:
    deciding = sorted(without(environment, VARYING).items())
    return f"{kind}-{hashlib.sha256(json.dumps(deciding).encode()).hexdigest()[:12]}"


def without(environment: dict[str, str], beginnings: tuple[str, ...]) -> dict[str, str]:
    lines = {name: f"{name}={value}" for name, value in environment.items()}
    kept = (name for name, line in lines.items() if not line.startswith(beginnings) or line.startswith(DECIDING))
    return {name: environment[name] for name in kept}


def start(place: Path, kind: str, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place))
        listening.listen(64)
        room = "." * 30_000  # in the arguments and in the environment, for those of what is forked
        own = {**without(environment, OWN), "SNOWFLAKE_HOME": str(place.parent), "ROOM": room}
        command = [sys.executable, __file__, "serve", kind, str(listening.fileno()), room]
        return subprocess.Popen(command, env=own, stdin=subprocess.DEVNULL, stdout=2, pass_fds=[listening.fileno()])


def serve(kind: str, listening: socket.socket) -> list[str]:
    """Returns in each program's process, which program that is."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    listening.setblocking(False)
    added = _import(IMPORTED[kind])
    _until_alone()
    gc.freeze()
    while True:
        select.select([listening], [], [], 1.0)
        _reap()
        with contextlib.suppress(BlockingIOError):
            client, _ = listening.accept()
            if os.fork() == 0:
                listening.close()
                return watch(client, added)
            client.close()


def _import(names: Sequence[str]) -> dict[str, str]:
    """What that added to the environment; where temporary files are is asked again by whoever wants to know."""
    before = dict(os.environ)
    for name in names:
        importlib.import_module(name)
    os.environ.pop("TORCHINDUCTOR_CACHE_DIR", None)
    return {name: value for name, value in os.environ.items() if before.get(name) != value}


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _until_alone() -> None:
    """What is forked has one thread only: there may be none that holds a lock."""
    end = time.monotonic() + 10
    while others := [name for name in _threads() if name not in THREADS]:
        assert time.monotonic() < end, others
        time.sleep(0.05)


def _threads() -> list[str]:
    own = str(os.getpid())
    return [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir() if task.name != own]


def watch(client: socket.socket, added: dict[str, str]) -> list[str]:
    """Returns in the program's process; the one that watches it never returns."""
    os.setsid()
    supervisor.adopt_orphans()
    client.sendall(b"+")
    length, files, _, _ = socket.recv_fds(client, LENGTH, 3)
    told = json.loads(client.recv(int.from_bytes(length, "big"), socket.MSG_WAITALL))
    ends = _waking()
    pid = os.fork()
    if pid == 0:
        signal.set_wakeup_fd(-1)
        for number in (client.fileno(), *ends):
            os.close(number)
        settle(files, added, **told)
        return list(told["words"])
    for file in files:
        os.close(file)
    code = _until_ended(pid, client, ends[0])
    supervisor.sweep()
    with contextlib.suppress(OSError):
        client.sendall(f"{code}\n".encode())
    os._exit(0)


def _waking() -> tuple[int, int]:
    """A pipe that any signal is written to."""
    ends = os.pipe()
    os.set_blocking(ends[1], False)
    for number in (signal.SIGCHLD, *PASSED_ON):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(ends[1], warn_on_full_buffer=False)
    return ends


def _until_ended(pid: int, client: socket.socket, wake: int) -> int:
    while (code := supervisor.reap(pid)) is None:
        ready, _, _ = select.select([wake, client], [], [])
        if wake in ready:
            os.read(wake, 512)
        if client in ready:
            said = client.recv(1)
            if not said:
                return -signal.SIGKILL
            os.killpg(0, said[0])  # as a shell or a terminal does it, to what the program started as well
    return code


def settle(
    files: list[int],
    added: dict[str, str],
    words: list[str],
    interpreter: dict[str, Any],
    cwd: str,
    environment: dict[str, str],
    ignored: list[int],
) -> None:
    """All as a new interpreter has it."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(added | environment)
    sys.path[1:] = interpreter.pop("path")
    for name, value in interpreter.items():
        setattr(sys, name, value)
    _appear_as(sys.orig_argv, environment)
    _settle_signals(ignored)
    _settle_modules()


def _settle_signals(ignored: list[int]) -> None:
    for number in (signal.SIGCHLD, *PASSED_ON):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


def _settle_modules() -> None:
    """What each process has of its own."""
    tempfile.tempdir = None
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    if "snowflake.connector.config_manager" in sys.modules:
        _settle_client()


def _settle_client() -> None:
    """Where it looks for its configuration, which it asks once."""
    from snowflake.connector import config_manager, constants, log_configuration, sf_dirs

    constants.DIRS = log_configuration.DIRS = sf_dirs._resolve_platform_dirs()
    constants.CONNECTIONS_FILE = constants.DIRS.user_config_path / "connections.toml"
    constants.CONFIG_FILE = constants.DIRS.user_config_path / "config.toml"
    manager = config_manager.CONFIG_MANAGER
    manager.file_path = constants.CONFIG_FILE
    manager._slices = [one._replace(path=constants.CONNECTIONS_FILE) for one in manager._slices]


def _appear_as(words: list[str], environment: dict[str, str]) -> None:
    """In /proc, where tests and snowglobe look for what is left of a job."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end, first, last = map(int, fields[45:49])
    lines = [f"{name}={value}" for name, value in environment.items()]
    for place, room, texts in ((start, end - start, words), (first, last - first, lines)):
        text = "".join(f"{text}\0" for text in texts).encode(errors="surrogateescape")
        ctypes.memset(place, 0, room)
        ctypes.memmove(place, text, min(len(text), room - 1))


def run(words: list[str]) -> None:
    """The program, as the interpreter would."""
    import runpy

    module = words[0] == "-m"
    sys.argv = words[module:]
    first = str(Path.cwd()) if module else str(Path(words[0]).resolve().parent)
    sys.path[0] = first
    importlib.invalidate_caches()
    customs = (Path(path, "sitecustomize.py") for path in sys.path[1:])
    if file := next((file for file in customs if file.is_file() and file != START), None):
        runpy.run_path(str(file), run_name="sitecustomize")
    if module:
        runpy.run_module(words[1], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(words[0], run_name="__main__")


if __name__ == "__main__":
    if sys.argv[1] == "keep":
        keep(Path(sys.argv[2]))
    else:
        run(serve(sys.argv[2], socket.socket(fileno=int(sys.argv[3]))))
