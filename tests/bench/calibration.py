"""Does a 95% interval cover in 95 of 100? Is a verdict wrong in 5 of 100 at most? Simulated, with a fixed seed.

python tests/bench/calibration.py [EVALUATIONS]     2,000 unless said, as docs/evaluation.md quotes them

Shapes are those of scores: passes, fields right out of ten, ROUGE-like values, values that pile up at 0 or 1, ratings,
and lengths with a long tail. Prints a line per question with what was asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[2] / "tooling"))

from piste import statistics
from piste.statistics import Verdict, compare, holm, mean, over_seeds

RESAMPLES = 1_999
"""In place of 9,999: a simulated interval is a little noisier than a real one, and takes a fifth of the time."""

Draw = Callable[[numpy.random.Generator, int], numpy.ndarray]
SHAPES: dict[str, tuple[Draw, float, str]] = {
    "passes, p 0.5": (lambda r, n: r.binomial(1, 0.5, n), 0.5, "pass/fail"),
    "passes, p 0.8": (lambda r, n: r.binomial(1, 0.8, n), 0.8, "pass/fail"),
    "passes, p 0.95": (lambda r, n: r.binomial(1, 0.95, n), 0.95, "pass/fail"),
    "normal(0.5, 0.15)": (lambda r, n: r.normal(0.5, 0.15, n), 0.5, "symmetric"),
    "uniform": (lambda r, n: r.uniform(0, 1, n), 0.5, "symmetric"),
    "fields, binomial(10, 0.5)/10": (lambda r, n: r.binomial(10, 0.5, n) / 10, 0.5, "symmetric"),
    "beta(2, 8)": (lambda r, n: r.beta(2, 8, n), 0.2, "skewed"),
    "beta(5, 0.4)": (lambda r, n: r.beta(5, 0.4, n), 5 / 5.4, "skewed"),
    "fields, binomial(10, 0.95)/10": (lambda r, n: r.binomial(10, 0.95, n) / 10, 0.95, "skewed"),
    "six of ten 0, else beta(2, 3)": (lambda r, n: numpy.where(r.random(n) < 0.6, 0, r.beta(2, 3, n)), 0.16, "skewed"),
    "ratings of 1 to 5, mostly 5": (lambda r, n: r.choice(5, n, p=(0.02, 0.03, 0.05, 0.2, 0.7)) + 1.0, 4.53, "skewed"),
    "lognormal(0, 1), a long tail": (lambda r, n: r.lognormal(0, 1, n), float(numpy.exp(0.5)), "unbounded"),
}  # fmt: skip
WANTED = {
    (250, "pass/fail"): (0.93, 0.97),
    (250, "symmetric"): (0.93, 0.97),
    (250, "skewed"): (0.93, 0.97),
    (250, "unbounded"): (0.93, 0.97),
    (30, "pass/fail"): (0.93, 0.97),
    (30, "symmetric"): (0.93, 0.97),
    (30, "skewed"): (0.90, 1.0),
    (30, "unbounded"): (0.0, 1.0),
}


def keyed(values: numpy.ndarray) -> dict[str, float]:
    return {str(place): float(value) for place, value in enumerate(values)}


def coverage(times: int) -> None:
    print("coverage of 95% intervals of a mean")
    for n in (250, 30):
        for name, (draw, truth, kind) in SHAPES.items():
            random = numpy.random.default_rng(1)
            covered = 0
            for _ in range(times):
                found = mean(keyed(draw(random, n)))
                low, high = (
                    (found["low"], found["high"]) if found["low"] is not None else (found["mean"], found["mean"])
                )
                covered += low <= truth <= high
            report(f"n {n}, {name}", covered / times, *WANTED[n, kind])
            if kind == "pass/fail":
                report(f"n {n}, {name}, exactly", exact_coverage(n, truth), *WANTED[n, kind])


def exact_coverage(n: int, p: float) -> float:
    """Over all n + 1 outcomes, without chance: whether a simulated rate is a bias or noise."""
    intervals = (statistics.mean_interval([1.0] * k + [0.0] * (n - k), None) for k in range(n + 1))
    return sum(
        float(stats.binom.pmf(k, n, p))
        for k, found in enumerate(intervals)
        if found.low is not None and found.high is not None and found.low <= p <= found.high
    )


def paired(random: numpy.random.Generator, n: int, gain: float, kind: str) -> tuple[dict[str, float], dict[str, float]]:
    """Two systems on the same samples, whose difficulty they share."""
    difficulty = random.normal(0, 1, n)
    if kind == "pass/fail":
        ours, theirs = (stats.norm.cdf(0.8 * difficulty) + shift for shift in (gain / 2, -gain / 2))
        return tuple(keyed(random.random(n) < numpy.clip(side, 0, 1)) for side in (ours, theirs))  # type: ignore[return-value]
    sides = [stats.norm.cdf(0.8 * difficulty + random.normal(0, 0.5, n)) for _ in range(2)]
    return keyed(sides[0] + gain), keyed(sides[1])


def differences(times: int) -> None:
    print("paired comparisons: coverage, and verdicts where there is no difference")
    for n in (250, 30):
        for kind in ("pass/fail", "graded"):
            random = numpy.random.default_rng(2)
            found = [compare(*paired(random, n, 0.0, kind)) for _ in range(times)]
            covered = sum(one["low"] <= 0 <= one["high"] for one in found) / times
            wrong = sum(one["verdict"] in (Verdict.IMPROVED, Verdict.REGRESSED) for one in found) / times
            report(f"n {n}, {kind}, coverage of the difference", covered, 0.93, 0.975)
            report(f"n {n}, {kind}, said to differ", wrong, 0.0, 0.05 + noise(times))


def power(times: int) -> None:
    print("a gain of ten points, found by this and by an unpaired test")
    for n in (50, 100, 250):
        for kind in ("pass/fail", "graded"):
            random = numpy.random.default_rng(3)
            pairs = [paired(random, n, 0.1, kind) for _ in range(times // 2)]
            ours = sum(compare(*pair)["verdict"] is Verdict.IMPROVED for pair in pairs) / len(pairs)
            theirs = sum(unpaired(*pair) for pair in pairs) / len(pairs)
            print(f"  n {n}, {kind}: {ours:.3f} paired, {theirs:.3f} unpaired")


def unpaired(a: dict[str, float], b: dict[str, float]) -> bool:
    found = stats.ttest_ind(list(a.values()), list(b.values()), equal_var=False)
    return bool(found.pvalue <= 0.05 and found.statistic > 0)


def seeds(times: int) -> None:
    print("recipes over seeds: coverage of the difference, and verdicts where there is none")
    for count in (3, 5):
        for spread in (0.0, 0.02, 0.1):
            random = numpy.random.default_rng(4)
            covered = wrong = 0
            for _ in range(times):
                difficulty = random.normal(0.5, 0.15, 250)
                ours, theirs = ([_seeded(random, difficulty, spread) for _ in range(count)] for _ in range(2))
                found = over_seeds(ours, theirs)
                covered += found["low"] <= 0 <= found["high"]
                wrong += found["verdict"] in (Verdict.IMPROVED, Verdict.REGRESSED)
            report(f"{count} seeds each, spread {spread}, coverage", covered / times, 0.93, 1.0)
            report(f"{count} seeds each, spread {spread}, said to differ", wrong / times, 0.0, 0.05 + noise(times))


def _seeded(random: numpy.random.Generator, difficulty: numpy.ndarray, spread: float) -> dict[str, float]:
    return keyed(difficulty + random.normal(0, spread) + random.normal(0, 0.1, len(difficulty)))


def families(times: int) -> None:
    print("twelve variants against one baseline, none of them different: any said to differ")
    for kind in ("pass/fail", "graded"):
        random = numpy.random.default_rng(5)
        wrong = 0
        for _ in range(times // 4):
            difficulty = random.normal(0, 1, 100)
            base = _like(random, difficulty, kind)
            found = [compare(_like(random, difficulty, kind), base) for _ in range(12)]
            adjusted = holm([one["p_value"] for one in found])
            wrong += any(p is not None and p <= 0.05 for p in adjusted)
        report(f"{kind}, family-wise", wrong / (times // 4), 0.0, 0.05 + noise(times // 4))


def _like(random: numpy.random.Generator, difficulty: numpy.ndarray, kind: str) -> dict[str, float]:
    if kind == "pass/fail":
        return keyed(random.random(len(difficulty)) < stats.norm.cdf(0.8 * difficulty))
    return keyed(stats.norm.cdf(0.8 * difficulty + random.normal(0, 0.5, len(difficulty))))


def noise(times: int) -> float:
    """What chance alone adds to a rate of 5% in so many simulations, 99 times out of 100."""
    return float(2.33 * (0.05 * 0.95 / times) ** 0.5)


FAILED: list[str] = []


def report(what: str, rate: float, low: float, high: float) -> None:
    fine = low <= rate <= high
    if not fine:
        FAILED.append(what)
    print(f"  {'ok ' if fine else 'OUT'} {what}: {rate:.3f} ({low:.3f} to {high:.3f} wanted)", flush=True)


def main() -> int:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    statistics.RESAMPLES = RESAMPLES
    print(f"{times} simulated evaluations each, {RESAMPLES} resamples")
    for question in (coverage, differences, power, seeds, families):
        question(times)
    print("all as wanted" if not FAILED else f"{len(FAILED)} out of bounds")
    return int(bool(FAILED))


if __name__ == "__main__":
    sys.exit(main())
