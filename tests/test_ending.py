"""How runs end, as the ledger records it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from builders import baseline, run, variant
from piste import ending
from piste.run import Progress, Run, Status
from piste.variants import variants

LORA = variant()
BASE = variants(baseline())[0]


def going(**changes: Any) -> Run:
    begun = {"collected": False, "started_at": "2026-11-21T10:00:00.000+00:00"}
    return run(LORA, Status.RUNNING, Status.PENDING, **{**begun, **changes})


def results(training: str | None, evaluation: str | None, failure: dict[str, Any] | None = None) -> bytes:
    parts = {"training": training, "evaluation": evaluation}
    return json.dumps({**{k: {"status": v} if v else None for k, v in parts.items()}, "failure": failure}).encode()


TOLD = {"phase": "train", "kind": "recipe", "type": "ValidationError", "message": "No.", "hint": "Mend it."}
ENDS: dict[str, tuple[Run, bytes | None, tuple[str | None, str, str | None]]] = {
    "well": (going(job_status="DONE"), results("done", "done"), ("done", "done", None)),
    "the recipe was refused": (
        going(job_status="FAILED"),
        results("failed", None, TOLD),
        ("failed", "failed", "recipe"),
    ),
    "evaluation failed": (going(job_status="FAILED"), results("done", "failed", TOLD), ("done", "failed", "recipe")),
    "cancelled": (going(job_status="CANCELLED"), None, ("cancelled", "cancelled", "cancelled")),
    "killed": (going(job_status="FAILED"), None, ("failed", "failed", "killed")),
    "killed before its work began": (
        going(job_status="FAILED", started_at=""),
        None,
        ("failed", "failed", "platform"),
    ),
    "cancelled for its timeout": (
        going(job_status="CANCELLED", stopping={"kind": "timeout", "at": "2026-11-21T12:00:00.000+00:00"}),
        results("cancelled", "cancelled", {**TOLD, "kind": "cancelled"}),
        ("cancelled", "cancelled", "timeout"),
    ),
    "told to stop, nobody knows by whom": (
        going(job_status="", forgotten=True),
        results("cancelled", "cancelled", {**TOLD, "kind": "cancelled"}),
        ("cancelled", "cancelled", "cancelled"),
    ),
    "told to stop by the platform": (
        going(job_status="INTERNAL_ERROR"),
        results("cancelled", "cancelled", {**TOLD, "kind": "cancelled"}),
        ("cancelled", "cancelled", "platform"),
    ),
    "forgotten, results in its last row": (
        going(job_status="", results=json.loads(results("done", "done"))),
        None,
        ("done", "done", None),
    ),
    "killed while it evaluated": (
        replace(going(job_status="FAILED"), training=Status.DONE),
        None,
        ("done", "failed", "killed"),
    ),
    "platform": (going(job_status="INTERNAL_ERROR"), None, ("failed", "failed", "platform")),
    "forgotten, results on the stage": (
        going(job_status="", forgotten=True),
        results("done", "done"),
        ("done", "done", None),
    ),
    "forgotten, nothing on the stage": (going(job_status="", forgotten=True), None, ("lost", "lost", "platform")),
    "results cut off": (going(job_status="FAILED"), b'{"training": ', ("failed", "failed", "killed")),
    "a baseline": (
        run(BASE, evaluation=Status.RUNNING, collected=False),
        results(None, "done"),
        (None, "done", None),
    ),
}


@pytest.mark.parametrize(("ended", "found", "expected"), ENDS.values(), ids=ENDS.keys())
def test_ends(ended: Run, found: bytes | None, expected: tuple[str | None, str, str | None]) -> None:
    body = ending.record(ended, found)
    assert (body["training"], body["evaluation"], (body["failure"] or {}).get("kind")) == expected


def test_the_phase_it_died_in_is_the_last_heartbeats() -> None:
    died = going(job_status="FAILED", progress=Progress("fetch"))
    assert ending.record(died, None)["failure"]["phase"] == "fetch"


def test_only_jobs_that_ended_and_are_not_recorded_end() -> None:
    assert not ending.has_ended(going(job_status="RUNNING"))
    assert ending.has_ended(going(job_status="DONE"))
    assert not ending.has_ended(replace(going(job_status="DONE"), collected=True))
    assert not ending.has_ended(going(job=None, job_status=""))
    assert not ending.has_ended(going(job_status=""))
    assert ending.has_ended(going(job_status="", forgotten=True))
    assert ending.has_ended(going(job_status="", results={"training": {"status": "done"}}))


def at(clock: str) -> str:
    return f"2026-11-21T{clock}:00.000+00:00"


OVERDUE: dict[str, tuple[dict[str, Any], str, bool]] = {
    "in time": ({}, at("11:00"), False),
    "stopping by itself": ({}, at("11:09"), False),
    "overdue": ({}, at("11:11"), True),
    "told to stop a moment ago": ({"stopping": {"kind": "timeout", "at": at("11:11")}}, at("11:15"), False),
    "told to stop, and going on": ({"stopping": {"kind": "timeout", "at": at("11:11")}}, at("11:17"), True),
    "not begun": ({"started_at": ""}, at("23:00"), False),
    "ended": ({"job_status": "FAILED"}, at("23:00"), False),
}


@pytest.mark.parametrize(("changes", "now", "expected"), OVERDUE.values(), ids=OVERDUE.keys())
def test_a_job_that_overstays_its_timeout_of_an_hour(changes: dict[str, Any], now: str, expected: bool) -> None:
    assert ending.is_overdue(going(**{"job_status": "RUNNING", **changes}), now) is expected
