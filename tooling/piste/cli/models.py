"""Commands for models that jobs start from: piste model add, list."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from piste.cli.common import Place, command, connected, place, shown_as
from piste.cli.progress import Progress

if TYPE_CHECKING:
    from piste.environment import Settings
    from piste.models import Model, Wish
    from piste.snowflake import Account


@click.group()
def model() -> None:
    """Put models where jobs find them, once: @MODELS/NAME."""


@model.command("add")
@click.argument("name")
@click.option("--repo", "repository", metavar="ORG/MODEL", default="", help="A model of the Hugging Face hub.")
@click.option("--revision", default="", help="A branch, tag or commit of it; default: the hub's.")
@click.option(
    "--secret", metavar="ALIAS", default="", help="The token, of the environment's secrets; default: HF_TOKEN."
)
@click.option("--pool", metavar="ALIAS", default="", help="The pool that downloads; default: the cheapest.")
@click.option(
    "--from",
    "source",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A folder of this machine instead.",
)
@click.option("--licence", metavar="ID", default="", help="Where the model itself names none.")
@place
@command
def add_model(
    at: Place, name: str, repository: str, revision: str, secret: str, pool: str, source: Path | None, licence: str
) -> int:
    """Put a model onto the environment's stage.

    From the hub by a small job inside Snowflake, with the checksum of every file; or from a folder.
    The same again does nothing, and goes on after an interruption. A name never gets another content.

    \b
    piste model add smollm2-135m --repo HuggingFaceTB/SmolLM2-135M
    piste model add our-base --from ./our-base --licence apache-2.0
    """
    from piste import journeys
    from piste import settings as reader
    from piste.models import NAME, REPOSITORY, Wish

    if bool(repository) == bool(source):
        raise click.UsageError("Give either --repo or --from.")
    if source and (revision or secret or pool):
        raise click.UsageError("--revision, --secret and --pool go with --repo.")
    if not NAME.fullmatch(name):
        raise click.BadParameter("lower-case letters, digits, dots, - and _, at most 63.", param_hint="NAME")
    if repository and not REPOSITORY.fullmatch(repository):
        raise click.BadParameter("it is written ORG/MODEL.", param_hint="--repo")
    wish, settings = Wish(name, repository, revision, licence), reader.read(at.settings or at.root)
    with connected(at, settings) as account:
        if source:
            made, already = journeys.add_folder(account, at.root, wish, source, lambda said: click.echo(said, err=True))
        else:
            there = journeys.find_model(account, wish)
            made, already = (there, True) if there else _mirrored(at, account, settings, wish, pool, secret)
        journeys.remember(account, made)
    _say_model(made, already)
    return 0


def _mirrored(
    at: Place, account: Account, settings: Settings, wish: Wish, pool: str, secret: str
) -> tuple[Model, bool]:
    """Submit, or find, the job that mirrors the model, and follow it to its end."""
    from piste import journeys

    going = journeys.begin_mirroring(account, settings, at.root, wish, pool, secret)
    price = f", {going.rate:g} credits an hour" if going.rate else ""
    submitted = f"submitted {going.job} to {going.pool}{price}" if going.ours else f"{going.job} is at it already"
    click.echo(f"{wish.name}: {submitted}", err=True)
    display, status = Progress(), ""
    try:
        for look in journeys.follow_mirroring(account, going.job):
            status = look.status
            display.silent(look.silence)
            if not look.silence:
                doing = f"{wish.name}: {status.lower() or 'not listed'}{look.said and '  '}{look.said}"
                display.tell(going.job, doing, live=status in ("", "PENDING", "RUNNING"))
    except KeyboardInterrupt:
        click.echo(f"interrupted; {going.job} goes on: the same command follows it again", err=True)
        sys.exit(130)
    return journeys.finish_mirroring(account, going, status)


def _say_model(made: Model, already: bool) -> None:
    from piste.models import place as located

    when = f" since {made.at[:10]}, by {made.actor}" if already else ""
    click.echo(f"{located(made.name)} {'is there' if already else 'is complete'}{when}: {made.title}")
    if already:
        click.echo("nothing to do", err=True)


@model.command("list")
@shown_as("text", "json")
@place
@command
def list_models(at: Place, shape: str) -> int:
    """List the models that are complete."""
    from piste import journeys, models
    from piste import settings as reader

    with connected(at, reader.read(at.settings or at.root)) as account:
        found, others = journeys.all_models(account)
    click.echo(models.as_json(found) if shape == "json" else models.text(found), nl=False)
    for name in others:
        click.echo(
            f"{models.place(name)}: no {models.FILE}: not complete, or not put there by piste model add", err=True
        )
    return 0
