"""What of the runs' stages nothing needs any more. Says it, and how to delete it; deletes nothing."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Literal

from piste.experiment import Document, Variant
from piste.observed import CLAIM
from piste.problems import printable
from piste.run import Run, Status

Part = Literal["stage", "resume"]


@dataclass(frozen=True)
class Candidate:
    """A run's whole stage, or the folder of it with the state that a training goes on from.

    `experiment` is the run's title; `since` is ISO 8601, UTC: when it was archived, superseded, or else when it ended.
    `bytes` is None where nobody looked.
    """

    run: str
    part: Part
    why: str
    owner: str
    experiment: str
    since: str
    bytes: int | None = None

    @property
    def name(self) -> str:
        """As `--delete` takes it: the run, or the folder of it."""
        return self.run if self.part == "stage" else f"{self.run}/{self.part}"


def candidates(
    runs: Iterable[Run], desired: Sequence[Variant], reported: Collection[str], now: str, resume_days: int
) -> tuple[Candidate, ...]:
    """By owner and title. `desired` is all that git asks for, `reported` the runs that committed reports name.

    A stage is needed while git asks for its training, unless it holds a failed attempt and a later one is done; while
    the run goes on, was tried from a branch (but not as a smoke test), was promoted, or is in a report; and while a run
    that is needed has its weights or predictions, or a document its files, from there. A state to resume from is needed
    until `resume_days` after its training was done; `now` is ISO 8601.
    """
    kept = [run for run in runs if not run.deleted]
    superseded = _superseded(kept)
    needed = _needed(kept, desired, reported, superseded)
    before = datetime.fromisoformat(now) - timedelta(days=resume_days)
    found = [_stage(run, superseded.get(run.name)) for run in kept if run.name not in needed]
    found += [_resume(run) for run in kept if run.name in needed and _expired(run, before)]
    return tuple(sorted(found, key=lambda one: (one.owner, one.experiment, one.run)))


def _needed(
    runs: Sequence[Run], desired: Sequence[Variant], reported: Collection[str], superseded: Collection[str]
) -> set[str]:
    asked = {variant.digests.training for variant in desired}
    named = _named(desired, runs)
    own = [run for run in runs if _going(run) or _kept(run) or run.name in reported or run.name in named]
    wanted = [run for run in runs if run.digests.training in asked and run.name not in superseded]
    return {run.name for run in (*own, *wanted, *_sources(own, runs))}


def _going(run: Run) -> bool:
    """Also one whose end the ledger lacks: that is read from its stage."""
    return run.live or not (run.collected or run.abandoned)


def _kept(run: Run) -> bool:
    return bool(run.provenance.get("tried") and not run.smoke) or bool(run.provenance.get("promoted"))


def _named(desired: Iterable[Variant], runs: Iterable[Run]) -> set[str]:
    """Runs whose stage a document speaks of: one may start from another's weights."""
    specs = [*(variant.spec for variant in desired), *(run.spec for run in runs if _going(run))]
    return {name for spec in specs for name in CLAIM.findall(json.dumps(spec, default=str).upper())}


def _sources(needed: Iterable[Run], runs: Sequence[Run]) -> Iterator[Run]:
    """Those with the weights, or the predictions, of runs that are needed."""
    weights = {run.digests.training for run in needed}
    predictions = {(run.digests.training, run.digests.generation) for run in needed}
    for run in runs:
        trained = run.training is Status.DONE and run.digests.training in weights
        predicted = "generate" in run.steps and run.evaluation is Status.DONE
        if trained or (predicted and (run.digests.training, run.digests.generation) in predictions):
            yield run


def _superseded(runs: Sequence[Run]) -> dict[str, Run]:
    """By name of a failed attempt, the later one that did what it did not."""
    latest = {_line(run): run for run in sorted(runs, key=lambda run: run.attempt) if _done(run)}
    failed = (run for run in runs if Status.DONE not in (run.training, run.evaluation))
    return {run.name: later for run in failed if (later := latest.get(_line(run))) and later.attempt > run.attempt}


def _line(run: Run) -> tuple[str, ...]:
    """What attempts are counted within: a training, or an evaluation of one."""
    digests = run.digests
    return (digests.training,) if run.training is not None else (digests.training, digests.evaluation)


