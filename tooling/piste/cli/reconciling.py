"""Commands that compare git with Snowflake, and act: validate, plan, apply, run, collect."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from piste.cli.common import Place, command, counted, opened, place, selecting, shown_as
from piste.cli.progress import follow

if TYPE_CHECKING:
    from piste.errors import Refusal
    from piste.journeys import Collected, Desired, Submission
    from piste.plan import Action, Plan
    from piste.snowflake import Account

OUT_OF_DATE, REFUSED = 3, 4
WAITING_SECONDS = 15.0
"""Between two plans while there is only a queue, or the end of a back-off, to wait for."""


@click.command()
@selecting
@shown_as("text", "json", "github")
@place
@command
def validate(at: Place, names: Sequence[str], since: str, shape: str) -> int:
    """Check every experiment, or those that are selected; all problems at once.

    \b
    piste validate --format github            annotations for a pull request
    piste validate --changed-since main       what this branch has touched
    """
    from piste import journeys, problems

    found = journeys.validate(at.root, at.settings, names, since)
    if at.environment:
        found.settings.chosen(at.environment)
    if shape == "json":
        click.echo(problems.to_json(found.count, found.problems), nl=False)
    elif shape == "github":
        click.echo(problems.to_github(found.problems), nl=False)
    else:
        click.echo(problems.to_text(found.problems), nl=False, err=True)
        click.echo(f"{counted(found.count, 'experiment')}, {counted(len(found.problems), 'problem')}")
    return int(any(problem.severity == "error" for problem in found.problems))


@click.command()
@selecting
@click.option("--offline", is_flag=True, help="By the reports committed in git; needs no account.")
@click.option(
    "--check", is_flag=True, help="Exit with 4 if a rule refuses some of it, with 3 if there is anything to do."
)
@shown_as("text", "json", "markdown")
@place
@command
def plan(at: Place, names: Sequence[str], since: str, offline: bool, check: bool, shape: str) -> int:
    """Say what would be trained or evaluated, and why. Nothing happens.

    \b
    piste plan --offline               what the committed reports say
    piste plan soap-smollm2-lora       one experiment; 'soap-*', tag:soap, owner:@ana: several
    piste plan --changed-since main    what this branch has touched
    """
    from piste import journeys, problems, rendering

    desired = journeys.read(at.root, settings_root=at.settings, since=since)
    if offline:
        due, unread = journeys.plan_offline(desired, names)
        click.echo(problems.to_text(unread), nl=False, err=True)
        refused = journeys.refusals_offline(desired, due, at.environment)
    else:
        with opened(at, desired) as account:
            due = journeys.plan_live(desired, account, names)
            refused = journeys.refusals(desired, account, due)
    if shape == "json":
        click.echo(rendering.plan_json(due, "reports" if offline else "snowflake", refused), nl=False)
    else:
        if offline and shape == "text":
            click.echo("offline: by the reports committed in git; runs in progress can't be seen", err=True)
        text = rendering.plan_text(due, refused) if shape == "text" else _comment(due, offline, refused)
        click.echo(text, nl=False)
    if check and refused:
        return REFUSED
    return OUT_OF_DATE if check and due.submissions else 0


def _comment(due: Plan, offline: bool, refused: Sequence[Refusal]) -> str:
    from piste import review

    return review.comment(review.whole(due, offline, refused))


@click.command()
@selecting
@click.option("--retry", multiple=True, metavar="NAME", help="Try a failed run of this experiment again.")
@click.option("--wait", is_flag=True, help="Follow what was submitted until it ended.")
@click.option(
    "--allow",
    multiple=True,
    type=click.Choice(["max-submissions", "max-vanished"]),
    help="Go beyond a bound of [tool.piste.policy] this time.",
)
@place
@command
def apply(at: Place, names: Sequence[str], since: str, retry: Sequence[str], wait: bool, allow: Sequence[str]) -> int:
    """Submit what the plan says.

    \b
    piste apply --wait                 and follow the jobs
    piste apply --retry soap-tiny      once more after a failure
    piste apply --allow max-submissions    more at once than usual
    """
    from piste import journeys

    desired = journeys.read(at.root, settings_root=at.settings, since=since)
    with opened(at, desired) as account:
        return _reconcile(desired, account, names, retry, wait=wait, allow=allow)


@click.command()
@selecting
@click.option("--retry", is_flag=True, help="Try it again after a failure.")
@click.option("--smoke", is_flag=True, help="Cut down to 3 steps and 16 rows: does it run at all?")
@place
@command
def run(at: Place, names: Sequence[str], since: str, retry: bool, smoke: bool) -> int:
    """Run an experiment, or several, from the working tree.

    The tree may be dirty. Follows the runs and writes their reports.
    Merging the same files later trains nothing again.
    """
    from piste import journeys

    if not names and not since:
        raise click.UsageError("Name an experiment, or give --changed-since REV.")
    desired = journeys.read(at.root, settings_root=at.settings, since=since)
    chosen = tuple(dict.fromkeys(variant.title for variant in desired.only(names)))
    if not chosen:
        click.echo(f"nothing has changed since {since}", err=True)
        return 0
    asked, names = journeys.cut_down(desired, chosen) if smoke else (desired, chosen)
    origin = {"smoke": True} if smoke else {}
    with opened(at, desired) as account:
        code = _reconcile(asked, account, names, names if retry else (), wait=True, tried=True, origin=origin)
        _say_collected(at.root, journeys.collect(desired.trying(chosen), account))
        due = journeys.plan_live(asked, account, names, tried=True)
        return code or int(any(action.verb == "blocked" for action in due.actions))


@click.command()
@selecting
@click.option("--wait", is_flag=True, help="First wait until every live run has ended.")
@click.option("--check", is_flag=True, help="Then judge the gates of these experiments, or of all.")
@shown_as("text", "json")
@place
@command
def collect(at: Place, names: Sequence[str], since: str, wait: bool, check: bool, shape: str) -> int:
    """Record ended runs and write their reports.

    A report is written when its bytes would differ, never otherwise.

    \b
    piste collect --check soap-smollm2-lora
        0    every gate passed or is waived
        3    one is undecided, missing or incomparable
        4    one failed
    """
    from piste import gates, journeys
    from piste.report import gate_words

    if not check and (names or since or shape == "json"):
        said = "NAME, --changed-since and --format are for --check; without it all runs are collected."
        raise click.UsageError(said)
    desired = journeys.read(at.root, settings_root=at.settings, since=since)
    asked = {variant.experiment for variant in desired.only(names)}
    with opened(at, desired) as account:
        if wait:
            follow(account, [run.name for run in journeys.live(account)])
        collected = journeys.collect(desired, account)
    _say_collected(at.root, collected, err=check)
    if not check:
        return 0
    judged = {name: found for name, found in collected.gates.items() if name in asked}
    click.echo(gate_words.check_json(judged) if shape == "json" else gate_words.check_text(judged), nl=False)
    return gates.exit_code(one for found in judged.values() for one in found)


def _reconcile(
    desired: Desired,
    account: Account,
    names: Sequence[str],
    retry: Sequence[str],
    *,
    wait: bool,
    tried: bool = False,
    allow: Sequence[str] = (),
    origin: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Plan and submit; with `wait`, follow what is live and do what it made possible, until nothing is left."""
    from piste import journeys, rendering

    followed: set[str] = set()
    while True:
        seen, _ = journeys.settle(desired, account)
        due = journeys.plan_live(desired, account, names, retry, seen, tried)
        if not followed or due.submissions:
            click.echo(rendering.plan_text(due), nl=False)
        claims = _submit(journeys.apply(desired, account, due, tried, allow, origin))
        if not wait:
            return 0
        claims += [action.run.name for action in due.actions if action.verb == "wait" and action.run]
        waiting = any(action.verb == "wait" for action in due.actions)
        if not claims and not waiting:
            return int(any(action.verb == "blocked" and _of(action, followed) for action in due.actions))
        if not claims or not follow(account, claims):
            time.sleep(WAITING_SECONDS)
        followed, retry = followed | {*claims}, ()


def _of(action: Action, claims: Collection[str]) -> bool:
    return action.run is not None and action.run.name in claims


def _submit(submissions: Iterator[Submission]) -> list[str]:
    """Say what was submitted; the claims to follow, ours and those of whoever was faster."""
    claims = []
    for submission in submissions:
        claims.append(submission.claim)
        click.echo(submission, err=True)
    return claims


def _say_collected(root: Path, collected: Collected, err: bool = False) -> None:
    from piste.run_words import status_of, what

    for run in collected.ended:
        click.echo(f"{run.label}: {status_of(run)}: {what(run)}", err=err)
    if collected.judged:
        click.echo(f"asked judges {counted(collected.judged, 'question')}", err=err)
    for label, why in collected.unjudged:
        click.echo(f"{label}: not judged: {why} `piste collect` goes on with it.", err=True)
    for path in collected.changed:
        click.echo(f"{'wrote' if (root / path).exists() else 'removed'} {path}", err=err)
    if not (collected.ended or collected.changed or collected.judged):
        click.echo("nothing to do", err=err)
