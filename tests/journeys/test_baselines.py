"""Baselines from git to the report: a model as it is, the same shown examples, and a hosted one.

The tests of this module build on each other, in order.
"""

from __future__ import annotations

import json
import re
from typing import Any

from world import World

EXAMPLES = {"sql": "SELECT ID, DIALOGUE, NOTE FROM SOAP_NOTES WHERE SPLIT = 'train'", "count": 2}
NAMES = ("base", "shown", "hosted")
PRICES = '\n[tool.piste.token_credits]\n"llama3.3-70b" = [0.36, 0.72]\n'


def add(world: World, name: str, train: dict[str, Any], **changes: Any) -> None:
    world.add(name, **changes)
    world.edit(f"experiments/{name}/experiment.yaml", train=train)
    (world.root / f"experiments/{name}/recipe.yaml").unlink()


def report(world: World, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((world.root / f"experiments/{name}/report/report.json").read_text())
    return found


def test_three_baselines_are_evaluated_under_one_suite(world: World) -> None:
    model, hosted = {"inputs": {"base-model": "@MODELS/tiny"}}, {"hosted": "llama3.3-70b"}
    add(world, "base", model)
    add(world, "shown", model, **{"evaluate.examples": EXAMPLES}, compare="base")
    add(world, "hosted", hosted, **{"evaluate.examples": EXAMPLES}, compare="base")
    scores = [{"name": "json_valid"}, {"name": "length", "unit": "words"}, {"name": "contains", "text": '"S"'}]
    world.edit("experiments/_suites/tiny-notes/suite.yaml", scores=scores, **{"generate.max_new_tokens": 64})
    world.write("pyproject.toml", (world.root / "pyproject.toml").read_text() + PRICES)
    world.commit("baselines")
    assert {name: one["action"] for name, one in world.actions().items()} == dict.fromkeys(NAMES, "evaluate")
    done = world.piste("apply", "--wait")
    assert done.code == 0, done.out + done.err
    statuses = world.statuses()  # with those of other modules on the same account
    assert {name: statuses[name] for name in NAMES} == dict.fromkeys(NAMES, (None, "done"))


def test_reports_have_quality_price_and_length_beside_each_other(world: World) -> None:
    done = world.piste("collect")
    assert done.code == 0, done.err
    world.commit("reports")
    found = {name: report(world, name) for name in NAMES}
    assert len({one["suite_digest"] for one in found.values()}) == 1
    assert len({one["training_digest"] for one in found.values()}) == 3
    assert all(one["evaluation"]["credits_per_thousand_answers"] > 0 for one in found.values())
    assert found["hosted"]["scores"]["json_valid"]["mean"] == 1.0, "who is shown notes gives one of their form"
    assert found["hosted"]["comparison"]["scores"]["length"]["verdict"] in ("different", "inconclusive")
    page = (world.root / "experiments/hosted/report/README.md").read_text()
    assert "`llama3.3-70b` through Cortex, shown 2 examples" in page
    assert re.search(r"Answers have [\d,]+ characters on average, [\d,]+ (more|fewer) than the comparison's", page)
    assert re.search(r"1,000 answers cost about [\d.]+ credits \(the comparison's .+\) at list price\.", page)
    assert (world.root / "experiments/README.md").read_text().count("per 1,000 answers") == 3


def test_a_hosted_model_is_asked_once_for_each_sample_and_no_prompt_is_in_a_statement(world: World) -> None:
    if world.trace is None:
        return
    asked = [one["sql"] for one in world.statements() if "AI_COMPLETE(model =>" in one["sql"]]
    assert len(asked) == 1
    assert asked[0].count("(?, ?)") == 6


def test_another_score_asks_no_model(world: World) -> None:
    world.edit("experiments/_suites/tiny-notes/suite.yaml", **{"scores.1": {"name": "regex", "pattern": r"\d"}})
    world.commit("a score")
    assert {name: one["steps"] for name, one in world.actions().items()} == {name: ["score"] for name in NAMES}
    before = {name: report(world, name)["evaluation"] for name in NAMES}
    done = world.piste("apply", "--wait")
    assert done.code == 0, done.out + done.err
    assert world.piste("collect").code == 0
    for name in NAMES:
        after = report(world, name)
        assert "regex" in after["scores"]
        price = "credits_per_thousand_answers"
        assert after["evaluation"][price] == before[name][price], name
