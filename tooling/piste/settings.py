"""Reads [tool.piste] of pyproject.toml, with the line of everything that is wrong in it."""

from __future__ import annotations

import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from piste import shape
from piste.documents import Parsed, Position
from piste.environment import FILE, Environment, OnGitHub, Policy, PolicyException, Runtime, Settings, choices
from piste.errors import InvalidInput, Problem
from piste.problems import Path as Keys
from piste.problems import quoted


def read(root: Path) -> Settings:
    """Raises InvalidInput. Without a pyproject.toml, or without [tool.piste], everything is empty."""
    settings, problems = load(root)
    if problems:
        raise InvalidInput(problems)
    return settings


def load(root: Path) -> tuple[Settings, tuple[Problem, ...]]:
    """The settings and their problems; with problems, the settings are empty."""
    try:
        text = (root / FILE).read_text("utf-8")
        tools = tomllib.loads(text).get("tool")
    except FileNotFoundError:
        return Settings(), ()
    except tomllib.TOMLDecodeError as error:
        return Settings(), (_syntax(str(error)),)
    except (OSError, UnicodeDecodeError):
        return Settings(), (Problem(FILE, 0, 0, "", "This file can't be read as UTF-8.", "Save it as UTF-8."),)
    table = tools.get("piste", {}) if isinstance(tools, dict) else {}
    table = _dates_as_text(table)
    parsed = Parsed(FILE, table, _marks(text))
    problems = shape.check(parsed, "settings") or list(_not_finite(parsed, parsed.data, ()))
    settings = Settings() if problems else _settings(table)
    problems += _check(root, settings, parsed)
    return (Settings() if problems else settings), tuple(sorted(_located(problem) for problem in problems))


def runtimes(text: str) -> dict[str, Any]:
    """What a pyproject.toml says of runtimes, by name, and as "" which of them evaluates baselines."""
    try:
        table = tomllib.loads(text).get("tool", {}).get("piste", {})
    except tomllib.TOMLDecodeError:
        return {}
    return {**table.get("runtimes", {}), "": table.get("runtime", "")}


def _located(problem: Problem) -> Problem:
    return replace(problem, path=f"tool.piste.{problem.path}".rstrip(".")) if problem.file == FILE else problem


def _dates_as_text(value: Any) -> Any:
    """TOML has dates: a day is as good without quotes."""
    if isinstance(value, dict):
        return {key: _dates_as_text(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_dates_as_text(child) for child in value]
    return value.isoformat() if isinstance(value, date) else value


def _not_finite(parsed: Parsed, value: Any, path: Keys) -> Iterator[Problem]:
    """TOML has nan and inf: no bound refuses nan, and a policy that compares with it never says no."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield from _not_finite(parsed, child, (*path, key))
    elif isinstance(value, float) and not math.isfinite(value):
        yield parsed.problem(path, f"This must be a finite number, not {value}.", "Write its digits.")


def _settings(table: Mapping[str, Any]) -> Settings:
    environments = {
        name: Environment(name, **{**value, "external_access": tuple(value.get("external_access", ()))})
        for name, value in table.get("environments", {}).items()
    }
    runtimes = {name: Runtime(name, **value) for name, value in table.get("runtimes", {}).items()}
    return Settings(
        table.get("environment", ""),
        table.get("runtime", ""),
        environments,
        runtimes,
        table.get("credits", {}),
        _policy(table.get("policy", {})),
        OnGitHub(**table.get("github", {})),
        {model: (float(read), float(wrote)) for model, (read, wrote) in table.get("token_credits", {}).items()},
        table.get("model_licences", {}),
    )


def _policy(table: Mapping[str, Any]) -> Policy:
    exceptions = tuple(PolicyException(**one) for one in table.get("exceptions", ()))
    lists = {key: tuple(value) for key, value in table.items() if key.startswith("allowed_")}
    samples = tuple(table.get("samples", ()))
    return Policy(**{**table, **lists, "exceptions": exceptions, "samples": samples})


def _check(root: Path, settings: Settings, parsed: Parsed) -> list[Problem]:
    problems = []
    for key, name, known in (
        ("environment", settings.environment, settings.environments),
        ("runtime", settings.runtime, settings.runtimes),
    ):
        if name and name not in known:
            hint = choices(name, known, f"{key}s")
            problems.append(parsed.problem((key,), f"{quoted(name)} is not one of [tool.piste.{key}s].", hint))
    for runtime in settings.runtimes.values():
        lock = (root / runtime.lock).resolve()
        if not (lock.is_relative_to(root.resolve()) and lock.is_file()):
            message = f"There is no file {quoted(runtime.lock)} in this repository."
            problems.append(parsed.problem(("runtimes", runtime.name, "lock"), message, "Write a path from its root."))
            continue
        problems += _unpinned(runtime.lock, lock.read_text("utf-8", "replace"))
    return [*problems, *_no_days(settings.policy, parsed)]


def _no_days(policy: Policy, parsed: Parsed) -> Iterator[Problem]:
    for index, one in enumerate(policy.exceptions):
        try:
            date.fromisoformat(one.until)
        except ValueError:
            message = f"{quoted(one.until)} is not a day of the calendar."
            place = ("policy", "exceptions", index, "until")
            yield parsed.problem(place, message, 'Write e.g.  until = "2026-12-31"')


_PINNED = re.compile(r"[A-Za-z0-9][\w.-]*(\[[\w.,-]+\])?\s*==\s*[^\s*=<>]+(\s*;.*)?(\s*\\)?(\s+#.*)?")


def _unpinned(file: str, text: str) -> Iterator[Problem]:
    """A runtime's name stands for exact packages: it is part of what decides the weights."""
    for number, line in enumerate(text.splitlines(), 1):
        requirement = line.strip()
        if requirement and not requirement.startswith(("#", "-")) and not _PINNED.fullmatch(requirement):
            message = f"{quoted(requirement)} is not pinned to one version."
            yield Problem(file, number, 1, "", message, "Write e.g.  torch==2.13.0")


def _syntax(message: str) -> Problem:
    """tomllib says where only in words: `Expected ... (at line 3, column 4)`."""
    place = re.search(r" \(at line (\d+), column (\d+)\)$", message)
    line, column = (int(place[1]), int(place[2])) if place else (0, 0)
    what = message[: place.start()] if place else message.removesuffix(" (at end of document)")
    return Problem(FILE, line, column, "", f"This is not TOML: {what}.")


_HEADER = re.compile(r"\s*(\[+)\s*([^\[\]]+?)\s*\]+")
_KEY = re.compile(r"""(\s*)((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


def _marks(text: str) -> dict[Keys, Position]:
    """Where tables and keys of [tool.piste] stand; tomllib tells no positions."""
    marks: dict[Keys, Position] = {}
    table: Keys = ()
    lists: Counter[Keys] = Counter()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = _parts(header[2])
            marks.setdefault(table, (number, 1))
            if header[1] == "[[":
                lists[table] += 1
                table = (*table, lists[table] - 1)
                marks[table] = (number, 1)
        elif key := _KEY.match(line):
            marks.setdefault((*table, *_parts(key[2])), (number, len(key[1]) + 1))
    prefix = ("tool", "piste")
    return {path[2:]: place for path, place in marks.items() if path[:2] == prefix}


def _parts(dotted: str) -> Keys:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


__all__ = ["Environment", "Policy", "Runtime", "Settings", "load", "read"]
