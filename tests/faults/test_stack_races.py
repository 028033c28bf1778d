"""Many reconcilers at once, and some that sleep in the middle, through the whole real stack."""

from __future__ import annotations

import time

import pytest

from faults.proxy import Fault
from faults.stack import GRACE_SECONDS, Stack
from faults.striking import asked_for_once, trained_once


def test_eight_appliers_at_once(hurt: Stack, soak: bool) -> None:
    for round_ in range(20 if soak else 2):
        numbers = hurt.add([f"raced-{round_}-{index}" for index in range(20)], 10_000 + 100 * round_)
        appliers = [hurt.start("apply", "--allow", "max-submissions", *numbers) for _ in range(8)]
        ended = [process.wait() for process in appliers]
        said = [done.out + done.err for done in ended]
        assert [done.code for done in ended] == [0] * 8, said
        hurt.until_jobs_ended()
        assert sum(text.count(": submitted RUN_") for text in said) == 20
        assert any("was faster" in text or "to wait for" in text for text in said)
        assert sum(hurt.trainings[number] for number in numbers.values()) == 20
        hurt.converge()
        trained_once(hurt, numbers)
        print(f"\nraces: {round_ + 1} rounds of 8 appliers, 20 trainings each", flush=True)


STALLED = {
    "before its claim": r"CREATE STAGE RUN_\w+_1 ",
    "before the claim's row": r"INSERT INTO LEDGER",
    "before its last look": r"SHOW STAGES LIKE 'RUN.*STARTED",
    "before the job": r"SYSTEM\$EXECUTE_ML_JOB",
}


@pytest.mark.parametrize("where", STALLED)
def test_an_applier_that_wakes_after_the_grace_trains_nothing(hurt: Stack, where: str) -> None:
    index = list(STALLED).index(where)
    numbers = hurt.add([f"stalled-{index}"], 20_000 + index)
    hurt.proxy.reset()
    asleep = Fault("delay", STALLED[where], most=1, seconds=14)
    hurt.proxy.plan([asleep])
    process = hurt.start("apply", f"stalled-{index}", proxied=True)
    end = time.monotonic() + 60
    while not any(seen.fault for seen in hurt.proxy.statements):
        assert time.monotonic() < end
        time.sleep(0.1)
    hurt.globe.advance(GRACE_SECONDS)
    assert hurt.piste("apply", f"stalled-{index}").code == 0
    done = process.wait()
    assert done.code == 0, done.err
    hurt.until_jobs_ended()
    hurt.converge()
    trained_once(hurt, numbers)


def test_every_training_was_asked_for_once(hurt: Stack) -> None:
    asked_for_once(hurt, 40)
