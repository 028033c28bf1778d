"""Credits: by the dated list prices, an account's own, and what a node is billed at least."""

from __future__ import annotations

from datetime import date

import pytest

from builders import variant
from piste import cost
from piste.environment import Settings
from piste.policy import at_most

TEN, TWENTY, NINETY_SECONDS = 600, 1200, 90
BY_HAND = [
    ("CPU_X64_XS", 0.0100, 0.0200, 0.00150, 0.00500),
    ("CPU_X64_S", 0.0183, 0.0367, 0.00275, 0.00917),
    ("CPU_X64_M", 0.0367, 0.0733, 0.00550, 0.0183),
    ("CPU_X64_SL", 0.0683, 0.137, 0.0102, 0.0342),
    ("CPU_X64_L", 0.138, 0.277, 0.0208, 0.0692),
    ("HIGHMEM_X64_S", 0.0467, 0.0933, 0.00700, 0.0233),
    ("HIGHMEM_X64_M", 0.185, 0.370, 0.0278, 0.0925),
    ("HIGHMEM_X64_SL", 0.488, 0.977, 0.0732, 0.244),
    ("HIGHMEM_X64_L", 0.740, 1.48, 0.111, 0.370),
    ("GPU_NV_S", 0.0950, 0.190, 0.0142, 0.0475),
    ("GPU_NV_M", 0.447, 0.893, 0.0670, 0.223),
    ("GPU_NV_L", 2.35, 4.71, 0.353, 1.18),
    ("GPU_NV_XS", 0.0417, 0.0833, 0.00625, 0.0208),
    ("GPU_NV_SM", 0.283, 0.567, 0.0425, 0.142),
    ("GPU_NV_2M", 0.583, 1.17, 0.0875, 0.292),
    ("GPU_NV_3M", 0.592, 1.18, 0.0888, 0.296),
    ("GPU_NV_SL", 2.25, 4.50, 0.338, 1.12),
    ("GPU_GCP_NV_L4_1_24G", 0.0717, 0.143, 0.0108, 0.0358),
    ("GPU_GCP_NV_L4_4_24G", 0.323, 0.647, 0.0485, 0.162),
    ("GPU_GCP_NV_A100_8_40G", 1.95, 3.89, 0.292, 0.973),
]
"""A node for 10 minutes, 20 minutes, 90 seconds; and those 90 seconds where the node starts for them."""


def test_every_family_has_its_line() -> None:
    assert [family for family, *_ in BY_HAND] == list(cost.FAMILY_CREDITS)
    assert date.fromisoformat(cost.PRICED) == date(2026, 1, 13)


@pytest.mark.parametrize(("family", "ten", "twenty", "ninety", "started"), BY_HAND)
def test_three_digits_are_right(family: str, ten: float, twenty: float, ninety: float, started: float) -> None:
    rate = cost.FAMILY_CREDITS[family]
    found = [cost.credits(seconds, 1, rate) for seconds in (TEN, TWENTY, NINETY_SECONDS)]
    assert found == [pytest.approx(expected, rel=0.005) for expected in (ten, twenty, ninety)]
    assert cost.billed(NINETY_SECONDS, 1, rate) == pytest.approx(started, rel=0.005)
    assert cost.billed(TEN, 1, rate) == cost.credits(TEN, 1, rate), "beyond the minimum each second counts once"
    assert cost.billed(NINETY_SECONDS, 3, rate) == pytest.approx(3 * started, rel=0.005), "each node starts"


def test_an_account_s_own_prices_come_first() -> None:
    rates = Settings(credits={"GPU_NV_S": 0.5, "GPU_OF_MINE": 9.0}).rates
    assert (rates["GPU_NV_S"], rates["GPU_OF_MINE"], rates["GPU_NV_M"]) == (0.5, 9.0, 2.68)


def test_no_run_costs_more_than_its_timeout_and_none_less_than_its_nodes_start() -> None:
    assert at_most(variant(**{"compute.timeout": "1h30m"}), 2.0) == 3.0
    assert at_most(variant(**{"compute.timeout": "1m", "train.nodes": 2}), 12.0) == 2.0
    assert at_most(variant(), None) is None


def test_tokens() -> None:
    assert cost.of_tokens("claude-4-5-sonnet", (1e6, 2e6), {}) == pytest.approx(18.15)
    assert cost.of_tokens("claude-4-5-sonnet", (1e6, 2e6), {"claude-4-5-sonnet": (1.0, 1.0)}) == 3.0
    assert cost.of_tokens("of-nobody", (1e6, 2e6), {}) is None
