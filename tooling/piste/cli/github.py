"""Commands of the workflows: piste github plan, try, submit, publish, guard."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from piste.cli.common import Place, command, counted, opened, place
from piste.errors import InvalidInput, PisteError

if TYPE_CHECKING:
    from piste.github import GitHub, PullRequest, Workflow
    from piste.journeys import Desired, Published, Submission
    from piste.review import Review

REFUSED = 4
LABELS = {"piste:smoke": True, "piste:run": False}
"""Labels that try a pull request, and whether they cut it down."""


@click.group()
def github() -> None:
    """What the workflows of GitHub Actions call.

    \b
    On a pull request, settings and payload come from the branch that it is for:
    piste --root pull-request --settings . github plan
    """


@github.command("plan")
@click.option("--offline", is_flag=True, help="By the committed reports; for forks, and without an account.")
@click.option(
    "--artifact",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the whole plan here, as JSON.",
)
@place
@command
def plan(at: Place, offline: bool, artifact: Path | None) -> int:
    """Say on a pull request what merging it would do."""
    from piste import review

    workflow, pull_request = _on_pull_request()
    try:
        found = _review(at, pull_request, offline, artifact)
    except InvalidInput as error:
        said = review.invalid(error.problems)
        workflow.summarize(said)
        if not offline:
            _hub(workflow).comment(pull_request.number, review.MARKER, said)
        raise
    said = review.comment(found)
    workflow.summarize(said)
    if not offline:
        _say(workflow, pull_request, found)
    click.echo(review.headline(found))
    return REFUSED if found.refused else 0


@github.command("try")
@place
@command
def try_(at: Place) -> int:
    """Run what a pull request changes, before it is merged.

    \b
    label piste:smoke     3 steps and 16 rows of each experiment, minutes
    label piste:run       all of it; the merge then trains nothing again
    """
    from piste import journeys

    workflow, pull_request = _on_pull_request()
    if workflow.label not in LABELS:
        raise PisteError(f"The label {workflow.label!r} tries nothing.", f"Labels that do: {', '.join(LABELS)}.")
    desired, base = _read(at)
    hub = _hub(workflow)
    with opened(at, desired) as account:
        _say_submitted(journeys.try_(desired, base, pull_request, account, cut=LABELS[workflow.label]))
        found = journeys.review(desired, base, pull_request, account)
    _say(workflow, pull_request, found)
    hub.unlabel(pull_request.number, workflow.label)
    return 0


@github.command("submit")
@click.option(
    "--allow", multiple=True, type=click.Choice(["max-submissions", "max-vanished"]), help="As for piste apply."
)
@place
@command
def submit(at: Place, allow: Sequence[str]) -> int:
    """Submit what the plan of this commit says, and leave.

    What could not be submitted now is submitted by the next run: nothing waits here, and nothing is lost.
    With reviewed_plan in [tool.piste.policy], only what merged pull requests asked for.
    """
    from piste import github as hub
    from piste import journeys, review

    workflow = hub.workflow()
    desired = journeys.read(at.root, settings_root=at.settings)
    with opened(at, desired) as account:
        seen, _ = journeys.settle(desired, account)
        due = journeys.plan_live(desired, account, seen=seen)
        approved = None
        if desired.settings.policy.reviewed_plan and due.wanted:
            approved = journeys.approve(desired, account, due, _hub(workflow), _branch())
        refused = journeys.refusals(desired, account, due, approved)
        workflow.summarize(review.comment(review.whole(due, refused=refused)))
        _say_submitted(journeys.apply(desired, account, due, allow=allow, approved=approved))
    return 0


@github.command("publish")
@click.option("--branch", metavar="NAME", help="Default: the one that the workflow runs on.")
@place
@command
def publish(at: Place, branch: str | None) -> int:
    """Collect, and bring the reports to the default branch.

    As one pull request that is brought up to date, or pushed: reports in [tool.piste.github].
    """
    from piste import github as hub
    from piste import journeys

    workflow = hub.workflow()
    desired = journeys.read(at.root, tolerant=True, settings_root=at.settings)
    with opened(at, desired) as account:
        mine = _hub(workflow)
        by = journeys.Publisher(account, mine, _hub(workflow, "PISTE_GITHUB_TOKEN"), branch or _branch())
        published = journeys.publish(at.root, by)
        told = journeys.tell_tried(account, mine)
    for line in _came_of(published, told):
        click.echo(line)
        workflow.summarize(f"* {line}")
    return 0


@github.command("guard")
@click.option("--base", default="origin/main", show_default=True, metavar="COMMIT")
@place
@command
def guard(at: Place, base: str) -> int:
    """Refuse a pull request of people that touches generated files.

    Gives the step the output `tooling`: whether anything besides experiments/ changes.
    """
    from piste import generated, git, journeys

    changes = git.changes(at.root, base, "HEAD")
    _output("tooling", any(not change.path.startswith("experiments/") for change in changes))
    if os.environ.get("GITHUB_HEAD_REF") == journeys.REPORTS_BRANCH:
        click.echo("the report workflow's own pull request")
        return 0
    if problems := generated.by_hand(changes):
        raise InvalidInput(problems)
    click.echo("no generated file was touched")
    return 0


def _output(name: str, value: bool) -> None:
    """Of the workflow's step, for the jobs after it."""
    if file := os.environ.get("GITHUB_OUTPUT"):
        with Path(file).open("a", encoding="utf-8") as output:
            output.write(f"{name}={str(value).lower()}\n")


