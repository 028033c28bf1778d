"""Commands die and replies are lost, through the whole real stack: a sample here, every boundary with --soak."""

from __future__ import annotations

from faults.stack import Stack
from faults.striking import Boundary, asked_for_once, boundaries, count, strike, sweep_apply, trained_once


def test_apply_killed_at_its_statements(hurt: Stack, soak: bool) -> None:
    hurt.add(["measured"], 100)
    statements = count(hurt, "apply", "measured")
    chosen = boundaries(("kill-before", "kill-after"), statements, 7, soak)
    codes = sweep_apply(hurt, chosen, 1000)
    assert set(codes) <= {-9, 0}
    assert codes.count(-9) > len(codes) // 2
    print(f"\napply: {statements} statements, killed at {len(chosen)} boundaries, each trained once")


def test_apply_whose_replies_are_lost(hurt: Stack, soak: bool) -> None:
    hurt.add(["measured-again"], 200)
    statements = count(hurt, "apply", "measured-again")
    chosen = boundaries(("drop-after",), statements, 4, soak)
    chosen += [Boundary("drop-after", statements - 2)] if not soak else []
    assert set(sweep_apply(hurt, chosen, 2000)) == {0}
    print(f"\napply: {statements} statements, {len(chosen)} replies lost, each trained once")


def test_collect_killed_at_its_statements(hurt: Stack, soak: bool) -> None:
    hurt.add(["ended-0"], 300)
    assert hurt.piste("apply", "ended-0").code == 0
    hurt.until_jobs_ended()
    statements = count(hurt, "collect")
    chosen = boundaries(("kill-before", "kill-after", "drop-after"), statements, 5, soak)
    names = [f"ended-{at.kind}-{at.number}" for at in chosen]
    numbers = hurt.add(names, 3000)
    if not soak:  # one collect may then record the ends of several
        assert hurt.piste("apply", *names).code == 0
        hurt.until_jobs_ended()
    for at, name in zip(chosen, names, strict=True):
        assert not soak or hurt.piste("apply", name).code == 0
        hurt.until_jobs_ended()
        assert strike(hurt, at, "collect") in (-9, 0)
    assert hurt.piste("collect").code == 0
    trained_once(hurt, numbers)
    print(f"\ncollect: {statements} statements, hit at {len(chosen)} boundaries")


def test_every_training_was_asked_for_once(hurt: Stack) -> None:
    asked_for_once(hurt, 15)
