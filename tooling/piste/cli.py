"""The command line: parse, call a journey, render, exit. The only module that prints."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from piste.errors import InvalidInput, PisteError

if TYPE_CHECKING:
    from piste.journeys import Collected, Desired, Look, Submission
    from piste.plan import Action
    from piste.snowflake import Account

OUT_OF_DATE = 3
WAITING_SECONDS = 15.0
"""Between two plans while there is only a queue, or the end of a back-off, to wait for."""


@dataclass(frozen=True)
class Place:
    """Where a command works: the repository's root, an environment of its settings, a Snowflake connection."""

    root: Path
    environment: str | None
    connection: str | None


place = click.make_pass_decorator(Place)
names = click.argument("names", nargs=-1, metavar="[NAME]...")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="piste")
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The repository; default: here, or the nearest folder above with experiments/.",
)
@click.option("--environment", metavar="NAME", help="One of [tool.piste.environments]; default: the settings'.")
@click.option("--connection", metavar="NAME", help="One of Snowflake's connections.toml; default: the environment's.")
@click.pass_context
def main(context: click.Context, root: Path | None, environment: str | None, connection: str | None) -> None:
    """Fine-tune language models inside Snowflake from experiments in git.

    \b
    Every day:  new, run, plan, status
    Operating:  validate, apply, collect, cancel, logs, ledger, gc, doctor, demo

    \b
    Exit codes:
      0    done, or nothing to do
      1    the input, a run or Snowflake is at fault
      2    wrong usage
      3    plan --check: there is something to do
      4    a policy refuses
      130  interrupted
    """
    context.obj = Place(root or _nearest(Path()), environment, connection)


def _nearest(here: Path) -> Path:
    above = (folder for folder in (here, *here.resolve().parents) if (folder / "experiments").is_dir())
    return next(above, here)


def command(function: Callable[..., int | None]) -> Callable[..., None]:
    """Exit with what the command returns; a failure that piste can explain goes to stderr without a traceback."""

    @wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> None:
        try:
            sys.exit(function(*arguments, **options) or 0)
        except InvalidInput as error:
            from piste.problems import to_text

            click.echo(to_text(error.problems), nl=False, err=True)
            sys.exit(error.exit_code)
        except PisteError as error:
            click.echo("\n".join(filter(None, (error.message, error.hint))), err=True)
            sys.exit(error.exit_code)
        except OSError as error:
            click.echo(f"{error.filename or 'A file'}: {error.strerror or error}", err=True)
            sys.exit(1)
        except KeyboardInterrupt:
            click.echo("interrupted; what was submitted goes on: `piste status`", err=True)
            sys.exit(130)

    return wrapped


