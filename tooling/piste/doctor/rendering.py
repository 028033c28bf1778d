"""An examination as text, JSON or the SQL that makes what is missing; and the SQL that makes everything."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby

from piste.doctor import Examination, Finding, setup
from piste.doctor.needs import ADMINISTRATOR, Need
from piste.environment import Environment
from piste.experiment import Experiment

_WORDS = {True: "ok     ", False: "MISSING", None: "unseen "}


def text(examination: Examination) -> str:
    lines = [
        f"{_WORDS[one.well]}  {one.what}{f'  ({one.detail})' if one.detail else ''}" for one in examination.findings
    ]
    return f"{examination.viewpoint}\n\n" + "\n".join(lines) + f"\n\n{_end(examination)}"


def _end(examination: Examination) -> str:
    if wanted := sql(examination):
        return f"This makes what is missing:\n\n{wanted}"
    if any(one.well is not True for one in examination.findings):
        return "nothing is missing that this role can see\n" if examination.well else ""
    return "all well\n"


def sql(examination: Examination) -> str:
    """Only what is missing; each part begins with the role that may make it."""
    missing = [one for one in examination.findings if one.well is False and one.sql]
    parts = [(role, _once(one.sql for one in missing if one.by == role)) for role in _roles(missing)]
    return "\n".join(f"USE ROLE {role};\n" + "".join(f"{part}\n" for part in made) for role, made in parts)


def _roles(missing: Iterable[Finding]) -> list[str]:
    """Administrators' parts first: the others build on them."""
    return sorted({one.by for one in missing}, key=lambda role: (role != ADMINISTRATOR, role))


def as_json(examination: Examination) -> str:
    return json.dumps([vars(one) for one in examination.findings], indent=2) + "\n"


RENDER: Mapping[str, Callable[[Examination], str]] = {"text": text, "json": as_json, "sql": sql}


def setup_sql(environment: Environment, experiments: Iterable[Experiment], repository: str = "") -> str:
    """For the person who sets an account up: from top to bottom, and again without harm."""
    needed = [need for need in setup(environment, experiments, repository) if need.sql]
    told = f" --github {repository}" if repository else ""
    lines = [
        f"-- All that [tool.piste.environments.{environment.name}] needs in Snowflake: piste doctor --setup{told}",
        "-- Run it from top to bottom. What is there already stays as it is.",
    ]
    for role, needs in groupby(needed, lambda need: need.by):
        marked = "an administrator's part" if role == ADMINISTRATOR else "the part of the role that submits"
        lines += ["", f"-- ==== As {role}: {marked} ====", "", f"USE ROLE {role};", *_topics(needs)]
    if not repository:
        lines += ["", "-- No service users: no repository on GitHub is known. Name one with --github OWNER/REPO."]
    return "\n".join(lines) + "\n"


def _topics(needs: Iterable[Need]) -> Iterator[str]:
    for topic, group in groupby(needs, lambda need: need.topic):
        yield from ("", f"-- {topic[0].upper()}{topic[1:]}.")
        yield from _once(need.sql for need in group)


def _once(parts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(parts))
