"""What an action may cost: at most, and what like runs took. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from piste import cost, judge_tokens
from piste.change_rules import defaults
from piste.cost import Estimate, TokenPrices
from piste.environment import Pool
from piste.experiment import Document, Variant
from piste.judge import Judge, judge_of
from piste.plan import Action
from piste.run import Run, Status
from piste.spending import bound

_MOST_TOKENS: Final = defaults("suite")["generate", "max_new_tokens"]

LATEST: Final = 20
"""So many like runs are looked at, the latest."""


@dataclass(frozen=True)
class Prices:
    """Credits per node-hour by instance family, and per million tokens by hosted model."""

    rates: Mapping[str, float]
    tokens: TokenPrices


def priced(
    actions: Sequence[Action], runs: Sequence[Run], pool_of: Callable[[Variant], Pool | None], prices: Prices
) -> tuple[Action, ...]:
    """The same actions, with what those may cost that submit or have a judge asked. `runs` are by their claims."""
    if not any(action.submits or action.asks_judge for action in actions):
        return tuple(actions)
    past = _Past(runs, prices)

    def of(action: Action) -> Action:
        if action.submits:
            return replace(action, cost=past.estimate(action, pool_of(action.variant)))
        return replace(action, cost=past.judging(action.variant)) if action.asks_judge else action

    return tuple(of(action) for action in actions)


class _Kind(NamedTuple):
    """What makes runs comparable: they begin with the same step, on as many nodes of the same family."""

    step: str
    family: str
    nodes: int


class _Past:
    """Runs that went well, by kind, and by their experiment or the model that they are about."""

    def __init__(self, runs: Iterable[Run], prices: Prices) -> None:
        self.prices = prices
        self.of_experiment: dict[tuple[_Kind, str], list[Run]] = defaultdict(list)
        self.of_model: dict[tuple[_Kind, str], list[Run]] = defaultdict(list)
        self.evaluated: dict[str, list[Run]] = defaultdict(list)
        for run in runs:
            if _went_well(run):
                kind = _Kind(run.steps[0], str(run.provenance.get("family") or ""), run.nodes)
                self.of_experiment[kind, run.experiment].append(run)
                self.of_model[kind, _model(run.spec)].append(run)
                self.evaluated[run.digests.generation].append(run)

    def estimate(self, action: Action, pool: Pool | None) -> Estimate:
        variant, family = action.variant, pool.family if pool else ""
        nodes = int(variant.spec["experiment"]["train"].get("nodes", 1))
        rate = self.prices.rates.get(family)
        like, basis = self._like(_Kind(action.steps[0], family, nodes), variant)
        lasted = [run.seconds for run in like if run.seconds is not None]
        took = [cost.billed(seconds, nodes, rate) for seconds in lasted] if rate is not None else []
        found = Estimate(bound(variant.spec["experiment"], rate))
        if took:
            low, high = min(took), max(took)
            found = replace(found, low=low, high=high, basis=basis, nodes=(low, high))
        for tokens in (self._hosted(variant), self._judge(variant)):
            found = _plus(found, tokens)
        return found

    def judging(self, variant: Variant) -> Estimate | None:
        """Of a run that is there already: nothing but the judge's tokens."""
        tokens = self._judge(variant)
        if tokens is None:
            return None
        return Estimate(0.0, judge=tokens.judge if tokens.at_most is None else tokens.at_most, unknown=tokens.unknown)

    def _like(self, kind: _Kind, variant: Variant) -> tuple[list[Run], str]:
        """Runs of its experiment, else those about the same model; and how one says that."""
        own = self.of_experiment.get((kind, variant.experiment), [])[-LATEST:]
        if own:
            return own, f"{_count(own)} of it"
        model = _model(variant.spec)
        same = self.of_model.get((kind, model), [])[-LATEST:] if model else []
        return same, f"{_count(same)} with {model}" if same else ""

    def _hosted(self, variant: Variant) -> Estimate | None:
        """Tokens of a hosted model: what it read and wrote before for this suite, at most all that it may write.

        Before it has answered, the bound is for the rows that others answered; what it would read is not known.
        """
        model = variant.spec["experiment"]["train"].get("hosted")
        if not model:
            return None
        before = self.evaluated.get(variant.digests.generation, [])[-LATEST:]
        rows = max((int(run.evaluated.get("samples") or 0) for run in before), default=0)
        if cost.token_price(model, self.prices.tokens) is None or not rows:
            return Estimate(None, unknown=(f"tokens of {model}",))
        most = rows * _longest_answer(variant)
        used = [found for run in before if _model(run.spec) == model and (found := _tokens(run))]
        read = max((one for one, _ in used), default=0.0)
        bound = cost.of_tokens(model, (read, most), self.prices.tokens)
        if not used:
            return Estimate(bound, unknown=(f"tokens that {model} reads",))
        spent = [cost.of_tokens(model, one, self.prices.tokens) or 0.0 for one in used]
        return Estimate(bound, min(spent), max(spent))

    def _judge(self, variant: Variant) -> Estimate | None:
        """The judge's tokens: what the same judge took for other runs of this suite, else what can be told of them."""
        judge = judge_of(variant.spec["suite"], variant.digests.judge)
        if judge is None or judge.on_pool:  # which is part of the run
            return None
        before = self.evaluated.get(variant.digests.generation, [])
        told = (run.judged.get(judge.digest, {}).get("judge", {}) for run in before)
        spent = [float(one["credits"]) for one in told if one.get("credits") is not None][-LATEST:]
        return Estimate(max(spent), min(spent), max(spent)) if spent else self._new_judge(variant, judge, before)

    def _new_judge(self, variant: Variant, judge: Judge, before: Sequence[Run]) -> Estimate:
        """By assumptions of `judge_tokens`; and why there is no number where there is none."""
        if cost.token_price(judge.model, self.prices.tokens) is None:
            return Estimate(None, unknown=(f"the judge's tokens: {judge.model} has no price",))
        suite = variant.spec["suite"]
        pairs = judge.pairwise and bool(variant.spec["experiment"].get("compare"))
        rows = judge_tokens.rows(suite, before[-LATEST:])
        tokens = judge_tokens.tokens(judge, suite, rows, _longest_answer(variant), pairs)
        if tokens is None:
            return Estimate(None, unknown=("the judge's tokens: how many rows is not known",))
        gold = () if judge_tokens.gold_rows(judge) is not None else ("the judge's gold answers: how many is not known",)
        return Estimate(None, judge=cost.of_tokens(judge.model, tokens, self.prices.tokens), unknown=gold)


