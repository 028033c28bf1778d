"""Commands that look at runs, or end them: status, compare, report, logs, cancel."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import click

from piste.cli.common import Place, command, counted, opened, place, selecting, shown_as


@click.command()
@selecting
@shown_as("text", "json")
@place
@command
def status(at: Place, names: Sequence[str], since: str, shape: str) -> int:
    """Say what is going on.

    \b
    sync     synced: Snowflake has what git asks for; out of sync; branch: tried
             from somebody's branch; not in git: nothing asks for it any more
    health   healthy, progressing, degraded; – while there is no run
    """
    from piste import journeys, standings

    desired = journeys.read(at.root, tolerant=True, settings_root=at.settings, since=since)
    with opened(at, desired) as account:
        found = journeys.status(desired, account, names)
    click.echo(standings.status_json(found) if shape == "json" else standings.status_text(found), nl=False)
    return 0


@click.command()
@click.argument("name")
@place
@command
def cancel(at: Place, name: str) -> int:
    """Cancel the live runs of an experiment."""
    from piste import journeys

    desired = journeys.read(at.root, tolerant=True, settings_root=at.settings)
    with opened(at, desired) as account:
        cancelled = journeys.cancel(desired, account, name)
    for run in cancelled:
        click.echo(f"cancelled {run.title}: {run.name}")
    if not cancelled:
        click.echo(f"{name} has no live run", err=True)
    return 0


@click.command()
@click.argument("name")
@click.option("--follow", is_flag=True, help="Go on until the run has ended.")
@place
@command
def logs(at: Place, name: str, follow: bool) -> int:
    """Print the log of an experiment's latest run.

    Of all its nodes; kept on the run's stage when Snowflake has dropped the job's own.
    """
    from piste import journeys

    desired = journeys.read(at.root, tolerant=True, settings_root=at.settings)
    with opened(at, desired) as account:
        for text in journeys.follow_log(desired, account, name) if follow else [journeys.logs(desired, account, name)]:
            click.echo(text, nl=not follow)
    return 0


@click.command()
@click.argument("a")
@click.argument("b")
@click.option("--scores", is_flag=True, help='A and B are files of lines {"id", "score", "value"}; needs no account.')
@click.option(
    "--minimum",
    type=click.FloatRange(0),
    default=0.0,
    metavar="EFFECT",
    help="A difference within it is of no interest: surely less is equivalent.",
)
@shown_as("text", "json", "markdown")
@place
@command
def compare(at: Place, a: str, b: str, scores: bool, minimum: float, shape: str) -> int:
    """Say how two results differ, and how sure that is.

    Paired by sample; over seeds where there are several.

    \b
    piste compare soap-smollm2-lora soap-smollm2-base
    piste compare --scores a.jsonl b.jsonl --format json
    """
    from piste import journeys, verdicts

    if scores:
        found = journeys.compare_files(Path(a), Path(b), minimum)
    else:
        desired = journeys.read(at.root, settings_root=at.settings)
        with opened(at, desired) as account:
            found = journeys.compare(desired, account, a, b, minimum)
    click.echo(verdicts.RENDER[shape](found), nl=False)
    return 0


@click.command()
@click.argument("a")
@click.argument("b")
@shown_as("text", "json", "markdown")
@place
@command
def diff(at: Place, a: str, b: str, shape: str) -> int:
    """Say in which fields two experiments or runs differ, and what changing one into the other does.

    \b
    piste diff soap-smollm2-base soap-smollm2-lora
    piste diff RUN_0A1B2C3D4E5F_1 soap-smollm2-lora     what it was submitted with, and what it is now
    """
    from piste import history, journeys

    desired = journeys.read(at.root, tolerant=True, settings_root=at.settings)
    runs = any(journeys.is_run(name) for name in (a, b))
    with opened(at, desired) if runs else contextlib.nullcontext() as account:
        found = journeys.difference(desired, account, a, b)
    click.echo(history.DIFFERENCE[shape](found), nl=False)
    return 0


@click.command()
@click.argument("name")
@shown_as("text", "json", "markdown")
@place
@command
def log(at: Place, name: str, shape: str) -> int:
    """List the runs of an experiment, the latest first, each with what changed since the one before.

    Fields, rows, packages, scores; also of experiments that are not in git any more.

    \b
    piste log soap-smollm2-lora
    piste log tag:soap --format markdown
    """
    from piste import history, journeys

    desired = journeys.read(at.root, tolerant=True, settings_root=at.settings)
    with opened(at, desired) as account:
        found = journeys.log(desired, account, name)
    click.echo(history.LOG[shape](found), nl=False)
    return 0


@click.command()
@selecting
@click.option(
    "--html",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    required=True,
    help="Write DIR/index.html, and DIR where it is missing.",
)
@click.option(
    "--links",
    metavar="URL",
    help="Where links to reports begin; default: the remote on GitHub, else this working tree.",
)
@place
@command
def report(at: Place, names: Sequence[str], since: str, directory: Path, links: str | None) -> int:
    """Put all committed reports on one page, or those that are selected.

    It sorts, filters and compares any two runs; made of experiments/*/report/ alone, so it needs no account.
    One file without a request to any other place: open it, mail it, or let a web server show it.

    \b
    piste report --html site
    piste report --html site tag:soap
    piste report --html site --links https://git.example.com/training/blob/main
    """
    from piste import journeys, problems

    written, count, foreign = journeys.runs_page(at.root, directory, links, names, since)
    if foreign:
        click.echo(problems.to_text(foreign), nl=False, err=True)
    click.echo(written)
    click.echo(f"{counted(count, 'report')} on it", err=True)
    return 0
