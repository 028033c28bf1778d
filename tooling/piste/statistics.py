"""What evaluations tell, and how surely: means with intervals, paired comparisons, seeds, and a verdict.

Values are keyed by sample; `groups` names the group of a sample where several belong together (visits of one patient),
which are then resampled, flipped and counted as one. Everything is deterministic: random numbers have a fixed seed.
Coverage, error rates and power are simulated by `tests/bench/calibration.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from piste.scores import Better

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Array = NDArray[numpy.float64]

Values = Mapping[str, float]
Groups = Mapping[str, str]

RESAMPLES = 9_999
CONFIDENCE = 0.95
POWER = 0.8
EQUAL = 1e-12
"""Values closer than this differ by rounding alone; scores are of the order of 1."""
SMALL = 30
"""With fewer independent samples intervals of skewed scores cover less than they say."""
MOST_VALUES_AT_ONCE = 2_000_000
"""Resampled values held in memory together: 16 MB."""


class Verdict(StrEnum):
    """DIFFERENT takes the place of improved and regressed where a score has no better and worse."""

    IMPROVED = "improved"
    EQUIVALENT = "equivalent"
    REGRESSED = "regressed"
    DIFFERENT = "different"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Interval:
    """None where the data can't give one; `method` then says why."""

    low: float | None
    high: float | None
    method: str

    @property
    def ends(self) -> list[float] | None:
        return None if self.low is None or self.high is None else [self.low, self.high]


def mean(values: Values, groups: Groups | None = None) -> dict[str, Any]:
    """The mean over samples with its 95% interval: `{"mean", "low", "high", "n", "groups", "method"}`.

    `groups` is None where every sample stands for itself.
    """
    keys = sorted(values)
    numbers = [float(values[key]) for key in keys]
    if not numbers:
        return {"mean": None, "low": None, "high": None, "n": 0, "groups": None, "method": "no sample"}
    clusters = _clusters(keys, groups)
    found = mean_interval(numbers, clusters)
    count = len(set(clusters)) if clusters else None
    ends = {"low": found.low, "high": found.high}
    return {"mean": math.fsum(numbers) / len(numbers), **ends, "n": len(keys), "groups": count, "method": found.method}


def mean_interval(numbers: Sequence[float], clusters: Sequence[str] | None, level: float = CONFIDENCE) -> Interval:
    if clusters is None and _passes(numbers):
        from scipy import stats

        found = stats.binomtest(round(sum(numbers)), len(numbers)).proportion_ci(level, "wilson")
        return Interval(float(found.low), float(found.high), "Wilson")
    return _bootstrap(numbers, clusters, level)


