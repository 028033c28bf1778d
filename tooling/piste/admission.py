"""Who goes first: of the work that is due, what may be submitted now, and where in which queue the rest stands."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from piste.change_rules import compute
from piste.experiment import Document, Variant
from piste.plan import Action, Verb
from piste.run import Run


def admit(
    actions: Sequence[Action],
    live: Sequence[Run],
    pools: Mapping[str, int],
    pool_of: Callable[[Variant], str | None],
    backlog: float,
) -> tuple[Action, ...]:
    """The same actions in the same order; one that may not be submitted now waits, and says for what.

    An experiment has at most compute.max_parallel runs that are live or admitted. A pool takes work while the nodes
    that its live and admitted runs want stay within its own and `backlog` times as many; one run it always takes. Of
    those who wait for a pool the owner with the fewest nodes there is next, else the order of `actions` decides.

    `pools` are the nodes of each pool that is known; to others everything is admitted. A live run's pool and nodes are
    those of its provenance; without a pool it counts for max_parallel alone.
    """
    nodes = {name.upper(): count for name, count in pools.items()}
    held = _over_parallel(actions, live)
    waiting: dict[str, list[int]] = defaultdict(list)
    for index, action in enumerate(actions):
        pool = (pool_of(action.variant) or "").upper() if action.submits and index not in held else ""
        if pool in nodes:
            waiting[pool].append(index)
    for pool, indices in waiting.items():
        here = [run for run in live if str(run.provenance.get("pool") or "").upper() == pool]
        held |= _queued(_Pool(pool, nodes[pool], here), {index: actions[index] for index in indices}, backlog)
    return tuple(held.get(index, action) for index, action in enumerate(actions))


@dataclass(frozen=True)
class _Pool:
    name: str
    nodes: int
    live: Sequence[Run]

    def taken(self) -> Counter[str]:
        """Nodes by owner."""
        taken: Counter[str] = Counter()
        for run in self.live:
            taken[_owner_of_run(run)] += run.provenance.get("nodes") or 1
        return taken


def _over_parallel(actions: Sequence[Action], live: Iterable[Run]) -> dict[int, Action]:
    """Actions, by index, of experiments that have as many runs as they may."""
    going = Counter(run.experiment for run in live)
    before: Counter[str] = Counter()
    held = {}
    for index, action in enumerate(actions):
        name = action.variant.experiment
        if not action.submits:
            continue
        if going[name] + before[name] < (most := _max_parallel(action.variant)):
            before[name] += 1
        else:
            reason = f"{_parallel(going[name], before[name])}; compute.max_parallel is {most}"
            held[index] = _wait(action, reason)
    return held


def _queued(pool: _Pool, waiting: Mapping[int, Action], backlog: float) -> dict[int, Action]:
    """Those, by index, for whom the pool has no place, with their positions."""
    taken = pool.taken()
    order = _in_turn(waiting, taken)
    places = pool.nodes + backlog * pool.nodes
    admitted = _fitting([_nodes(waiting[index]) for index in order], sum(taken.values()), places)
    now = ", ".join(filter(None, (_count(pool.nodes, "node", "nodes"), *_busy(len(pool.live), admitted))))
    return {
        index: _wait(waiting[index], f"{ordinal(position)} in the queue of {pool.name} ({now})", position)
        for position, index in enumerate(order[admitted:], 1)
    }


def _in_turn(waiting: Mapping[int, Action], taken: Mapping[str, int]) -> list[int]:
    """Always next is the first one of the owner who has the fewest nodes so far."""
    lines: dict[str, deque[int]] = defaultdict(deque)
    for index, action in waiting.items():
        lines[_owner(action.variant.spec)].append(index)
    has, order = Counter(taken), []
    while lines:
        owner = min(lines, key=lambda owner: (has[owner], lines[owner][0]))
        order.append(lines[owner].popleft())
        has[owner] += _nodes(waiting[order[-1]])
        if not lines[owner]:
            del lines[owner]
    return order


def _fitting(wanted: Sequence[int], taken: int, places: float) -> int:
    """How many go, from the front. Nobody overtakes one who wants more nodes: it would wait for ever."""
    for admitted, nodes in enumerate(wanted):
        if taken and taken + nodes > places:
            return admitted
        taken += nodes
    return len(wanted)


def _wait(action: Action, reason: str, queue: int = 0) -> Action:
    return Action(
        action.variant, Verb.WAIT, reason, differences=action.differences, queue=queue, against=action.against
    )


def _max_parallel(variant: Variant) -> int:
    return int(compute(variant.spec["experiment"], "max_parallel"))


def _nodes(action: Action) -> int:
    return int(action.variant.spec["experiment"]["train"].get("nodes", 1))


def _owner(spec: Document) -> str:
    return str(spec["experiment"].get("owner", ""))


def _owner_of_run(run: Run) -> str:
    """As its experiment says, or says not: one who names no owner counts as one owner, waiting or live.

    A run whose documents never reached the ledger is of who submitted it.
    """
    return _owner(run.spec) if run.spec else str(run.provenance.get("actor") or "")


def _parallel(live: int, before: int) -> str:
    of_its = "" if live else " of its variants"
    first = f"{_count(live, 'of its runs is', 'of its runs are')} live" if live else ""
    second = f"{before}{of_its} {'goes' if before == 1 else 'go'} before it" if before else ""
    return ", ".join(filter(None, (first, second)))


def _busy(live: int, admitted: int) -> tuple[str, str]:
    return (
        f"{_count(live, 'run is', 'runs are')} live" if live else "",
        f"{_count(admitted, 'is', 'are')} submitted before" if admitted else "",
    )


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


def ordinal(number: int) -> str:
    """`third`, `21st`"""
    if number <= len(_ORDINALS):
        return _ORDINALS[number - 1]
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{ending}"
