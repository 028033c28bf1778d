"""What a command that waits shows of the runs it follows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from piste.journeys import Look
    from piste.snowflake import Account


def follow(account: Account, claims: Sequence[str]) -> bool:
    """Show progress until these runs ended; whether there was anything to wait for."""
    from piste import journeys

    display, looks = Progress(), 0
    for look in journeys.follow(account, claims):
        display.show(look)
        looks += 1
    return looks > 1


class Progress:
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