def compare(
    a: Values, b: Values, minimum: float = 0.0, groups: Groups | None = None, better: Better = Better.HIGHER
) -> dict[str, Any]:
    """`a` against `b`, paired by sample, over the samples that both have.

    Their means, the difference a - b with its 95% interval, a test, and a verdict: see `with_verdict`. `equivalence`
    is the 90% interval, `spread` the standard deviation of the differences.
    """
    keys = sorted(a.keys() & b.keys())
    if not keys:
        nothing = dict.fromkeys(("mean_a", "mean_b", "difference", "low", "high", "equivalence", "spread", "p_value"))
        return with_verdict({"n": 0, **nothing, "method": "no interval: no sample is in both", "test": "none"}, minimum)
    pairs = [(float(a[key]), float(b[key])) for key in keys]
    differences, clusters = [one - other for one, other in pairs], _clusters(keys, groups)
    binary = clusters is None and _passes([value for pair in pairs for value in pair])
    found, narrower = (_difference_interval(differences, clusters, binary, level) for level in (CONFIDENCE, 0.9))
    p_value, test = _test(differences, clusters, binary)
    mean_a, mean_b, difference = (math.fsum(side) / len(keys) for side in (*zip(*pairs, strict=True), differences))
    spread = math.sqrt(math.fsum((one - difference) ** 2 for one in differences) / max(1, len(keys) - 1))
    told = {
        "n": len(keys),
        "mean_a": mean_a,
        "mean_b": mean_b,
        "difference": difference,
        "low": found.low,
        "high": found.high,
        "method": found.method,
        "equivalence": narrower.ends,
        "spread": spread,
        "p_value": p_value,
        "test": test,
    }
    return with_verdict(told, minimum, better=better)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted so that of all together at most 5% would be found by chance (Holm, 1979)."""
    order = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p))
        adjusted[place] = highest
    return adjusted


def over_seeds(
    a: Sequence[Values],
    b: Sequence[Values],
    minimum: float = 0.0,
    groups: Groups | None = None,
    better: Better = Better.HIGHER,
) -> dict[str, Any]:
    """Several runs of one recipe against several of another, as `compare`: what tells about recipes, not checkpoints.

    Seeds and samples both vary: the variance of the difference is that over samples of the seeds' average, and that
    over seeds, with Satterthwaite's degrees of freedom. Needs two runs at least on one side. `spread` is per seed.
    """
    import numpy

    keys = sorted(set.intersection(*(set(run) for run in (*a, *b))))
    ours, theirs = (numpy.array([[float(run[key]) for key in keys] for run in side]) for side in (a, b))
    differences = (ours.mean(axis=0) - theirs.mean(axis=0)).tolist()
    difference = float(ours.mean() - theirs.mean())
    variance, freedom = _variance(differences, _clusters(keys, groups), ours, theirs)
    found, narrower = (_t_interval(difference, variance, freedom, level) for level in (CONFIDENCE, 0.9))
    told = {
        "n": len(keys),
        "seeds": [len(a), len(b)],
        "mean_a": float(ours.mean()),
        "mean_b": float(theirs.mean()),
        "difference": difference,
        "low": found.low,
        "high": found.high,
        "method": found.method,
        "equivalence": narrower.ends,
        "spread": math.sqrt(variance * max(len(a), len(b))),
        "p_value": _t_test(difference, variance, freedom),
        "test": "t over seeds and samples",
    }
    return with_verdict(told, minimum, better=better)


def _variance(
    differences: Sequence[float], clusters: Sequence[str] | None, ours: Array, theirs: Array
) -> tuple[float, float]:
    sums, counts = _totals(differences, clusters)
    residuals = sums - sums.sum() / counts.sum() * counts
    of_samples = float((residuals**2).sum() / counts.sum() ** 2) * len(sums) / max(1, len(sums) - 1)
    parts = [(of_samples, len(sums) - 1)]
    for side in (ours, theirs):
        if len(side) > 1:
            parts.append((float(side.mean(axis=1).var(ddof=1)) / len(side), len(side) - 1))
    variance = sum(part for part, _ in parts)
    freedom = variance**2 / sum(part**2 / max(1, df) for part, df in parts) if variance > EQUAL**2 else 1.0
    return variance, freedom


def _t_interval(difference: float, variance: float, freedom: float, level: float) -> Interval:
    from scipy import stats

    if variance <= EQUAL**2:
        return Interval(None, None, "no interval: nothing varies")
    half = float(stats.t.ppf((1 + level) / 2, freedom)) * math.sqrt(variance)
    return Interval(difference - half, difference + half, "t over seeds and samples (Satterthwaite)")


def _t_test(difference: float, variance: float, freedom: float) -> float | None:
    from scipy import stats

    if variance <= EQUAL**2:
        return None
    return float(2 * stats.t.sf(abs(difference) / math.sqrt(variance), freedom))


def _passes(numbers: Sequence[float]) -> bool:
    return all(number in (0.0, 1.0) for number in numbers)


def _clusters(keys: Sequence[str], groups: Groups | None) -> list[str] | None:
    """The group of each sample; None where no two samples share one."""
    if not groups:
        return None
    found = [groups.get(key, key) for key in keys]
    return found if len(set(found)) < len(found) else None


def _difference_interval(
    differences: Sequence[float], clusters: Sequence[str] | None, binary: bool, level: float
) -> Interval:
    if binary:
        return _paired_proportions(differences, level)
    return _bootstrap(differences, clusters, level)


def _paired_proportions(differences: Sequence[float], level: float) -> Interval:
    """Wald's interval with half a pair added to each of the four cells: Agresti and Min (2005), Statistics in Medicine
    24:729. Where all pairs agree, or all disagree alike, it still has a width."""
    from scipy import stats

    n = len(differences) + 2
    won, lost = (sum(one * sign > 0 for one in differences) + 0.5 for sign in (1, -1))
    centre = (won - lost) / n
    error = math.sqrt((won + lost) - (won - lost) ** 2 / n) / n
    half = float(stats.norm.ppf((1 + level) / 2)) * error
    return Interval(max(-1.0, centre - half), min(1.0, centre + half), "Agresti-Min for paired proportions")


def _bootstrap(numbers: Sequence[float], clusters: Sequence[str] | None, level: float) -> Interval:
    """Of scores from 0 to 1 and their differences percentiles of resampled means, taken a little wider so that small
    samples cover what they say (Hesterberg, 2015, The American Statistician 69:371, section 5.4).

    Values with a unit of their own, such as lengths, may have a long tail, where percentiles are too narrow: there the
    symmetric bootstrap-t. Equal values would give an interval of width zero, which claims a certainty that isn't there.
    """
    sums, counts = _totals(numbers, clusters)
    n = len(sums)
    what = "sample" if clusters is None else "group"
    if n < 2:
        return Interval(None, None, f"no interval: one {what}")
    if max(numbers) - min(numbers) <= EQUAL:
        return Interval(None, None, f"no interval: all {len(numbers)} values are equal")
    clustered = "" if clusters is None else f" over {n} groups"
    if max(map(abs, numbers)) > 1 and (half := _studentized(sums, counts, level)) is not None:
        middle = math.fsum(numbers) / len(numbers)
        return Interval(middle - half, middle + half, f"bootstrap-t{clustered} (symmetric, {RESAMPLES:,} resamples)")
    low, high = _expanded_percentiles(sums, counts, level)
    return Interval(low, high, f"bootstrap{clustered} (expanded percentile, {RESAMPLES:,} resamples)")


def _expanded_percentiles(sums: Array, counts: Array, level: float) -> tuple[float, float]:
    import numpy
    from scipy import stats

    n = len(sums)
    wider = float(stats.norm.cdf(math.sqrt(n / (n - 1)) * stats.t.ppf((1 - level) / 2, n - 1)))
    means = numpy.concatenate([one.sum(axis=1) / count.sum(axis=1) for one, count in _resampled(sums, counts)])
    low, high = numpy.quantile(means, [wider, 1 - wider])
    return float(low), float(high)


def _studentized(sums: Array, counts: Array, level: float) -> float | None:
    """Half the width of the symmetric bootstrap-t (Hall, 1988); None where too many resamples have no spread."""
    import numpy

    mean = sums.sum() / counts.sum()
    with numpy.errstate(divide="ignore", invalid="ignore"):
        found = [
            abs(one.sum(axis=1) / count.sum(axis=1) - mean) / _error(one, count)
            for one, count in _resampled(sums, counts)
        ]
    ratios = numpy.nan_to_num(numpy.concatenate(found), nan=0.0, posinf=numpy.inf)
    half = float(numpy.quantile(ratios, level, method="higher") * _error(sums[None], counts[None])[0])
    return half if math.isfinite(half) else None


def _error(sums: Array, counts: Array) -> Array:
    """Of the mean of each row, over its groups."""
    import numpy

    total, n = counts.sum(axis=1, keepdims=True), sums.shape[1]
    residuals = sums - sums.sum(axis=1, keepdims=True) / total * counts
    error: Array = numpy.sqrt((residuals**2).sum(axis=1) * n / (n - 1)) / total[:, 0]
    return error


def _totals(numbers: Sequence[float], clusters: Sequence[str] | None) -> tuple[Array, Array]:
    """The sum and the number of values of each group."""
    import numpy

    values = numpy.asarray(numbers, dtype=float)
    if clusters is None:
        return values, numpy.ones(len(values))
    _, places = numpy.unique(numpy.asarray(clusters), return_inverse=True)
    return numpy.bincount(places, weights=values).astype(float), numpy.bincount(places).astype(float)


def _resampled(sums: Array, counts: Array) -> Iterator[tuple[Array, Array]]:
    """Groups drawn with replacement, a row each: their sums and counts, some thousand rows at once."""
    import numpy

    random, n = numpy.random.default_rng(0), len(sums)
    step = max(1, MOST_VALUES_AT_ONCE // n)
    for start in range(0, RESAMPLES, step):
        drawn = random.integers(0, n, (min(step, RESAMPLES - start), n))
        yield sums[drawn], counts[drawn]


def _test(differences: Sequence[float], clusters: Sequence[str] | None, binary: bool) -> tuple[float | None, str]:
    """Two-sided: were the signs of the differences chance?"""
    from scipy import stats

    if max(abs(one) for one in differences) <= EQUAL:
        return 1.0, "no difference in any sample"
    if binary:
        won, lost = (sum(one * sign > 0 for one in differences) for sign in (1, -1))
        return float(stats.binomtest(won, won + lost).pvalue), "McNemar, exact"
    sums, _ = _totals(differences, clusters)
    if len(sums) < 2:
        return None, "none: one sample" if clusters is None else "none: one group"
    return _flipped(sums), "paired permutation" if clusters is None else "permutation of groups"


def _flipped(sums: Array) -> float:
    """How often the sum is as large as this when signs are flipped at random; all 2^n flips where they are few."""
    import numpy
    from scipy import stats

    found = stats.permutation_test(
        (sums,),
        numpy.sum,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, MOST_VALUES_AT_ONCE // len(sums)),
        rng=numpy.random.default_rng(0),
    )
    return float(found.pvalue)


def agreement(counts: Mapping[tuple[int, int], int], categories: int) -> dict[str, Any]:
    """Cohen's kappa of two judges: `{"n", "observed", "kappa", "low", "high"}`; `observed` is the share of equal ones.

    `counts` is keyed by the places of both verdicts on a scale of so many categories. On a scale of more than two a
    verdict that is far off counts more (quadratic weights). None where one of the judges never varies.
    """
    import numpy

    table = numpy.zeros((categories, categories))
    for (one, other), count in counts.items():
        table[one, other] += count
    n = int(table.sum())
    found: dict[str, Any] = {"n": n, "observed": float(table.trace() / n) if n else None}
    kappas = _kappas(table[None])
    if not n or not numpy.isfinite(kappas[0]):
        return found | {"kappa": None, "low": None, "high": None}
    random = numpy.random.default_rng(0)
    drawn = random.multinomial(n, table.ravel() / n, RESAMPLES).reshape(-1, categories, categories).astype(float)
    resampled = _kappas(drawn)
    low, high = numpy.quantile(resampled[numpy.isfinite(resampled)], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return found | {"kappa": float(kappas[0]), "low": float(low), "high": float(high)}


def _kappas(tables: Array) -> Array:
    """Of tables one over another; no number where chance alone agrees always."""
    import numpy

    places = numpy.arange(tables.shape[1])
    weights = (places[:, None] - places[None, :]) ** 2
    rows, columns = tables.sum(axis=2), tables.sum(axis=1)
    expected = numpy.einsum("tr,tc,rc->t", rows, columns, weights) / numpy.maximum(rows.sum(axis=1), 1)
    with numpy.errstate(divide="ignore", invalid="ignore"):
        kappas: Array = 1 - (tables * weights).sum(axis=(1, 2)) / expected
    return kappas


def with_verdict(
    found: Mapping[str, Any], minimum: float = 0.0, p_value: float | None = None, better: Better = Better.HIGHER
) -> dict[str, Any]:
    """What `compare` or `over_seeds` found, and what follows.

    A difference within `minimum` is of no interest: two that surely differ by less are equivalent, by two one-sided
    tests (the 90% interval). Otherwise a direction that the 95% interval and the test agree on, said as the score's
    `better` wants it. `p_value` takes the
    place of the test's own where several were looked at (`holm`). Where nothing follows, `samples_needed` or
    `seeds_needed` would settle it four times out of five, if the difference is what it seems.
    """
    found = {**dict.fromkeys(("equivalence", "spread", "p_value", "test")), **found}  # an older piste told less
    tested = found["p_value"] if p_value is None else p_value
    verdict = _verdict(found, minimum, tested, better)
    needed = _needed(found, minimum) if verdict is Verdict.INCONCLUSIVE else None
    return {**found, "verdict": verdict, "seeds_needed" if "seeds" in found else "samples_needed": needed}


def _verdict(found: Mapping[str, Any], minimum: float, p_value: float | None, better: Better) -> Verdict:
    equivalence, difference = found["equivalence"], found["difference"]
    if equivalence is not None and -minimum < equivalence[0] and equivalence[1] < minimum:
        return Verdict.EQUIVALENT
    surely = found["low"] is None or found["low"] > 0 or found["high"] < 0
    if p_value is None or p_value > 1 - CONFIDENCE or not surely or abs(difference) <= EQUAL:
        return Verdict.INCONCLUSIVE
    if better is Better.NEITHER:
        return Verdict.DIFFERENT
    return Verdict.IMPROVED if (difference > 0) == (better is Better.HIGHER) else Verdict.REGRESSED


def _needed(found: Mapping[str, Any], minimum: float) -> int | None:
    there: int = found["seeds"][0] if "seeds" in found else found["n"]
    return needed(max(abs(found["difference"] or 0.0), minimum), found["spread"], there)


def needed(effect: float, spread: float | None, there: int) -> int | None:
    """How many in place of those that are `there` would tell such an effect from none: of a paired test at 5% with a
    power of 80%. None where the data say nothing of it.
    """
    from scipy import stats

    if effect <= EQUAL or not spread or spread <= EQUAL:
        return None
    factor = float(stats.norm.ppf((1 + CONFIDENCE) / 2) + stats.norm.ppf(POWER))
    more: int = math.ceil((factor * spread / effect) ** 2)
    return max(there + 1, more)