def _on_pull_request() -> tuple[Workflow, PullRequest]:
    from piste import github as hub

    workflow = hub.workflow()
    if workflow.pull_request is None:
        raise PisteError(f"The event {workflow.event!r} has no pull request.", "Run it on: pull_request.")
    return workflow, workflow.pull_request


def _hub(workflow: Workflow, variable: str = "GITHUB_TOKEN") -> GitHub:
    from piste import github as hub

    return hub.connect(workflow.repository, variable)


def _read(at: Place) -> tuple[Desired, Desired]:
    """What the pull request asks for by the settings of its base, and what the base asks for."""
    from piste import journeys

    if at.settings is None:
        raise PisteError("Which branch is the pull request for?", "Give its checkout with --settings.")
    return journeys.read(at.root, settings_root=at.settings), journeys.read(at.settings, tolerant=True)


def _review(at: Place, pull_request: PullRequest, offline: bool, artifact: Path | None) -> Review:
    from piste import journeys, rendering

    desired, base = _read(at)
    if offline:
        found = journeys.review(desired, base, pull_request, None)
    else:
        with opened(at, desired) as account:
            found = journeys.review(desired, base, pull_request, account)
    if artifact:
        said = rendering.plan_json(found.plan, "reports" if offline else "snowflake", found.refused)
        artifact.write_text(said, encoding="utf-8")
    return found


def _say(workflow: Workflow, pull_request: PullRequest, found: Review) -> None:
    """A pull request that is not about experiments gets no comment, unless it has one already."""
    from piste import review

    hub = _hub(workflow)
    about = found.mine or found.removed or found.tried
    if about or hub.commented(pull_request.number, review.MARKER) is not None:
        hub.comment(pull_request.number, review.MARKER, review.comment(found))


def _say_submitted(submissions: Iterator[Submission]) -> None:
    count = 0
    try:
        for submission in submissions:
            click.echo(submission)
            count += submission.job is not None
    finally:
        click.echo(f"{counted(count, 'run')} submitted" if count else "nothing to submit")


def _branch() -> str:
    reference = os.environ.get("GITHUB_REF", "")
    return reference.removeprefix("refs/heads/") if reference.startswith("refs/heads/") else "main"


def _came_of(published: Published, told: Sequence[int]) -> Iterator[str]:
    from piste.run_words import status_of, what

    for run in published.collected.ended:
        yield f"{run.label}: {status_of(run)}: {what(run)}"
    if published.pull_request is not None:
        yield f"#{published.pull_request.number} {published.subject}"
    elif published.subject:
        yield published.subject
    if published.note:
        yield published.note
    yield from (f"#{number}: told what came of it" for number in told)
    if not (published.subject or published.collected.ended or told):
        yield "nothing to do"
