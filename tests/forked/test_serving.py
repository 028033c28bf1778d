"""What is forked is in nothing different from what is started anew, its modules and its parent apart."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import forked
from processes import find

PROGRAM = """
import json, os, signal, sys, tempfile, time
from pathlib import Path

def handled(number):
    found = signal.getsignal(number)
    return str(found) if isinstance(found, int) else getattr(found, "__name__", None)

told = {
    "modules": "snowflake.snowpark" in sys.modules,
    "name": __name__,
    "argv": sys.argv,
    "orig_argv": sys.orig_argv,
    "path": sys.path,
    "executable": [sys.executable, sys.prefix, sys.exec_prefix],
    "cwd": os.getcwd(),
    "temporary": tempfile.gettempdir(),
    "environment": {name: value for name, value in os.environ.items() if not name.startswith("ARROW_")},
    "signals": {number: handled(number) for number in signal.valid_signals()},
    "input": sys.stdin.read(),
    "proc": [Path(f"/proc/self/{name}").read_text().rstrip("\\0").split("\\0") for name in ("cmdline", "environ")],
    "files": sorted(os.listdir("/proc/self/fd"))[:3],
}
print(json.dumps(told), flush=True)
print("and", "more", file=sys.stderr, flush=True)
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(9))
exec(sys.argv[1])
"""

pytestmark = pytest.mark.skipif(forked.NAME not in os.environ, reason="nothing is forked here")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., subprocess.Popen[str]]:
    folder = tmp_path_factory.mktemp("forking")
    (folder / "mljob_launcher.py").write_text(PROGRAM)

    def begin(last: str, forks: bool = True) -> subprocess.Popen[str]:
        environment = {**os.environ, "PYTHONPATH": str(forked.START), "TMPDIR": str(folder), "SNOWGLOBE_JOB": "mine/"}
        if not forks:
            environment[forked.NAME] = "/nowhere"
        command = [sys.executable, str(folder / "mljob_launcher.py"), last, "ü"]
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        return subprocess.Popen(command, env=environment, cwd=folder, text=True, start_new_session=True, **pipes)

    begin("pass").communicate("")  # the first of a kind is not forked
    return begin


def test_it_finds_all_as_a_new_interpreter_does(start: Callable[..., subprocess.Popen[str]]) -> None:
    found = []
    for forks in (True, False):
        out, err = start("pass", forks).communicate("read this")
        found.append((json.loads(out), err))
        found[-1][0]["environment"].pop(forked.NAME)
        found[-1][0]["proc"][1] = [line for line in found[-1][0]["proc"][1] if not line.startswith(forked.NAME)]
    assert [told.pop("modules") for told, _ in found] == [True, False]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("last", "code"),
    [
        ("pass", 0),
        ("sys.exit(7)", 7),
        ("sys.exit('told')", 1),
        ("1 / 0", 1),
        ("os._exit(3)", 3),
        ("os.kill(os.getpid(), 9)", -9),
        ("os.kill(os.getpid(), 15)", -15),
        ("os.abort()", -6),
        ("raise KeyboardInterrupt", -2),
    ],
)
def test_it_ends_as_the_program_does(start: Callable[..., subprocess.Popen[str]], last: str, code: int) -> None:
    process = start(last)
    process.communicate("")
    assert process.returncode == code


@pytest.mark.parametrize(("number", "code"), [(signal.SIGUSR1, 9), (signal.SIGTERM, -15), (signal.SIGINT, -2)])
@pytest.mark.parametrize("send", [os.kill, os.killpg])
def test_signals_reach_it(start: Callable[..., subprocess.Popen[str]], send: object, number: int, code: int) -> None:
    process = start("time.sleep(60)")
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.close()
    process.stderr.readline()
    time.sleep(0.2)
    (os.kill if send is os.kill else os.killpg)(process.pid, number)
    assert process.wait(20) == code


def test_with_whoever_stands_for_it_all_is_gone(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    process = start(f"os.fork() or os.setsid(); time.sleep(60)  # {tmp_path}")
    assert process.stdin is not None
    process.stdin.close()
    end = time.monotonic() + 20
    while len(find(str(tmp_path), environment="SNOWGLOBE_JOB=mine/")) < 3:
        assert time.monotonic() < end
    process.kill()
    process.wait()
    while find(str(tmp_path)):
        assert time.monotonic() < end
