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
        from piste.run_words import doing, what

        self.silent(look.silence)
        for run in () if look.silence else look.runs:
            text = f"{run.label}: {doing(run) if run.live else what(run)}"
            self.tell(run.name, text, run.live)

    def silent(self, seconds: float) -> None:
        from piste.durations import duration

        if seconds and time.monotonic() - self._spoke > self.SILENCE:
            self._echo(f"Snowflake does not answer for {duration(seconds)}; waiting on")

    def tell(self, name: str, text: str, live: bool) -> None:
        if self._said.get(name) != text or (live and time.monotonic() - self._spoke > self.SILENCE):
            self._said[name] = text
            self._echo(text)

    def _echo(self, text: str) -> None:
        click.echo(f"{time.strftime('%H:%M:%S')}  {text}", err=True)
        self._spoke = time.monotonic()
