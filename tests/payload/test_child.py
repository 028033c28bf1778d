"""Children of the payload: their output, their end, and that nothing of them is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from payload import child

STUBBORN = "import signal, time, os; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); time.sleep(60)"


def run(tmp_path: Path, script: str, watch: Callable[[], None] = lambda: None) -> int:
    command = [sys.executable, "-c", script, "marker-of-" + tmp_path.name]
    return child.run(command, cwd=tmp_path, log=tmp_path / "log" / "a.log", environment={"GIVEN": "yes"}, watch=watch)


def alive(tmp_path: Path) -> list[str]:
    """Command lines that hold this test's marker, this process's own apart."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if f"marker-of-{tmp_path.name}" in line and path.parent.name != str(os.getpid()):
            found.append(line)
    return found


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_output_goes_to_the_log_and_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(tmp_path, "import os, sys; print(os.environ['GIVEN'], os.getcwd()); print('bad', file=sys.stderr)")
    assert code == 0
    assert (tmp_path / "log" / "a.log").read_text() == f"yes {tmp_path}\nbad\n"
    assert capsys.readouterr().out == f"yes {tmp_path}\nbad\n"


@pytest.mark.parametrize(
    ("script", "code"), [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137), ("1/0", 1)]
)
def test_the_exit_code_comes_back(tmp_path: Path, script: str, code: int) -> None:
    assert run(tmp_path, script) == code


def test_what_a_child_leaves_behind_is_ended(tmp_path: Path) -> None:
    assert run(tmp_path, "import os, time\nif not os.fork(): time.sleep(60)") == 0
    wait_until(lambda: not alive(tmp_path))


def test_an_exception_in_the_parent_ends_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "GRACE_SECONDS", 0.5)

    def interrupt() -> None:
        if len(alive(tmp_path)) > 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, STUBBORN, interrupt)
    wait_until(lambda: not alive(tmp_path))


def test_killing_the_parent_kills_all_of_the_child(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from payload import child; "
        f"child.run([sys.executable, '-c', {STUBBORN!r}, 'marker-of-{tmp_path.name}'], cwd=Path('.'), "
        f"log=Path({str(tmp_path / 'x.log')!r}), environment={{}}, watch=lambda: None)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    wait_until(lambda: len(alive(tmp_path)) >= 4)  # the parent, the life line, the child, its own child
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until(lambda: not alive(tmp_path))