def shown_as(*formats: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option("--format", "shape", type=click.Choice(formats), default=formats[0], show_default=True)


@contextlib.contextmanager
def _account(at: Place, desired: Desired) -> Iterator[Account]:
    from piste.snowflake import connect

    with connect(desired.settings.chosen(at.environment or ""), at.connection) as account:
        yield account


@main.command()
@shown_as("text", "json", "github")
@place
@command
def validate(at: Place, shape: str) -> int:
    """Check every experiment; all problems at once.

    \b
    piste validate --format github     annotations for a pull request
    """
    from piste import journeys, problems

    found = journeys.validate(at.root)
    if at.environment:
        found.settings.chosen(at.environment)
    if shape == "json":
        click.echo(problems.to_json(found.count, found.problems), nl=False)
    elif shape == "github":
        click.echo(problems.to_github(found.problems), nl=False)
    else:
        click.echo(problems.to_text(found.problems), nl=False, err=True)
        click.echo(f"{_counted(found.count, 'experiment')}, {_counted(len(found.problems), 'problem')}")
    return int(any(problem.severity == "error" for problem in found.problems))


@main.command()
@names
@click.option("--offline", is_flag=True, help="By the reports committed in git; needs no account.")
@click.option("--check", is_flag=True, help="Exit with 3 if there is something to do.")
@shown_as("text", "json", "markdown")
@place
@command
def plan(at: Place, names: Sequence[str], offline: bool, check: bool, shape: str) -> int:
    """Say what would be trained or evaluated, and why. Nothing happens.

    \b
    piste plan --offline               what the committed reports say
    piste plan soap-smollm2-lora       one experiment
    """
    from piste import journeys, problems, rendering

    desired = journeys.read(at.root)
    if offline:
        due, unread = journeys.plan_offline(desired, names)
        click.echo(problems.to_text(unread), nl=False, err=True)
    else:
        with _account(at, desired) as account:
            due = journeys.plan_live(desired, account, names)
    if shape == "json":
        click.echo(rendering.plan_json(due, "reports" if offline else "snowflake"), nl=False)
    else:
        if offline and shape == "text":
            click.echo("offline: by the reports committed in git; runs in progress can't be seen", err=True)
        click.echo((rendering.plan_text if shape == "text" else rendering.plan_markdown)(due), nl=False)
    return OUT_OF_DATE if check and due.submissions else 0


@main.command()
@names
@click.option("--retry", multiple=True, metavar="NAME", help="Try a failed run of this experiment again.")
@click.option("--wait", is_flag=True, help="Follow what was submitted until it ended.")
@click.option(
    "--allow",
    multiple=True,
    type=click.Choice(["many", "vanished"]),
    help="Go beyond a bound of [tool.piste.policy] this time.",
)
@place
@command
def apply(at: Place, names: Sequence[str], retry: Sequence[str], wait: bool, allow: Sequence[str]) -> int:
    """Submit what the plan says.

    \b
    piste apply --wait                 and follow the jobs
    piste apply --retry soap-tiny      once more after a failure
    piste apply --allow many           more submissions than usual
    """
    from piste import journeys

    desired = journeys.read(at.root)
    with _account(at, desired) as account:
        return _reconcile(desired, account, names, retry, wait=wait, allow=allow)


@main.command()
@click.argument("name")
@click.option("--retry", is_flag=True, help="Try it again after a failure.")
@place
@command
def run(at: Place, name: str, retry: bool) -> int:
    """Run one experiment from the working tree.

    The tree may be dirty. Follows the run and writes its report.
    Merging the same files later trains nothing again.
    """
    from piste import journeys

    desired = journeys.read(at.root)
    with _account(at, desired) as account:
        code = _reconcile(desired, account, [name], [name] if retry else (), wait=True, tried=True)
        _say_collected(at.root, journeys.collect(desired, account))
        blocked = any(action.verb == "blocked" for action in journeys.plan_live(desired, account, [name]).actions)
        return code or int(blocked)


@main.command()
@click.option("--wait", is_flag=True, help="First wait until every live run has ended.")
@place
@command
def collect(at: Place, wait: bool) -> int:
    """Record ended runs and write their reports.

    A report is written when its bytes would differ, never otherwise.
    """
    from piste import journeys

    desired = journeys.read(at.root)
    with _account(at, desired) as account:
        if wait:
            _follow(account, [run.name for run in journeys.live(account)])
        _say_collected(at.root, journeys.collect(desired, account))
    return 0


@main.command()
@names
@shown_as("text", "json")
@place
@command
def status(at: Place, names: Sequence[str], shape: str) -> int:
    """Say what is going on.

    \b
    sync     synced: Snowflake has what git asks for; out of sync; branch: tried
             from somebody's branch; not in git: nothing asks for it any more
    health   healthy, progressing, degraded; – while there is no run
    """
    from piste import journeys, rendering

    desired = journeys.read(at.root, tolerant=True)
    with _account(at, desired) as account:
        found = journeys.status(desired, account, names)
    click.echo(rendering.status_json(found) if shape == "json" else rendering.status_text(found), nl=False)
    return 0


@main.command()
@click.argument("name")
@place
@command
def cancel(at: Place, name: str) -> int:
    """Cancel the live runs of an experiment."""
    from piste import journeys

    desired = journeys.read(at.root, tolerant=True)
    with _account(at, desired) as account:
        cancelled = journeys.cancel(desired, account, name)
    for run in cancelled:
        click.echo(f"cancelled {run.title}: {run.name}")
    if not cancelled:
        click.echo(f"{name} has no live run", err=True)
    return 0


@main.command()
@click.argument("name")
@click.option("--follow", is_flag=True, help="Go on until the run has ended.")
@place
@command
def logs(at: Place, name: str, follow: bool) -> int:
    """Print the log of an experiment's latest run.

    Of all its nodes; kept on the run's stage when Snowflake has dropped the job's own.
    """
    from piste import journeys

    desired = journeys.read(at.root, tolerant=True)
    with _account(at, desired) as account:
        for text in journeys.follow_log(desired, account, name) if follow else [journeys.logs(desired, account, name)]:
            click.echo(text, nl=not follow)
    return 0


@main.group()
def ledger() -> None:
    """Say what an empty ledger beside committed reports means."""


@ledger.command("import-reports")
@place
@command
def import_reports(at: Place) -> int:
    """Take over the runs that committed reports tell of.

    They are not trained again. What needs their weights does: those are where they were trained.
    """
    from piste import journeys

    desired = journeys.read(at.root)
    with _account(at, desired) as account:
        imported = journeys.import_reports(desired, account)
    for run in imported:
        click.echo(f"imported {run.name}  {run.title}")
    click.echo(f"{_counted(len(imported), 'run')} imported, {_counted(len(desired.reports), 'report')} read", err=True)
    return 0


@ledger.command("new")
@place
@command
def new_ledger(at: Place) -> int:
    """Begin anew beside the committed reports.

    What they tell of is trained again in this environment.
    """
    from piste import journeys

    desired = journeys.read(at.root)
    with _account(at, desired) as account:
        journeys.begin(account)
        click.echo(f"the ledger of {account.environment.name} begins anew")
    return 0


@main.command()
@click.option("--dry-run", is_flag=True, help="List only; the same as without any option.")
@click.option("--delete", "deleted", multiple=True, metavar="RUN", help="Delete what is listed of this run.")
@shown_as("text", "json")
@place
@command
def gc(at: Place, dry_run: bool, deleted: Sequence[str], shape: str) -> int:
    """List what nothing needs any more.

    Stages that no experiment, branch run, report or promotion needs, and the resume state of finished runs.
    Deletes only what --delete names.

    \b
    piste gc                                   what there is, and how large
    piste gc --delete RUN_0A1B2C3D4E5F_1       delete it
    """
    from piste import garbage, journeys

    if dry_run and deleted:
        raise click.UsageError("--dry-run lists, --delete deletes: give one of them.")
    desired = journeys.read(at.root)
    with _account(at, desired) as account:
        if deleted:
            for candidate in journeys.delete(desired, account, deleted):
                click.echo(f"deleted {candidate.run} ({candidate.part})")
            return 0
        found = journeys.unneeded(desired, account)
    click.echo((garbage.as_json if shape == "json" else garbage.text)(found), nl=False)
    return 0


@main.command()
@click.argument("name")
@click.option("--from", "source", metavar="OTHER", required=True, help="The experiment to copy.")
@place
@command
def new(at: Place, name: str, source: str) -> int:
    """Begin an experiment as a copy of another.

    \b
    piste new soap-smollm2-r32 --from soap-smollm2-lora
    """
    from piste import repository

    for path in repository.copy_experiment(at.root, source, name):
        click.echo(path)
    click.echo(f"Edit it, then `piste plan {name}`.", err=True)
    return 0


@main.command()
@shown_as("text", "json", "sql")
@click.option("--probe", is_flag=True, help="Try what piste takes for true of the server; runs two short jobs.")
@place
@command
def doctor(at: Place, shape: str, probe: bool) -> int:
    """Say what is missing in Snowflake.

    Objects and privileges, with the SQL that makes them.

    \b
    piste doctor --probe               up to 5 minutes and 0.1 credits; removes all that it makes
    """
    from piste import doctor as examination
    from piste import journeys

    if probe and shape == "sql":
        raise click.UsageError("--probe makes no SQL: --format is text or json.")
    desired = journeys.read(at.root)
    with _account(at, desired) as account:
        if probe:
            return _probe(desired, account, shape)
        findings = examination.examine(account.ask, account.environment, desired.experiments)
    click.echo(examination.RENDER[shape](findings), nl=False)
    return int(any(not finding.well for finding in findings))


def _probe(desired: Desired, account: Account, shape: str) -> int:
    from piste import inferences, probe

    ready = probe.ready(account, desired.settings, desired.root)
    click.echo(probe.announcement(ready, account), err=True)
    try:
        report = probe.run(account, ready, lambda said: click.echo(said, err=True))
    except KeyboardInterrupt:
        return 130
    click.echo(inferences.RENDER[shape](report), nl=False)
    return int(not report.well)


@main.command()
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), default=".demo", show_default=True)
@place
@command
def demo(at: Place, directory: Path) -> int:
    """The whole loop on an embedded Snowflake.

    Plan, submit, really train, evaluate, report, commit.
    Works in a clone of the repository below .demo/; the repository itself stays as it is.
    """
    from piste import demo as loop

    return loop.demo(at.root, directory, lambda text: click.echo(text, err=True))


