"""A run in one word, and in one line."""

from __future__ import annotations

from piste.durations import duration
from piste.run import Run, Status


def status_of(run: Run) -> str:
    """One word for both statuses: what is live, else what went wrong, else done."""
    statuses = [status for status in (run.training, run.evaluation) if status is not None]
    for status in statuses:
        if status is not Status.DONE:
            return status.value
    return Status.DONE.value


def what(run: Run) -> str:
    """What a run is doing, what it said, or why it ended."""
    if run.failure is not None:
        failure = run.failure
        return f"{failure.phase}: {failure.kind}: {failure.message or failure.type}"
    if run.live:
        return doing(run)
    return ", ".join(f"{name} {score['mean']:.3f}" for name, score in sorted(run.scores.items())) or run.name


def doing(run: Run) -> str:
    progress = run.progress
    if progress is None:
        return f"job {run.job_status.lower()}" if run.job_status else "claimed"
    parts = [progress.phase]
    if progress.phase == "train" and not progress.steps:
        parts.append("starting; the first time on a machine DeepSpeed compiles its operators, a minute or two")
    if progress.steps:
        parts.append(f"{progress.step}/{progress.steps}")
    if progress.loss is not None:
        parts.append(f"loss {progress.loss:.4f}")
    if progress.tokens_per_second:
        parts.append(f"{progress.tokens_per_second:,.0f} tokens/s")
    if progress.seconds_left is not None:
        parts.append(f"{duration(progress.seconds_left)} left")
    return " ".join(parts)
