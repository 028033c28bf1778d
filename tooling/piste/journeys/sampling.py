"""Read the samples that suites let people see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from piste import observed, samples
from piste.run import Run

if TYPE_CHECKING:
    from piste.journeys.reading import Desired
    from piste.snowflake import Account


def keep_samples(desired: Desired, account: Account, runs: Sequence[Run]) -> Sequence[Run]:
    """Record those that the ledger doesn't have yet; all runs as they are known then."""
    due = samples.missing(desired.variants, runs)
    scores = account.sample_scores([one.run.name for one in due]) if due else {}
    for one in due:
        name = one.run.name
        chosen = samples.chosen(scores.get(name, {}), one.suite)
        rows = account.texts(samples.statement(name, one.suite, chosen)) if chosen else []
        account.record(name, samples.EVENT, samples.body(one.suite, chosen, rows))
    return observed.runs(account.observe()) if due else runs
