"""What a report says: a variant's result, put together from its runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from piste import cost, scores
from piste.cost import TokenPrices
from piste.experiment import Document, Experiment, Variant, primary_score
from piste.gates import Outcome
from piste.measures import recipe_of, recipes, seeds_key
from piste.report.faults import faults
from piste.report.gating import by_experiment, chosen, outcomes
from piste.report.selection import History, compare_targets, compared_run
from piste.run import Failure, Run, Status
from piste.scores import Better
from piste.statistics import holm, with_verdict

ENDS = ("low", "high", "groups", "method")
"""Of a mean: its 95% interval, how many groups its samples are in, and how the interval was found."""

POINTS = 200
"""The most points of a curve that git keeps."""

Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Comparison:
    """The other run, as far as this one is compared with it.

    `fields` holds its means by score and field; `place` is that of its page (`Variant.place`); `length` is what is
    known of the answers' characters, empty for runs of an older piste.
    """

    experiment: str
    variant: str
    run: str
    scores: Mapping[str, Mapping[str, Any]]
    fields: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    place: str = ""
    length: Mapping[str, Any] = field(default_factory=dict)
    faults: Mapping[str, int] = field(default_factory=dict)
    per_thousand: float | None = None

    @property
    def title(self) -> str:
        return f"{self.experiment}/{self.variant}" if self.variant else self.experiment


@dataclass(frozen=True)
class Result:
    """A variant with the run that evaluated it and the run that trained it (often the same; None for a baseline).

    `no_comparison` says why `comparison` is None where the experiment asks for one. `seeds` compares, by score, all
    runs that differ from this one in their seed alone with those of the other recipe. `looks` counts the trainings that
    had been scored on the same rows by then, this one among them. `gates` says how the experiment stands to them, with
    the result that they are for. `per_thousand` is what 1,000 answers cost, in credits at list price.
    """

    experiment: Experiment
    variant: Variant
    run: Run
    trainer: Run | None
    comparison: Comparison | None
    no_comparison: str
    rates: Mapping[str, float]
    seeds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    looks: int = 0
    gates: Sequence[Outcome] = ()
    per_thousand: float | None = None

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
    def faults(self) -> Mapping[str, int]:
        """Kind -> answers that have it."""
        return faults(self.evaluation, self.suite)

    @property
    def training(self) -> Mapping[str, Any]:
        return training_of(self.trainer)

    @property
    def judge(self) -> Mapping[str, Any]:
        """What the ledger says of the judge's work on this run; empty before it has said anything."""
        found: Mapping[str, Any] = self.run.judged.get(self.variant.digests.judge, {}).get("judge", {})
        return found

    @property
    def suite(self) -> Document:
        return self.experiment.suite.document

    @property
    def primary(self) -> str:
        return primary_score(self.suite)

    @property
    def scores(self) -> Mapping[str, Mapping[str, Any]]:
        """In the suite's order, those that have a mean; with its interval, where the ledger knows it."""
        found, measured = self.run.scores, self.run.measured.get("scores") or {}
        order = list(scores.named(self.suite))
        ends = {name: {key: measured.get(name, {}).get(key) for key in ENDS} for name in order}
        known = [name for name in order if found.get(name, {}).get("mean") is not None]
        return {name: {**dict.fromkeys(ENDS), **_told(ends[name]), **found[name]} for name in known}

    def minimum(self, name: str) -> float:
        """A difference of this score that is of no interest."""
        return scores.minimum(self.suite, name)

    def better(self, name: str) -> Better:
        return scores.better(self.suite, name)

    @property
    def length(self) -> Mapping[str, Any]:
        """Characters of the answers: their mean with its interval; empty where the ledger doesn't know it."""
        return self.run.measured.get("length") or {}

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
    experiments: Sequence[Experiment],
    variants: Sequence[Variant],
    runs: Sequence[Run],
    rates: Mapping[str, float],
    tokens: TokenPrices | None = None,
) -> dict[str, list[Result]]:
    """Of every variant with an ended run, by experiment and in the order of `variants`."""
    history = History(runs)
    by_name = by_experiment(variants)
    found: dict[str, list[Result]] = {}
    for experiment in experiments:
        ended = [variant for variant in by_name.get(experiment.name, ()) if history.of(variant)]
        every = [_result(experiment, variant, history, by_name, rates, tokens or {}) for variant in ended]
        # One family of comparisons for each split: what is looked at on test was chosen on validation.
        splits = dict.fromkeys(variant.split for variant in ended)
        families = ([one for one in every if one.variant.split == split] for split in splits)
        judged = [result for family in families for result in _adjusted(family)]
        found[experiment.name] = _gated(experiment, judged, by_name, history)
    return found


