"""Ledger rows, stages and jobs become runs; each of the three can be missing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from builders import variant
from piste.observed import Event, Job, Observation, Stage, read_event, runs
from piste.run import Run, Status

LORA = variant()
NAME = f"RUN_{LORA.digests.training[:12].upper()}_1"
DIGESTS = vars(LORA.digests)
NOW = "2026-11-22T12:00:00.000+00:00"
ALL = ["train", "generate", "score"]


def event(kind: str, body: dict[str, Any], at: str = "2026-11-22T11:50:00.000+00:00") -> Event:
    return Event(NAME, at, kind, body)


CLAIMED = event(
    "claimed",
    {
        "experiment": "notes-lora",
        "variant": "",
        "digests": DIGESTS,
        "steps": ALL,
        "spec": LORA.spec,
        "provenance": {"actor": "@ana"},
    },
)
SUBMITTED = event("submitted", {"job": f"{NAME}_NOTES_LORA_AB12", "pool": "PISTE_CPU"})
TRAINED = event("trained", {"status": "done"})
DONE = {"training": {"status": "done"}, "evaluation": {"status": "done"}, "failure": None}
FINISHED = event("finished", DONE)


def job(status: str) -> Job:
    return Job(f"{NAME}_NOTES_LORA_AB12", status)


def one(*events: Event, jobs: tuple[Job, ...] = (), stages: tuple[Stage, ...] = (), now: str = NOW) -> Run:
    (found,) = runs(Observation(events, stages, jobs, now))
    return found


STATUSES: dict[str, tuple[list[Event], list[Job], tuple[str, str]]] = {
    "claimed a moment ago": ([CLAIMED], [], ("claimed", "pending")),
    "job waits for a node": ([CLAIMED, SUBMITTED], [job("PENDING")], ("pending", "pending")),
    "training": ([CLAIMED, SUBMITTED], [job("RUNNING")], ("running", "pending")),
    "evaluating": ([CLAIMED, SUBMITTED, TRAINED], [job("RUNNING")], ("done", "running")),
    "job done, not collected": ([CLAIMED, SUBMITTED, TRAINED, FINISHED], [job("DONE")], ("done", "done")),
    "job killed, not collected": ([CLAIMED, SUBMITTED], [job("FAILED")], ("running", "pending")),
    "job forgotten, not collected": ([CLAIMED, SUBMITTED], [], ("running", "pending")),
    "job never recorded": ([CLAIMED], [job("RUNNING")], ("running", "pending")),
    "failed before it could evaluate": (
        [CLAIMED, SUBMITTED, event("finished", {"training": None})],
        [],
        ("failed", "failed"),
    ),
    "called lost, and finished all the same": (
        [CLAIMED, SUBMITTED, FINISHED, event("ended", {"training": "lost", "evaluation": "lost", "results": None})],
        [],
        ("done", "done"),
    ),
    "collected": (
        [CLAIMED, SUBMITTED, event("ended", {"training": "done", "evaluation": "failed"})],
        [],
        ("done", "failed"),
    ),
}


@pytest.mark.parametrize(("events", "jobs", "expected"), STATUSES.values(), ids=STATUSES.keys())
def test_statuses(events: list[Event], jobs: list[Job], expected: tuple[str, str]) -> None:
    found = one(*events, jobs=tuple(jobs))
    assert (found.training, found.evaluation) == expected


def test_a_claim_without_a_job_is_lost_after_the_grace() -> None:
    assert one(CLAIMED, now="2026-11-22T12:04:00.000+00:00").training is Status.CLAIMED
    assert one(CLAIMED, now="2026-11-22T12:06:00.000+00:00").training is Status.LOST


def test_a_stage_whose_ledger_row_was_never_written_is_a_run_all_the_same() -> None:
    comment = json.dumps({**DIGESTS, "experiment": "notes-lora", "variant": "", "actor": "@ana", "commit": None})
    found = one(stages=(Stage(NAME, comment, "2026-11-22T11:59:00.000+00:00"),))
    assert (found.digests, found.training) == (LORA.digests, Status.CLAIMED)
    assert found.provenance["actor"] == "@ana"


def test_stages_and_fences_that_are_no_claims_are_passed_over() -> None:
    strangers = (Stage("RUN_FASTER", "", NOW), Stage(f"{NAME}_STARTED", "{}", NOW), Stage(NAME, "not ours", NOW))
    assert runs(Observation((), strangers, (), NOW)) == ()


def test_a_job_is_found_by_its_claim_whatever_the_experiment_is_called_now() -> None:
    found = one(CLAIMED, jobs=(Job(f"{NAME}_OLD_NAME_XYZ", "RUNNING"),))
    assert found.job == f"{NAME}_OLD_NAME_XYZ"


def test_of_two_jobs_of_one_claim_the_living_one_speaks() -> None:
    found = one(CLAIMED, SUBMITTED, jobs=(Job(f"{NAME}_A_1", "RUNNING"), Job(f"{NAME}_A_2", "DONE")))
    assert found.job_status == "RUNNING"


def test_comparisons_with_several_runs_are_all_kept() -> None:
    rows = [event("compared", {"other": other, "scores": {}}) for other in ("RUN_A_1", "RUN_B_1")]
    assert set(one(CLAIMED, *rows).comparisons) == {"RUN_A_1", "RUN_B_1"}


def test_heartbeat() -> None:
    body = {"phase": "train", "step": 3, "steps": 20, "loss": 1.25, "unknown": 1}
    progress = one(CLAIMED, event("heartbeat", body)).progress
    assert progress is not None
    assert (progress.step, progress.steps, progress.loss) == (3, 20, 1.25)


def test_a_job_that_is_not_listed_is_forgotten_only_after_a_day_of_silence() -> None:
    """An empty list has other reasons too: a lag, another role. Taking it for the end would train twice."""
    assert not one(CLAIMED, SUBMITTED, now="2026-11-23T11:00:00.000+00:00").forgotten
    assert one(CLAIMED, SUBMITTED, now="2026-11-23T12:00:00.000+00:00").forgotten
    assert not one(CLAIMED, SUBMITTED, jobs=(job("RUNNING"),), now="2026-11-30T12:00:00.000+00:00").forgotten


def test_what_is_written_about_a_run_is_no_sign_of_its_life() -> None:
    """An unlisted job that overstays its timeout is told to stop again and again: that keeps no silence from ending."""
    stopping = event("stopping", {"kind": "timeout"}, "2026-11-23T11:59:00.000+00:00")
    found = one(CLAIMED, SUBMITTED, stopping, now="2026-11-23T12:00:00.000+00:00")
    assert (found.heard_at, found.forgotten) == (SUBMITTED.at, True)


LATER, LATEST = "2026-11-23T12:00:00.000+00:00", "2026-11-23T13:00:00.000+00:00"
LOST = event("ended", {"job_status": "", "training": "lost", "evaluation": "lost", "results": None}, LATER)
SHOWN: dict[str, tuple[list[Event], list[Job], tuple[str, str]]] = {
    "it waits for a node": ([], [job("PENDING")], ("pending", "pending")),
    "it ended meanwhile": ([], [job("DONE")], ("running", "pending")),
    "it trained": ([event("trained", {"status": "done"}, LATEST)], [], ("done", "running")),
    "it finished": ([event("finished", DONE, LATEST)], [], ("done", "done")),
}


@pytest.mark.parametrize(("events", "jobs", "expected"), SHOWN.values(), ids=SHOWN.keys())
def test_a_run_that_was_given_up_and_shows_itself_has_not_ended(
    events: list[Event], jobs: list[Job], expected: tuple[str, str]
) -> None:
    """Its job was not listed for a day. To hold on to that would train again what trains, or has trained."""
    found = one(CLAIMED, SUBMITTED, LOST, *events, jobs=tuple(jobs), now=LATEST)
    assert ((found.training, found.evaluation), found.collected) == (expected, False)
    given_up = one(CLAIMED, SUBMITTED, LOST, now=LATEST)
    assert (given_up.training, given_up.collected, given_up.ended_at) == (Status.LOST, True, LATER)


def test_rows_that_are_not_of_a_claim_are_passed_over() -> None:
    assert runs(Observation([Event("manual", NOW, "claimed", {})], (), (), NOW)) == ()


def test_a_fence_tells_the_job_where_nobody_wrote_it_down() -> None:
    fence = Stage(f"{NAME}_STARTED", f"{NAME}_NOTES_LORA_AB12", "2026-11-22T11:55:00.000+00:00")
    found = one(CLAIMED, stages=(fence,), now="2026-11-22T13:00:00.000+00:00")
    assert (found.training, found.job) == (Status.RUNNING, f"{NAME}_NOTES_LORA_AB12")
    assert one(CLAIMED, stages=(fence,), now="2026-11-24T12:00:00.000+00:00").forgotten


def test_a_fence_that_was_shut_makes_the_claim_lost_whatever_is_listed() -> None:
    fence = Stage(f"{NAME}_STARTED", '{"closed_by": "@ben for attempt 2"}', "2026-11-22T11:55:00.000+00:00")
    found = one(CLAIMED, SUBMITTED, jobs=(job("RUNNING"),), stages=(fence,))
    assert (found.training, found.abandoned) == (Status.LOST, True)


def test_what_the_ledger_lacks_is_named() -> None:
    stage = Stage(NAME, "{}", "2026-11-22T11:50:00.000+00:00")
    assert one(CLAIMED, jobs=(job("RUNNING"),), stages=(stage,)).unrecorded == ("submitted",)


COMMENT = json.dumps({**DIGESTS, "experiment": "notes-lora", "variant": "", "actor": "@ana", "commit": None})
HOME = Stage(NAME, COMMENT, "2026-11-22T11:50:00.000+00:00")
PASSED = Stage(f"{NAME}_STARTED", f"{NAME}_NOTES_LORA_AB12", "2026-11-22T11:50:00.000+00:00")
SHUT = Stage(f"{NAME}_STARTED", '{"closed_by": "@ben for attempt 2"}', "2026-11-22T11:50:00.000+00:00")


@pytest.mark.parametrize(("events", "jobs", "expected"), STATUSES.values(), ids=STATUSES.keys())
def test_a_role_that_sees_no_stage_sees_the_same(
    events: list[Event], jobs: list[Job], expected: tuple[str, str]
) -> None:
    began = any(job.status == "RUNNING" for job in jobs) or len(events) > 2
    seen = one(*events, jobs=tuple(jobs), stages=(HOME, PASSED) if began else (HOME,))
    blind = one(*events, jobs=tuple(jobs))
    assert (blind.training, blind.evaluation) == (seen.training, seen.evaluation) == expected
    assert (blind.failure, blind.progress, blind.deleted, blind.job) == (
        seen.failure,
        seen.progress,
        seen.deleted,
        seen.job,
    )


def test_what_a_role_that_sees_no_stage_can_not_know() -> None:
    """docs/snowflake-setup.md tells of each; none makes it blind for what a row or a listed job says."""
    later = "2026-11-22T13:00:00.000+00:00"
    assert runs(Observation((), (HOME,), (), NOW))  # a claim whose row is not written yet
    assert not runs(Observation((), (), (), NOW))
    shut = [one(CLAIMED, stages=stages).training for stages in ((HOME, SHUT), ())]
    assert shut == [Status.LOST, Status.CLAIMED]  # until the grace is over
    passed = [one(CLAIMED, stages=stages, now=later).training for stages in ((HOME, PASSED), ())]
    assert passed == [Status.RUNNING, Status.LOST]  # where no row and no list tells of its job
    imported = event("claimed", {**CLAIMED.body, "imported": True})
    ended = event("ended", {"training": "done", "evaluation": "done"})
    weights = [one(imported, ended, stages=stages).deleted for stages in ((HOME,), ())]
    assert weights == ["", "2026-11-22T11:50:00.000+00:00"]


def test_documents_of_a_row_are_parsed_when_somebody_looks_into_them(monkeypatch: pytest.MonkeyPatch) -> None:
    split = variant(**{"suite.data.validation": "SELECT 1"})
    spec = {**split.spec, "split": "validation"}
    claimed, plain = {**CLAIMED.body, "spec": spec}, one(event("claimed", {**CLAIMED.body, "spec": spec}))
    read, parsed = one(read_event(NAME, CLAIMED.at, "claimed", json.dumps(claimed))), []
    loads = json.loads
    monkeypatch.setattr(json, "loads", lambda text: parsed.append(text) or loads(text))
    assert read.spec
    assert (read.label, read.digests) == ("notes-lora (validation)", plain.digests)
    assert parsed == []
    assert (read, dict(read.spec), len(read.spec), list(read.spec)) == (plain, spec, len(spec), list(spec))
    assert [read.spec["recipe"], read.spec.get("recipe"), read.spec.get("other")] == [*[spec["recipe"]] * 2, None]
    assert len(parsed) == 1


def test_a_row_without_documents() -> None:
    for spec in ({}, None):
        body = {**CLAIMED.body, "spec": spec}
        assert read_event(NAME, CLAIMED.at, "claimed", json.dumps(body)).body == body
