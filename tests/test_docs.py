"""What the documents name is there: links, and the functions, states and constants of the life of a run."""

from __future__ import annotations

import ast
import importlib
import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from piste.environment import Policy
from piste.run import FAULTS, Status

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "tooling").rglob("README.md")),
]
LIFE = (ROOT / "docs/life-of-a-run.md").read_text()
SPANS = sorted(set(re.findall(r"`([^`\n]+)`", LIFE)))
MODULES = [file for package in ("piste", "payload") for file in sorted((ROOT / "tooling" / package).rglob("*.py"))]
TREES = {file: ast.parse(file.read_text()) for file in MODULES}


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def defined(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)


def known() -> set[str]:
    """`module.name`, `Class.member`, and each name alone. A package is a module; its parts count as its own."""
    found: set[str] = set()
    for file, tree in TREES.items():
        module = file.parent.name if file.stem == "__init__" else file.stem
        found |= {f"{module}.{name}" for name in defined(tree.body)} | set(defined(tree.body))
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                found |= {f"{node.name}.{name}" for name in defined(node.body)} | set(defined(node.body))
    return found


def kinds() -> set[str]:
    """The kinds of rows that piste and its payload write to the ledger."""
    calls = [node for tree in TREES.values() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    writers = {"record", "event", "try_event"}
    named = [one for one in calls if isinstance(one.func, ast.Attribute) and one.func.attr in writers]
    inner = (node for call in named for argument in call.args[:2] for node in ast.walk(argument))
    return {node.value for node in inner if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def settings() -> set[str]:
    compute = json.loads((ROOT / "schemas/experiment.schema.json").read_text())["properties"]["compute"]["properties"]
    policy = Policy.__dataclass_fields__
    return {f"compute.{key}" for key in compute} | {f"policy.{key}" for key in policy} | {*policy}


def names() -> list[str]:
    """Spans that are one word, or words with dots between them; not files, options, SQL or commands with arguments."""
    words = [span for span in SPANS if re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", span)]
    return [word for word in words if not word.endswith((".json", ".py")) and word != "EXECUTE_ML_JOB"]


@pytest.fixture(scope="module")
def there() -> set[str]:
    commands = {"apply", "collect"}
    return known() | kinds() | settings() | {*Status} | {*FAULTS} | commands


@pytest.mark.parametrize("name", names())
def test_what_the_life_of_a_run_names_is_there(name: str, there: set[str]) -> None:
    assert name in there


def test_every_state_has_its_line() -> None:
    table = LIFE.partition("| evidence | state |")[2].partition("\n\n")[0]
    states = [line.split("|")[-2] for line in table.splitlines() if line.count("|") > 2]
    assert {word for state in states for word in re.findall(r"`(\w+)`", state)} == {*Status}


UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "day": 86400.0, "": 1.0}
TOLD = re.findall(r"^\| `(\w+)\.([A-Z_]+)` \| (\d+) ?(s|min|h|day|)\b", LIFE, re.MULTILINE)


@pytest.mark.parametrize(("module", "constant", "amount", "unit"), TOLD, ids=[f"{one[0]}.{one[1]}" for one in TOLD])
def test_constants_are_what_is_said(module: str, constant: str, amount: str, unit: str) -> None:
    places = ("piste", "piste.journeys", "payload")
    found: Any = next(getattr(made, constant) for made in map(_import, places, [module] * 3) if hasattr(made, constant))
    seconds = found.total_seconds() if isinstance(found, timedelta) else found
    assert seconds == float(amount) * UNITS[unit]


def _import(package: str, module: str) -> Any:
    try:
        return importlib.import_module(f"{package}.{module}")
    except ModuleNotFoundError:
        return None


def test_getting_started_is_twelve_steps_at_most_and_each_says_what_one_sees() -> None:
    text = (ROOT / "docs/getting-started.md").read_text()
    steps = re.split(r"^(\d+)\. ", text, flags=re.MULTILINE)[1:]
    numbers, told = [int(one) for one in steps[::2]], steps[1::2]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) <= 12
    assert [number for number, step in zip(numbers, told, strict=True) if "*You see* " not in step] == []
