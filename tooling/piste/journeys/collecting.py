"""Record what ended, mend what a dead reconciler left, and write every report whose bytes would differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from piste import ending, git, measures, observed, repository
from piste.gates import Checked, check
from piste.journeys.judging import judge
from piste.journeys.ledger import claim_of, look, prepare
from piste.journeys.reading import Desired
from piste.journeys.sampling import keep_samples
from piste.journeys.submitting import CLAIM_FILE
from piste.journeys.watching import stop_overdue
from piste.observed import Observation
from piste.run import Run

if TYPE_CHECKING:
    from piste.snowflake import Account


@dataclass(frozen=True)
class Collected:
    """What `collect` did: runs whose end was recorded, files that changed; questions to judges, and what refused.

    `gates` are by experiment, as of today.
    """

    ended: tuple[Run, ...]
    changed: tuple[str, ...]
    gates: Mapping[str, tuple[Checked, ...]]
    judged: int = 0
    unjudged: tuple[tuple[str, str], ...] = ()


def collect(desired: Desired, account: Account) -> Collected:
    """Record every run that ended, compare what can be compared, and write each report whose bytes would differ.

    Raises:
        PolicyRefused: the ledger has forgotten what committed reports tell of.
    """
    from piste.report.files import render
    from piste.report.gating import all_outcomes

    seen, ended = settle(desired, account)
    judging = judge(desired, account, observed.runs(seen))  # first: a judge may decide which of a matrix wins
    desired = desired.decided(judging.runs)
    more = judge(desired, account, judging.runs)
    known = keep_samples(desired, account, _measure(desired, account, more.runs))
    url = git.remote_url(desired.root)
    settings = desired.settings
    rendered = render(desired.experiments, desired.variants, known, settings.rates, url, settings.token_credits)
    files = repository.with_imported(desired.root, rendered, {run.name for run in known if run.imported})
    changed = repository.write_files(desired.root, files) + repository.remove_leftovers(desired.root, files)
    outcomes = all_outcomes(desired.experiments, desired.variants, known)
    gates = {name: check(found, seen.at[:10]) for name, found in outcomes.items()}
    unjudged = tuple(dict((*judging.refusals, *more.refusals)).items())
    told = tuple(run for run in known if run.name in ended)
    return Collected(told, tuple(changed), gates, judging.asked + more.asked, unjudged)


def settle(desired: Desired, account: Account) -> tuple[Observation, set[str]]:
    """Bring the ledger up to date with jobs and stages. All that is known then, and the runs whose end was recorded."""
    seen = look(desired, account)
    before = observed.runs(seen)
    stop_overdue(account, before, seen)
    ended = _record(desired, account, seen, before)
    return (account.observe() if ended else seen), ended


def _record(desired: Desired, account: Account, seen: Observation, runs: Sequence[Run]) -> set[str]:
    """What the ledger lacks: rows whose writer died, and how runs ended. The names of those that ended."""
    unrecorded = [run for run in runs if run.unrecorded and (run.job or ending.is_over(run))]
    ended = [run for run in runs if ending.has_ended(run)]
    if unrecorded or ended:
        prepare(account, seen.ledger)
    for run in unrecorded:
        _mend(desired, account, run)
    for run in ended:
        account.record(run.name, "ended", ending.record(run, account.read(run.name, "results.json")))
    return {run.name for run in ended}


def _mend(desired: Desired, account: Account, run: Run) -> None:
    if "claimed" in run.unrecorded:
        account.record(run.name, "claimed", _claimed(desired, account, run))
    if "submitted" in run.unrecorded:
        account.record(run.name, "submitted", {"job": run.job, "adopted": True})


def _claimed(desired: Desired, account: Account, run: Run) -> dict[str, Any]:
    """As its submitter wrote it for the job; without a job the claim's comment and git say what they know."""
    folder = run.job.rpartition("_")[0] if run.job else ""
    found = account.read(run.name, f"{folder}/app/{CLAIM_FILE}") if folder else None
    if found:
        return {**json.loads(found), "at": run.claimed_at}
    spec = next((variant.spec for variant in desired.variants if variant.digests == run.digests), run.spec)
    return claim_of(run, spec, run.provenance)


def _measure(desired: Desired, account: Account, runs: Sequence[Run]) -> Sequence[Run]:
    """Bring the numbers up to date that reports are made from: one question for the samples of all runs."""
    due = measures.missing(desired.variants, runs)
    if not due.runs:
        return runs
    for run, kind, body in measures.records(due, account.sample_scores(due.runs)):
        account.record(run, kind, body)
    return observed.runs(account.observe())
