"""What nothing needs any more: listed with sizes, and deleted only where somebody names it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from piste import git, observed
from piste.errors import PisteError
from piste.journeys.ledger import look
from piste.journeys.reading import Desired

if TYPE_CHECKING:
    from piste.garbage import Candidate
    from piste.snowflake import Account

RESUME = "resume"
"""The folder of a run's stage with the state that a training goes on from."""


def unneeded(desired: Desired, account: Account) -> tuple[Candidate, ...]:
    """With the bytes of each: one statement per candidate. Few runs have a resume state at all."""
    found = (replace(one, bytes=account.sizes(one.run, _folder(one))) for one in _candidates(desired, account))
    return tuple(one for one in found if one.part == "stage" or one.bytes)


def delete(desired: Desired, account: Account, names: Collection[str]) -> tuple[Candidate, ...]:
    """Delete what is unneeded, by the names that the list gives, after another look at whether it is. Rows stay.

    Raises:
        PisteError: one of them is needed, or there is no such run; then nothing was deleted.
    """
    found = [one for one in _candidates(desired, account) if one.name in names]
    if missing := sorted({*names} - {one.name for one in found}):
        raise PisteError(
            f"{', '.join(missing)}: needed, deleted already, or no run at all. Nothing was deleted.",
            "`piste gc` lists what can be deleted.",
        )
    actor = git.provenance(desired.root)["actor"]
    for one in found:
        # First the row: a run whose stage is half deleted must not count as one whose weights are there.
        account.record(one.run, "deleted" if one.part == "stage" else "expired", {"actor": actor, "why": one.why})
        account.remove(one.run, _folder(one))
    return tuple(found)


def _candidates(desired: Desired, account: Account) -> tuple[Candidate, ...]:
    from piste.garbage import candidates

    seen = look(desired, account)
    policy, reported = desired.settings.policy, {*_reported(desired)}
    return candidates(observed.runs(seen), desired.variants, reported, seen.at, policy.resume_days)


def _folder(candidate: Candidate) -> str:
    return RESUME if candidate.part == "resume" else ""


def _reported(desired: Desired) -> Iterator[str]:
    """Every run that a committed report names."""
    for content in desired.reports.values():
        try:
            yield from _runs_in(json.loads(content))
        except ValueError:
            continue


def _runs_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for child in value.values():
            yield from _runs_in(child)
    elif isinstance(value, list):
        for child in value:
            yield from _runs_in(child)
    elif isinstance(value, str) and observed.CLAIM.fullmatch(value):
        yield value
