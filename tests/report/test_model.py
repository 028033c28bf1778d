"""Committed reports, read back where Snowflake can't be asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from piste.report.model import offline_runs
from piste.run import Status
from report.cases import CASES, failures, history, matrix, pair, rendered


def reports(case: str) -> dict[str, bytes]:
    return {path: content for path, content in rendered(case).items() if path.endswith("report.json")}


@pytest.mark.parametrize("case", CASES)
def test_every_report_is_read_back_as_its_variant_s_run(case: str) -> None:
    found, problems = offline_runs(reports(case))
    digests = {(variant.experiment, variant.name, variant.split): variant.digests for variant in CASES[case]().variants}
    assert not problems
    assert len(found) == len(reports(case))
    for one in found:
        assert one.digests == digests[one.experiment, one.variant, one.split]
        assert not one.live
        assert one.spec["suite"]["primary"] == "json_fields"


def test_scores_curves_and_specs_survive() -> None:
    lora = next(one for one in offline_runs(reports("pair"))[0] if one.experiment == "soap-smollm2-lora")
    ran = pair().runs[1]
    assert (lora.name, lora.attempt, lora.steps, lora.job) == (ran.name, 1, ran.steps, ran.job)
    assert lora.results is not None
    assert ran.results is not None
    assert lora.results["evaluation"]["scores"] == ran.results["evaluation"]["scores"]
    assert lora.spec == ran.spec
    assert lora.ended_at == ran.ended_at


def test_statuses_survive() -> None:
    found = {one.experiment: (one.training, one.evaluation) for one in offline_runs(reports("failures"))[0]}
    assert found == {one.experiment: (one.training, one.evaluation) for one in failures().runs}
    again = next(one for one in offline_runs(reports("history"))[0] if one.experiment == "evaluated-again")
    assert (again.training, again.evaluation, again.steps) == (Status.DONE, Status.DONE, ("generate", "score"))
    assert history().runs[0].name != again.name
    variants = {one.variant for one in offline_runs(reports("matrix"))[0]} - {""}
    assert variants == {one.variant for one in matrix().runs} - {""}


def without(key: str) -> Callable[[dict[str, Any]], Any]:
    return lambda document: {name: value for name, value in document.items() if name != key}


BROKEN: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another schema": lambda document: document | {"schema": "report/v9"},
    "no digest": without("training_digest"),
    "a digest that is none": lambda document: document | {"suite_digest": "12"},
    "a status that is none": lambda document: document | {"evaluation_status": "fine"},
    "a run that still runs": lambda document: document | {"evaluation_status": "running"},
    "a run without a number": lambda document: document | {"run": "RUN"},
    "a spec that is a list": lambda document: document | {"spec": []},
    "a list": lambda document: [document],
    "a number as name": lambda document: document | {"experiment": 5},
    "scores that are text": lambda document: document | {"scores": "0.9"},
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_foreign_document_is_passed_over_with_a_warning(broken: str) -> None:
    path = "experiments/soap-smollm2-lora/report/report.json"
    good = reports("pair")
    bad = json.dumps(BROKEN[broken](json.loads(good[path]))).encode()
    found, problems = offline_runs(good | {path: bad})
    assert [one.experiment for one in found] == ["soap-smollm2-base"]
    assert [(problem.file, problem.severity) for problem in problems] == [(path, "warning")]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"null", b"[" * 100_000])
def test_what_is_no_json_is_passed_over(content: bytes) -> None:
    found, problems = offline_runs({"experiments/a/report/report.json": content})
    assert not found
    assert len(problems) == 1
