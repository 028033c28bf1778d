"""What 1,000 answers cost, beside how good they are: tuned, prompted and hosted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from piste.cost import of_answers_by_time, of_tokens
from piste.report.files import render
from piste.report.model import offline_runs
from piste.report.words import about
from piste.run import Run
from piste.variants import all_variants
from report.cases import CREDITS, compared, evaluation_only, experiment, run

MODEL = "some-hosted-model"
PRICES = {MODEL: (0.36, 0.72)}
BASE = experiment("base", {})
HOSTED = experiment("hosted", {"hosted": MODEL})
HOSTED = replace(HOSTED, document={**HOSTED.document, "train": {"hosted": MODEL}}, recipe=None)
LORA = experiment("lora", compare="hosted")
EXPERIMENTS = [BASE, HOSTED, LORA]


def told(of: Run, **evaluation: Any) -> Run:
    results: Mapping[str, Any] = of.results or {}
    return replace(of, results={**results, "evaluation": {**results["evaluation"], **evaluation}})


def rendered(*runs: Run, prices: Any = PRICES) -> dict[str, bytes]:
    return render(EXPERIMENTS, all_variants(EXPERIMENTS), runs, CREDITS, None, prices)


def evaluated(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files[f"experiments/{name}/report/report.json"])["evaluation"]
    return found


def test_prices() -> None:
    assert of_answers_by_time(36, 50, 1, 0.5) == pytest.approx(0.1), "0.01 hours at 0.5 for 50"
    assert of_answers_by_time(36, 50, 2, 0.5) == pytest.approx(0.2)
    assert of_tokens(MODEL, (50_000, 10_000), PRICES) == pytest.approx(0.0252)
    assert of_tokens("claude-4-5-sonnet", (1e6, 1e6), {}) == pytest.approx(9.9), "the list's"
    assert of_tokens("some-other-model", (1e6, 1e6), {}) is None


def test_what_answers_cost_stands_beside_their_scores() -> None:
    of_base, of_hosted, of_lora = all_variants(EXPERIMENTS)
    hosted = told(run(of_hosted, 0.8), answering_seconds=60.0, read_tokens=50_000, tokens=10_000)
    lora = compared(told(run(of_lora), answering_seconds=36.0), hosted)
    files = rendered(told(run(of_base, 0.1), answering_seconds=72.0), hosted, lora)
    found = [evaluated(files, name)["credits_per_thousand_answers"] for name in ("base", "hosted", "lora")]
    assert found == pytest.approx([0.044, 0.504, 0.022])
    page = files["experiments/lora/report/README.md"].decode()
    assert "1,000 answers cost about 0.022 credits (the comparison's 0.5 credits) at list price." in page
    assert f"`{MODEL}` through Cortex" in files["experiments/hosted/report/README.md"].decode()
    index = files["experiments/README.md"].decode()
    assert all(f"{credits} credits per 1,000 answers" in index for credits in ("0.044", "0.5", "0.022"))


def test_a_run_that_only_scored_costs_what_its_answers_did() -> None:
    """On the pool where they were given, not on that where they were scored."""
    of_lora = all_variants(EXPERIMENTS)[2]
    before = run(of_lora)
    answered = replace(told(before, answering_seconds=36.0), digests=replace(of_lora.digests, scoring="s", suite="t"))
    scored = told(evaluation_only(of_lora, 0.9, steps=("score",)), answering_seconds=36.0)
    scored = replace(scored, provenance={**scored.provenance, "family": "UNKNOWN"})
    assert evaluated(rendered(answered, scored), "lora")["credits_per_thousand_answers"] == pytest.approx(0.022)


@pytest.mark.parametrize(
    ("credits", "said"), [(0.0004, "under 0.001 credits"), (0.0214, "about 0.021 credits"), (31, "about 31 credits")]
)
def test_what_is_nearly_nothing_is_not_about_something(credits: float, said: str) -> None:
    assert about(credits) == said


@pytest.mark.parametrize("known", [{}, {"answering_seconds": 60.0}])
def test_without_a_price_or_a_time_nothing_is_said(known: dict[str, float]) -> None:
    of_hosted = all_variants(EXPERIMENTS)[1]
    files = rendered(told(run(of_hosted, 0.8), **known), prices={})
    assert "credits_per_thousand_answers" not in evaluated(files, "hosted")
    assert "per 1,000" not in files["experiments/README.md"].decode()


def test_a_report_that_is_read_back_says_the_same() -> None:
    of_hosted = all_variants(EXPERIMENTS)[1]
    length = {"mean": 412.0, "low": 400.0, "high": 420.0, "n": 50, "groups": None, "method": "bootstrap"}
    ran = told(run(of_hosted, 0.8), answering_seconds=60.0, read_tokens=50_000, tokens=10_000)
    files = rendered(replace(ran, measured={**ran.measured, "length": length}))
    path = "experiments/hosted/report/report.json"
    (back,), problems = offline_runs({path: files[path]})
    assert not problems
    again = rendered(back)
    assert evaluated(again, "hosted") == evaluated(files, "hosted")