def _plus(nodes: Estimate, tokens: Estimate | None) -> Estimate:
    """What of the tokens is not known is named, and the rest is as if there were none."""
    if tokens is None:
        return nodes
    bound = None if nodes.at_most is None else nodes.at_most + (tokens.at_most or 0.0)
    low = None if nodes.low is None else nodes.low + (tokens.low or 0.0)
    high = None if nodes.high is None else nodes.high + (tokens.high or 0.0)
    judge = nodes.judge if tokens.judge is None else tokens.judge
    return replace(nodes, at_most=bound, low=low, high=high, unknown=(*nodes.unknown, *tokens.unknown), judge=judge)


def _longest_answer(variant: Variant) -> int:
    return int(variant.spec["suite"].get("generate", {}).get("max_new_tokens", _MOST_TOKENS))


def _went_well(run: Run) -> bool:
    done = run.evaluation is Status.DONE and run.training in (None, Status.DONE)
    return bool(done and run.steps and run.spec and not run.smoke and run.seconds is not None)


def _model(spec: Document) -> str:
    """The model that it is about: hosted, on a stage, or as the recipe names it."""
    train = spec.get("experiment", {}).get("train") or {}
    named = ((spec.get("recipe") or {}).get("model") or {}).get("name_or_path")
    return str(train.get("hosted") or (train.get("inputs") or {}).get("base-model") or named or "")


def _tokens(run: Run) -> tuple[float, float] | None:
    """Read and written."""
    found = run.evaluated
    return (float(found["read_tokens"]), float(found.get("tokens") or 0)) if found.get("read_tokens") else None


def _count(runs: Sequence[Run]) -> str:
    return f"{len(runs)} run{'' if len(runs) == 1 else 's'}"
