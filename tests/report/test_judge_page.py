"""What a page says of a judge, and that report.json holds it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from jsonschema import Draft202012Validator

from builders import baseline, experiment, run
from piste.experiment import JUDGE, PAIRWISE
from piste.plan import plan
from piste.report.files import render
from piste.report.model import offline_runs
from piste.resources import schema
from piste.variants import all_variants

TOLD = {
    "model": "llama3.3-70b",
    "rubric": "Every finding.",
    "scale": "pass_fail",
    "pairwise": True,
    "require": ["json_valid"],
}
WORK: dict[str, Any] = {
    "model": "llama3.3-70b",
    "prompt": "ab" * 32,
    "parameters": {"temperature": 0, "max_tokens": 300},
    "require": ["json_valid"],
    "judged": 43,
    "required": 2,
    "reused": 3,
    "unparsed": 5,
    "refused": 0,
    "tries": 0,
    "family": "llama",
    "tokens": [12000, 2000],
    "credits": 0.00504,
    "estimated_tokens": [11000, 2500],
    "estimated_credits": 0.00486,
    "priced": "2026-01-13",
    "consistency": {"pairs": 40, "same": 24, "first": 62},
    "gold": {"n": 40, "observed": 0.85, "kappa": 0.7, "low": 0.48, "high": 0.9},
    "canaries": {"n": 10, "flipped": 2},
}
MEAN = {"mean": 0.8, "n": 45, "low": 0.66, "high": 0.89, "groups": None, "method": "Wilson"}
AGAINST = {
    "mean_a": 0.8, "mean_b": 0.5, "difference": 0.3, "low": 0.1, "high": 0.5, "n": 45, "method": "bootstrap",
    "p_value": 0.01, "test": "permutation", "minimum": 0.0, "verdict": "improved",
}  # fmt: skip

LONGER = {**AGAINST, "difference": 60.0, "low": 40.0, "high": 80.0, "verdict": "different"}


def rendered(judged: bool = True, told: dict[str, Any] = WORK) -> dict[str, bytes]:
    base, lora = baseline(), experiment(compare="notes-base", **{"suite.judge": TOLD, "suite.primary": JUDGE})
    base.suite.document.update(judge=TOLD, primary=JUDGE)  # type: ignore[attr-defined]
    asked = all_variants([base, lora])
    digest = asked[0].digests.judge

    def evaluated(place: int, tokens: int) -> Any:
        scores = {"json_valid": {"mean": 1.0, "n": 50}}
        results = {"evaluation": {"status": "done", "samples": 50, "tokens": tokens, "scores": scores}}
        body = {"other": digest, "scores": {JUDGE: MEAN, PAIRWISE: MEAN}, "judge": told}
        measured = {"length": {"mean": tokens / 10, "n": 50}}
        return replace(run(asked[place]), results=results, judged={digest: body} if judged else {}, measured=measured)

    theirs = evaluated(0, 50 * 30)
    ours = replace(
        evaluated(1, 50 * 42),
        comparisons={
            theirs.name: {"scores": {}, "length": LONGER},
            f"{theirs.name}@{digest}": {"scores": {JUDGE: AGAINST, PAIRWISE: AGAINST}},
        },
    )
    return render([base, lora], asked, [theirs, ours], {})


def page(files: dict[str, bytes]) -> str:
    return files["experiments/notes-lora/report/README.md"].decode()


def test_the_judge_decides_and_the_page_says_how_far_to_trust_it() -> None:
    text = page(rendered())
    assert "**0.800 mean judge's verdict**" in text
    for said in (
        "judged: 43 of 50, 3 of them when another run gave the same answer",
        "failed to judge: 5 of 50; they count for no model",
        "lowest verdict without asking: 2 of 50, by json_valid",
        "the same verdict for 0.60 of 40 pairs; the first answer wins 0.78 of the time",
        "Cohen's kappa 0.70 (95% interval 0.48 to 0.90), the same verdict for 0.85 of 40 answers",
        "2 of 10 have another verdict than at first",
        "12,000 read and 2,000 written; estimated 11,000 and 2,500",
        "0.005 credits, estimated 0.0049 credits (list prices of 2026-01-13)",
        "both of the family llama",
        "often depends on which answer comes first",
        "Canaries flipped",
        "60 more than the comparison's (95% interval +40 to +80): different. Judges tend to like length.",
    ):
        assert said in text, text


def test_a_judge_without_fault_is_not_warned_about() -> None:
    well = {**WORK, "unparsed": 0, "family": "", "consistency": None, "gold": None, "canaries": {"n": 9, "flipped": 0}}
    text = page(rendered(told=well))
    for said in ("family", "Canaries flipped", "comes first", "that have a verdict", "kappa"):
        assert said not in text


def test_before_the_judge_has_spoken_the_page_says_so() -> None:
    assert "Evaluated, not judged yet: `piste collect` asks the judge." in page(rendered(judged=False))


def test_the_report_holds_what_the_page_needs_without_an_account() -> None:
    files = rendered()
    document = json.loads(files["experiments/notes-lora/report/report.json"])
    assert list(Draft202012Validator(schema("report")).iter_errors(document)) == []
    runs, problems = offline_runs({path: content for path, content in files.items() if path.endswith("report.json")})
    assert problems == ()
    asked = all_variants([baseline(), experiment(**{"suite.judge": TOLD, "suite.primary": JUDGE})])
    (action,) = plan(asked[1:], runs).actions
    assert (action.verb.value, "asks its judge" in action.reason) == ("keep", False)