def _reconcile(
    desired: Desired,
    account: Account,
    names: Sequence[str],
    retry: Sequence[str],
    *,
    wait: bool,
    tried: bool = False,
    allow: Sequence[str] = (),
) -> int:
    """Plan and submit; with `wait`, follow what is live and do what it made possible, until nothing is left."""
    from piste import journeys, rendering

    followed: set[str] = set()
    while True:
        seen, _ = journeys.settle(desired, account)
        due = journeys.plan_live(desired, account, names, retry, seen)
        if not followed or due.submissions:
            click.echo(rendering.plan_text(due), nl=False)
        claims = _submit(journeys.apply(desired, account, due, tried, allow))
        if not wait:
            return 0
        claims += [action.run.name for action in due.actions if action.verb == "wait" and action.run]
        waiting = any(action.verb == "wait" for action in due.actions)
        if not claims and not waiting:
            return int(any(action.verb == "blocked" and _of(action, followed) for action in due.actions))
        if not claims or not _follow(account, claims):
            time.sleep(WAITING_SECONDS)
        followed, retry = followed | {*claims}, ()


def _of(action: Action, claims: Collection[str]) -> bool:
    return action.run is not None and action.run.name in claims


def _submit(submissions: Iterator[Submission]) -> list[str]:
    """Say what was submitted; the claims to follow, ours and those of whoever was faster."""
    claims = []
    for submission in submissions:
        claims.append(submission.claim)
        title = submission.action.variant.title
        if submission.taken_by is not None:
            click.echo(f"{title}: {submission.taken_by} was faster ({submission.claim})", err=True)
        else:
            price = (
                f", {submission.credits:.2f} credits if it takes its timeout" if submission.credits is not None else ""
            )
            click.echo(f"{title}: submitted {submission.job}{price}", err=True)
    return claims