def _gated(
    experiment: Experiment, found: Sequence[Result], variants: Mapping[str, Sequence[Variant]], history: History
) -> list[Result]:
    """With the gates where the recipe is that they are for; everywhere while none is chosen."""
    best = chosen(experiment, variants, history)
    gates = outcomes(experiment, best, variants, history)
    return [replace(one, gates=gates) if not best or one.variant in best else one for one in found]


def _result(
    experiment: Experiment,
    variant: Variant,
    history: History,
    variants: Mapping[str, Sequence[Variant]],
    rates: Mapping[str, float],
    tokens: TokenPrices,
) -> Result:
    run = history.of(variant)[0]
    alone = Result(experiment, variant, run, history.trainer(run), None, "", rates, looks=history.looks(run))
    alone = replace(alone, per_thousand=_per_thousand(run, history, rates, tokens))
    compare = experiment.document.get("compare")
    if not compare or run.evaluation is not Status.DONE:
        return alone
    targets = compare_targets(compare, variants)
    target, other, why = compared_run(run, variant, targets, history)
    if target is None or other is None:
        return replace(alone, no_comparison=why)
    comparison = _comparison(target, other, run.comparisons[other.name])
    theirs = faults(evaluation_of(other), target.spec["suite"])
    comparison = replace(comparison, per_thousand=_per_thousand(other, history, rates, tokens), faults=theirs)
    seeds = _seeds(variant, target, variants, history)
    return replace(alone, comparison=comparison, no_comparison=why, seeds=seeds)


def _comparison(target: Variant, other: Run, body: Mapping[str, Any]) -> Comparison:
    against = {name: _against(score) for name, score in body["scores"].items() if score["difference"] is not None}
    fields = {name: score["per_field"] for name, score in other.scores.items() if score.get("per_field")}
    length = _against(body["length"]) if body.get("length", {}).get("n") else {}
    return Comparison(target.experiment, target.name, other.name, against, fields, target.place, length)


def _seeds(
    variant: Variant, target: Variant, variants: Mapping[str, Sequence[Variant]], history: History
) -> Mapping[str, Mapping[str, Any]]:
    """What the ledger says of the two recipes, over all seeds that are done; empty for one seed each."""
    sides = [_of_recipe(each, variants[each.experiment], history) for each in (variant, target)]
    ours = sorted(sides[0], key=lambda run: run.name)
    body = ours[0].pooled.get(seeds_key(*sides), {}) if ours else {}
    found: Mapping[str, Mapping[str, Any]] = body.get("scores", {})
    return found


def _adjusted(found: list[Result]) -> list[Result]:
    """With verdicts, each by the suite's minimum effect; where several recipes were looked at, by p-values that pay
    for it (Holm)."""
    compared = [result for result in found if result.comparison]
    for name in sorted({name for result in compared if result.comparison for name in result.comparison.scores}):
        found = _judged(found, name)
        found = _judged_over_seeds(found, name)
    return found


def _judged(found: Sequence[Result], name: str) -> list[Result]:
    """By checkpoint. With several seeds of one recipe nothing was chosen from, so nothing is paid for."""
    several = len({recipe_of(result.variant) for result in found}) > 1
    compared = [result.comparison.scores.get(name) if result.comparison else None for result in found]
    p_values = holm([score.get("p_value") if score else None for score in compared])
    judged = []
    for result, score, p_value in zip(found, compared, p_values, strict=True):
        if score is not None and result.comparison is not None:
            paid = p_value if several else None
            told = with_verdict(score, result.minimum(name), paid, result.better(name))
            told |= {"adjusted": paid, "minimum": result.minimum(name)}
            comparison = replace(result.comparison, scores={**result.comparison.scores, name: told})
            result = replace(result, comparison=comparison)
        judged.append(result)
    return judged


