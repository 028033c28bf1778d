"""What the tests on the double share: a repository, reconciling until nothing is due, and trouble at a statement."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from world import RECIPE, SUITE, World, found

from faults.memory import Hook, Killed, Memory, MemoryAccount, Moment, Repeated, Statement, quiet
from piste import git, journeys, resources
from piste.environment import Environment
from piste.errors import SnowflakeRefused, SnowflakeUnreachable
from piste.journeys import Desired, Submission
from piste.observed import GRACE
from piste.plan import Plan, Verb
from piste.policy import ALLOWANCES
from piste.report import files

ENVIRONMENT = Environment("dev", "PISTE", "DEV", pools={"cpu": "PISTE_CPU"})
PAST_GRACE = GRACE.total_seconds() + 60
TROUBLES: Mapping[str, tuple[Moment, Callable[[], BaseException]]] = {
    "killed before": ("before", Killed),
    "killed after": ("after", Killed),
    "reply lost, sent again": ("after", Repeated),
    "reply lost for good": ("after", lambda: SnowflakeUnreachable("No answer.")),
    "no connection": ("before", lambda: SnowflakeUnreachable("No answer.")),
    "refused": ("before", lambda: SnowflakeRefused("No.", "", 3001)),
}


def memory(nodes: int = 50) -> Memory:
    return Memory({"PISTE_CPU": (nodes, "CPU_X64_S")})


def account(of: Memory, hook: Hook = quiet) -> MemoryAccount:
    return MemoryAccount(of, ENVIRONMENT, hook)


@dataclass
class Trouble:
    """Hook: at the statement of this number, from 1, what `kind` says happens once. `seen` are all statements, or those
    of the kind `only`."""

    kind: str = ""
    number: int = 0
    only: str = ""
    seen: list[Statement] = field(default_factory=list)

    def __call__(self, statement: Statement, moment: Moment) -> None:
        if self.only not in ("", statement.kind):
            return
        if moment == "before":
            self.seen.append(statement)
        if len(self.seen) == self.number and TROUBLES[self.kind][0] == moment:
            self.number = 0
            raise TROUBLES[self.kind][1]()


def submit(
    desired: Desired, on: MemoryAccount, names: Collection[str] = (), retry: Collection[str] = (), tried: bool = False
) -> list[Submission]:
    """As `piste apply` does."""
    seen, _ = journeys.settle(desired, on)
    due = journeys.plan_live(desired, on, names, retry, seen)
    return list(journeys.apply(desired, on, due, tried, ALLOWANCES))


def until_nothing_is_due(
    read: Callable[[], Desired], on: MemoryAccount, seconds: float = PAST_GRACE, rounds: int = 20
) -> Plan:
    """Reconcile as a schedule does: the clock passes the grace, what is due is submitted, jobs run, reports are
    written; again and again. The last plan: it keeps, or is blocked."""
    for _ in range(rounds):
        on.memory.advance(seconds)
        submit(read(), on)
        on.memory.run_jobs()
        changed = journeys.collect(read(), on).changed
        plan = journeys.plan_live(read(), on)
        if not changed and not on.memory.live and is_quiet(plan):
            return plan
    raise AssertionError(f"it does not come to rest: {[(one.verb, one.reason) for one in plan.actions]}")


def is_quiet(plan: Plan) -> bool:
    return all(action.verb in (Verb.KEEP, Verb.BLOCKED) for action in plan.actions)


def verbs(plan: Plan) -> dict[str, str]:
    return {action.variant.title: str(action.verb) for action in plan.actions}


def reports(root: Path) -> dict[str, bytes]:
    """What is committed, as `journeys.read` finds it."""
    files = (root / "experiments").rglob("report.json")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


_WHEN = re.compile(rb"20\d\d-\d\d-\d\d[T ][\d:.]+(\+00:00| UTC)?|\d\d:\d\d UTC")
_JOB = re.compile(rb"(RUN_[0-9A-F]{12}(?:_[0-9A-F]{12})?)_\d+(_[A-Z0-9_]+)?_[0-9A-F]{12}\b")
_RUN = re.compile(rb"(RUN_[0-9A-F]{12}(?:_[0-9A-F]{12})?)_\d+")
_ATTEMPT = re.compile(rb'("attempt": )\d+')
_LIKE_RUNS = re.compile(
    rb'("at_most": [^,\n]+),(?:\n *"(?:low|high|basis)": [^\n]*)+|(estimated )[^;,\n]* by [^,\n]*, (?=at most)'
)
"""What like runs had taken when it was submitted: a later attempt knows of more. The bound and what it took stay."""

_LOOKS = re.compile(rb"[^\n]*first model that was scored on[^\n]*|[\d,]+ models, this one among them[^\n]*")


def rendered(root: Path) -> dict[str, str]:
    """All that is committed of results, without what another attempt at another time must change."""
    files = [path for path in (root / "experiments").rglob("*") if path.is_file() and "report" in path.parts]
    files.append(root / "experiments/README.md")
    return {path.relative_to(root).as_posix(): _timeless(path.read_bytes()) for path in files if path.exists()}


def _timeless(content: bytes) -> str:
    for pattern, by in ((_WHEN, b"<time>"), (_JOB, rb"\1<job>"), (_RUN, rb"\1<attempt>"), (_ATTEMPT, rb"\1<attempt>")):
        content = pattern.sub(by, content)
    content = _LIKE_RUNS.sub(rb"\1\2", content)
    return _LOOKS.sub(b"<looks>", content).decode()


def reading(desired: Desired, root: Path) -> Callable[[], Desired]:
    """As `journeys.read` would, where only reports are written."""
    return lambda: replace(desired, root=root, reports=reports(root))


def quick(monkeypatch: pytest.MonkeyPatch, provenance: Mapping[str, Any]) -> None:
    """What takes time and says nothing here is done once: pictures, the payload's files, what git knows."""
    for name in ("loss_plot", "scores_plot", "lines_plot"):
        monkeypatch.setattr(files, name, _once(getattr(files, name)))
    monkeypatch.setattr(yaml, "safe_dump", _once(yaml.safe_dump))
    monkeypatch.setattr(resources, "payload_files", _once(resources.payload_files))
    monkeypatch.setattr(git, "provenance", lambda root: dict(provenance))
    monkeypatch.setattr(git, "remote_url", lambda root: None)


def _once(function: Callable[..., Any]) -> Callable[..., Any]:
    made: dict[str, Any] = {}

    def call(*arguments: Any, **options: Any) -> Any:
        key = repr((arguments, options))
        if key not in made:
            made[key] = function(*arguments, **options)
        return made[key]

    return call


def repository(root: Path) -> World:
    """A real one, with a suite `tiny-notes` and without experiments."""
    return found(root, root.parent / "home", "none", None)


def recipe(**changes: Any) -> dict[str, Any]:
    """RECIPE with dotted changes."""
    made: dict[str, Any] = json.loads(json.dumps(RECIPE))
    for path, value in changes.items():
        *parents, last = path.split(".")
        place = made
        for part in parents:
            place = place[part]
        place[last] = value
    return made


def baseline(world: World, name: str) -> None:
    world.add(name)
    world.edit(f"experiments/{name}/experiment.yaml", train={"inputs": {"base-model": "@MODELS/tiny"}})
    (world.root / f"experiments/{name}/recipe.yaml").unlink()


def other_suite(world: World, name: str) -> None:
    world.write(f"experiments/_suites/{name}/suite.yaml", {**SUITE, "generate": {"max_new_tokens": 9}})
