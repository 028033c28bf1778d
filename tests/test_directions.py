"""Higher is not always better: verdicts, choosing and sorting follow a score's direction."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from builders import experiment, run
from piste import scores
from piste.choosing import decided
from piste.report.files import render
from piste.scores import Better
from piste.statistics import compare
from piste.variants import all_variants
from report.cases import Case, compared
from report.cases import experiment as reported
from report.cases import run as reported_run

LOWER = {f"s{place}": 0.1 + 0.001 * (place % 7) for place in range(60)}
HIGHER = {key: value + 0.5 for key, value in LOWER.items()}


@pytest.mark.parametrize(
    ("better", "more", "less"),
    [
        (Better.HIGHER, "improved", "regressed"),
        (Better.LOWER, "regressed", "improved"),
        (Better.NEITHER, "different", "different"),
    ],
)
def test_the_verdict_follows_the_direction(better: Better, more: str, less: str) -> None:
    assert compare(HIGHER, LOWER, better=better)["verdict"] == more
    assert compare(LOWER, HIGHER, better=better)["verdict"] == less
    nearly = {key: value + 0.0001 * (place % 3) for place, (key, value) in enumerate(LOWER.items())}
    assert compare(nearly, LOWER, minimum=0.01, better=better)["verdict"] == "equivalent"


@pytest.mark.parametrize(
    ("score", "name", "better"),
    [
        ({"name": "rouge_l"}, "rouge_l", "higher"),
        ({"name": "perplexity"}, "perplexity", "lower"),
        ({"name": "length"}, "length", "neither"),
        ({"name": "length", "better": "lower", "as": "brevity"}, "brevity", "lower"),
        ({"name": "contains", "text": "sorry", "better": "lower"}, "contains", "lower"),
        ({"name": "rouge_l"}, "of_another_suite", "higher"),
    ],
)
def test_a_score_has_a_direction_and_a_suite_may_give_another(score: dict[str, Any], name: str, better: str) -> None:
    assert scores.better({"scores": [score]}, name) == better


def test_the_winner_of_a_matrix_is_the_lowest_where_lower_is_better() -> None:
    suite = {
        "suite.data.validation": "SELECT * FROM NOTES WHERE SPLIT = 'validation'",
        "suite.scores": [{"name": "reference_loss"}],
    }
    swept = experiment(**suite, **{"train.matrix": {"optimizer.learning_rate": [0.1, 0.2, 0.3]}})
    asked = all_variants([swept])
    means = dict(zip((one.name for one in asked), (1.5, 0.5, 2.5), strict=True))
    runs = [
        run(one, results={"evaluation": {"scores": {"reference_loss": {"mean": means[one.name]}}}}) for one in asked
    ]
    chosen = [one.name for one in decided([swept], asked, runs) if one.chosen_from]
    assert chosen == ["learning_rate=0.2"]


def test_a_report_says_regressed_and_sorts_by_the_direction() -> None:
    base, lora = (_by_loss(reported(*made)) for made in (("base", {}), ("lora",)))
    lora = replace(lora, document={**lora.document, "compare": "base"})
    case = Case([base, lora], [])
    before, after = (_with_loss(reported_run(one), loss) for one, loss in zip(case.variants, (1.5, 2.5), strict=True))
    files = render([base, lora], case.variants, [before, compared(after, before)], {})
    assert ": regressed" in files["experiments/lora/report/README.md"].decode().splitlines()[3]
    index = files["experiments/README.md"].decode()
    assert index.index("**base**") < index.index("**lora**")
    assert "experiments/lora/report/scores.svg" not in files, "it shares no axis with scores from 0 to 1"


def test_the_length_of_answers_stands_beside_their_scores() -> None:
    base, lora = reported("base", {}), reported("lora", compare="base")
    case = Case([base, lora], [])
    worse, better = (reported_run(one) for one in case.variants)
    length = {"mean": 1412.4, "low": 1380.0, "high": 1440.0, "n": 50, "groups": None, "method": "bootstrap"}
    better = compared(replace(better, measured={**better.measured, "length": length}), worse)
    told = compare({f"s{n}": 60.0 + n % 3 for n in range(50)}, {f"s{n}": 100.0 + n % 5 for n in range(50)})
    body = {**better.comparisons[worse.name], "length": {**told, "verdict": "different"}}
    better = replace(better, comparisons={worse.name: body})
    page = render([base, lora], case.variants, [worse, better], {})["experiments/lora/report/README.md"].decode()
    said = (
        "Answers have 1,412 characters on average, 41 fewer than the comparison's (95% interval −41 to −41): different."
    )
    assert said in page


def _by_loss(one: Any) -> Any:
    suite = {**one.suite.document, "scores": [{"name": "reference_loss"}], "primary": "reference_loss"}
    return replace(one, suite=replace(one.suite, document=suite))


def _with_loss(one: Any, loss: float) -> Any:
    evaluation = {**one.results["evaluation"], "scores": {"reference_loss": {"mean": loss, "n": 50}}}
    return replace(one, results={**one.results, "evaluation": evaluation}, measured={})
