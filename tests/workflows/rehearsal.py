"""The unmodified workflow files, run by act here: a bare origin, a stand-in for GitHub, an embedded Snowflake.

A `Rehearsal` is what a person and GitHub do: push a branch, open a pull request, label it, merge it, let time pass.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from world import EXPERIMENT, RECIPE, ROOT, SUITE

import forked
from faults.stack import DATA, Stack, stack
from workflows import hub as hubs
from workflows.hub import REPOSITORY, REQUEST_TOKEN, Hub, Pull

STANDINS = Path(__file__).parent / "actions"
_STEP, _UNITS = re.compile(r"Success - Main (.*) \[([\d.]+)(ms|s)\]"), {"ms": 1000, "s": 1}
_NUMBERS, _CLONE = threading.Lock(), threading.Lock()


@dataclass(frozen=True)
class Ran:
    """A workflow that ended. `jobs` maps the id of each job to success, failure or skipped; `log` is all it printed."""

    jobs: Mapping[str, str]
    log: str
    summary: str
    seconds: float
    annotations: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        return "failure" not in self.jobs.values()

    @property
    def steps(self) -> tuple[tuple[str, float], ...]:
        """Seconds of each step that is not act's own."""
        found = ((step.strip(), float(amount) / _UNITS[unit]) for step, amount, unit in _STEP.findall(self.log))
        return tuple((step, seconds) for step, seconds in found if step.startswith((".venv", "actions/", "./")))


