"""The whole loop on an embedded Snowflake, in a clone of the repository: the same commands that people type."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from piste import settings
from piste.environment import Environment
from piste.errors import PisteError
from piste.git import git

Say = Callable[[str], None]
CONNECTION = "demo"
FAMILY = "CPU_X64_S"
AUTHOR = ("-c", "user.name=piste", "-c", "user.email=piste@localhost", "-c", "commit.gpgsign=false")


SHORT = ("soap-smollm2-base", "soap-smollm2-lora")
"""The experiments that show the loop in minutes."""


def demo(root: Path, directory: Path, names: Sequence[str] | None, say: Say) -> int:
    """Plan, apply, collect and commit these experiments, or all, below `directory`; 0 if all of it went well."""
    directory.mkdir(parents=True, exist_ok=True)
    clone = _clone(root, directory / "repository", say)
    environment = settings.read(clone).chosen()
    started = time.monotonic()
    again = (directory / "snowglobe").exists()
    with _snowglobe(directory / "snowglobe", environment, say) as connection:
        shell = _Shell(clone, _surroundings(directory, connection), say)
        shell.run(
            "python",
            "-m",
            "showcase",
            "--connection",
            CONNECTION,
            "--database",
            environment.database,
            "--schema",
            environment.schema,
            "--model-cache",
            str((directory / "models").resolve()),
        )
        if again:
            shell.run("piste", "--connection", CONNECTION, "collect")
        else:
            shell.run("piste", "--connection", CONNECTION, "ledger", "new")
        names = _every(clone) if names is None else names
        retry = [word for name in names for word in ("--retry", name)] if again else []
        shell.run("piste", "--connection", CONNECTION, "apply", "--wait", *names, *retry)
        shell.run("piste", "--connection", CONNECTION, "collect")
        shell.run("piste", "--connection", CONNECTION, "status", *names)
        _commit(clone, say)
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    say(f"\nDone in {minutes} min {seconds} s. Open these:")
    for name in names:
        say(f"  {_shortest(clone / 'experiments' / name / 'report/README.md')}")
    say(f"The embedded Snowflake's stages, jobs and logs: {_shortest(directory / 'snowglobe')}")
    return 0


def _clone(root: Path, clone: Path, say: Say) -> Path:
    """A clone of what is committed; brought up to date when it is there already."""
    if not clone.exists():
        say(f"$ git clone {shlex.quote(str(root))} {_shortest(clone)}")
        if git(Path(), "clone", "--quiet", str(root.resolve()), str(clone)) is None:
            raise PisteError(
                f"{root} can't be cloned.", "The demo works on a git repository; run it in a clone of piste."
            )
    elif git(clone, *AUTHOR, "pull", "--quiet", "--rebase", "-X", "theirs") is None:
        git(clone, "rebase", "--abort")
        say(f"{_shortest(clone)} could not be brought up to date; going on with what it has")
    if git(root, "status", "--porcelain"):
        say("note: the demo uses what is committed; there are uncommitted changes here")
    return clone


@contextlib.contextmanager
def _snowglobe(directory: Path, environment: Environment, say: Say) -> Iterator[Mapping[str, object]]:
    """An embedded Snowflake with the environment's schema and pools of one node; its process ends with the block."""
    pools = [part for pool in sorted(set(environment.pools.values())) for part in ("--pool", f"{pool}=1:{FAMILY}")]
    place = ("--schema", f"{environment.database}.{environment.schema}")
    command = [sys.executable, "-m", "snowglobe", "--dir", str(directory), "--port", "0", *place, *pools]
    say("$ " + shlex.join(["python", *command[1:]]))
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        line = server.stdout.readline() if server.stdout else ""
        if not line:
            raise PisteError("The embedded Snowflake did not start.", "pip install 'piste[snowglobe]'")
        yield json.loads(line)
    finally:
        server.terminate()
        server.wait()


def _surroundings(directory: Path, connection: Mapping[str, object]) -> dict[str, str]:
    """The environment of the commands: connections.toml in a place of the demo's own, this Python first on PATH."""
    home = (directory / "snowflake").resolve()
    home.mkdir(exist_ok=True)
    values = (f"{key} = {json.dumps(value)}" for key, value in connection.items() if not isinstance(value, dict))
    file = home / "connections.toml"
    file.write_text(f"[{CONNECTION}]\n" + "\n".join(values) + "\n")
    file.chmod(0o600)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    return {**os.environ, "SNOWFLAKE_HOME": str(home), "PATH": path, "PYTHONUNBUFFERED": "1"}


class _Shell:
    """Says a command, runs it in the clone, and ends the demo if it fails."""

    def __init__(self, directory: Path, environment: Mapping[str, str], say: Say) -> None:
        self._directory, self._environment, self._say = directory, environment, say

    def run(self, *command: str) -> None:
        self._say("\n$ " + shlex.join(command))
        code = subprocess.run(command, cwd=self._directory, env=self._environment, check=False).returncode
        if code:
            raise PisteError(
                f"`{shlex.join(command)}` ended with {code}.", f"The demo's state is in {self._directory.parent}."
            )


def _every(clone: Path) -> list[str]:
    return sorted(path.parent.name for path in clone.glob("experiments/*/experiment.yaml"))


def _commit(clone: Path, say: Say) -> None:
    """What the report workflow does: commit the generated files, if there is something to commit."""
    git(clone, "add", "experiments")
    if not git(clone, "status", "--porcelain", "--", "experiments"):
        say("\nnothing to commit")
        return
    if git(clone, *AUTHOR, "commit", "--quiet", "-m", "report: " + _headline(clone)) is None:
        raise PisteError("git refused to commit the reports.", f"See `git -C {clone} status`.")
    say("\n$ git log --oneline -1")
    say(git(clone, "log", "--oneline", "-1") or "")


def _headline(clone: Path) -> str:
    changed = git(clone, "diff", "--cached", "--name-only") or ""
    names = sorted({path.split("/")[1] for path in changed.splitlines() if "/report/" in path})
    return ", ".join(names) or "index"


def _shortest(path: Path) -> str:
    absolute = path.resolve()
    here = Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)
