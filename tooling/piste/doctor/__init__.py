"""What an environment needs in Snowflake, what of it is missing, and the SQL that makes it. Pure but for `ask`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from piste.doctor.needs import ADMINISTRATOR, Need, Place, needs
from piste.doctor.sight import ADMINISTRATORS, Ask, Eyes
from piste.environment import Environment
from piste.experiment import Experiment

REPOSITORY = re.compile(r"(?:[\w.-]+(?:@\d+)?/[\w.-]+(?:@\d+)?)?")
"""OWNER/REPO as GitHub's tokens say it: those of newer repositories with numbers, OWNER@1/REPO@2."""


@dataclass(frozen=True)
class Finding:
    """One thing that piste needs; `sql`, run by the role `by`, makes it where it is missing.

    `well` is None where the role that asked can't see whether it is there.
    """

    what: str
    well: bool | None
    detail: str = ""
    sql: str = ""
    by: str = ADMINISTRATOR


@dataclass(frozen=True)
class Examination:
    """`viewpoint` says by which role it was asked, and what that role is for."""

    viewpoint: str
    findings: tuple[Finding, ...]

    @property
    def well(self) -> bool:
        return all(finding.well is not False for finding in self.findings)


def examine(ask: Ask, environment: Environment, experiments: Iterable[Experiment], repository: str = "") -> Examination:
    """What the session's role needs for what it is there for; of an administrator's session, what all roles need."""
    eyes, roles = Eyes(ask), environment.roles
    if eyes.role and eyes.role not in (*ADMINISTRATORS, roles.look):
        roles = replace(roles, submit=eyes.role)
    place = Place(environment, roles, repository)
    found = [_find(need, eyes) for need in needs(place, experiments) if _concerns(need, eyes)]
    if eyes.administers and not repository:
        found.append(Finding("service users", None, "no repository on GitHub is known: --github OWNER/REPO"))
    return Examination(_viewpoint(place, eyes), tuple(finding for finding in found if finding is not None))


def _concerns(need: Need, eyes: Eyes) -> bool:
    mine = eyes.administers or eyes.role in need.of
    return mine or (bool(need.login) and need.login == eyes.of_session("LOGIN").upper())


def _find(need: Need, eyes: Eyes) -> Finding | None:
    if need.check is None:
        return None
    seen = need.check(eyes)
    return Finding(need.what, seen.well, seen.detail, seen.sql or need.sql, seen.by or need.by)


def _viewpoint(place: Place, eyes: Eyes) -> str:
    submit = place.roles.submit
    if eyes.administers:
        return (
            f"asked by {eyes.role}: the whole set-up of {place.schema}\n"
            f"Submit as {submit}, not as {eyes.role}: Snowflake lets no administrator own a job."
        )
    if eyes.role == place.roles.look:
        return (
            f"asked by {eyes.role}, which may only look: at the ledger, the jobs and the pools of {place.schema}\n"
            "It sees no stage of a run: docs/snowflake-setup.md says what its plans then can't know."
        )
    return f"asked by {submit}, which submits: what it needs in {place.schema}"


def setup(environment: Environment, experiments: Iterable[Experiment], repository: str = "") -> tuple[Need, ...]:
    """All that an environment needs, in the order in which it can be made."""
    return needs(Place(environment, environment.roles, repository), experiments)
