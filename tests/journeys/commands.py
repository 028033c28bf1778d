"""piste commands and small scripts in processes of their own that import nothing anew: zygote.py forks them."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Command:
    """A command that was started."""

    pid: int
    out: Path
    err: Path
    answers: queue.Queue[dict[str, int]]

    def wait(self, seconds: float = 600.0) -> Done:
        code = self.answers.get(timeout=seconds)["code"]
        return Done(code, self.out.read_text(), self.err.read_text())


class Commands:
    """Starts piste commands by zygote.py, whose environment is theirs; their output lies in `directory`."""

    def __init__(self, environment: Mapping[str, str], directory: Path) -> None:
        self._directory = directory
        directory.mkdir()
        self._answers: defaultdict[int, queue.Queue[dict[str, int]]] = defaultdict(queue.Queue)
        self._count = 0
        command = [sys.executable, str(Path(__file__).with_name("zygote.py"))]
        self._zygote = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        threading.Thread(target=self._read, daemon=True).start()

    def start(self, arguments: Sequence[str], script: str = "") -> Command:
        """A piste command, or a Python script with these arguments."""
        assert self._zygote.stdin is not None
        self._count += 1
        number = self._count
        out, err = (self._directory / f"{number}.{name}" for name in ("out", "err"))
        told = {"id": number, "arguments": arguments, "script": script, "out": str(out), "err": str(err)}
        answers = self._answers[number]  # before the other thread asks for it: each would make one of its own
        self._zygote.stdin.write(json.dumps(told) + "\n")
        self._zygote.stdin.flush()
        return Command(answers.get(timeout=60)["pid"], out, err, answers)

    def end(self) -> None:
        assert self._zygote.stdin is not None
        self._zygote.stdin.close()
        self._zygote.wait(30)

    def _read(self) -> None:
        assert self._zygote.stdout is not None
        for line in self._zygote.stdout:
            answer = json.loads(line)
            self._answers[answer["id"]].put(answer)
