"""A git repository of tiny experiments beside an account, and the commands that people type in it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from commands import Commands, Done

import tiny
from tiny import RECIPE

ROOT = Path(__file__).parents[2]
SCHEMA = "PISTE.DEV"

ROWS = """
import json, sys
from snowflake.snowpark import Session
with Session.builder.configs(dict(connection_name=sys.argv[1], database="PISTE", schema="DEV")).create() as session:
    print(json.dumps([list(row) for row in session.sql(sys.argv[2]).collect()], default=str))
"""
SUITE: dict[str, Any] = {"schema": "suite/v1", "title": "Tiny notes", **tiny.SUITE}
EXPERIMENT: dict[str, Any] = {
    "schema": "experiment/v1",
    "title": "A tiny model",
    "question": "Does the straight line hold?",
    "owner": "@ana",
    "train": {"recipe": "recipe.yaml", "runtime": "cpu-2026.11", "inputs": {"base-model": "@MODELS/tiny"}},
    "evaluate": {"suite": "tiny-notes"},
    "compute": {"pool": "cpu", "timeout": "10m"},
}
# With --live, other modules' experiments in the same account are gone from this one's repository.
SETTINGS = """
[tool.piste]
environment = "dev"
runtime = "cpu-2026.11"
[tool.piste.environments.dev]
database = "PISTE"
schema = "DEV"
pools = {cpu = "PISTE_CPU"}
[tool.piste.runtimes."cpu-2026.11"]
lock = "runtime.txt"
[tool.piste.policy]
max_vanished = 1.0
backlog = 1000
[tool.piste.credits]
CPU_X64_S = 0.11
"""


@dataclass
class World:
    """`connection` is the name in connections.toml of `home`. `commands` are there within `forking`."""

    root: Path
    home: Path
    connection: str
    trace: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)
    commands: Commands | None = None

    def piste(self, *arguments: str) -> Done:
        if self.commands:
            return self.commands.start(self._placed(arguments)).wait()
        return self.shell(sys.executable, "-m", "piste", *self._placed(arguments))

    def script(self, source: str, *arguments: str) -> Done:
        """A Python script, as by `python -c`."""
        if self.commands:
            return self.commands.start(arguments, source).wait()
        return self.shell(sys.executable, "-c", source, *arguments)

    def _placed(self, arguments: Sequence[str]) -> list[str]:
        return ["--root", str(self.root), "--connection", self.connection, *arguments]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "piste", *self._placed(arguments)],
            env=self.surroundings(),
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=_interruptible,
        )

    def shell(self, *command: str) -> Done:
        done = subprocess.run(command, env=self.surroundings(), capture_output=True, text=True, check=False)
        return Done(done.returncode, done.stdout, done.stderr)

    def surroundings(self) -> dict[str, str]:
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")}
        return {**inherited, "SNOWFLAKE_HOME": str(self.home), "PATH": path, **self.environment}

    def git(self, *arguments: str) -> str:
        done = self.shell("git", "-C", str(self.root), *arguments)
        assert done.code == 0, done.err
        return done.out.strip()

    def commit(self, message: str) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)

    def write(self, path: str, content: str | dict[str, Any]) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))

    def edit(self, path: str, **changes: Any) -> None:
        """Set dotted keys of a YAML file; the file is written anew."""
        document = yaml.safe_load((self.root / path).read_text())
        for dotted, value in changes.items():
            *parents, last = dotted.split(".")
            place = document
            for parent in parents:
                place = place[int(parent) if isinstance(place, list) else parent]
            if isinstance(place, list):
                place.insert(int(last), value)
            else:
                place[last] = value
        self.write(path, document)

    def add(self, name: str, recipe: dict[str, Any] | None = None, **changes: Any) -> None:
        """An experiment with the recipe above; `changes` are dotted keys of experiment.yaml."""
        self.write(f"experiments/{name}/experiment.yaml", EXPERIMENT)
        self.write(f"experiments/{name}/recipe.yaml", recipe or RECIPE)
        self.edit(f"experiments/{name}/experiment.yaml", title=f"The experiment {name}", **changes)

    def actions(self, *arguments: str) -> dict[str, dict[str, Any]]:
        """The plan's actions by experiment/variant."""
        done = self.piste("plan", "--format", "json", *arguments)
        assert done.code == 0, done.err
        return {f"{one['experiment']}/{one['variant']}".rstrip("/"): one for one in done.json()["actions"]}

    def statuses(self) -> dict[str, tuple[str | None, str | None]]:
        done = self.piste("status", "--format", "json")
        assert done.code == 0, done.err
        named = {f"{one['experiment']}/{one['variant']}".rstrip("/"): one for one in done.json() if one["run"]}
        return {name: (one["training"], one["evaluation"]) for name, one in named.items()}

    def rows(self, query: str) -> str:
        """The rows of a query as JSON text."""
        done = self.script(ROWS, self.connection, query)
        assert done.code == 0, done.err
        return done.out.splitlines()[-1]

    def statements(self) -> list[dict[str, Any]]:
        """What the account was asked so far."""
        assert self.trace is not None
        return [json.loads(line) for line in self.trace.read_text().splitlines()]


def _interruptible() -> None:
    """Whoever runs tests in the background has their interrupt ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def found(root: Path, home: Path, connection: str, trace: Path | None) -> World:
    """A new repository with a suite and settings, and nothing to do."""
    world = World(root, home, connection, trace)
    root.mkdir(parents=True)
    world.write("pyproject.toml", SETTINGS)
    (root / "runtime.txt").write_bytes((ROOT / "tooling/runtimes/cpu-2026.11.txt").read_bytes())
    world.write("experiments/_suites/tiny-notes/suite.yaml", SUITE)
    world.git("init", "-q", "-b", "main")
    world.git("config", "user.name", "ana")
    world.git("config", "user.email", "ana@localhost")
    world.commit("begin")
    return world


@contextlib.contextmanager
def forking(world: World, directory: Path) -> Iterator[World]:
    """Within, its commands are forked, which takes a fraction of the time; their output lies in `directory`."""
    world.commands = Commands(world.surroundings(), directory)
    try:
        yield world
    finally:
        world.commands.end()
        world.commands = None
