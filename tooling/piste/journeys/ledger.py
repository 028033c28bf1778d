"""The ledger as a whole: whether it can be trusted, its version, and taking over what committed reports tell of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from piste import digest, git
from piste.errors import PisteError, PolicyRefused
from piste.experiment import Digests, Document
from piste.journeys.reading import Desired
from piste.observed import LEDGER, LEDGER_VERSION, Observation
from piste.run import Run
from piste.tables import VIEWS_VERSION

if TYPE_CHECKING:
    from piste.snowflake import Account


def look(desired: Desired, account: Account) -> Observation:
    """All that Snowflake knows, if it can be acted upon.

    Raises:
        PolicyRefused: reports are committed of runs, and the ledger knows none at all.
        PisteError: a newer piste has written the ledger.
    """
    seen = account.observe()
    _refuse_newer(seen.ledger)
    if desired.reports and not seen.remembers and not seen.ledger.get("new"):
        raise _forgetful(desired, account)
    return seen


def _refuse_newer(ledger: Mapping[str, Any]) -> None:
    identity = ledger.get("identity", {})
    newer = [key for key, version in digest.IDENTITY.items() if identity.get(key, 0) > version]
    if newer or ledger.get("version", 0) > LEDGER_VERSION:
        raise PisteError(
            "A newer piste has written this ledger; this one would not recognise its runs and train them again.",
            "Upgrade piste: pip install --upgrade piste",
        )


def _forgetful(desired: Desired, account: Account) -> PolicyRefused:
    place = f"{account.environment.name} ({account.environment.database}.{account.environment.schema})"
    count = len(desired.reports)
    reports = "a report is committed" if count == 1 else f"{count} reports are committed"
    return PolicyRefused(
        f"The ledger of {place} knows no run, but {reports}: what they tell of would be trained again.",
        "Another account, role or environment than you meant? See --connection and --environment.\n"
        "`piste ledger import-reports` takes over what the reports tell, and trains nothing again.\n"
        "`piste ledger new` says that this ledger begins anew beside them: all of it is trained again here.",
    )


def prepare(account: Account, ledger: Mapping[str, Any], **said: Any) -> None:
    """Make the tables and views where they are missing, older views anew, and let the ledger say what writes it."""
    views = ledger.get("views", 0)
    # Views that no ledger told of are not ours to replace.
    account.prepare(views_again=0 < views < VIEWS_VERSION)
    newest = max(views, VIEWS_VERSION)
    wanted = {**ledger, "version": LEDGER_VERSION, "views": newest, "identity": digest.IDENTITY, **said}
    if wanted != ledger:
        account.record(LEDGER, "version", wanted)


def begin(account: Account) -> None:
    """Say that the ledger begins anew, whatever reports are committed beside it."""
    seen = account.observe()
    _refuse_newer(seen.ledger)
    prepare(account, seen.ledger, new=True)


def import_reports(desired: Desired, account: Account) -> tuple[Run, ...]:
    """Record every ended run that a committed report tells of and the ledger does not; those that were recorded."""
    from piste.report.model import offline_runs

    seen = account.observe()
    _refuse_newer(seen.ledger)
    known = {event.run for event in seen.events if event.kind == "ended"}
    told, _ = offline_runs(desired.reports)
    missing = [run for run in _once(told) if run.name not in known]
    prepare(account, seen.ledger)
    origin = git.provenance(desired.root)
    for run in missing:
        account.record(run.name, "claimed", _claimed(run, origin))
        account.record(run.name, "ended", _ended(run))
    return tuple(missing)


def _once(runs: Iterable[Run]) -> list[Run]:
    """One run may serve several experiments; the documents of the one that it was submitted for say most."""
    found: dict[str, Run] = {}
    for run in runs:
        if run.name not in found or run.training is not None:
            found[run.name] = run
    return list(found.values())


def _claimed(run: Run, origin: Mapping[str, Any]) -> dict[str, Any]:
    provenance = {**run.provenance, "imported_by": origin["actor"]}
    return {**claim_of(run, run.spec, provenance), "imported": True}


def _ended(run: Run) -> dict[str, Any]:
    return {
        "job_status": "",
        "training": run.training if "train" in run.steps else None,
        "evaluation": run.evaluation,
        "results": {**(run.results or {}), "failure": vars(run.failure) if run.failure else None},
        "started_at": run.started_at,
        "ended_at": run.ended_at,
    }


def claim_of(run: Run, spec: Document, provenance: Mapping[str, Any]) -> dict[str, Any]:
    """The row `claimed` of a run that was claimed a while ago."""
    row = claim_row(run.digests, run.steps, spec, provenance, run.attempt)
    return {"experiment": run.experiment, "variant": run.variant, **row, "at": run.claimed_at}


def claim_row(
    digests: Digests, steps: Iterable[str], spec: Document, provenance: Mapping[str, Any], attempt: int
) -> dict[str, Any]:
    """What the row `claimed` says besides a name; `identity` is what this piste makes digests with."""
    return {
        "digests": digests.told,
        "identity": {**digest.IDENTITY, "scores": dict(digest.SCORE_VERSIONS)},
        "steps": list(steps),
        "spec": spec,
        "provenance": dict(provenance),
        "attempt": attempt,
    }
