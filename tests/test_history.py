"""piste diff and piste log: what differs, and what changed from run to run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from world import World

from builders import DOCUMENT, RECIPE, SUITE, run, variant
from payload.evaluation import fingerprint
from piste import history, journeys
from piste.cli import main
from piste.errors import PisteError
from piste.history import difference, entries
from piste.run import Run, Status

LORA = variant()
OTHER = variant(
    "notes-full", **{"recipe.optimizer.learning_rate": 3e-4, "suite.generate.max_new_tokens": 9, "title": "x"}
)


def test_a_difference_is_sorted_by_what_it_leads_to() -> None:
    found = difference(LORA, OTHER)
    assert [(change.path, change.rule) for change in found.changes] == [
        ("recipe.optimizer.learning_rate", "train"),
        ("suite.generate.max_new_tokens", "generate"),
        ("title", "prose"),
    ]
    assert history.difference_text(found).splitlines() == [
        "notes-lora → notes-full: 3 fields (1 train, 1 generate, 1 prose)",
        "  train      recipe.optimizer.learning_rate  0.001 → 0.0003",
        "  generate   suite.generate.max_new_tokens   160 → 9",
        "  prose      title                           Notes with a small model → x",
        "Changing the one into the other trains, generates and scores.",
    ]
    assert json.loads(history.difference_json(found))["changes"][0] == {
        "path": "recipe.optimizer.learning_rate",
        "old": 0.001,
        "new": 0.0003,
        "rule": "train",
    }
    assert "| `recipe.optimizer.learning_rate` | 0.001 | 0.0003 | train |" in history.difference_markdown(found)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"suite.scores.1": {"name": "rouge_l"}}, "score"),
        ({"compare": "other"}, "report"),
        ({"compute.timeout": "3h"}, "placement"),
        ({"title": "x"}, "prose"),
        ({}, ""),
    ],
)
def test_what_the_change_would_do(change: dict[str, object], rule: str) -> None:
    found = difference(run(LORA), variant(**change))
    assert found.rule == rule
    said = history.difference_text(found)
    assert (history.LEADS_TO[rule] in said) if rule else said.endswith("no difference\n")


def ended(one: Run, at: str, score: float, packages: dict[str, str], rows: str) -> Run:
    evaluation = {"scores": {"json_valid": {"mean": score, "n": 6}}, "samples": 6, "rows_sha256": rows}
    results = {"evaluation": evaluation, "training": {"tokens": 100}, "environment": {"packages": packages}}
    times = {"claimed_at": f"2026-11-{at}T10:00:00.000+00:00", "started_at": f"2026-11-{at}T10:00:00.000+00:00"}
    where = {**one.provenance, "family": "GPU_NV_M", "nodes": 1}
    done = f"2026-11-{at}T10:10:00.000+00:00"
    return run(
        variant(**{"recipe.optimizer.learning_rate": one.spec["recipe"]["optimizer"]["learning_rate"]}),
        name=f"RUN_{at}",
        results=results,
        provenance=where,
        ended_at=done,
        **times,
    )


FIRST = ended(run(LORA), "20", 0.5, {"torch": "2.12"}, "a" * 64)
SECOND = ended(
    run(variant(**{"recipe.optimizer.learning_rate": 3e-4})), "21", 0.75, {"torch": "2.13", "new_one": "1"}, "b" * 64
)


def test_a_log_says_what_changed_since_the_run_before() -> None:
    found = entries([SECOND, FIRST], {"GPU_NV_M": 2.68})
    assert [one.run.name for one in found] == ["RUN_21", "RUN_20"]
    latest, first = found
    assert (first.before, first.changes, first.packages, first.data) == (None, (), (), ())
    assert latest.before == FIRST
    assert [(one.path, one.old, one.new, one.rule) for one in latest.changes] == [
        ("recipe.optimizer.learning_rate", 0.001, 0.0003, "train")
    ]
    assert latest.packages == (("new-one", None, "1"), ("torch", "2.12", "2.13"))
    assert latest.data == (("evaluation.rows_sha256", "a" * 64, "b" * 64),)
    assert latest.scores == (("json_valid", 0.5, 0.75),)
    assert latest.credits == pytest.approx(0.447, rel=0.005)
    assert history.log_text(found).splitlines() == [
        "RUN_21  notes-lora  2026-11-21 10:00  done  @ana on main (3f2c9d1)  0.447 credits",
        "    json_valid 0.750 (+0.250)",
        "    recipe.optimizer.learning_rate: 0.001 → 0.0003  [train]",
        f"    data evaluation.rows_sha256: {'a' * 20}…{'a' * 19} → {'b' * 20}…{'b' * 19}",
        "    package new-one: – → 1",
        "    package torch: 2.12 → 2.13",
        "RUN_20  notes-lora  2026-11-20 10:00  done  @ana on main (3f2c9d1)  0.447 credits",
        "    json_valid 0.500",
    ]
    (told, _) = json.loads(history.log_json(found))
    assert (told["before"], told["scores"]) == ("RUN_20", [{"name": "json_valid", "old": 0.5, "new": 0.75}])
    assert "RUN\\_21" in history.log_markdown(found)


def test_scores_of_another_suite_are_not_compared() -> None:
    other = run(
        variant(**{"suite.generate.max_new_tokens": 9}), name="RUN_22", claimed_at="2026-11-22T10:00:00.000+00:00"
    )
    other = Run(**{**vars(other), "results": SECOND.results})
    (latest, *_) = entries([FIRST, other], {})
    assert latest.scores == (("json_valid", None, 0.75),)


def test_each_variant_has_a_line_of_its_own_and_failures_are_in_it() -> None:
    seed = run(variant("notes-lora"), variant="seed=2", name="RUN_9")
    failed = run(LORA, Status.FAILED, None, name="RUN_8", claimed_at="2026-11-25T10:00:00.000+00:00")
    found = entries([FIRST, seed, failed], {})
    assert {one.run.name: one.before.name if one.before else None for one in found} == {
        "RUN_8": "RUN_20",
        "RUN_20": None,
        "RUN_9": None,
    }
    assert "nothing differs from the run before" in history.log_text(found)


def test_rows_have_one_fingerprint_whatever_their_order_and_another_when_they_change() -> None:
    rows = {"1": {"ID": 1, "NOTE": "a"}, "2": {"ID": 2, "NOTE": "b"}}
    same = {"2": {"NOTE": "b", "ID": 2}, "1": {"NOTE": "a", "ID": 1}}
    assert fingerprint(rows) == fingerprint(same)
    assert fingerprint(rows) != fingerprint({**rows, "2": {"ID": 2, "NOTE": "c"}})
    assert fingerprint(rows) != fingerprint({"1": rows["1"]})


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path, tmp_path, "none")
    made.write("experiments/_suites/notes/suite.yaml", SUITE)
    for name, rate in (("a", 0.001), ("b", 0.0003)):
        recipe = {**RECIPE, "optimizer": {"learning_rate": rate}}
        train = {**DOCUMENT["train"], "files": []}
        made.write(f"experiments/{name}/experiment.yaml", {**DOCUMENT, "train": train})
        made.write(f"experiments/{name}/recipe.yaml", recipe)
    made.edit("experiments/b/experiment.yaml", **{"train.matrix": {"micro_batch_size": [1, 2]}})
    return made


def test_two_experiments_differ_without_an_account(world: World) -> None:
    done = CliRunner().invoke(main, ["--root", str(world.root), "diff", "a", "b/micro_batch_size=2"])
    assert done.exit_code == 0, done.stderr
    assert "recipe.optimizer.learning_rate  0.001 → 0.0003" in done.stdout
    done = CliRunner().invoke(main, ["--root", str(world.root), "diff", "a", "b"])
    assert (done.exit_code, done.stderr.splitlines()[-2:]) == (
        1,
        ["b stands for 2 variants.", "Name one of them: b/micro_batch_size=1, b/micro_batch_size=2."],
    )


def test_a_run_that_is_none(world: World) -> None:
    desired = journeys.read(world.root)
    with pytest.raises(PisteError, match="knows no run RUN_0A1B2C3D4E5F_1"):
        journeys.difference(desired, None, "a", "RUN_0A1B2C3D4E5F_1")
