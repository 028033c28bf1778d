"""Paired differences: known values, and what data can't tell."""

from __future__ import annotations

import math
import statistics

import pytest

from piste.cost import credits
from piste.statistics import compare, holm, mean, over_seeds


def keyed(values: list[float]) -> dict[str, float]:
    return {f"sample-{place}": value for place, value in enumerate(values)}


@pytest.mark.parametrize(
    ("spread", "method"),
    [
        (0.2, "bootstrap (expanded percentile, 9,999 resamples)"),
        (
            0.5,
            "bootstrap-t (symmetric, 9,999 resamples)",
        ),  # some differences are greater than scores of 0 to 1 can have
    ],
)
def test_a_symmetric_sample_has_nearly_the_normal_interval(spread: float, method: str) -> None:
    """1.96 standard errors around the mean: what theory gives for 200 nearly normal differences."""
    normal = statistics.NormalDist(0.1, spread)
    a = [normal.inv_cdf((place + 0.5) / 200) for place in range(200)]
    found = compare(keyed(a), keyed([0.0] * 200))
    error = statistics.stdev(a) / math.sqrt(200)
    assert found["n"] == 200
    assert found["difference"] == pytest.approx(0.1, abs=1e-9)
    assert found["low"] == pytest.approx(0.1 - 1.96 * error, abs=0.05 * error)
    assert found["high"] == pytest.approx(0.1 + 1.96 * error, abs=0.05 * error)
    assert found["method"] == method
    assert (found["test"], found["verdict"]) == ("paired permutation", "improved")


def test_a_long_tail_widens_the_interval_on_both_sides() -> None:
    """Lengths: what few long answers say of those that the sample lacks."""
    numbers = [20.0 + place for place in range(45)] + [900.0, 1200.0, 2000.0, 2400.0, 4000.0]
    found = mean(keyed(numbers))
    error = statistics.stdev(numbers) / math.sqrt(len(numbers))
    assert found["method"] == "bootstrap-t (symmetric, 9,999 resamples)"
    assert found["mean"] - found["low"] == pytest.approx(found["high"] - found["mean"])
    assert found["high"] - found["mean"] > 2.2 * error