def _told(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def evaluation_of(run: Run | None) -> Mapping[str, Any]:
    return run.evaluated if run else {}


def training_of(run: Run | None) -> Mapping[str, Any]:
    return ((run.results if run else None) or {}).get("training") or {}


def cost_of(run: Run, rates: Mapping[str, float]) -> dict[str, Any] | None:
    """None where the run's times or its family's rate are unknown."""
    family = str(run.provenance.get("family") or "")
    seconds, rate = run.seconds, rates.get(family)
    if rate is None or seconds is None:
        return None
    found = cost.credits(seconds, run.nodes, rate)
    told = {"credits": found, "rate": rate, "family": family, "nodes": run.nodes, "seconds": seconds}
    return {**told, **_estimated(run, rate)}


def _estimated(run: Run, rate: float) -> dict[str, Any]:
    """What was known of its nodes' cost when it was submitted: the bound, and what like runs had taken by then."""
    from piste.spending import bound  # what it needs to know of recipes reads YAML

    most = bound(run.spec.get("experiment", {}), rate, run.nodes) if run.spec else None
    told = run.provenance.get("estimate") or {}
    return {"at_most": most, **{key: told[key] for key in ("low", "high", "basis") if told.get(key) is not None}}


def _per_thousand(run: Run, history: History, rates: Mapping[str, float], tokens: TokenPrices) -> float | None:
    """None where the time or the tokens of the answers, or their price, are not known."""
    answerer = history.answerer(run)
    found, train = evaluation_of(answerer), (run.spec.get("experiment") or {}).get("train") or {}
    answers, seconds = found.get("samples"), found.get("answering_seconds")
    if answerer is None or not answers or not seconds:
        return None
    if "hosted" in train:
        used = float(found.get("read_tokens") or 0), float(found.get("tokens") or 0)
        spent = cost.of_tokens(str(train["hosted"]), used, tokens)
        return None if spent is None else spent / answers * 1000
    rate = rates.get(str(answerer.provenance.get("family") or ""))
    return None if rate is None else cost.of_answers_by_time(seconds, answers, answerer.nodes, rate)


def curve(points: Any, most: int = POINTS) -> Curve:
    """At most `most` of the points, evenly taken, first and last among them; none whose value is no finite number."""
    kept = [(step, value) for step, value in points or () if _finite(step) and _finite(value)]
    if len(kept) <= most:
        return kept
    return [kept[round(place * (len(kept) - 1) / (most - 1))] for place in range(most)]


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _against(score: Mapping[str, Any]) -> dict[str, Any]:
    """A comparison with the other's mean as `mean`."""
    return {"mean": score["mean_b"], **{key: score[key] for key in score if key not in ("mean_a", "mean_b")}}


def _of_recipe(variant: Variant, siblings: Sequence[Variant], history: History) -> list[Run]:
    """The evaluated runs of all that differ from a variant in their seed alone."""
    same = recipes(siblings)[recipe_of(variant)]
    evaluated = ([run for run in history.of(one) if run.evaluation is Status.DONE] for one in same)
    return [runs[0] for runs in evaluated if runs]


def _judged_over_seeds(found: Sequence[Result], name: str) -> list[Result]:
    """By recipe: each counts once, however many seeds it has."""
    firsts = {recipe_of(result.variant): result.seeds[name] for result in found if name in result.seeds}
    p_values = holm([one.get("p_value") for one in firsts.values()])
    paid = dict(zip(firsts, p_values if len(firsts) > 1 else [None] * len(firsts), strict=True))
    judged = []
    for result in found:
        if name in result.seeds:
            paid_for = paid[recipe_of(result.variant)]
            told = with_verdict(result.seeds[name], result.minimum(name), paid_for, result.better(name))
            result = replace(result, seeds={**result.seeds, name: told})
        judged.append(result)
    return judged