def _done(run: Run) -> bool:
    """A training whose evaluation failed has its weights, which are what counts."""
    return (run.evaluation if run.training is None else run.training) is Status.DONE


def _stage(run: Run, later: Run | None) -> Candidate:
    if later is not None:
        return _candidate(run, "stage", f"superseded by {later.name}", _ended(later))
    why = f"nothing in git asks for it since {_day(run.archived)}" if run.archived else "nothing in git asks for it"
    return _candidate(run, "stage", why, run.archived or _ended(run))


def _expired(run: Run, before: datetime) -> bool:
    """Its training was done long ago, and its recipe saved a state on the way."""
    if run.training is not Status.DONE or _going(run) or not run.ended_at:
        return False
    return datetime.fromisoformat(run.ended_at) <= before and _saves_states(run.spec)


def _saves_states(spec: Document) -> bool:
    """Only weights are left by an engine of type huggingface; documents that are not known may hold any."""
    engines: Any = (spec.get("recipe") or {}).get("checkpoint") or [] if spec else [{}]
    return any(engine.get("type") != "huggingface" for engine in ([engines] if isinstance(engines, dict) else engines))


def _resume(run: Run) -> Candidate:
    return _candidate(run, "resume", f"its training was done on {_day(run.ended_at)}", run.ended_at)


def _candidate(run: Run, part: Part, why: str, since: str) -> Candidate:
    return Candidate(run.name, part, why, _owner(run), run.title, since)


def _owner(run: Run) -> str:
    """Whom to ask: as its experiment says, else who submitted it."""
    return str((run.spec.get("experiment") or {}).get("owner") or run.provenance.get("actor") or "")


def _ended(run: Run) -> str:
    return run.ended_at or run.claimed_at


def _day(at: str) -> str:
    return at[:10]


def text(found: Sequence[Candidate]) -> str:
    """For people: by owner, with sizes and totals, and the command that deletes all of it."""
    if not found:
        return "nothing to delete\n"
    ordered = sorted(found, key=lambda one: one.owner)
    header, *rows = _aligned([_COLUMNS, *(_row(one) for one in ordered)])
    lines = [header]
    for owner, numbered in groupby(enumerate(ordered), key=lambda pair: pair[1].owner):
        own = list(numbered)
        lines.append(f"{printable(owner) or 'nobody'}: {_total([one for _, one in own])}")
        lines += [rows[number] for number, _ in own]
    return "\n".join([*lines, f"all: {_total(found)}", "", "To delete all of it:", *_command(found)]) + "\n"


def as_json(found: Sequence[Candidate]) -> str:
    return json.dumps([asdict(one) for one in found], indent=2, ensure_ascii=False) + "\n"


_COLUMNS = ("run", "part", "size", "since", "experiment", "why")


def _row(one: Candidate) -> tuple[str, ...]:
    return one.run, one.part, size(one.bytes), _day(one.since), printable(one.experiment), one.why


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  " + "  ".join(map(str.ljust, row, widths)).rstrip()
        for row in ([*row[:2], row[2].rjust(widths[2]), *row[3:]] for row in rows)
    ]


def _total(found: Sequence[Candidate]) -> str:
    """`1.2 GB in 3 stages and 1 resume state, 2 of unknown size`"""
    known = [one.bytes for one in found if one.bytes is not None]
    words: Mapping[str, str] = {"stage": "stage", "resume": "resume state"}
    counts = {word: sum(one.part == part for one in found) for part, word in words.items()}
    what = " and ".join(f"{count} {word}{'' if count == 1 else 's'}" for word, count in counts.items() if count)
    unknown = f", {len(found) - len(known)} of unknown size" if 0 < len(known) < len(found) else ""
    return f"{size(sum(known) if known else None)} in {what}{unknown}"


def _command(found: Sequence[Candidate]) -> list[str]:
    names = [one.name for one in found]
    lines = [f"  piste gc --delete {names[0]}", *(f"    --delete {name}" for name in names[1:])]
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]


def size(count: int | None) -> str:
    """`1.2 GB`, in steps of 1000; – where it is not known."""
    if count is None:
        return "–"
    for power, unit in enumerate(("B", "kB", "MB", "GB")):
        if count < 999.5 * 1000**power:
            return f"{count / 1000**power:.{1 if power and count < 99.95 * 1000**power else 0}f} {unit}"
    return f"{count / 1e12:.1f} TB"