@dataclass
class Rehearsal:
    """`clone` is the working copy of a person."""

    directory: Path
    hub: Hub
    stack: Stack
    clone: Path
    environment: str = "dev"
    connection: str = "globe"
    count: int = 0
    forks: bool = True

    @property
    def origin(self) -> Path:
        return self.hub.origin

    def git(self, *arguments: str, place: Path | None = None) -> str:
        command = ["git", "-C", str(place or self.clone), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=surroundings())
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout.strip()

    def on_branch(self, branch: str, base: str = "main") -> None:
        self.git("fetch", "-q", "origin")
        self.git("checkout", "-q", "-B", branch, f"origin/{base}")

    def add(self, name: str, iterations: int, **experiment: Any) -> None:
        """An experiment whose quick training notes `iterations`."""
        folder = self.clone / "experiments" / name
        folder.mkdir(parents=True, exist_ok=True)
        document = {**EXPERIMENT, "title": f"The experiment {name}", **experiment}
        (folder / "experiment.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
        recipe = {**RECIPE, "train_iters": iterations, "optimizer": {"learning_rate": iterations / 1e6}}
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))

    def add_by_pull_request(self, name: str, iterations: int) -> Pull:
        """The same, from a branch of its name that was merged."""
        self.on_branch(name)
        self.add(name, iterations)
        self.push(f"Add {name}")
        pull = self.open(f"Add {name}")
        self.merge(pull)
        return pull

    def commit(self, message: str) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def push(self, message: str, branch: str = "") -> str:
        """Commit all there is and push it."""
        sha = self.commit(message)
        self.git("push", "-q", "-f", "origin", f"HEAD:refs/heads/{branch or self.git('branch', '--show-current')}")
        return sha

    def open(self, title: str, fork: bool = False) -> Pull:
        """From the branch that is checked out; from a fork, where its commits are in no branch of the repository."""
        branch = self.git("branch", "--show-current")
        pull = self.hub.open(branch, title, fork=fork)
        self.git("push", "-q", "-f", "origin", f"HEAD:refs/pull/{pull.number}/head")
        if not fork:
            self.git("push", "-q", "-f", "origin", f"HEAD:refs/heads/{branch}")
        return pull

    def merged_commit(self, pull: Pull) -> str:
        """refs/pull/N/merge, as GitHub makes it."""
        with self._at("origin/main") as tree:
            reference = f"refs/pull/{pull.number}/head" if pull.fork else f"refs/heads/{pull.branch}"
            self.git("fetch", "-q", "origin", reference, place=tree)
            self.git("merge", "-q", "--no-ff", "-m", f"Merge into main: {pull.title}", "FETCH_HEAD", place=tree)
            self.git("push", "-q", "-f", "origin", f"HEAD:refs/pull/{pull.number}/merge", place=tree)
            return self.git("rev-parse", "HEAD", place=tree)

    def merge(self, pull: Pull) -> str:
        """Press the button: a merge commit on main."""
        sha = self.merged_commit(pull)
        pull.commits = self.git("rev-list", f"{self.hub.sha('refs/heads/main')}..{sha}", place=self.origin).split()
        self.git("update-ref", "refs/heads/main", sha, place=self.origin)
        pull.state, pull.merged_at = "closed", "2026-11-28T10:00:00Z"
        return sha

    @contextlib.contextmanager
    def _at(self, commit: str) -> Iterator[Path]:
        heads = ("+refs/heads/*:refs/remotes/origin/*", "+refs/pull/*:refs/remotes/pull/*")
        with tempfile.TemporaryDirectory(dir=self.directory) as folder:
            tree = Path(folder, "tree")
            with _CLONE:  # git fetches nothing while another worktree comes or goes
                self.git("fetch", "-q", "origin", *heads)
                self.git("worktree", "add", "-q", "--detach", str(tree), commit)
            yield tree
            with _CLONE:
                self.git("worktree", "remove", "--force", str(tree))

    def pull_request(self, pull: Pull, action: str = "synchronize", label: str = "") -> dict[str, Ran]:
        """Let the workflows run that a pull request's event starts."""
        sha = self.merged_commit(pull)
        event = {"action": action, "number": pull.number, "pull_request": self.hub.described(pull)}
        if label:
            pull.labels.append(label)
            event["label"] = {"name": label}
        names = ("plan",) if action == "labeled" else ("plan", "check")
        environment = "piste-try" if label else "piste-look"
        return {name: self.act(name, "pull_request", event, sha, environment, trusted=not pull.fork) for name in names}

    def pushed(self) -> Ran:
        """Let the submit workflow run on what main is."""
        message = self.git("log", "-1", "--format=%B", "main", place=self.origin)
        event = {"ref": "refs/heads/main", "head_commit": {"message": message}}
        return self.act("submit", "push", event, self.hub.sha("refs/heads/main"), "piste-submit")

    def scheduled(self) -> Ran:
        return self.act("report", "schedule", {"schedule": "7,22,37,52 * * * *"}, self.main, "piste-submit")

    @property
    def main(self) -> str:
        return self.hub.sha("refs/heads/main")

    def dispatched(self, name: str) -> Ran:
        """Press the button of a workflow."""
        return self.act(name, "workflow_dispatch", {"ref": "refs/heads/main"}, self.main, "piste-submit")

    def queued(self, pull: Pull) -> Ran:
        """Let the checks run that a merge queue asks for."""
        event = {"merge_group": {"head_ref": "refs/heads/gh-readonly-queue/main/pr-1", "base_sha": self.main}}
        return self.act("check", "merge_group", event, self.merged_commit(pull), "")

    def act(
        self, name: str, event: str, payload: dict[str, Any], commit: str, environment: str, trusted: bool = True
    ) -> Ran:
        """Run a workflow file of a commit. `trusted` gives it secrets, and a token that may what its jobs may.

        act knows no `permissions` and no `environment`: what GitHub would give to a job is given to the workflow.
        """
        with _NUMBERS:
            self.count += 1
            place = self.directory / f"run-{self.count}"
        place.mkdir()
        home = {"full_name": REPOSITORY, "name": "training", "owner": {"login": "acme"}, "default_branch": "main"}
        (place / "event.json").write_text(json.dumps({**payload, "repository": home}))
        self.hub.subject = f"repo:{REPOSITORY}:environment:{environment}"
        with self._at(commit) as tree:
            jobs = yaml.safe_load((tree / f".github/workflows/{name}.yml").read_text())["jobs"]
            allowed = _allowed(jobs) if trusted else {"contents:read"}
            self._write_hidden(place, allowed)
            command, environ = self._command(name, event, place, tree), {**surroundings(), "HOME": str(place)}
            started = time.monotonic()
            done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
            seconds = time.monotonic() - started
        log = done.stdout + done.stderr
        (place / "log").write_text(log)
        return _ran(log, seconds, jobs)

    def _command(self, name: str, event: str, place: Path, tree: Path) -> list[str]:
        act, workflow = Path(sys.executable).parent / "act", tree / f".github/workflows/{name}.yml"
        command = [str(act), event, "-C", str(tree), "-W", str(workflow)]
        command += ["-e", str(place / "event.json"), "-P", "ubuntu-latest=-self-hosted", "--no-skip-checkout"]
        command += ["--no-cache-server", "--json", "-a", "ana", "--concurrent-jobs", "2"]
        command += ["--secret-file", str(place / "secrets"), "--env-file", str(place / "identity")]
        for action in sorted(_actions(tree)):
            command += ["--local-repository", f"{action}={STANDINS / action.partition('@')[0].partition('/')[2]}"]
        variables = {"PISTE_ENVIRONMENT": self.environment, "SNOWFLAKE_CONNECTIONS": self._connections()}
        for key, value in variables.items():
            command += ["--var", f"{key}={value}"]
        for key, value in self._told(place).items():
            command += ["--env", f"{key}={value}"]
        return command

    def _told(self, place: Path) -> dict[str, str]:
        """What GitHub sets, pointing to the stand-ins, and what these ask."""
        return {
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_SERVER_URL": self.hub.url,
            "GITHUB_API_URL": self.hub.url,
            "PATH": os.pathsep.join((str(STANDINS / "bin"), surroundings()["PATH"])),
            "SNOWFLAKE_WIF_ALLOWED_HOST_SUFFIXES": "127.0.0.1",
            "REHEARSAL_PYTHON": sys.executable,
            "REHEARSAL_PACKAGES": str(Path(yaml.__file__).parents[1]),
            "REHEARSAL_ARTIFACTS": str(place / "artifacts"),
            **(forked.surroundings() if self.forks else {}),
        }

    def _write_hidden(self, place: Path, allowed: Collection[str]) -> None:
        """What no command line may show, nor any step see that is not told: act's steps inherit its environment."""
        told = {"URL": f"{self.hub.url}/identity?job=1", "TOKEN": REQUEST_TOKEN} if "id-token" in allowed else {}
        (place / "secrets").write_text(f"GITHUB_TOKEN={self.hub.job(place.name, *allowed)}\n")
        (place / "identity").write_text("".join(f"ACTIONS_ID_TOKEN_REQUEST_{key}={told[key]}\n" for key in told))

    def _connections(self) -> str:
        """As the repository's variable has them: no user, no key, no password."""
        account = {"globe": self.stack.globe.connection, "proxied": self.stack.proxy.connection}[self.connection]
        place = {key: account[key] for key in ("account", "host", "port", "protocol")}
        identity = {"authenticator": "WORKLOAD_IDENTITY", "workload_identity_provider": "OIDC"}
        return "\n".join(["[default]", *(f"{key} = {json.dumps(value)}" for key, value in (place | identity).items())])


