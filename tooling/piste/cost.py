"""What a run costs, at list price."""

from __future__ import annotations

from collections.abc import Mapping

TokenPrices = Mapping[str, tuple[float, float]]
"""Credits per million tokens read and written, by model."""

PRICED = "2026-01-13"
TOKEN_CREDITS: TokenPrices = {
    "claude-4-5-sonnet": (1.65, 8.25),
    "llama3.3-70b": (0.36, 0.36),
    "mistral-large2": (1.0, 3.0),
    "openai-gpt-4.1": (1.0, 4.0),
    "snowflake-llama-3.3-70b": (0.29, 0.29),
}
"""Of models that Snowflake hosts: Snowflake's Service Consumption Table, as of PRICED."""


def credits(seconds: float, nodes: int, rate: float) -> float:
    """Credits for `nodes` nodes held for `seconds`; `rate` is credits per node-hour of the pool's instance family."""
    return seconds / 3600 * nodes * rate


def of_answers_by_time(seconds: float, answers: int, nodes: int, rate: float) -> float:
    """Credits per 1,000 answers of a model on a pool, which took `seconds` for `answers` without its start."""
    return credits(seconds, nodes, rate) / answers * 1000


def of_tokens(model: str, tokens: tuple[float, float], prices: TokenPrices) -> float | None:
    """Credits for tokens read and written; None for a model without a price. `prices` come before the list's."""
    price = prices.get(model) or TOKEN_CREDITS.get(model)
    return None if price is None else (tokens[0] * price[0] + tokens[1] * price[1]) / 1e6
