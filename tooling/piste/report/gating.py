"""How the results of an experiment stand to its gates: which runs are judged, by what the ledger says of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from piste.experiment import TEST, Experiment, Variant, primary_score
from piste.gates import Found, Gate, Outcome, State, gates_of, judge, waivers_of
from piste.measures import best_recipe, rank_of, seeds_key
from piste.report.selection import History, compare_targets
from piste.run import Run, Status

Variants = Mapping[str, Sequence[Variant]]
"""By experiment."""


class _NoNumberError(Exception):
    def __init__(self, reason: str, state: State = State.MISSING) -> None:
        super().__init__(reason)
        self.reason = reason
        self.state = state


def chosen(experiment: Experiment, variants: Variants, history: History) -> Sequence[Variant]:
    """The seeds of the recipe that the gates are for: the only one, or on test the best; none before one is there."""
    return _best(_on_test(variants.get(experiment.name, ())), history, primary_score(experiment.suite.document))


def _on_test(variants: Iterable[Variant]) -> list[Variant]:
    return [one for one in variants if one.split in ("", TEST)]


def _best(variants: Iterable[Variant], history: History, score: str) -> Sequence[Variant]:
    def rank(one: Variant) -> float | None:
        run = _evaluated(one, history)
        return rank_of(run, one.spec["suite"], score) if run else None

    return best_recipe(variants, rank)


def _evaluated(variant: Variant, history: History) -> Run | None:
    return next((run for run in history.of(variant) if run.evaluation is Status.DONE), None)


def outcomes(
    experiment: Experiment, ours: Sequence[Variant], variants: Variants, history: History
) -> tuple[Outcome, ...]:
    """How what is `chosen` stands to each gate, in the order in which they are written: the suite's, then its own."""
    waivers, found = waivers_of(experiment), []
    for gate in gates_of(experiment):
        try:
            outcome = judge(gate, _found(gate, ours, variants, history))
        except _NoNumberError as none:
            outcome = Outcome(gate, none.state, reason=none.reason)
        found.append(replace(outcome, waiver=waivers.get(gate.name)))
    return tuple(found)


def all_outcomes(
    experiments: Iterable[Experiment], variants: Iterable[Variant], runs: Iterable[Run]
) -> dict[str, tuple[Outcome, ...]]:
    """By experiment, of those that have gates."""
    history, by_name = History(runs), by_experiment(variants)
    found = {one.name: outcomes(one, chosen(one, by_name, history), by_name, history) for one in experiments}
    return {name: made for name, made in found.items() if made}


def by_experiment(variants: Iterable[Variant]) -> Variants:
    found: dict[str, list[Variant]] = defaultdict(list)
    for variant in variants:
        found[variant.experiment].append(variant)
    return dict(found)


def _found(gate: Gate, ours: Sequence[Variant], variants: Variants, history: History) -> list[Found]:
    runs = _runs(ours, history)
    if not gate.other:
        return [_mean(run, gate.score) for run in runs]
    theirs = _other(gate, ours[0], variants, history)
    pooled = min(runs, key=lambda run: run.name).pooled.get(seeds_key(runs, theirs), {}).get("scores", {})
    if gate.score in pooled:
        return [pooled[gate.score]]
    return [_difference(run, other, gate.score) for run in runs for other in theirs]


def _runs(ours: Sequence[Variant], history: History) -> list[Run]:
    found = [_evaluated(one, history) for one in ours]
    runs = [run for run in found if run]
    if not runs:
        last = next((run for one in ours for run in history.of(one)), None)
        raise _NoNumberError(f"no result, status {last.evaluation or last.training}" if last else _nothing_yet(ours))
    if len(runs) < len(found):
        raise _NoNumberError(f"{len(runs)} of {len(found)} seeds are evaluated")
    return runs


def _nothing_yet(ours: Sequence[Variant]) -> str:
    return "no result yet" if ours else "no recipe is chosen yet, so none is scored on the test split"


def _mean(run: Run, score: str) -> Found:
    told = run.scores.get(score, {})
    if told.get("mean") is None:
        raise _NoNumberError("the result has no such score")
    unknown = "its imported report has no interval" if run.imported else "the interval is not computed yet"
    none = {"low": None, "high": None, "method": unknown}
    found: dict[str, Any] = {**none, **(run.measured.get("scores") or {}).get(score, {})}
    return {**found, "mean": told["mean"], "n": told["n"]}


def _other(gate: Gate, variant: Variant, variants: Variants, history: History) -> list[Run]:
    """The runs of the other's recipe, the best where there are several: that favours no gate."""
    named = _on_test(compare_targets(gate.other, variants))
    same = [one for one in named if one.digests.suite == variant.digests.suite]
    if named and not same:
        reason = f"{gate.other} is evaluated in another way: {_otherwise(named[0], variant)}"
        raise _NoNumberError(reason, State.INCOMPARABLE)
    recipe = _best(same, history, gate.score)
    found = [run for one in recipe if (run := _evaluated(one, history))]
    if not found:
        raise _earlier(gate, variant, history) or _NoNumberError(f"{gate.other} has no result yet")
    if len(found) < len(recipe):
        raise _NoNumberError(f"{len(found)} of {len(recipe)} seeds of {gate.other} are evaluated")
    return found


def _earlier(gate: Gate, variant: Variant, history: History) -> _NoNumberError | None:
    """Where the other's only result is from before the suite changed."""
    last = history.latest(gate.other.partition("/")[0])
    if last is None or last.evaluation is not Status.DONE or last.digests.suite == variant.digests.suite:
        return None
    reason = f"the result of {gate.other} is from before the suite changed: {_otherwise(last, variant)}"
    return _NoNumberError(reason, State.INCOMPARABLE)


def _difference(run: Run, other: Run, score: str) -> Found:
    if run is other:
        return {"difference": 0.0, "low": 0.0, "high": 0.0}
    if other.name not in run.comparisons:
        raise _NoNumberError("the comparison is not computed yet; `piste collect` does it")
    found: Found = run.comparisons[other.name]["scores"].get(score) or {"difference": None}
    if found["difference"] is None:
        raise _NoNumberError("no sample has this score in both results")
    return found


def _otherwise(a: Variant | Run, b: Variant) -> str:
    from piste.plan import evaluated_otherwise  # as above

    return evaluated_otherwise(a, b)
