"""Who may be submitted now, and where the rest stands."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from builders import experiment, run, variant
from piste.admission import admit, ordinal
from piste.experiment import Variant
from piste.plan import TRAIN, Action, Verb
from piste.run import Run, Status
from piste.variants import variants

POOL = "PISTE_GPU"


def pool_of(one: Variant) -> str | None:
    return {"gpu": POOL, "other": "PISTE_CPU", "lower": "piste_gpu"}.get(one.spec["experiment"]["compute"]["pool"])


def due(name: str, owner: str = "@ana", count: int = 1, **changes: Any) -> list[Action]:
    """`count` variants of one experiment that are to train."""
    changes = {"owner": owner, "compute.pool": "gpu", "compute.max_parallel": 256} | changes
    wanted = {key: value for key, value in changes.items() if value is not None}
    made = variants(experiment(name, **{"train.seeds": list(range(count))}, **wanted))
    return [Action(one, Verb.TRAIN, "new", TRAIN) for one in made]


def going(actions: Sequence[Action]) -> list[Run]:
    """Live runs of them, as the ledger would tell."""
    return [
        replace(
            run(action.variant, Status.RUNNING, Status.PENDING, collected=False),
            name=f"RUN_{number}",
            provenance={
                "actor": "@robot",
                "pool": (pool_of(action.variant) or "").upper() or None,
                "nodes": action.variant.spec["experiment"]["train"].get("nodes", 1),
            },
        )
        for number, action in enumerate(actions)
    ]


def said(action: Action) -> str:
    return action.verb.value if action.submits else f"{action.queue or '-'} {action.reason}"


@dataclass(frozen=True)
class Case:
    name: str
    actions: Sequence[Action]
    expected: Sequence[str]
    live: Sequence[Run] = ()
    nodes: int = 2
    backlog: float = 1


CASES = [
    Case("nothing is due", [], []),
    Case("a place for everybody", due("a", count=4), ["train"] * 4),
    Case(
        "the pool is full",
        due("a", count=3),
        [
            "1 first in the queue of PISTE_GPU (2 nodes, 4 runs are live)",
            "2 second in the queue of PISTE_GPU (2 nodes, 4 runs are live)",
            "3 third in the queue of PISTE_GPU (2 nodes, 4 runs are live)",
        ],
        going(due("b", count=4)),
    ),
    Case(
        "what is submitted now takes places too",
        due("a", count=4),
        [
            "train",
            "train",
            "train",
            "1 first in the queue of PISTE_GPU (2 nodes, 1 run is live, 3 are submitted before)",
        ],
        going(due("b")),
    ),
    Case(
        "a pool of one node",
        due("a"),
        ["1 first in the queue of PISTE_GPU (1 node, 1 run is live)"],
        going(due("b")),
        nodes=1,
        backlog=0,
    ),
    Case(
        "without a backlog nothing waits inside of Snowflake",
        due("a", count=3),
        ["train", "train", "1 first in the queue of PISTE_GPU (2 nodes, 2 are submitted before)"],
        backlog=0,
    ),
    Case(
        "half a job per node",
        due("a", count=4),
        ["train", "train", "train", "1 first in the queue of PISTE_GPU (2 nodes, 3 are submitted before)"],
        backlog=0.5,
    ),
    Case(
        "a run may want more nodes than there are, when it is alone",
        due("a", count=2, **{"train.nodes": 8}),
        ["train", "1 first in the queue of PISTE_GPU (2 nodes, 1 is submitted before)"],
    ),
    Case(
        "nobody overtakes one who wants many nodes",
        due("wide", "@ana", **{"train.nodes": 4}) + due("small", "@ben"),
        [
            "1 first in the queue of PISTE_GPU (2 nodes, 1 run is live)",
            "2 second in the queue of PISTE_GPU (2 nodes, 1 run is live)",
        ],
        going(due("c", "@eve")),
    ),
    Case(
        "who has fewer nodes is next",
        due("a", "@ana", 2) + due("b", "@ben", 2),
        [
            "2 second in the queue of PISTE_GPU (2 nodes, 3 runs are live, 1 is submitted before)",
            "3 third in the queue of PISTE_GPU (2 nodes, 3 runs are live, 1 is submitted before)",
            "train",
            "1 first in the queue of PISTE_GPU (2 nodes, 3 runs are live, 1 is submitted before)",
        ],
        going(due("c", "@ana", 3)),
    ),
    Case(
        "nodes count for an owner, not runs",
        due("a", "@ana") + due("b", "@ben"),
        ["1 first in the queue of PISTE_GPU (3 nodes, 3 runs are live, 1 is submitted before)", "train"],
        going(due("c", "@ana", **{"train.nodes": 3}) + due("d", "@ben", 2)),
        nodes=3,
    ),
    Case(
        "nodes that are wanted count for the order, as those that are had",
        due("a", "@ana", 2, **{"train.nodes": 2}) + due("b", "@ben", 2),
        [
            "1 first in the queue of PISTE_GPU (2 nodes, 4 runs are live)",
            "4 fourth in the queue of PISTE_GPU (2 nodes, 4 runs are live)",
            "2 second in the queue of PISTE_GPU (2 nodes, 4 runs are live)",
            "3 third in the queue of PISTE_GPU (2 nodes, 4 runs are live)",
        ],
        going(due("c", "@eve", 4)),
    ),
    Case(
        "max_parallel counts what is live",
        due("a", count=2, **{"compute.max_parallel": 2}),
        ["- 2 of its runs are live; compute.max_parallel is 2"] * 2,
        going(due("a", count=2)),
    ),
    Case(
        "max_parallel counts what is submitted now",
        due("a", count=3, **{"compute.max_parallel": 2}),
        ["train", *["- 1 of its runs is live, 1 goes before it; compute.max_parallel is 2"] * 2],
        going(due("a")),
        nodes=50,
    ),
    Case(
        "max_parallel has a default",
        due("a", count=5, **{"compute.max_parallel": None}),
        ["train"] * 4 + ["- 4 of its variants go before it; compute.max_parallel is 4"],
        nodes=50,
    ),
    Case(
        "who may not run beside its own is in no queue",
        due("a", count=2, **{"compute.max_parallel": 1}) + due("b"),
        [
            "1 first in the queue of PISTE_GPU (2 nodes, 4 runs are live)",
            "- 1 of its variants goes before it; compute.max_parallel is 1",
            "2 second in the queue of PISTE_GPU (2 nodes, 4 runs are live)",
        ],
        going(due("c", count=4)),
    ),
    Case(
        "a live run without a pool counts for max_parallel alone",
        due("a", **{"compute.max_parallel": 1}) + due("b"),
        ["- 1 of its runs is live; compute.max_parallel is 1", "train"],
        [replace(one, provenance={"actor": "@ana"}) for one in going(due("a"))],
        nodes=1,
        backlog=0,
    ),
    Case(
        "a pool that is not known admits all",
        due("a", count=9, **{"compute.pool": "other"}),
        ["train"] * 9,
        going(due("b", count=4)),
    ),
    Case("no pool at all admits all", due("a", count=9, **{"compute.pool": "none"}), ["train"] * 9),
    Case(
        "runs in another pool take no place",
        due("a", count=4),
        ["train"] * 4,
        going(due("b", count=9, **{"compute.pool": "other"})),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_cases(case: Case) -> None:
    found = admit(case.actions, case.live, {POOL: case.nodes}, pool_of, case.backlog)
    assert [said(action) for action in found] == list(case.expected)
    assert [action.variant for action in found] == [action.variant for action in case.actions]
    assert [action.steps for action in found] == [TRAIN if action.submits else () for action in found]


def test_names_of_pools_are_the_same_in_any_case() -> None:
    for known in ("PISTE_GPU", "piste_gpu"):
        found = admit(due("a", **{"compute.pool": "lower"}), going(due("b")), {known: 1}, pool_of, 0)
        assert [action.queue for action in found] == [1]


def test_what_submits_nothing_is_left_alone() -> None:
    others = [Action(variant(), verb, "because") for verb in (Verb.WAIT, Verb.KEEP, Verb.BLOCKED)]
    assert admit(others, going(due("b", count=9)), {POOL: 1}, pool_of, 0) == tuple(others)


def test_an_owner_s_matrix_does_not_starve_another_s_experiment() -> None:
    actions = due("matrix", "@ana", 200) + due("single", "@ben")
    first = admit(actions, [], {POOL: 1}, pool_of, 1)
    assert [action.variant.experiment for action in first if action.submits] == ["matrix", "single"]
    later = admit(actions, going(due("other", "@ana", 2)), {POOL: 1}, pool_of, 1)
    assert [action.variant.experiment for action in later if action.queue == 1] == ["single"]


def test_an_owner_who_is_not_named_does_not_win_every_time() -> None:
    """Their runs are recorded as somebody's who submitted them; they still count for the owner without a name."""
    actions = due("nobody-s", "", 2) + due("ben-s", "@ben")
    found = admit(actions, going(due("nobody-s", "")), {POOL: 2}, pool_of, 0)
    assert [action.variant.experiment for action in found if action.submits] == ["ben-s"]