def test_groups_are_the_unit_of_a_long_tail_too() -> None:
    values = keyed([float(3 + place // 2) for place in range(60)])
    together = {key: str(place // 2) for place, key in enumerate(values)}
    alone, grouped = mean(values), mean(values, together)
    assert grouped["method"] == "bootstrap-t over 30 groups (symmetric, 9,999 resamples)"
    assert grouped["high"] - grouped["low"] > 1.3 * (alone["high"] - alone["low"])


def test_too_few_values_for_a_spread_of_each_resample() -> None:
    assert mean(keyed([5.0, 5.0, 5.0, 9.0]))["method"] == "bootstrap (expanded percentile, 9,999 resamples)"


def test_pass_and_fail() -> None:
    """40 of 50 against 30 of 50, 12 samples won and 2 lost: McNemar's Wald interval is 0.2 +- 1.96 x 0.0693."""
    a = [1.0] * 28 + [1.0] * 12 + [0.0] * 2 + [0.0] * 8
    b = [1.0] * 28 + [0.0] * 12 + [1.0] * 2 + [0.0] * 8
    found = compare(keyed(a), keyed(b))
    assert (found["mean_a"], found["mean_b"], found["difference"]) == pytest.approx((0.8, 0.6, 0.2))
    assert found["low"] == pytest.approx(0.2 - 1.96 * 0.0693, abs=0.03)
    assert found["high"] == pytest.approx(0.2 + 1.96 * 0.0693, abs=0.03)
    assert found["method"] == "Agresti-Min for paired proportions"
    assert (found["test"], found["p_value"]) == ("McNemar, exact", pytest.approx(0.01293, abs=1e-5))


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
    found = compare(keyed([0.9] + [0.0] * 49), keyed([0.0] * 50))
    assert 0 <= found["low"] < 0.018 < found["high"] < 0.2
    assert found["verdict"] == "inconclusive"


@pytest.mark.parametrize(
    ("a", "b", "n", "difference", "why"),
    [
        ([], [], 0, None, "no sample is in both"),
        ([0.7], [0.0], 1, 0.7, "one sample"),
        ([0.75, 0.75, 0.75], [0.0, 0.0, 0.0], 3, 0.75, "all 3 values are equal"),
        ([0.5, 0.5], [0.5, 0.5], 2, 0.0, "all 2 values are equal"),
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


def test_all_won_is_sure_however_equal_the_differences() -> None:
    found = compare(keyed([1.0] * 50), keyed([0.0] * 50))
    assert (found["difference"], found["high"]) == (1.0, 1.0)
    assert 0.85 < found["low"] < 0.95
    assert found["verdict"] == "improved"
    graded = compare(keyed([0.75] * 50), keyed([0.5] * 50))
    assert (graded["low"], graded["verdict"]) == (None, "improved")
    assert graded["p_value"] < 0.001


def noisy(shift: float, n: int, scale: float = 0.1) -> tuple[dict[str, float], dict[str, float]]:
    """Two runs over the same samples; their differences have this mean, nearly, and this spread."""
    spread = [scale * statistics.NormalDist().inv_cdf((place * 37 % n + 0.5) / n) for place in range(n)]
    other = [0.5 + 0.2 * math.sin(place) for place in range(n)]
    return keyed([value + shift + one for value, one in zip(other, spread, strict=True)]), keyed(other)


@pytest.mark.parametrize(
    ("shift", "n", "minimum", "verdict"),
    [
        (0.1, 100, 0.0, "improved"),
        (-0.1, 100, 0.0, "regressed"),
        (0.0, 100, 0.0, "inconclusive"),
        (0.0, 100, 0.03, "equivalent"),
        (0.0, 20, 0.03, "inconclusive"),
        (0.01, 1000, 0.0, "improved"),
        (0.01, 1000, 0.05, "equivalent"),
        (0.02, 40, 0.0, "inconclusive"),
    ],
)
def test_the_verdict(shift: float, n: int, minimum: float, verdict: str) -> None:
    assert compare(*noisy(shift, n), minimum)["verdict"] == verdict


def test_how_many_samples_would_settle_it() -> None:
    """(1.96 + 0.84)^2 x 0.1^2 / 0.02^2 = 196."""
    assert compare(*noisy(0.02, 40))["samples_needed"] == pytest.approx(196, abs=12)
    assert compare(*noisy(0.1, 100))["samples_needed"] is None


def test_samples_that_belong_together_count_as_one() -> None:
    """Ten visits of each patient say little more than one, where the patient decides."""
    values = {f"{patient}-{visit}": patient % 7 / 7 for patient in range(12) for visit in range(10)}
    groups = {sample: sample.partition("-")[0] for sample in values}
    alone, together = mean(values), mean(values, groups)
    assert (together["n"], together["groups"], alone["groups"]) == (120, 12, None)
    assert together["mean"] == alone["mean"]
    wide, narrow = (one["high"] - one["low"] for one in (together, alone))
    assert wide > 2.5 * narrow
    zero = dict.fromkeys(values, 0.0)
    assert compare(values, zero, groups=groups)["p_value"] > compare(values, zero)["p_value"]


def test_a_mean_of_passes_has_wilsons_interval() -> None:
    """Wilson (1927): 8 of 10 lie between 0.490 and 0.943."""
    found = mean(keyed([1.0] * 8 + [0.0] * 2))
    assert (found["mean"], found["method"]) == (0.8, "Wilson")
    assert (found["low"], found["high"]) == (pytest.approx(0.490, abs=1e-3), pytest.approx(0.943, abs=1e-3))
    assert mean({})["mean"] is None


def test_seeds_vary_too() -> None:
    """Three seeds that differ by more than they gain: each seems better by itself, the recipe is not known to be."""
    base = keyed([0.5 + 0.2 * math.sin(place) for place in range(200)])
    seeds = [{key: value + gain for key, value in base.items()} for gain in (0.01, 0.05, 0.2)]
    for one in seeds:
        assert compare(one, base)["verdict"] == "improved"
    together = over_seeds(seeds, [base])
    assert together["difference"] == pytest.approx(0.26 / 3)
    assert (together["seeds"], together["verdict"]) == ([3, 1], "inconclusive")
    assert together["seeds_needed"] > 3
    alike = [{key: value + gain for key, value in base.items()} for gain in (0.10, 0.11, 0.12)]
    assert over_seeds(alike, [base])["verdict"] == "improved"


def test_looking_at_many_is_paid_for() -> None:
    """Holm (1979): 0.01 x 3, 0.03 x 2, and 0.04 no smaller than the one before it."""
    assert holm([0.01, 0.04, None, 0.03]) == [pytest.approx(0.03), pytest.approx(0.06), None, pytest.approx(0.06)]
    assert holm([]) == []


def test_the_same_values_give_the_same_numbers_each_time() -> None:
    a, b = noisy(0.02, 250)
    assert compare(a, b) == compare(a, b)
