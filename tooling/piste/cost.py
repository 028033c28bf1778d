"""What a run costs, at list price."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from piste import resources

if TYPE_CHECKING:
    from piste.plan import Action

TokenPrices = Mapping[str, tuple[float, float]]
"""Credits per million tokens read and written, by model."""

_LIST: Final = resources.prices()
PRICED: Final[str] = _LIST["date"]
FAMILY_CREDITS: Final[Mapping[str, float]] = _LIST["families"]
"""Per node-hour by instance family: list prices, as of PRICED."""

TOKEN_CREDITS: Final[TokenPrices] = {model: (read, wrote) for model, (read, wrote) in _LIST["tokens"].items()}
"""Of models that Snowflake hosts: list prices, as of PRICED."""

NODE_MINIMUM: Final[float] = _LIST["node_minimum_seconds"]
"""For so many seconds a node is billed that starts, however short it works."""


@dataclass(frozen=True)
class Estimate:
    """Credits that work may cost; None where no price is known.

    `at_most` is if it takes its timeout; `low` and `high` are what like runs took, and `basis` says which those were:
    None and "" before there are any, and `nodes` is their part of it. `judge` is in none of these: the tokens of a
    judge that was never asked, rather too many, by assumptions that may fail; None where there is none or nobody can
    tell. `unknown` names what is in nothing. Of what is only judged `at_most` is 0.
    """

    at_most: float | None
    low: float | None = None
    high: float | None = None
    basis: str = ""
    unknown: tuple[str, ...] = ()
    nodes: tuple[float, float] | None = None
    judge: float | None = None

    @property
    def without_nodes(self) -> bool:
        """Whether all that it may cost are tokens: of what is kept and judged anew."""
        return self.at_most == 0


def credits(seconds: float, nodes: int, rate: float) -> float:
    """Credits for `nodes` nodes held for `seconds`; `rate` is credits per node-hour of the pool's instance family."""
    return seconds / 3600 * nodes * rate


def billed(seconds: float, nodes: int, rate: float) -> float:
    """The same where the nodes have to start for it."""
    return credits(max(seconds, NODE_MINIMUM), nodes, rate)


def of_answers_by_time(seconds: float, answers: int, nodes: int, rate: float) -> float:
    """Credits per 1,000 answers of a model on a pool, which took `seconds` for `answers` without its start."""
    return credits(seconds, nodes, rate) / answers * 1000


def token_price(model: str, own: TokenPrices) -> tuple[float, float] | None:
    """The account's own come before the list's."""
    return own.get(model) or TOKEN_CREDITS.get(model)


def of_tokens(model: str, tokens: tuple[float, float], prices: TokenPrices) -> float | None:
    """Credits for tokens read and written; None for a model without a price. `prices` come before the list's."""
    price = token_price(model, prices)
    return None if price is None else (tokens[0] * price[0] + tokens[1] * price[1]) / 1e6


def total(actions: Iterable[Action]) -> Estimate | None:
    """Of all that costs: the sums of what is known, and in `unknown` for how many it is not; None without any."""
    costs = [action.cost for action in actions if action.cost]
    if not costs:
        return None
    bounds = [one.at_most for one in costs if one.at_most is not None]
    ranges = [(one.low, one.high) for one in costs if one.low is not None and one.high is not None]
    judges = [one.judge for one in costs if one.judge is not None]
    unpriced, alone = len(costs) - len(bounds), sum(one.low is None and not one.without_nodes for one in costs)
    lacking = [f"{unpriced} without a price"] if unpriced else []
    lacking += [f"{alone} without like runs"] if alone and ranges else []
    return Estimate(
        sum(bounds) if bounds else None,
        sum(low for low, _ in ranges) if ranges else None,
        sum(high for _, high in ranges) if ranges else None,
        "like runs" if ranges else "",
        (*lacking, *dict.fromkeys(what for one in costs for what in one.unknown)),
        judge=sum(judges) if judges else None,
    )