def surroundings() -> dict[str, str]:
    """Of a person's shell, without what a workflow that runs these tests is told."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("GITHUB_", "ACTIONS_", "PISTE_"))}
    who = {f"GIT_{role}_{part}": value for role in ("AUTHOR", "COMMITTER") for part, value in _ANA.items()}
    path = os.pathsep.join((str(Path(sys.executable).parent), kept["PATH"]))
    return {**kept, **who, "PATH": path, "GIT_CONFIG_GLOBAL": os.devnull}


_ANA = {"NAME": "ana", "EMAIL": "ana@localhost"}


def _allowed(jobs: Mapping[str, Any]) -> set[str]:
    """What the jobs of a workflow may, together: `contents` to write, `contents:read` to read."""
    asked = [pair for job in jobs.values() for pair in job.get("permissions", {}).items()]
    return {scope if level == "write" else f"{scope}:{level}" for scope, level in asked}


def _actions(tree: Path) -> set[str]:
    """Every action that the workflows use from elsewhere, `owner/name@sha`."""
    files = [*tree.glob(".github/workflows/*.yml"), *tree.glob(".github/actions/*/action.yml")]
    assert files
    return {found for file in files for found in re.findall(r"uses: ([\w.-]+/[\w./-]+@[0-9a-f]{40})", file.read_text())}


def _ran(log: str, seconds: float, names: Iterable[str]) -> Ran:
    """act says nothing of a job that it skips."""
    jobs = dict.fromkeys(names, "skipped")
    text, summary, annotations = [], [], []
    for line in log.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            text.append(line)
            continue
        message = str(said.get("msg", ""))
        text.append(f"[{said.get('jobID', '')}] {message.rstrip()}")
        if found := re.match(r"Job (succeeded|failed)", message.strip("🏁 \n")):
            jobs[said["jobID"]] = {"succeeded": "success", "failed": "failure"}[found[1]]
        if said.get("command") == "summary":
            summary.append(str(said.get("content", "")))
        if said.get("command") in ("error", "warning"):
            annotations.append(message)
    return Ran(jobs, "\n".join(text), "\n".join(summary), seconds, tuple(annotations))


@contextlib.contextmanager
def rehearsal(directory: Path, quick: bool = True, forks: bool = True) -> Iterator[Rehearsal]:
    """A repository on GitHub with the tooling of this checkout, beside an account whose jobs are quick, or real.

    Commands that are not quick, or for which nothing `forks`, start as they do on a runner.
    """
    origin = directory / "training.git"
    clone = directory / "clone"
    _found(clone)
    subprocess.run(["git", "clone", "-q", "--bare", str(clone), str(origin)], check=True)
    for key, value in {"http.receivepack": "true", "uploadpack.allowAnySHA1InWant": "true"}.items():
        subprocess.run(["git", "-C", str(origin), "config", key, value], check=True)
    with hubs.serve(origin) as hub, stack(directory / "account", nodes=3, quick=quick) as account:
        made = Rehearsal(directory, hub, account, clone, forks=quick and forks)
        made.git("remote", "add", "origin", "https://github.com/acme/training.git")
        made.git("remote", "set-url", "--push", "origin", str(origin))
        made.git("config", f"url.{origin}.insteadOf", "https://github.com/acme/training.git")
        _set_up(made)
        yield made


def _set_up(repository: Rehearsal) -> None:
    """By the SQL that `piste doctor --setup` prints for this repository, as an administrator runs it."""
    world = repository.stack.world
    piste = [sys.executable, "-m", "piste", "--root", str(repository.clone)]
    made = world.shell(*piste, "doctor", "--setup", "--github", REPOSITORY)
    assert made.code == 0, made.err
    statements = [one.strip() for one in re.sub(r"--.*", "", made.out).split(";") if one.strip()]
    done = world.script(DATA, "globe", *statements)
    assert done.code == 0, done.err
    done = world.shell(*piste, "--connection", "globe", "collect")
    assert done.code == 0, done.err
    repository.push("report: index", "main")


def _found(clone: Path) -> None:
    """This checkout's files, its experiments exchanged for a suite of tiny notes."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=True)
    kept = [name for name in listed.stdout.split("\0") if name and not name.startswith(("experiments/", "tests/"))]
    assert ".github/workflows/plan.yml" in kept
    for name in kept:
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    suite = clone / "experiments/_suites/tiny-notes"
    suite.mkdir(parents=True)
    (suite / "suite.yaml").write_text(yaml.safe_dump(SUITE, sort_keys=False))
    subprocess.run(["git", "init", "-q", "-b", "main", str(clone)], check=True)
    for arguments in (["add", "-A"], ["commit", "-q", "-m", "Begin"]):
        subprocess.run(["git", "-C", str(clone), *arguments], check=True, env=surroundings())
