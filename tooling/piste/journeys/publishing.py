"""Reports come to the default branch: rendered on its newest commit, committed, and brought there."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from piste import git, observed, repository
from piste.environment import Settings
from piste.errors import GitRefused, PisteError
from piste.generated import experiment_of, is_generated
from piste.journeys.collecting import Collected, collect
from piste.journeys.reading import read
from piste.journeys.watching import live
from piste.report import announcement
from piste.review import MARKER, with_tried
from piste.run import Run

if TYPE_CHECKING:
    from piste.github import GitHub, PullRequest
    from piste.snowflake import Account

BRANCH = "piste/reports"
"""Of the one pull request that brings reports."""

ATTEMPTS = 5
"""So often the default branch may move while reports are rendered on it."""

TOLD_FOR = timedelta(days=2)
"""For so long after its end a run that was tried from a pull request is told there."""


@dataclass(frozen=True)
class Published:
    """What came of it. `subject` is the commit's; `pull_request` brings it where it was not pushed; `note` says why."""

    collected: Collected
    subject: str = ""
    pull_request: PullRequest | None = None
    note: str = ""


@dataclass(frozen=True)
class Publisher:
    """`github` comments; `bringer` pushes and opens pull requests, maybe as an app that may do more."""

    account: Account
    github: GitHub
    bringer: GitHub
    branch: str


def publish(root: Path, by: Publisher, pause: Callable[[float], None] = time.sleep) -> Published:
    """Collect on the newest commit of the branch, and bring the files that changed there. Only generated files.

    The working tree at `root` stays as it is. If the branch moves meanwhile, all is done again on what it is then.

    Raises:
        GitRefused: it moves too often, a rule forbids to push, or people's work is in the way.
        InvalidInput: an experiment on the branch has an error.
    """
    for attempt in range(ATTEMPTS):
        tip = git.fetch(root, by.branch, by.bringer.token)
        if not tip:
            raise GitRefused(f"origin has no branch {by.branch}.", "Name another with --branch.")
        with git.worktree(root, tip) as tree:
            published = _publish(tree, tip, by)
        if published is not None:
            return published
        pause(2.0**attempt)
    message = f"{by.branch} moved {ATTEMPTS} times while reports were rendered on it."
    raise GitRefused(message, "Nothing is lost: the next run of the report workflow tries again.")


def _publish(tree: Path, tip: str, by: Publisher) -> Published | None:
    """None if a branch moved."""
    desired = read(tree)
    collected = collect(desired, by.account)
    paths = git.changed(tree)
    if foreign := [path for path in paths if not is_generated(path)]:
        raise PisteError(f"{foreign[0]} changed while reports were rendered; nothing was committed.", "This is a bug.")
    if not paths:
        _withdraw(tree, tip, by)
        return Published(collected)
    names = sorted({name for path in paths if (name := experiment_of(path))})
    if not names and live(by.account):
        return Published(collected)  # an index that says "no result yet" comes with the result
    files = {path: content for name in names for path, content in repository.report_files(tree, name).items()}
    reports = announcement.reports({path: files[path] for path in paths if path in files})
    message = announcement.message(reports, names)
    commit = git.commit(tree, paths, message)
    note = _by_hand(desired.settings, tree, tip, paths)
    if desired.settings.github.reports == "push" and not note:
        _announce(tree, tip, by, names)
        moved = not git.push(tree, commit, by.branch, by.bringer.token)
        return None if moved else Published(collected, message.splitlines()[0])
    if not _push_branch(tree, tip, commit, by):
        return None
    opened = by.bringer.open(BRANCH, by.branch, *announcement.pull_request(reports, names))
    _announce(tree, tip, by, names)
    return Published(collected, message.splitlines()[0], opened, note)


def _by_hand(settings: Settings, tree: Path, tip: str, paths: Sequence[str]) -> str:
    """A push never goes over what a person wrote: that comes by pull request, where somebody looks at it."""
    if settings.github.reports == "push":
        for path in paths:
            last = git.last_commit(tree, tip, path)
            if last is not None and announcement.TRAILER not in last.trailers:
                return f"{path} was last written by {last.author} in {last.sha[:7]}: look before it is overwritten."
    return ""


def _push_branch(tree: Path, tip: str, commit: str, by: Publisher) -> bool:
    """Let BRANCH hold the reports on top of `tip`; False if somebody moved it meanwhile."""
    there = git.fetch(tree, BRANCH, by.bringer.token)
    for other in git.commits(tree, tip, there) if there else ():
        if announcement.TRAILER not in other.trailers:
            message = f"{BRANCH} has a commit of {other.author} ({other.sha[:7]} {other.subject}); it stays as it is."
            raise GitRefused(message, "Merge that branch, or delete it; then reports come again.")
    if there and git.merged_tree(tree, tip, there) == git.tree(tree, commit):
        return True
    return git.push(tree, commit, BRANCH, by.bringer.token, over=there)


def _withdraw(tree: Path, tip: str, by: Publisher) -> None:
    """Nothing is left to bring: an open pull request with reports has been overtaken."""
    there = git.fetch(tree, BRANCH, by.bringer.token)
    if not there or any(announcement.TRAILER not in one.trailers for one in git.commits(tree, tip, there)):
        return
    if opened := by.bringer.from_branch(BRANCH):
        by.bringer.close(opened.number)
        git.delete_branch(tree, BRANCH, by.bringer.token, there)


def _announce(tree: Path, tip: str, by: Publisher, names: Collection[str]) -> None:
    """On the pull request that brought an experiment, or its latest change: what came of it."""
    for name in names:
        reports = announcement.reports(repository.report_files(tree, name))
        asked = git.last_commit(tree, tip, f"experiments/{name}", f":(exclude)experiments/{name}/report")
        numbers = by.github.pull_requests_of(asked.sha) if asked and reports else []
        for number in numbers[:1]:
            page = f"{by.github.page}/blob/{by.branch}/experiments/{name}/report/README.md"
            by.github.comment(number, announcement.marker(name), announcement.comment(reports, page))


def tell_tried(account: Account, github: GitHub) -> list[int]:
    """On pull requests, what came of the runs that were tried from them; the numbers of those that were told."""
    seen = account.observe()
    told = []
    for number, runs in _tried(observed.runs(seen), seen.at).items():
        said = github.commented(number, MARKER)
        now = with_tried(said, runs) if said is not None else None
        if said is not None and now is not None and now != said:
            github.comment(number, MARKER, now)
            told.append(number)
    return told


def _tried(runs: Sequence[Run], now: str) -> Mapping[int, list[Run]]:
    """By pull request, all that was tried from it, where one of the runs is alive or has ended lately."""
    found: dict[int, list[Run]] = {}
    for run in runs:
        if number := run.provenance.get("pull_request"):
            found.setdefault(int(number), []).append(run)
    since = (datetime.fromisoformat(now) - TOLD_FOR).isoformat(timespec="milliseconds")
    return {number: of for number, of in found.items() if any(run.live or run.ended_at > since for run in of)}
