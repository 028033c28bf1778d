"""What all commands share: where they work, how they fail, and the account they open."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from piste.errors import InvalidInput, PisteError

if TYPE_CHECKING:
    from piste.environment import Settings
    from piste.journeys import Desired
    from piste.snowflake import Account


@dataclass(frozen=True)
class Place:
    """Where a command works: the repository's root, an environment of its settings, a Snowflake connection.

    `settings` is the root of another repository whose settings count.
    """

    root: Path
    environment: str | None
    connection: str | None
    settings: Path | None = None


place = click.make_pass_decorator(Place)


def _words(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """No name has a space, so a workflow may hand over all of them as one text."""
    return tuple(word for text in given for word in text.split())


names = click.argument("names", nargs=-1, metavar="[NAME]...", callback=_words)


def selecting(function: Callable[..., Any]) -> Callable[..., Any]:
    """What the command is about: `names` and `since`."""
    since = click.option("--changed-since", "since", metavar="REV", default="", help="Only what has changed since.")
    return names(since(function))


def command(function: Callable[..., int | None]) -> Callable[..., None]:
    """Exit with what the command returns; a failure that piste can explain goes to stderr without a traceback."""

    @wraps(function)
    def wrapped(*arguments: Any, **options: Any) -> None:
        try:
            sys.exit(function(*arguments, **options) or 0)
        except PisteError as error:
            tell(error)
            sys.exit(error.exit_code)
        except OSError as error:
            click.echo(f"{error.filename or 'A file'}: {error.strerror or error}", err=True)
            sys.exit(1)
        except KeyboardInterrupt:
            click.echo("interrupted; what was submitted goes on: `piste status`", err=True)
            sys.exit(130)

    return wrapped


def tell(error: PisteError) -> None:
    """On stderr, and within GitHub Actions also as annotations of the workflow's run."""
    from piste import problems

    if isinstance(error, InvalidInput):
        text, annotations = problems.to_text(error.problems), problems.to_github(error.problems)
    else:
        text = "\n".join(filter(None, (error.message, error.hint))) + "\n"
        annotations = problems.annotation(error.message, error.hint)
    click.echo(text, nl=False, err=True)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        click.echo(annotations, nl=False)


def shown_as(*formats: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option("--format", "shape", type=click.Choice(formats), default=formats[0], show_default=True)


@contextlib.contextmanager
def opened(at: Place, desired: Desired) -> Iterator[Account]:
    """The account that a command works on."""
    with connected(at, desired.settings) as account:
        yield account


@contextlib.contextmanager
def connected(at: Place, settings: Settings) -> Iterator[Account]:
    from piste import git
    from piste.snowflake import connect

    with connect(settings.chosen(at.environment or ""), at.connection, git.who(at.root)) as account:
        yield account


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
