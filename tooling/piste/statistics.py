"""How two evaluations of the same samples differ, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

RESAMPLES = 10_000
EQUAL = 1e-12
"""Differences closer than this differ by rounding alone; scores are of the order of 1."""
MOST_VALUES_AT_ONCE = 2_000_000
"""Resampled values held in memory together: 16 MB."""


def compare(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, Any]:
    """Means of `a` and `b` over the samples both have, their difference a - b, and its 95% interval.

    `low` and `high` are None where the data can't give an interval; `method` then says why.
    """
    keys = sorted(a.keys() & b.keys())
    n = len(keys)
    if n == 0:
        nothing = dict.fromkeys(("mean_a", "mean_b", "difference", "low", "high"))
        return {"n": 0, **nothing, "method": "no interval: no sample is in both"}
    low, high, method = interval([float(a[key]) - float(b[key]) for key in keys])
    mean_a, mean_b = (sum(float(side[key]) for key in keys) / n for side in (a, b))
    return {
        "n": n,
        "mean_a": mean_a,
        "mean_b": mean_b,
        "difference": mean_a - mean_b,
        "low": low,
        "high": high,
        "method": method,
    }


def interval(differences: Sequence[float]) -> tuple[float | None, float | None, str]:
    """A 95% interval of the mean of paired differences, and how it was found.

    Resampling equal values would give an interval of width zero, which claims a certainty that isn't there.
    """
    if len(differences) < 2:
        return None, None, "no interval: one sample"
    if max(differences) - min(differences) <= EQUAL:
        return None, None, f"no interval: all {len(differences)} differences are equal"
    for kind in ("BCa", "percentile"):
        low, high = _bootstrap(differences, kind)
        if low == low and high == high:  # not NaN: BCa is undefined for a few very lopsided samples
            return low, high, f"paired bootstrap ({kind}, {RESAMPLES:,} resamples)"
    return None, None, "no interval: the bootstrap found none"


def _bootstrap(differences: Sequence[float], kind: str) -> tuple[float, float]:
    import warnings

    import numpy
    from scipy import stats  # type: ignore[import-untyped, unused-ignore]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = stats.bootstrap(
            (numpy.asarray(differences, dtype=float),),
            numpy.mean,
            n_resamples=RESAMPLES,
            batch=max(1, MOST_VALUES_AT_ONCE // len(differences)),
            confidence_level=0.95,
            method=kind,
            rng=numpy.random.default_rng(0),
        )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)
