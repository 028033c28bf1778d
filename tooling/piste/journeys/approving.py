"""What merged pull requests approved, by the word of GitHub and of git: the ledger keeps it, and decides nothing here.

A job's own code can write rows into the ledger, and people can edit comments: neither can merge a pull request.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from piste import approvals, git, policy
from piste.approvals import APPROVED, Approval, Pair
from piste.asked import Asked
from piste.errors import GitRefused
from piste.github import Merged
from piste.journeys.ledger import prepare
from piste.journeys.planning import pool_in
from piste.journeys.reading import Desired, read
from piste.journeys.refusing import judge, told_by_ledger
from piste.plan import Plan
from piste.variants import on_every_split

if TYPE_CHECKING:
    from piste.github import GitHub
    from piste.snowflake import Account

COMMITS = 50
"""So many commits to an experiment or its suite are looked at, the latest first."""


def approve(desired: Desired, account: Account, due: Plan, github: GitHub, branch: str) -> tuple[Approval, ...]:
    """Of the pull requests that were merged into `branch`, those that asked for what is due now; recorded if they are
    not yet.

    Raises:
        GitRefused: the checkout has no history.
        GitHubRefused: GitHub does not answer.
    """
    if git.is_shallow(desired.root):
        raise GitRefused("This checkout has no history to find pull requests in.", "Check out with  fetch-depth: 0.")
    search = _Search(desired, told_by_ledger(desired, due) or (), github, branch)
    found: dict[int, Approval] = {}
    for one in judge(desired, account, due).asked.values():
        for merged in search.candidates(one):
            if merged.number not in found:
                found[merged.number] = _approval(desired, account, due, merged, github.token)
            if approvals.covering(one, found.values()):
                break
    new = [approval for approval in found.values() if approval.ceilings and approval not in search.known]
    if new:
        prepare(account, due.ledger)
    for approval in new:
        account.record(APPROVED, "approved", approvals.body(approval))
    return tuple(found.values())


class _Search:
    """For merged pull requests; `known` is what the ledger says. Nothing is asked twice."""

    def __init__(self, desired: Desired, known: tuple[Approval, ...], github: GitHub, branch: str) -> None:
        self.known, self._desired = known, desired
        self._merged = cache(lambda number: github.merged(number, branch))
        self._numbers = cache(github.pull_requests_of)
        self._history = cache(lambda *paths: git.history(desired.root, COMMITS, *paths))

    def candidates(self, asked: Asked) -> Iterator[Merged]:
        """First whom the ledger names, to see whether it is true; then who touched the experiment or its suite."""
        said = approvals.covering(asked, self.known)
        numbers = itertools.chain([said.number] if said else [], self._touching(asked.experiment))
        yield from filter(None, map(self._merged, numbers))

    def _touching(self, name: str) -> Iterator[int]:
        folder, suite = f"experiments/{name}", self._desired.experiment(name).suite.name
        for commit in self._history(folder, f":(exclude){folder}/report", f"experiments/_suites/{suite}"):
            yield from self._numbers(commit)


def _approval(desired: Desired, account: Account, due: Plan, merged: Merged, token: str) -> Approval:
    """What its branch asked for beyond where it began: what was read when it was reviewed, whatever main is now."""
    root = desired.root
    git.fetch_commit(root, merged.head, f"refs/pull/{merged.number}/head", token)
    began = git.merge_base(root, merged.head, f"{merged.commit}^1")
    if not began:
        return Approval(merged.number, merged.head, merged.actor, {})
    after, before = (_pairs(desired, account, due, commit) for commit in (merged.head, began))
    return Approval(merged.number, merged.head, merged.actor, approvals.new(after, before))


def _pairs(desired: Desired, account: Account, due: Plan, commit: str) -> dict[Pair, float | None]:
    with git.worktree(desired.root, commit) as tree:
        found = read(tree, tolerant=True, settings_root=desired.settings_root)
    pairs: dict[Pair, float | None] = {}
    rates = desired.settings.rates
    for experiment in found.experiments:
        pool = pool_in(due.pools, account.environment, experiment.document)
        rate = rates.get(pool.family) if pool else None
        for variant in on_every_split(experiment):
            pairs[variant.digests.training, variant.digests.suite] = policy.at_most(variant, rate)
    return pairs
