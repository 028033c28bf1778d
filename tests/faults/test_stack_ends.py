"""How runs end that don't end well, what is left of them, and how many are looked at: through the whole real stack."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

from faults.stack import ENDLESS, Stack
from faults.striking import asked_for_once
from processes import of_account


def test_a_platform_failure_is_tried_again_after_a_while_and_cancel_leaves_nothing(hurt: Stack) -> None:
    hurt.add(["unlucky"], ENDLESS)
    assert hurt.piste("apply", "unlucky").code == 0
    hurt.globe.lose_node(hurt.until_training(ENDLESS))
    hurt.until_jobs_ended()
    assert "the platform failed; tried again after" in hurt.piste("apply", "unlucky").out
    hurt.globe.advance(6 * 60.0)
    done = hurt.piste("apply", "unlucky")
    assert "another try after RUN_" in done.out
    end = time.monotonic() + 60
    while hurt.trainings[ENDLESS] < 2:
        assert time.monotonic() < end
        time.sleep(0.2)
    assert "cancelled unlucky" in hurt.piste("cancel", "unlucky").out
    hurt.until_jobs_ended()
    assert of_account(hurt.directory) == {}
    assert hurt.piste("collect").code == 0
    (found,) = hurt.piste("status", "unlucky", "--format", "json").json()
    assert (found["health"], found["training"], found["failure"]["kind"]) == ("degraded", "cancelled", "cancelled")


def test_a_job_that_overstays_its_timeout_is_cancelled(hurt: Stack) -> None:
    number = ENDLESS + 1
    hurt.add(["overdue"], number)
    assert hurt.piste("apply", "overdue").code == 0
    hurt.until_training(number)
    hurt.globe.advance(5 * 3600.0 + 11 * 60)
    assert hurt.piste("collect").code == 0
    hurt.until_jobs_ended()
    assert of_account(hurt.directory) == {}
    assert hurt.piste("collect").code == 0
    assert hurt.report("overdue")["failure"]["kind"] == "timeout"
    action = hurt.world.actions("overdue")["overdue"]
    assert (action["action"], action["reason"][:26]) == ("blocked", "stopped by compute.timeout")


def test_what_git_no_longer_asks_for_is_archived_listed_and_deleted_only_by_name(hurt: Stack) -> None:
    hurt.add(["parted", "kept"], 40_000)
    hurt.converge()
    (run,) = (one["run"] for one in hurt.piste("status", "parted", "--format", "json").json())
    shutil.rmtree(hurt.world.root / "experiments/parted")
    hurt.world.commit("part")
    assert f"{run}: nothing in git asks for it any more" in hurt.piste("plan").out
    assert hurt.piste("apply").code == 0
    (found,) = hurt.piste("status", "parted", "--format", "json").json()
    assert (found["sync"], bool(found["archived"])) == ("not in git", True)
    listed = {one["run"]: one for one in hurt.piste("gc", "--format", "json").json()}
    assert listed[run]["bytes"] > 1000
    needed = hurt.piste("status", "kept", "--format", "json").json()[0]["run"]
    assert hurt.piste("gc", "--delete", needed, "--delete", run).code == 1
    assert hurt.piste("gc", "--delete", run).out == f"deleted {run} (stage)\n"
    assert run not in {one["run"] for one in hurt.piste("gc", "--format", "json").json()}
    assert hurt.piste("apply").out.startswith("nothing to do")


def test_every_training_was_asked_for_once(hurt: Stack) -> None:
    asked_for_once(hurt, 1)


LOAD = Path(__file__).with_name("load.py")


def test_500_live_runs_are_observed_as_5_are(tmp_path: Path, soak: bool) -> None:
    count = "500" if soak else "50"
    command = [sys.executable, str(LOAD), str(tmp_path), count]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    few, many = (line.split() for line in done.stdout.splitlines()[-2:])
    assert (few[0], many[0]) == ("5", count)
    assert few[1] == many[1] == "3"
    assert float(many[2]) < 5
    print("".join(f"\n{runs} live runs: {count} statements, {took} s" for runs, count, took in (few, many)))
