"""Commands of the whole stack that are hit at a statement, and what holds after all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from faults.proxy import Fault, Kind
from faults.stack import ENDLESS, GRACE_SECONDS, Stack


@dataclass(frozen=True)
class Boundary:
    """Where a command is hit: before or after its statement of that number."""

    kind: Kind
    number: int


def boundaries(kinds: Sequence[Kind], statements: int, sample: int, soak: bool) -> list[Boundary]:
    every = [Boundary(kind, number) for number in range(1, statements + 1) for kind in kinds]
    step = 1 if soak else max(1, len(every) // sample)
    return every[::step]


def count(stack: Stack, *command: str) -> int:
    """How many statements a command sends when nothing happens to it."""
    stack.proxy.reset()
    done = stack.piste(*command, proxied=True)
    assert done.code == 0, done.err
    return stack.proxy.count


def strike(stack: Stack, at: Boundary, *command: str) -> int:
    """Run a command that is hit there; its exit code."""
    stack.proxy.reset()
    stack.proxy.plan([Fault(at.kind, when=at.number, most=1)])
    process = stack.start(*command, proxied=True)
    stack.proxy.victim = process.pid
    done = process.wait()
    assert "Traceback" not in done.err, done.err
    return done.code


def sweep_apply(stack: Stack, chosen: Sequence[Boundary], first: int) -> list[int]:
    """Hit an apply at each of these, of an experiment of its own; the grace passes, and it converges. Exit codes.

    A dozen at a time: what went well is known when something fails.
    """
    codes: list[int] = []
    for at in range(0, len(chosen), 12):
        names = [f"{one.kind}-{one.number}" for one in chosen[at : at + 12]]
        numbers = stack.add(names, first + at)
        codes += [strike(stack, one, "apply", name) for one, name in zip(chosen[at:], names, strict=False)]
        stack.globe.advance(GRACE_SECONDS)
        stack.converge()
        trained_once(stack, numbers)
        print(f"\n{at + len(names)} of {len(chosen)} boundaries of apply: {len(numbers)} trained once", flush=True)
    return codes


def trained_once(stack: Stack, numbers: dict[str, int]) -> None:
    assert {number: stack.trainings[number] for number in numbers.values()} == dict.fromkeys(numbers.values(), 1)
    for name in numbers:
        report = stack.report(name)
        assert (report["status"], report["training_status"], report["evaluation_status"]) == ("done", "done", "done")
    assert stack.piste("collect").out == "nothing to do\n"


def asked_for_once(stack: Stack, more_than: int) -> None:
    """Over all that a module did, but for what a platform's failure repeated."""
    once = {number: count for number, count in stack.trainings.items() if number < ENDLESS}
    assert len(once) > more_than
    assert {*once.values()} == {1}
