"""Commands that keep a repository and its account in order: new, ledger, gc, doctor, demo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from piste.cli.common import Place, command, counted, opened, place, shown_as

if TYPE_CHECKING:
    from piste.journeys import Desired
    from piste.snowflake import Account


@click.command()
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
    if kept := repository.about_its_result(at.root, name):
        click.echo(f"Remove {' and '.join(kept)}: what is said there is of {source}.", err=True)
    click.echo(f"Edit it, then `piste plan {name}`.", err=True)
    return 0


@click.group()
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

    desired = journeys.read(at.root, settings_root=at.settings)
    with opened(at, desired) as account:
        imported = journeys.import_reports(desired, account)
    for run in imported:
        click.echo(f"imported {run.name}  {run.title}")
    click.echo(f"{counted(len(imported), 'run')} imported, {counted(len(desired.reports), 'report')} read", err=True)
    return 0


@ledger.command("new")
@place
@command
def new_ledger(at: Place) -> int:
    """Begin anew beside the committed reports.

    What they tell of is trained again in this environment.
    """
    from piste import journeys

    desired = journeys.read(at.root, settings_root=at.settings)
    with opened(at, desired) as account:
        journeys.begin(account)
        click.echo(f"the ledger of {account.environment.name} begins anew")
    return 0


@click.command()
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
    desired = journeys.read(at.root, settings_root=at.settings)
    with opened(at, desired) as account:
        if deleted:
            for candidate in journeys.delete(desired, account, deleted):
                click.echo(f"deleted {candidate.run} ({candidate.part})")
            return 0
        found = journeys.unneeded(desired, account)
    click.echo((garbage.as_json if shape == "json" else garbage.text)(found), nl=False)
    return 0


@click.command()
@shown_as("text", "json", "sql")
@click.option("--probe", is_flag=True, help="Try what piste takes for true of the server; runs two short jobs.")
@click.option("--setup", is_flag=True, help="Print the SQL that makes everything; asks no account.")
@click.option(
    "--github", metavar="OWNER/REPO", help="The repository that logs in; default: the remote's, if on GitHub."
)
@place
@command
def doctor(at: Place, shape: str, probe: bool, setup: bool, github: str | None) -> int:
    """Say what is missing in Snowflake.

    Objects and privileges, with the SQL that makes them: for the role that asks, or for all roles if an
    administrator does.

    \b
    piste doctor --format sql          only what is missing
    piste doctor --setup > setup.sql   all of it, for whoever sets the account up
    piste doctor --probe               up to 5 minutes and 0.1 credits; removes all that it makes
    """
    from piste import doctor as examination
    from piste import git, journeys
    from piste.doctor import rendering

    if probe and (setup or shape == "sql"):
        raise click.UsageError("--probe makes no SQL: --format is text or json, and --setup is apart.")
    if setup and shape == "json":
        raise click.UsageError("--setup prints SQL.")
    desired = journeys.read(at.root, settings_root=at.settings)
    repository = github or git.github_repository(at.root)
    if not examination.REPOSITORY.fullmatch(repository):
        raise click.UsageError("--github takes OWNER/REPO, or OWNER@1/REPO@2 where GitHub's tokens name numbers.")
    if setup:
        environment = desired.settings.chosen(at.environment or "")
        click.echo(rendering.setup_sql(environment, desired.experiments, repository), nl=False)
        return 0
    with opened(at, desired) as account:
        if probe:
            return _probe(desired, account, shape)
        found = examination.examine(account.ask, account.environment, desired.experiments, repository)
    click.echo(rendering.RENDER[shape](found), nl=False)
    return int(not found.well)


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


@click.command()
@click.argument("names", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every experiment there is; it takes a while.")
@click.option("--directory", type=click.Path(path_type=Path, file_okay=False), default=".demo", show_default=True)
@place
@command
def demo(at: Place, names: tuple[str, ...], every: bool, directory: Path) -> int:
    """The whole loop on an embedded Snowflake.

    Plan, submit, really train, evaluate, report, commit: a base model and one that is tuned, or NAMES.
    Works in a clone of the repository below .demo/; the repository itself stays as it is.
    """
    from piste import demo as loop

    chosen = None if every else names or loop.SHORT
    return loop.demo(at.root, directory, chosen, lambda text: click.echo(text, err=True))
