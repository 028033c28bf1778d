"""Whether a training still goes on, and goes well: time that is up, a loss that is lost, a step that does not come.

Judged from the lines and the pulse that the hooks write, by this process's own clock.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, median_low
from typing import Any

from payload.failure import Failure, RunError

PULSE = "pulse.json"
KILL_SWITCH = "kill-switch"
"""ArcticTraining stops before its next step where it finds it, and saves the end of the training."""

Steps = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Watch:
    """What is too long, in seconds of silence, and what is too much loss.

    Until the first step is done, models are loaded, texts tokenized and operators compiled, with no sign of life.
    Evaluations give one per batch, checkpoints none until they are written. A step may take `step_factor` times this
    run's median, so that packed or long samples, a garbage collection or a noisy neighbour pass.
    After the kill switch a training gets `switch_seconds`, or two of its steps, to come to its end.
    """

    step_seconds: float = 100.0
    step_factor: float = 20.0
    first_seconds: float = 3600.0
    pause_seconds: float = 1800.0
    switch_seconds: float = 60.0
    window: int = 20
    loss_factor: float = 3.0
    loss_margin: float = 2.0
    clock: Callable[[], float] = time.monotonic

    def silence(self, phase: str, steps: Steps) -> float:
        """How long nothing may be heard; `steps` are those that this process has made."""
        if phase in ("evaluate", "checkpoint", "end"):
            return self.pause_seconds
        if not steps:
            return self.first_seconds
        return max(self.step_seconds, self.step_factor * usual_seconds(steps))

    def diverged(self, losses: Sequence[float]) -> bool:
        """Most of the last steps are far above the best median that as many steps in a row had before.

        Medians, so that single bad batches pass. Both three times the best and 2 nats above it (e² times the
        perplexity), so that neither 0.01 → 0.1 nor 5 → 6 is one; never before three windows are full, since warm-up and
        the first batches jump. A run that goes on after this has lost what it had learned.
        """
        if len(losses) < 3 * self.window:
            return False
        before, last = losses[: -self.window], losses[-self.window :]
        windows = range(0, len(before) - self.window + 1, self.window)
        best = min(median(before[start : start + self.window]) for start in windows)
        return median_low(last) > best + max((self.loss_factor - 1) * abs(best), self.loss_margin)


def usual_seconds(steps: Steps) -> float:
    """Of a step. The first one compiles, and counts only as long as there is no other."""
    return median(step["seconds"] for step in (steps[1:][-1000:] or steps))


def lost(steps: Steps) -> int | None:
    """The first step whose loss is not a finite number."""
    return next((step["step"] for step in steps if step["loss"] is not None and not math.isfinite(step["loss"])), None)


@dataclass
class Deadline:
    """When the whole run is given up, counted from now."""

    seconds: float
    clock: Callable[[], float] = time.monotonic
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    @property
    def up(self) -> bool:
        return self.clock() - self.started >= self.seconds

    def failure(self, where: str, title: str) -> Failure:
        hint = f"Raise compute.timeout, then piste apply --retry {title}"
        return Failure("timeout", f"The time of {_time(self.seconds)} was up {where}.", "", hint)


def _time(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"


class Guard:
    """Looks at one training again and again. `begun` is the step that it resumed from."""

    def __init__(self, watch: Watch, deadline: Deadline, folder: Path, begun: int = 0) -> None:
        self._watch, self._deadline, self._begun = watch, deadline, begun
        self._pulse, self._switch = folder / "output" / PULSE, folder / KILL_SWITCH
        self._heard_at, self._heard = watch.clock(), {"phase": "step"}
        self._seen = 0
        self._switched_at: float | None = None

    @property
    def switched(self) -> bool:
        """Whether it was told to come to its end, since time was up."""
        return self._switched_at is not None

    def look(self, steps: Steps) -> None:
        """Raises what ends the training at once; tells it to end by itself when time is up."""
        now = self._watch.clock()
        self._listen()
        if len(steps) > self._seen:
            self._seen = len(steps)
            self._judge(steps)
        made = [step for step in steps if step["step"] > self._begun]
        self._mind_time(made)
        if not self._ending(made):
            self._mind_silence(now, made, steps)

    def _listen(self) -> None:
        try:
            heard = json.loads(self._pulse.read_text())
        except (OSError, ValueError):
            return
        if heard != self._heard:
            self._heard, self._heard_at = heard, self._watch.clock()

    def _judge(self, steps: Steps) -> None:
        if (step := lost(steps)) is not None:
            raise RunError(not_a_number(step))
        if self._watch.diverged([step["loss"] for step in steps if step["loss"] is not None]):
            message = f"The loss at step {steps[-1]['step']} has stayed far above its best."
            hint = "A smaller learning rate, a longer warm-up or gradient clipping; the curve is in the run's metrics."
            raise RunError(Failure("diverged", message, "", hint))

    def _mind_time(self, made: Steps) -> None:
        if self._switched_at is None and self._deadline.up:
            self._switch.touch()
            self._switched_at = self._watch.clock()
        if not self._ending(made):
            return
        patience = max(self._watch.switch_seconds, 2 * usual_seconds(made)) if made else 0.0
        if self._watch.clock() - (self._switched_at or 0.0) >= patience:
            raise RunError(Failure("timeout", "The time was up."))

    def _ending(self, made: Steps) -> bool:
        """It was told to end, and does not write its end yet."""
        return self.switched and not (made and self._heard["phase"] in ("checkpoint", "end"))

    def _mind_silence(self, now: float, made: Steps, steps: Steps) -> None:
        phase, limit = self._heard["phase"], self._watch.silence(self._heard["phase"], made)
        if now - self._heard_at >= limit:
            raise RunError(_stalled(phase, steps[-1]["step"] if steps else 0, limit))


def not_a_number(step: int) -> Failure:
    hint = "A smaller learning rate or a longer warm-up; a batch without a word to learn from makes it so as well."
    return Failure("diverged", f"The loss is not a number since step {step}.", "", hint)


_PAUSES = {"evaluate": "The evaluation after", "checkpoint": "The checkpoint after", "end": "The end after"}


def _stalled(phase: str, step: int, limit: float) -> Failure:
    what = _PAUSES.get(phase, "The step after")
    message = f"{what} step {step} did not come within {limit:,.0f} s."
    hint = (
        "The end of the run's log says where it was: piste logs. Often a data worker, or ranks that wait for another."
    )
    return Failure("stalled", message, "", hint)
