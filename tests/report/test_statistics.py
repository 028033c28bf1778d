"""Paired differences: known values, and what data can't tell."""

from __future__ import annotations

import math
import statistics

import pytest

from piste.cost import credits
from piste.statistics import compare


def keyed(values: list[float]) -> dict[str, float]:
    return {f"sample-{place}": value for place, value in enumerate(values)}


def test_a_symmetric_sample_has_nearly_the_normal_interval() -> None:
    """1.96 standard errors around the mean: what theory gives for 200 nearly normal differences."""
    normal = statistics.NormalDist(0.1, 0.5)
    a = [normal.inv_cdf((place + 0.5) / 200) for place in range(200)]
    found = compare(keyed(a), keyed([0.0] * 200))
    error = statistics.stdev(a) / math.sqrt(200)
    assert found["n"] == 200
    assert found["difference"] == pytest.approx(0.1, abs=1e-9)
    assert found["low"] == pytest.approx(0.1 - 1.96 * error, abs=0.05 * error)
    assert found["high"] == pytest.approx(0.1 + 1.96 * error, abs=0.05 * error)
    assert found["method"] == "paired bootstrap (BCa, 10,000 resamples)"


def test_pass_and_fail() -> None:
    """40 of 50 against 30 of 50, 12 samples won and 2 lost: McNemar's Wald interval is 0.2 +- 1.96 x 0.0693."""
    a = [1.0] * 28 + [1.0] * 12 + [0.0] * 2 + [0.0] * 8
    b = [1.0] * 28 + [0.0] * 12 + [1.0] * 2 + [0.0] * 8
    found = compare(keyed(a), keyed(b))
    assert (found["mean_a"], found["mean_b"], found["difference"]) == pytest.approx((0.8, 0.6, 0.2))
    assert found["low"] == pytest.approx(0.2 - 1.96 * 0.0693, abs=0.03)
    assert found["high"] == pytest.approx(0.2 + 1.96 * 0.0693, abs=0.03)


def test_samples_are_paired_by_key_whatever_their_order() -> None:
    a, b = (keyed([place * step % 61 / 61 for place in range(60)]) for step in (7, 23))
    backwards = dict(reversed(a.items()))
    assert compare(backwards, b) == compare(a, b)
    assert compare(a | {"only-here": 5.0}, b | {"only-there": 9.0}) == compare(a, b)


def test_pairing_is_what_makes_the_interval_narrow() -> None:
    a = [place / 50 + 0.02 + 0.001 * (place % 3) for place in range(50)]
    found = compare(keyed(a), keyed([place / 50 for place in range(50)]))
    assert found["low"] > 0
    assert found["high"] - found["low"] < 0.001


def test_a_lopsided_sample_has_an_interval_all_the_same() -> None:
    found = compare(keyed([1.0] + [0.0] * 49), keyed([0.0] * 50))
    assert 0 <= found["low"] < 0.02 < found["high"] < 0.2


@pytest.mark.parametrize(
    ("a", "b", "n", "difference", "why"),
    [
        ([], [], 0, None, "no sample is in both"),
        ([1.0], [0.0], 1, 1.0, "one sample"),
        ([1.0, 1.0, 1.0], [0.0, 0.0, 0.0], 3, 1.0, "all 3 differences are equal"),
        ([0.5, 0.5], [0.5, 0.5], 2, 0.0, "all 2 differences are equal"),
    ],
)
def test_what_gives_no_interval_says_so(
    a: list[float], b: list[float], n: int, difference: float | None, why: str
) -> None:
    found = compare(keyed(a), keyed(b))
    assert (found["n"], found["difference"], found["low"], found["high"]) == (n, difference, None, None)
    assert why in found["method"]


def test_differences_equal_up_to_rounding_count_as_equal() -> None:
    """0.3 - 0.1 and 0.2 - 0.0 differ in the last bit."""
    found = compare(keyed([0.3, 0.2, 0.7]), keyed([0.1, 0.0, 0.5]))
    assert found["low"] is None
    assert found["difference"] == pytest.approx(0.2)


def test_credits_are_node_hours_times_the_rate() -> None:
    assert credits(seconds=1800, nodes=4, rate=0.5) == 1.0
    assert credits(seconds=0, nodes=1, rate=0.5) == 0
