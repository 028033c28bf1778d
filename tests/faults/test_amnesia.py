"""What Snowflake forgets is not done again, and a ledger that is gone or too new is not acted upon."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from world import World

from faults.memory import Killed, Memory
from faults.sequences import (
    PAST_GRACE,
    Trouble,
    account,
    baseline,
    memory,
    other_suite,
    quick,
    recipe,
    rendered,
    repository,
    submit,
    until_nothing_is_due,
    verbs,
)
from piste import digest, git, journeys, observed
from piste.errors import PisteError, PolicyRefused, SnowflakeUnreachable
from piste.observed import LEDGER, LEDGER_VERSION
from piste.run import Run, Status

DAY = 86400.0
RECONCILES = 30


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[World]:
    """A training that is compared with a baseline, and the same training under another suite."""
    made = repository(tmp_path / "repository")
    made.add("tuned", recipe(train_iters=1), compare="base")
    baseline(made, "base")
    other_suite(made, "other-notes")
    made.add("elsewhere", recipe(train_iters=1), **{"evaluate.suite": "other-notes"})
    made.commit("three experiments")
    with pytest.MonkeyPatch.context() as patch:
        quick(patch, git.provenance(made.root))
        yield made


@pytest.fixture
def done(tree: World) -> Memory:
    """A world in which all of it is done, and its reports are committed."""
    world = memory()
    until_nothing_is_due(lambda: journeys.read(tree.root), account(world))
    tree.commit("reports")
    return world


def runs(world: Memory) -> dict[str, Run]:
    return {run.name: run for run in observed.runs(account(world).observe())}


def reconciled(tree: World, world: Memory, seconds: float) -> int:
    """How many jobs thirty reconciles submit, whatever else they do."""
    before = world.submitted
    for _ in range(RECONCILES):
        world.advance(seconds)
        submit(journeys.read(tree.root), account(world))
        journeys.collect(journeys.read(tree.root), account(world))
    return world.submitted - before


def emptied(world: Memory) -> None:
    world.forget_jobs()


def expired(world: Memory) -> None:
    world.advance(15 * DAY)


def hidden(world: Memory) -> None:
    world.hidden = True


@pytest.mark.parametrize("forget", [emptied, expired, hidden])
def test_what_is_done_is_not_done_again(tree: World, done: Memory, forget: Callable[[Memory], None]) -> None:
    before = rendered(tree.root)
    forget(done)
    assert account(done).observe().jobs == []
    assert reconciled(tree, done, DAY) == 0
    assert rendered(tree.root) == before
    assert tree.git("status", "--porcelain") == ""


@pytest.mark.parametrize("forget", [emptied, expired, hidden])
def test_what_ended_unseen_is_read_from_its_stage(tree: World, forget: Callable[[Memory], None]) -> None:
    world = memory()
    submit(journeys.read(tree.root), account(world), ["tuned", "base"])
    world.run_jobs()
    forget(world)
    journeys.collect(journeys.read(tree.root), account(world))
    assert {run.evaluation for run in runs(world).values()} == {Status.DONE}
    assert verbs(journeys.plan_live(journeys.read(tree.root), account(world), ["tuned"])) == {"tuned": "keep"}


@pytest.mark.parametrize("seconds", [60.0, 3000.0])
def test_a_list_that_is_empty_while_jobs_live_submits_nothing(tree: World, seconds: float) -> None:
    """Those that work say so; those that wait for a node are silent, but not for a day yet."""
    for name in ("tuned", "elsewhere", "base"):
        tree.edit(f"experiments/{name}/experiment.yaml", **{"compute.timeout": "48h"})
    world = memory(nodes=1)
    submit(journeys.read(tree.root), account(world))
    for _ in range(3):
        world.step(world.jobs[0])
    hidden(world)
    assert reconciled(tree, world, seconds / 2) == 0
    assert {job.status for job in world.jobs} == {"RUNNING", "PENDING"}, "and nothing was cancelled"
    world.hidden = False
    until_nothing_is_due(lambda: journeys.read(tree.root), account(world))
    assert list(world.trainings.values()) == [1]


@pytest.mark.parametrize("lost", ["claimed", "submitted", "both"])
def test_rows_that_were_never_written_are_written_from_what_the_job_carries(tree: World, lost: str) -> None:
    world = memory()
    submit(journeys.read(tree.root), account(world), ["tuned"])
    (before,) = runs(world).values()
    kinds = {"claimed", "submitted"} if lost == "both" else {lost}
    world.lose_rows(lambda event: event.kind in kinds)
    submit(journeys.read(tree.root), account(world), ["tuned"])
    (after,) = runs(world).values()
    assert (after.spec, after.digests, after.steps) == (before.spec, before.digests, before.steps)
    assert after.provenance["pool"] == before.provenance["pool"]
    assert (after.unrecorded, len(world.jobs)) == ((), 1)


def test_a_claim_without_a_job_gets_its_documents_from_git(tree: World) -> None:
    world = memory()
    with pytest.raises(Killed):
        submit(journeys.read(tree.root), account(world, Trouble("killed after", 1, "CREATE STAGE")), ["tuned"])
    (left,) = runs(world).values()
    assert left.spec == {}
    world.advance(PAST_GRACE)
    submit(journeys.read(tree.root), account(world), ["tuned"])
    first, second = runs(world).values()
    assert (first.spec, first.closed, first.training) == (second.spec, True, Status.LOST)
    assert second.attempt == 2


def gone(world: Memory) -> None:
    world.lose_rows(lambda event: True)


def dropped(world: Memory) -> None:
    gone(world)
    world.tables.clear()


@pytest.mark.parametrize("lose", [gone, dropped])
@pytest.mark.parametrize("stages", ["stages there", "stages gone"])
def test_a_ledger_that_is_gone_beside_reports_refuses_until_somebody_says_what_is_meant(
    tree: World, done: Memory, lose: Callable[[Memory], None], stages: str
) -> None:
    lose(done)
    if stages == "stages gone":
        done.stages.clear()
    before, jobs = rendered(tree.root), done.submitted
    for journey in (submit, journeys.collect, journeys.plan_live, journeys.settle):
        with pytest.raises(PolicyRefused) as refused:
            journey(journeys.read(tree.root), account(done))
        assert refused.value.exit_code == 4
    assert (rendered(tree.root), done.submitted, done.events) == (before, jobs, [])


@pytest.mark.parametrize("lose", [gone, dropped])
def test_reports_that_are_imported_are_kept_and_stay_as_they_are(
    tree: World, done: Memory, lose: Callable[[Memory], None]
) -> None:
    lose(done)
    done.stages.clear()
    imported = journeys.import_reports(journeys.read(tree.root), account(done))
    assert len(imported) == 3
    found = journeys.plan_live(journeys.read(tree.root), account(done))
    assert verbs(found) == {"tuned": "keep", "base": "keep", "elsewhere": "keep"}
    assert reconciled(tree, done, DAY) == 0
    assert journeys.import_reports(journeys.read(tree.root), account(done)) == ()


@pytest.mark.parametrize("lose", [gone, dropped])
def test_reports_of_what_was_imported_are_byte_for_byte_the_same(
    tree: World, done: Memory, lose: Callable[[Memory], None]
) -> None:
    lose(done)
    journeys.import_reports(journeys.read(tree.root), account(done))
    journeys.collect(journeys.read(tree.root), account(done))
    assert tree.git("status", "--porcelain") == ""


def test_a_ledger_that_begins_anew_trains_again(tree: World, done: Memory) -> None:
    dropped(done)
    done.stages.clear()
    journeys.begin(account(done))
    found = journeys.plan_live(journeys.read(tree.root), account(done))
    assert verbs(found) == {"elsewhere": "train", "base": "evaluate", "tuned": "wait"}
    until_nothing_is_due(lambda: journeys.read(tree.root), account(done))
    assert list(done.trainings.values()) == [2]


@pytest.mark.parametrize(
    "said",
    [{"version": LEDGER_VERSION + 1, "identity": {}}]
    + [{"version": 1, "identity": {**digest.IDENTITY, key: 9}} for key in digest.IDENTITY],
)
def test_a_ledger_of_a_newer_piste_refuses(tree: World, done: Memory, said: dict[str, Any]) -> None:
    done.record(LEDGER, "version", said)
    for journey in (submit, journeys.collect):
        with pytest.raises(PisteError, match="newer piste"):
            journey(journeys.read(tree.root), account(done))


@pytest.mark.parametrize("key", ["FORMAT", "TRAINING_SEMANTICS", "GENERATION_SEMANTICS"])
def test_an_upgrade_trains_nothing_and_scores_nothing_again(
    tree: World, done: Memory, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = {variant.digests.training for variant in journeys.read(tree.root).variants}
    kind = key.removesuffix("_SEMANTICS").lower()
    monkeypatch.setattr(digest, key, 2)
    monkeypatch.setattr(digest, "IDENTITY", {**digest.IDENTITY, kind: 2})
    new = {variant.digests.training for variant in journeys.read(tree.root).variants}
    assert (old == new) == (kind == "generation")
    assert reconciled(tree, done, DAY) == 0
    assert set(verbs(journeys.plan_live(journeys.read(tree.root), account(done))).values()) == {"keep"}


def overdue(tree: World) -> Memory:
    """A run of which nothing was heard since it began, past its timeout of ten minutes and the overtime."""
    world = memory()
    submit(journeys.read(tree.root), account(world), ["base"])
    for _ in range(2):
        world.step(world.jobs[0])
    world.advance(3 * 3600, beats=False)
    return world


def test_an_overdue_job_is_stopped(tree: World) -> None:
    world = overdue(tree)
    journeys.settle(journeys.read(tree.root), account(world))
    assert world.jobs[0].status == "CANCELLING"


def test_a_job_that_nobody_knows_is_stopped_in_peace(tree: World) -> None:
    """It vanished less than a day ago, and is past its timeout: collect and apply go on with all other runs."""
    world = overdue(tree)
    world.vanish(world.jobs[0])
    journeys.collect(journeys.read(tree.root), account(world))


@pytest.mark.parametrize("trouble", ["killed before", "reply lost for good", "no connection"])
def test_an_overdue_job_is_stopped_although_the_first_who_did_so_died(tree: World, trouble: str) -> None:
    world = overdue(tree)
    disturbed = Trouble(trouble, 1, "DESCRIBE SERVICE")
    with pytest.raises((Killed, SnowflakeUnreachable)):
        journeys.settle(journeys.read(tree.root), account(world, disturbed))
    world.advance(PAST_GRACE, beats=False)
    journeys.settle(journeys.read(tree.root), account(world))
    assert world.jobs[0].status == "CANCELLING"


def test_no_other_attempt_begins_while_it_is_not_known_whether_the_one_before_was_ended(tree: World) -> None:
    world = memory()
    submit(journeys.read(tree.root), account(world), ["tuned"])
    for _ in range(3):
        world.step(world.jobs[0])
    hidden(world)
    world.advance(2 * DAY, beats=False)
    submit(journeys.read(tree.root), account(world), ["tuned"])
    world.advance(PAST_GRACE, beats=False)
    with pytest.raises(SnowflakeUnreachable):
        submit(journeys.read(tree.root), account(world, Trouble("no connection", 1, "DESCRIBE SERVICE")), ["tuned"])
    assert len(world.jobs) == 1


def test_claim_files_say_what_the_ledger_says(tree: World) -> None:
    world = memory()
    submit(journeys.read(tree.root), account(world), ["tuned"])
    (row,) = [event for event in world.events if event.kind == "claimed"]
    (stage,) = [stage for stage in world.stages.values() if stage.files]
    (content,) = [content for path, content in stage.files.items() if path.endswith("/app/claim.json")]
    assert json.loads(content) == row.body


@pytest.mark.parametrize("end", ["lose", "kill"])
def test_the_end_of_a_job_that_began_and_left_no_results_is_seen_at_once(tree: World, end: str) -> None:
    world = memory()
    submit(journeys.read(tree.root), account(world), ["tuned"])
    for _ in range(3):
        world.step(world.jobs[0])
    getattr(world, end)(world.jobs[0])
    journeys.settle(journeys.read(tree.root), account(world))
    (run,) = runs(world).values()
    assert (run.collected, run.training) == (True, Status.FAILED)