def _follow(account: Account, claims: Sequence[str]) -> bool:
    """Show progress until these runs ended; whether there was anything to wait for."""
    from piste import journeys

    display, looks = _Progress(), 0
    for look in journeys.follow(account, claims):
        display.show(look)
        looks += 1
    return looks > 1


class _Progress:
    """One line whenever a run has something new to say, and at least one every 20 seconds."""

    SILENCE = 20.0

    def __init__(self) -> None:
        self._said: dict[str, str] = {}
        self._spoke = 0.0

    def show(self, look: Look) -> None:
        from piste import rendering
        from piste.durations import duration

        if look.silence and time.monotonic() - self._spoke > self.SILENCE:
            silence = duration(look.silence)
            click.echo(f"{time.strftime('%H:%M:%S')}  Snowflake does not answer for {silence}; waiting on", err=True)
            self._spoke = time.monotonic()
        for run in () if look.silence else look.runs:
            text = f"{run.title}: {rendering.doing(run) if run.live else rendering.what(run)}"
            new = self._said.get(run.name) != text
            if new or (run.live and time.monotonic() - self._spoke > self.SILENCE):
                click.echo(f"{time.strftime('%H:%M:%S')}  {text}", err=True)
                self._said[run.name] = text
                self._spoke = time.monotonic()


def _say_collected(root: Path, collected: Collected) -> None:
    from piste import rendering

    for run in collected.ended:
        click.echo(f"{run.title}: {rendering.status_of(run)}: {rendering.what(run)}")
    for path in collected.changed:
        click.echo(f"{'wrote' if (root / path).exists() else 'removed'} {path}")
    if not collected.ended and not collected.changed:
        click.echo("nothing to do")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