def test_a_run_without_documents_is_of_who_submitted_it() -> None:
    unknown = [replace(one, spec={}, provenance={**one.provenance, "actor": "@ana"}) for one in going(due("x"))]
    found = admit(due("a", "@ana") + due("b", "@ben"), unknown, {POOL: 2}, pool_of, 0)
    assert [action.variant.experiment for action in found if action.submits] == ["b"]


def somebody_s_work(chance: random.Random) -> list[Action]:
    actions = []
    for number in range(chance.randrange(1, 7)):
        actions += due(
            f"e{number}",
            chance.choice(["@ana", "@ben", "@eve", ""]),
            chance.randrange(1, 6),
            **{"train.nodes": chance.randrange(1, 5), "compute.max_parallel": chance.randrange(1, 5)},
        )
    return actions


@pytest.mark.parametrize("seed", range(25))
def test_whatever_is_due_goes_at_last_and_never_too_much_at_once(seed: int) -> None:
    chance = random.Random(seed)
    actions, live, nodes, backlog = somebody_s_work(chance), [], chance.randrange(1, 5), chance.choice([0, 0.5, 1])
    for _ in range(1000):
        found = admit(actions, live, {POOL: nodes}, pool_of, backlog)
        assert found == admit(actions, live, {POOL: nodes}, pool_of, backlog)
        assert found == admit(found, live, {POOL: nodes}, pool_of, backlog), "twice is once"
        waiting = sorted(action.queue for action in found if action.queue)
        assert waiting == list(range(1, len(waiting) + 1)), "no gaps"
        admitted = [action for action in found if action.submits]
        live = [*live, *going(admitted)]
        check(live, nodes, backlog)
        actions = [before for before, after in zip(actions, found, strict=True) if not after.submits]
        if not actions:
            return
        live.pop(chance.randrange(len(live)))
    pytest.fail("somebody waits for ever")


def check(live: Sequence[Run], nodes: int, backlog: float) -> None:
    assert len(live) == 1 or sum(one.provenance["nodes"] for one in live) <= nodes + backlog * nodes
    for one in live:
        most = one.spec["experiment"]["compute"]["max_parallel"]
        assert sum(other.experiment == one.experiment for other in live) <= most


def test_positions_and_numbers_in_words() -> None:
    found = [ordinal(number) for number in (1, 10, 11, 12, 13, 21, 22, 23, 24, 111, 121)]
    assert found == ["first", "tenth", "11th", "12th", "13th", "21st", "22nd", "23rd", "24th", "111th", "121st"]
