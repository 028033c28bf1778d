"""Where the time of a plan goes, phase by phase, as the repository grows."""

from __future__ import annotations

import contextlib
import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import many

from piste import rendering, repository, settings, validation
from piste.__main__ import COLLECTED_AFTER
from piste.experiment import Variant
from piste.observed import Event, Observation, runs
from piste.plan import plan
from piste.repository import scanning
from piste.repository.entries import Maker
from piste.repository.parsing import Reader
from piste.sources import Known
from piste.variants import all_variants

PHASES = ("scan", "parse", "validate", "digest", "recall", "variants", "ledger", "plan", "render")
SAMPLE = 500
"""Parsing, validating and digests cost the same for each experiment: they are measured on so many, in one process."""


def growth(directory: Path, most: int) -> None:
    print("seconds, in one process; parse, validate and digest only of experiments that are not remembered")
    print(f"{'experiments':>11} " + " ".join(f"{phase:>9}" for phase in PHASES))
    count = 1_000
    gc.set_threshold(COLLECTED_AFTER)
    while count <= most:
        root = directory / str(count)
        many.write(root, count)
        seen = _phases(root, directory / f"cache-{count}", count)
        print(f"{count:11,} " + " ".join(f"{seen[phase]:9.3f}" for phase in PHASES), flush=True)
        count *= 10
    print()


class _Clock(dict[str, float]):
    @contextlib.contextmanager
    def of(self, phase: str, times: float = 1) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self[phase] = self.get(phase, 0) + (time.perf_counter() - begun) * times


def _phases(root: Path, cache: Path, count: int) -> _Clock:
    clock = _Clock()
    home = root / "experiments"
    with clock.of("scan"), os.scandir(home) as found:
        folders = scanning.scan(entry for entry in found if not entry.name.startswith("_"))
    assert len(folders) == count
    _anew(root, clock, count)
    repository.read(root, cache=cache)
    whole = _Clock()
    with whole.of("read"):
        read = repository.read(root, cache=cache)
    clock["recall"] = whole["read"] - clock["scan"]
    with clock.of("variants"):
        variants = all_variants(read.experiments)
    seen = _told(variants)
    with clock.of("ledger"):
        known = runs(seen)
    with clock.of("plan"):
        due = plan(variants, known)
    with clock.of("render"):
        rendering.plan_text(due)
    assert len(known) > count - many.SUITES  # the baselines have one run
    return clock


def _anew(root: Path, clock: _Clock, count: int) -> None:
    names = [f"notes-{number:06}" for number in range(min(SAMPLE, count - many.SUITES))]
    configured, _ = settings.load(root)
    reader = Reader(root)
    suites = {}
    for number in range(many.SUITES):
        name = f"soap-notes-{number}"
        suites[name] = reader.main_document(root / "experiments/_suites" / name, "suite.yaml", "suite")
    known: Any = Known(configured, suites)  # type: ignore[arg-type]
    maker = Maker(root, known, frozenset(suites))
    times = count / len(names)
    for name in names:
        with clock.of("parse", times):
            read = reader.source(root / "experiments" / name)
        assert read is not None
        with clock.of("validate", times):
            assert validation.check_alone(read[0], known) == []
        with clock.of("digest", times):
            assert maker._told(*read)[0]


def _told(variants: tuple[Variant, ...]) -> Observation:
    """The ledger's rows of one run for each of them, as Snowflake's reply would be once it is parsed."""
    at = "2026-11-20T10:00:00.000+00:00"
    events = []
    for variant in variants:
        digests = variant.digests
        run = f"RUN_{digests.training[:12].upper()}_1"
        claimed = {"experiment": variant.experiment, "variant": "", "digests": digests.told}
        claimed |= {"steps": ["train", "generate", "score"], "spec": variant.spec}
        events.append(Event(run, at, "claimed", claimed))
        events.append(Event(run, at, "ended", {"training": "done", "evaluation": "done"}))
    return Observation(events, at=at)
