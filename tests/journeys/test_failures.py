"""Runs that end badly, each in its own way: two statuses, a reason, a next step, a report, and nothing left behind."""

from __future__ import annotations

import copy
import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from world import RECIPE, SUITE, World

import forked
from processes import find

LONG = 4000
"""Steps that nobody waits for."""


def recipe(**changes: Any) -> dict[str, Any]:
    made = copy.deepcopy(RECIPE)
    for path, value in changes.items():
        *parents, last = path.split(".")
        place: Any = made
        for parent in parents:
            place = place[int(parent) if isinstance(place, list) else parent]
        place[last] = value
    return made


def processes(job: str) -> dict[int, str]:
    """The command lines of all processes of a job, by pid."""
    return find(environment=f"SNOWFLAKE_SERVICE_NAME={job}\0")


def until(condition: Callable[[], Any], seconds: float = 240.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(1)
    raise AssertionError("it did not happen in time")


def job_of(world: World, name: str) -> str:
    found = {one["experiment"]: one["job"] for one in world.piste("status", "--format", "json").json()}
    return str(found[name])


def training(world: World, name: str) -> bool:
    found = {one["experiment"]: one["progress"] for one in world.piste("status", "--format", "json").json()}
    return bool(found.get(name) and found[name]["steps"])


@pytest.fixture(scope="module")
def ended(world: World, account: Any) -> dict[str, dict[str, Any]]:
    """All of them, submitted together and ended; the last status of each."""
    if account.directory is None:
        pytest.skip("kills processes of this machine")
    with forked.plainly(account.directory):
        return _ended(world)


def _ended(world: World) -> dict[str, dict[str, Any]]:
    world.write(
        "experiments/_suites/broken/suite.yaml", {**SUITE, "data": {"sql": "SELECT 1 AS ID FROM NOWHERE", "key": "ID"}}
    )
    source = "data.sources.0.sql"
    world.add("rejected", recipe(**{"model.dtype": "fp7"}))
    world.add("no-table", recipe(**{source: "SELECT ID, DIALOGUE, NOTE FROM NO_SUCH_TABLE"}))
    world.add("no-evaluation", recipe(**{"train_iters": 1}), **{"evaluate.suite": "broken"})
    for name, iterations in (("rank-killed", LONG), ("payload-killed", LONG + 1), ("cancelled", LONG + 2)):
        world.add(name, recipe(**{"train_iters": iterations}))
    world.commit("six experiments")
    done = world.piste("apply")
    assert done.code == 0, done.err
    hurt = {"rank-killed": _kill_rank, "payload-killed": _kill_payload, "cancelled": _cancel}
    while hurt:
        name = until(lambda: next((name for name in hurt if training(world, name)), None))
        hurt.pop(name)(world, name)
    assert world.piste("collect", "--wait").code == 0
    return {one["experiment"]: one for one in world.piste("status", "--format", "json").json()}


def _kill_rank(world: World, name: str) -> None:
    ranks = [pid for pid, line in processes(job_of(world, name)).items() if "arctic_training_run --local_rank" in line]
    os.kill(ranks[0], signal.SIGKILL)


def _kill_payload(world: World, name: str) -> None:
    launchers = [pid for pid, line in processes(job_of(world, name)).items() if "mljob_launcher.py" in line]
    for pid in launchers:
        os.kill(pid, signal.SIGKILL)


def _cancel(world: World, name: str) -> None:
    assert f"cancelled {name}" in world.piste("cancel", name).out


EXPECTED = {
    "rejected": ("failed", "failed", "recipe"),
    "no-table": ("failed", "failed", "data"),
    "no-evaluation": ("done", "failed", "data"),
    "rank-killed": ("failed", "failed", "killed"),
    "payload-killed": ("failed", "failed", "killed"),
    "cancelled": ("cancelled", "cancelled", "cancelled"),
}


@pytest.mark.parametrize(("name", "expected"), EXPECTED.items(), ids=EXPECTED.keys())
def test_statuses_and_reason(ended: dict[str, dict[str, Any]], name: str, expected: tuple[str, str, str]) -> None:
    found = ended[name]
    assert (found["training"], found["evaluation"], found["failure"]["kind"]) == expected, found
    assert found["failure"]["hint"]


@pytest.mark.parametrize("name", EXPECTED)
def test_the_report_says_what_to_do(ended: dict[str, dict[str, Any]], world: World, name: str) -> None:
    report = (world.root / f"experiments/{name}/report/README.md").read_text()
    assert f"piste logs {name}" in report
    assert ended[name]["failure"]["kind"] in report


@pytest.mark.parametrize("name", EXPECTED)
def test_no_process_is_left(ended: dict[str, dict[str, Any]], name: str) -> None:
    until(lambda: not processes(ended[name]["job"]), seconds=30)  # its results are there before its shell has ended


def test_status_shows_the_next_step(ended: dict[str, dict[str, Any]], world: World) -> None:
    text = world.piste("status", "rejected").out
    assert "piste logs rejected" in text


def test_failed_runs_are_blocked_and_exit_codes_say_so(ended: dict[str, dict[str, Any]], world: World) -> None:
    actions = world.actions()
    assert {one["action"] for one in actions.values()} == {"blocked"}
    assert world.piste("plan", "--check").code == 0
    assert world.piste("run", "rejected").code == 1


def test_a_failed_evaluation_is_evaluated_again_and_never_trained_again(
    ended: dict[str, dict[str, Any]], world: World
) -> None:
    world.write("experiments/_suites/broken/suite.yaml", SUITE)
    action = world.actions("no-evaluation")["no-evaluation"]
    assert (action["action"], action["steps"]) == ("evaluate", ["generate", "score"])
    world.git("checkout", "-q", ".")


def test_waiting_for_a_run_that_fails_exits_with_1(ended: dict[str, dict[str, Any]], world: World) -> None:
    done = world.piste("apply", "--retry", "rejected", "--wait", "rejected")
    assert done.code == 1, done.out + done.err
    assert "recipe" in done.err


def test_no_row_of_data_is_in_the_repository(ended: dict[str, dict[str, Any]], world: World) -> None:
    files = [path for path in world.root.rglob("*") if path.is_file() and ".git" not in path.parts]
    assert len(files) > 20
    text = "\n".join(path.read_text(errors="replace") for path in files)
    assert "Traceback" not in text
    for row in json.loads(world.rows("SELECT DIALOGUE, NOTE FROM SOAP_NOTES")):
        for value in row:
            assert value[:40] not in text
