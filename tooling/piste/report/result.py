"""What a report says: a variant's result, put together from its runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from piste import cost
from piste.experiment import Document, Experiment, Variant
from piste.report.selection import History, compare_targets, compared_run
from piste.run import Failure, Run, Status

POINTS = 200
"""The most points of a curve that git keeps."""

Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Comparison:
    """The other run, as far as this one is compared with it. `fields` holds its means by score and field."""

    experiment: str
    variant: str
    run: str
    scores: Mapping[str, Mapping[str, Any]]
    fields: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"{self.experiment}/{self.variant}" if self.variant else self.experiment


@dataclass(frozen=True)
class Result:
    """A variant with the run that evaluated it and the run that trained it (often the same; None for a baseline).

    `no_comparison` says why `comparison` is None where the experiment asks for one.
    """

    experiment: Experiment
    variant: Variant
    run: Run
    trainer: Run | None
    comparison: Comparison | None
    no_comparison: str
    rates: Mapping[str, float]

    @property
    def training_status(self) -> Status | None:
        return self.trainer.training if self.trainer else None

    @property
    def status(self) -> Status:
        said = (self.training_status, self.run.evaluation)
        return next((status for status in said if status not in (None, Status.DONE)), None) or Status.DONE

    @property
    def failure(self) -> Failure | None:
        """Of this run; of a status that nobody explained, the status itself."""
        if self.status is Status.DONE:
            return None
        return self.run.failure or Failure(phase="", kind=str(self.status))

    @property
    def evaluation(self) -> Mapping[str, Any]:
        return evaluation_of(self.run)

    @property
    def training(self) -> Mapping[str, Any]:
        return training_of(self.trainer)

    @property
    def suite(self) -> Document:
        return self.experiment.suite.document

    @property
    def primary(self) -> str:
        names = [str(score["name"]) for score in self.suite.get("scores", ())]
        return str(self.suite.get("primary") or next(iter(names), ""))

    @property
    def scores(self) -> Mapping[str, Mapping[str, Any]]:
        """In the suite's order, those that have a mean."""
        found = self.evaluation.get("scores") or {}
        order = [str(score["name"]) for score in self.suite.get("scores", ())]
        return {name: found[name] for name in order if found.get(name, {}).get("mean") is not None}

    @property
    def mean(self) -> float | None:
        """Of the primary score."""
        return self.scores[self.primary]["mean"] if self.primary in self.scores else None

    @property
    def difference(self) -> Mapping[str, Any] | None:
        """Of the primary score to the comparison."""
        return self.comparison.scores.get(self.primary) if self.comparison else None

    @property
    def loss(self) -> Curve:
        return curve(self.training.get("loss"))

    @property
    def eval_loss(self) -> Curve:
        return curve(self.training.get("eval_loss"))

    @property
    def cost(self) -> dict[str, Any] | None:
        return cost_of(self.run, self.rates)

    @property
    def training_cost(self) -> dict[str, Any] | None:
        """Where another run trained: what that one cost."""
        return cost_of(self.trainer, self.rates) if self.trainer and self.trainer is not self.run else None


def results(
    experiments: Sequence[Experiment], variants: Sequence[Variant], runs: Sequence[Run], rates: Mapping[str, float]
) -> dict[str, list[Result]]:
    """Of every variant with an ended run, by experiment and in the order of `variants`."""
    history = History(runs)
    by_name: dict[str, list[Variant]] = {experiment.name: [] for experiment in experiments}
    for variant in variants:
        by_name[variant.experiment].append(variant)
    return {
        experiment.name: [
            _result(experiment, variant, history, by_name, rates)
            for variant in by_name[experiment.name]
            if history.of(variant)
        ]
        for experiment in experiments
    }


def _result(
    experiment: Experiment,
    variant: Variant,
    history: History,
    variants: Mapping[str, Sequence[Variant]],
    rates: Mapping[str, float],
) -> Result:
    run = history.of(variant)[0]
    alone = Result(experiment, variant, run, history.trainer(run), None, "", rates)
    compare = experiment.document.get("compare")
    if not compare or run.evaluation is not Status.DONE:
        return alone
    targets = compare_targets(compare, variants)
    target, other, why = compared_run(run, variant, targets, history, alone.primary)
    comparison = _comparison(target, other, run.comparisons[other.name]) if target and other else None
    return Result(experiment, variant, run, alone.trainer, comparison, why, rates)


def _comparison(target: Variant, other: Run, body: Mapping[str, Any]) -> Comparison:
    scores = {
        name: {"mean": score["mean_b"], **{key: score[key] for key in ("difference", "low", "high", "n", "method")}}
        for name, score in body["scores"].items()
        if score["difference"] is not None
    }
    found = evaluation_of(other).get("scores") or {}
    fields = {name: score["per_field"] for name, score in found.items() if score.get("per_field")}
    return Comparison(target.experiment, target.name, other.name, scores, fields)


def evaluation_of(run: Run | None) -> Mapping[str, Any]:
    return ((run.results if run else None) or {}).get("evaluation") or {}


def training_of(run: Run | None) -> Mapping[str, Any]:
    return ((run.results if run else None) or {}).get("training") or {}


def cost_of(run: Run, rates: Mapping[str, float]) -> dict[str, Any] | None:
    """None where the run's times or its family's rate are unknown."""
    family = str(run.provenance.get("family") or "")
    if family not in rates or not run.started_at or not run.ended_at:
        return None
    nodes = int(run.provenance.get("nodes") or run.spec.get("experiment", {}).get("train", {}).get("nodes") or 1)
    lasted = datetime.fromisoformat(run.ended_at) - datetime.fromisoformat(run.started_at)
    seconds, rate = lasted.total_seconds(), rates[family]
    found = cost.credits(seconds, nodes, rate)
    return {"credits": found, "rate": rate, "family": family, "nodes": nodes, "seconds": seconds}


def curve(points: Any, most: int = POINTS) -> Curve:
    """At most `most` of the points, evenly taken, first and last among them; none whose value is no finite number."""
    kept = [(step, value) for step, value in points or () if _finite(step) and _finite(value)]
    if len(kept) <= most:
        return kept
    return [kept[round(place * (len(kept) - 1) / (most - 1))] for place in range(most)]


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
