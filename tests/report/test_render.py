"""What a report is made from, and what it must not depend on."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from piste.experiment import folder
from piste.report.files import render
from piste.report.result import curve
from piste.run import Failure, Run, Status
from piste.statistics import compare
from piste.variants import all_variants
from report.cases import (
    CASES,
    CREDITS,
    Case,
    compared,
    evaluation_only,
    experiment,
    failures,
    history,
    matrix,
    other_suite,
    pair,
    rendered,
    run,
    splits,
    training,
)

TESTS = Path(__file__).parents[1]
DIGESTS = """
import hashlib, json, locale, sys
sys.path.insert(0, {tests!r})
try:
    locale.setlocale(locale.LC_ALL, "")
except locale.Error:
    pass
{before}
from report.cases import CASES, rendered
print(json.dumps({{
    case: {{path: hashlib.sha256(content).hexdigest() for path, content in rendered(case).items()}} for case in CASES
}}))
"""
NO_FONTS = "import matplotlib.font_manager as fonts; fonts.fontManager.ttflist = []; fonts.fontManager.afmlist = []"
DECIMAL_COMMA = "import locale; known = locale.localeconv(); locale.localeconv = lambda: known | {'decimal_point': ','}"
"""No locale but C is sure to be installed, so the process is told that its decimal point is a comma."""
ELSEWHERE: dict[str, tuple[dict[str, str], str]] = {
    "Berlin": ({"LC_ALL": "de_DE.UTF-8", "TZ": "Europe/Berlin", "PYTHONHASHSEED": "1"}, DECIMAL_COMMA),
    "Istanbul": ({"LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Istanbul", "PYTHONHASHSEED": "2"}, NO_FONTS),
    "a bare machine": (
        {"LC_ALL": "C", "LANG": "", "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "3", "PYTHONUTF8": "0"},
        f"{NO_FONTS}; {DECIMAL_COMMA}",
    ),
}
HOSTILE = """
font.family: serif
font.size: 30
svg.fonttype: path
svg.hashsalt: another
axes.formatter.use_locale: True
lines.linewidth: 9
axes.facecolor: red
figure.facecolor: black
"""


def readme(files: Mapping[str, bytes], name: str, variant: str = "") -> str:
    inside = f"{variant}/" if variant else ""
    return files[f"experiments/{name}/report/{inside}README.md"].decode()


def answer(text: str) -> str:
    """The first line after the title."""
    return next(line for line in text.split("\n")[2:] if line)


def report(files: Mapping[str, bytes], name: str, variant: str = "") -> dict[str, Any]:
    inside = f"{variant}/" if variant else ""
    found: dict[str, Any] = json.loads(files[f"experiments/{name}/report/{inside}report.json"])
    return found


def test_the_first_line_is_the_answer() -> None:
    assert answer(readme(rendered("pair"), "soap-smollm2-lora")) == (
        "**0.964 mean field accuracy** on 50 held-out samples of "
        "[SOAP notes as JSON](../../_suites/soap-notes/suite.yaml): +0.964 over "
        "[soap-smollm2-base](../../soap-smollm2-base/report/README.md) (0.000), "
        "95% interval +0.943 to +0.984: improved, one seed, about 0.0086 credits at list price."
    )


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(0.01, 0.05, "improved"), (-0.01, 0.11, "inconclusive"), (None, None, "no interval: all")],
)
def test_an_interval_that_holds_zero_is_said(low: float | None, high: float | None, said: str) -> None:
    case = pair()
    base, lora = case.runs
    body = lora.comparisons[base.name]
    method = "no interval: all 50 differences are equal" if low is None else "paired bootstrap"
    changed = {**body["scores"]["json_fields"], "low": low, "high": high, "method": method}
    comparisons = {base.name: {**body, "scores": {"json_fields": changed}}}
    text = answer(
        readme(Case(case.experiments, [base, replace(lora, comparisons=comparisons)]).render(), lora.experiment)
    )
    assert said in text
    assert ("improved" in text) != ("inconclusive" in text)


@pytest.mark.parametrize("place", ELSEWHERE)
def test_bytes_depend_on_nothing_outside(place: str, tmp_path: Path) -> None:
    """Neither on locale, time zone or hash seeds, nor on installed fonts, the home folder or its matplotlibrc."""
    here = {
        case: {path: hashlib.sha256(content).hexdigest() for path, content in rendered(case).items()} for case in CASES
    }
    environment, before = ELSEWHERE[place]
    if environment["LC_ALL"] == "C":  # the rest may not be installed, and matplotlib then refuses use_locale itself
        (tmp_path / "matplotlibrc").write_text(HOSTILE)
    homes = {"HOME": str(tmp_path), "MPLCONFIGDIR": str(tmp_path), "XDG_CACHE_HOME": "", "XDG_CONFIG_HOME": ""}
    assert digests_elsewhere({**homes, **environment}, before) == here


def digests_elsewhere(environment: Mapping[str, str], before: str) -> dict[str, dict[str, str]]:
    code = DIGESTS.format(tests=str(TESTS), before=before)
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    found: dict[str, dict[str, str]] = json.loads(done.stdout)
    return found


def test_order_of_runs_and_of_what_the_ledger_stores_changes_nothing() -> None:
    for case in (pair(), matrix(), history()):
        shuffled = [replace(one, spec=backwards(one.spec)) for one in reversed(case.runs)]
        assert Case(case.experiments, shuffled).render() == case.render()


def backwards(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: backwards(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return [backwards(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def test_the_package_is_imported_without_anything_heavy() -> None:
    heavy = "{'matplotlib', 'numpy', 'scipy', 'yaml'}"
    code = f"import sys, piste.report, piste.statistics, piste.cost; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_nothing_but_the_listed_facts_reaches_git() -> None:
    marker = "the patient says her name is Marker"
    case = pair()
    planted = [plant(one, marker) for one in case.runs]
    files = Case(case.experiments, [*planted, plant(failures().runs[2], marker)]).render()
    failing = replace(failures(), runs=[plant(one, marker) for one in failures().runs]).render()
    for path, content in {**files, **{f"failing {path}": content for path, content in failing.items()}}.items():
        assert marker.encode() not in content, path
    assert Case(case.experiments, planted).render() == case.render()


def plant(one: Run, marker: str) -> Run:
    """With the marker in every place that a payload, a ledger row or a client could put it."""
    results: dict[str, Any] = dict(one.results or {})
    for part in ("training", "evaluation", "environment", "failure"):
        results[part] = results.get(part) and {**results[part], "message": marker, "sample": marker, marker: marker}
    failure = one.failure and replace(one.failure, message=marker, hint=marker)
    failure = failure and replace(failure, type=failure.type or marker)
    comparisons = {name: {**body, "note": marker} for name, body in one.comparisons.items()}
    provenance = {**one.provenance, "nonce": marker, marker: marker}
    return replace(
        one, results=results, failure=failure, comparisons=comparisons, provenance=provenance, job_status=marker
    )


@pytest.mark.parametrize(
    ("name", "first", "status", "says"),
    [
        ("refused-recipe", "**Training failed** (`recipe`, `ValidationError`)", "failed", "Then change the experiment"),
        ("killed", "**Training failed** (`killed`)", "failed", "lack of memory"),
        (
            "evaluation-failed",
            "**Evaluation failed** (`evaluation`, `KeyError`); the trained model is kept",
            "failed",
            "nothing is trained again",
        ),
        ("cancelled", "**Training was cancelled**", "cancelled", "--retry"),
        ("lost", "**Training was lost**", "lost", "`piste apply`"),
    ],
)
def test_a_failed_run_gets_a_report(name: str, first: str, status: str, says: str) -> None:
    reports = rendered("failures")
    text = readme(reports, name)
    assert answer(text).startswith(first)
    assert says in text
    assert (f"`piste logs {name}`" in text) == (name != "lost")
    assert report(reports, name)["status"] == status


def test_a_training_curve_is_kept_where_only_the_evaluation_failed() -> None:
    reports = rendered("failures")
    assert "experiments/evaluation-failed/report/loss.svg" in reports
    assert "experiments/evaluation-failed/report/scores.svg" not in reports
    assert "experiments/killed/report/loss.svg" not in reports


def test_an_evaluation_by_a_later_run_tells_who_trained() -> None:
    reports = rendered("history")
    again = report(reports, "evaluated-again")
    trained = history().runs[0]
    assert (again["status"], again["training_status"], again["evaluation_status"]) == ("done", "done", "done")
    assert again["run"] != trained.name == again["provenance"]["trained_by"]
    assert len(again["training"]["loss"]) == 20
    assert f"trained by: `{trained.name}`" in readme(reports, "evaluated-again")
    assert "for the training, earlier" in answer(readme(reports, "evaluated-again"))


def test_an_evaluated_run_counts_before_a_later_failed_one() -> None:
    case = pair()
    base, lora = case.runs
    later = replace(
        lora, name=f"{lora.name[:-1]}2", attempt=2, evaluation=Status.FAILED, ended_at="2026-12-01T00:00:00Z"
    )
    newer = replace(lora, name=f"{lora.name[:-1]}3", attempt=3, ended_at="2026-12-02T00:00:00.000+00:00")
    assert report(Case(case.experiments, [base, later, lora]).render(), lora.experiment)["run"] == lora.name
    assert report(Case(case.experiments, [base, newer, lora]).render(), lora.experiment)["run"] == newer.name


def test_a_live_run_and_one_of_other_digests_have_no_report() -> None:
    case = pair()
    base, lora = case.runs
    live = replace(lora, evaluation=Status.RUNNING)
    other = replace(lora, digests=other_suite(lora.digests))
    for one in (live, other):
        assert not [path for path in Case(case.experiments, [base, one]).render() if "soap-smollm2-lora/" in path]


@pytest.mark.parametrize(
    ("name", "why"),
    [("other-suite", "it is evaluated with another suite"), ("waiting", "it has no evaluation yet")],
)
def test_why_there_is_no_comparison(name: str, why: str) -> None:
    reports = rendered("history")
    assert report(reports, name)["comparison"] is None
    assert why in readme(reports, name)


def test_a_comparison_that_is_not_computed_yet() -> None:
    case = pair()
    base, lora = case.runs
    text = readme(Case(case.experiments, [base, replace(lora, comparisons={})]).render(), lora.experiment)
    assert "not computed yet" in text


def test_seeds_are_one_row_and_the_best_row_is_first() -> None:
    text = readme(rendered("matrix"), "soap-smollm2-rates")
    rows = [line for line in text.split("\n") if line.startswith("| learning_rate")]
    assert [row.split("<br>")[0] for row in rows] == ["| learning_rate=0.0003", "| learning_rate=0.001"]
    assert "| 0.966 (0.964 to 0.968) | +0.966 (+0.945 to +0.986), improved |" in rows[0]
    assert "[2](learning_rate=0.001,seed=2/README.md) (failed)" in rows[1]
    assert "1 variant without a result yet." in text
    assert "2 seeds from 0.964 to 0.968" in answer(text)
    assert "4 of 6 done, 1 failed" in rendered("matrix")["experiments/README.md"].decode()


def test_a_matrix_without_seeds_says_that_each_row_is_one_seed() -> None:
    swept = experiment("rates", {"matrix": {"optimizer.learning_rate": [0.1, 0.2]}})
    case = Case([swept], [])
    case = Case([swept], [run(variant, 0.5 + 0.1 * place) for place, variant in enumerate(case.variants)])
    text = readme(case.render(), "rates")
    assert "`learning_rate=0.2`, the best of 2," in answer(text)
    assert "one seed" in answer(text)
    assert "a checkpoint, not about the setting" in text


SCORED_ON_TEST_LATER = "When all are done, the best is scored on the test split"


def test_a_matrix_goes_to_test_later_and_seeds_alone_are_there() -> None:
    case = splits()
    *validated, tested = case.runs
    assert tested.split == "test"
    assert SCORED_ON_TEST_LATER in readme(Case(case.experiments, validated).render(), "soap-smollm2-rates")
    seeded = replace(experiment("seeds", {"seeds": [1, 2]}), suite=case.experiments[0].suite)
    of_seeds = all_variants([seeded])
    assert [one.split for one in of_seeds] == ["test", "test"]
    text = readme(Case([seeded], [run(one, 0.9) for one in of_seeds]).render(), "seeds")
    assert SCORED_ON_TEST_LATER not in text


def test_the_index_groups_by_suite_and_marks_earlier_versions() -> None:
    text = rendered("history")["experiments/README.md"].decode()
    sections = text.split("\n## ")[1:]
    assert [section.split("](")[0] for section in sections] == ["[SOAP notes as JSON"] * 2 + ["[SOAP notes, short"]
    current, before, _ = sections
    assert current.index("evaluated-again") < current.index("waiting") < current.index("never-run")
    assert "no result yet" in current
    assert "as it was before" in before
    assert "done, earlier version" in before
    assert "changed-since" not in current


def test_report_json_is_rounded_and_its_spec_is_exact() -> None:
    case = pair()
    _, lora = case.runs
    exact = {**lora.spec, "recipe": {"learning_rate": 0.123456789}}
    found = report(Case(case.experiments, [replace(lora, spec=exact)]).render(), lora.experiment)
    assert found["spec"]["recipe"]["learning_rate"] == 0.123456789
    assert found["training"]["eval_loss"][0] == [10, 0.612346]


def test_curves_are_thinned_to_their_ends() -> None:
    points = [[step, 1.0 / step] for step in range(1, 1001)]
    kept = curve(points)
    assert len(kept) == 200
    assert (list(kept[0]), list(kept[-1])) == (points[0], points[-1])
    assert [step for step, _ in kept] == sorted({step for step, _ in kept})
    assert curve([[1, math.nan], [2, None], [3, 0.5]]) == [(3, 0.5)]


def test_a_report_without_a_price_list_or_times_has_no_cost() -> None:
    case = pair()
    free = render(case.experiments, case.variants, case.runs, {})
    assert report(free, "soap-smollm2-lora")["cost"] is None
    assert "credits" not in answer(readme(free, "soap-smollm2-lora"))
    assert report(case.render(), "soap-smollm2-lora")["cost"] == {
        "credits": 0.00857083, "rate": CREDITS["CPU_X64_S"], "family": "CPU_X64_S", "nodes": 1, "seconds": 280.5,
        "at_most": 0.22,
    }  # fmt: skip


def test_the_fingerprint_of_packages_sees_every_package() -> None:
    case = pair()
    _, lora = case.runs
    results = dict(lora.results or {})
    packages = {**results["environment"]["packages"], "some-other-package": "1.1"}
    changed = replace(lora, results={**results, "environment": {**results["environment"], "packages": packages}})
    before, after = (
        report(Case(case.experiments, [one]).render(), lora.experiment)["provenance"] for one in (lora, changed)
    )
    assert before["packages"] == after["packages"]
    assert "some-other-package" not in before["packages"]
    assert before["packages_sha256"] != after["packages_sha256"]
    lines = sorted(f"{name.replace('_', '-')}=={version}\n" for name, version in packages.items())
    assert after["packages_sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_texts_of_people_can_not_break_the_page() -> None:
    hostile = "a | b <img src=x>\n# no heading ``` `tick`"
    one = experiment("odd", title=hostile, question=hostile, conclusion=hostile)
    case = Case([one], [])
    files = Case([one], [run(case.variants[0])]).render()
    text = readme(files, "odd")
    assert "<img" not in text
    assert "\n# no heading" not in text
    assert all(
        line.count(" | ") == 3
        for line in files["experiments/README.md"].decode().split("\n")
        if line.startswith("| [**odd")
    )


def test_a_variant_s_folder_stays_inside_the_report() -> None:
    assert folder("learning_rate=0.001,seed=1") == "learning_rate=0.001,seed=1"
    assert "/" not in folder("name=../../../x")


def test_a_comparison_with_the_best_of_several_variants() -> None:
    """The comparison is favoured, never the run that the report is about."""
    swept = experiment("rates", {"matrix": {"optimizer.learning_rate": [0.1, 0.2]}})
    mine = experiment("mine", {"gpus": 2}, compare="rates")
    weak, strong, of_mine = Case([swept, mine], []).variants
    others = [run(weak, 0.5), run(strong, 0.6)]
    this = compared(compared(run(of_mine, 0.9), others[0]), others[1])
    found = report(Case([swept, mine], [*others, this]).render(), "mine")["comparison"]
    assert (found["variant"], found["scores"]["json_fields"]["mean"]) == ("learning_rate=0.2", 0.6)


def test_what_a_rerun_and_its_losses_say() -> None:
    """A failed evaluation-only run does not hide that training is done."""
    case = pair()
    _, lora = case.runs
    variant = next(one for one in case.variants if one.experiment == lora.experiment)
    trained = replace(lora, evaluation=Status.FAILED, failure=Failure("score", "evaluation", "ValueError"))
    again = evaluation_only(
        variant, None, evaluation=Status.FAILED, failure=Failure("score", "evaluation", "TypeError")
    )
    found = report(Case(case.experiments, [trained, again]).render(), lora.experiment)
    assert (found["training_status"], found["evaluation_status"]) == ("done", "failed")
    assert found["failure"]["type"] == "TypeError"
    assert found["training"]["steps"] == training()["steps"]


def test_a_score_over_no_sample_is_left_out() -> None:
    case = pair()
    base, lora = case.runs
    results: dict[str, Any] = dict(lora.results or {})
    scores = {**results["evaluation"]["scores"], "rouge_l": {"mean": None, "n": 0}}
    without = replace(lora, results={**results, "evaluation": {**results["evaluation"], "scores": scores}})
    files = Case(case.experiments, [base, without]).render()
    assert list(report(files, lora.experiment)["scores"]) == ["json_valid", "json_fields"]
    assert "\n| ROUGE-L | " not in readme(files, lora.experiment).split("<details>")[0]


def test_scores_without_a_common_sample_are_not_compared() -> None:
    case = pair()
    base, lora = case.runs
    body = lora.comparisons[base.name]
    apart = compare({"a": 1.0}, {"b": 0.5})
    alone = {**body, "scores": {**body["scores"], "json_fields": apart}}
    files = Case(case.experiments, [base, replace(lora, comparisons={base.name: alone})]).render()
    assert "json_fields" not in report(files, lora.experiment)["comparison"]["scores"]
    assert ": +" not in answer(readme(files, lora.experiment))
