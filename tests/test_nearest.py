"""What a new variant is like, among its own runs and elsewhere; and that many runs cost no full comparison each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from builders import baseline, experiment, run, variant
from piste import nearest
from piste.digest import normal
from piste.experiment import Variant
from piste.nearest import explained
from piste.plan import Like, Plan, Verb, plan
from piste.rendering import plan_text, why
from piste.run import Run, Status
from piste.variants import variants

LORA = variant()


def ran(name: str, changed: dict[str, Any], **of_run: Any) -> Run:
    one = variant(name, **changed)
    return run(one, name=f"RUN_{one.digests.training[:12].upper()}_1", **of_run)


def like(wanted: Variant, *runs: Run) -> Like | None:
    (action,) = explained(plan([wanted], runs)).actions
    return action.like


NEW = variant("mine", **{"recipe.optimizer.learning_rate": 3e-4})


def test_another_experiment_is_named_with_the_field_that_differs() -> None:
    found = explained(plan([NEW], [run(LORA)]))
    assert why(found.actions[0]) == "new; like notes-lora but recipe.optimizer.learning_rate 0.001 → 0.0003"
    assert "like notes-lora but recipe.optimizer.learning_rate 0.001 → 0.0003" in plan_text(found)


def test_the_fewest_fields_win_and_of_equals_the_latest() -> None:
    two = ran("two", {"recipe.optimizer.learning_rate": 1e-4, "train.gpus": 2})
    early = ran("early", {"recipe.optimizer.learning_rate": 1e-4})
    late = ran("late", {"recipe.optimizer.learning_rate": 1e-5}, claimed_at="2026-11-21T10:00:00.000+00:00")
    found = like(NEW, two, early, late)
    assert found is not None
    assert found.run == late
    assert [change.path for change in found.changes] == ["recipe.optimizer.learning_rate"]


def test_a_number_that_came_back_as_another_kind_is_the_same() -> None:
    changes = {"recipe.optimizer.weight_decay": 0.0, "recipe.model.dropout": 2.0, "recipe.data.share": 1.0}
    before = ran("other", changes)
    back = replace(before, spec=normal(before.spec))
    found = like(variant("mine", **changes, **{"recipe.optimizer.learning_rate": 3e-4}), back)
    assert found is not None
    assert len(found.changes) == 1


def test_its_own_experiment_comes_first() -> None:
    grid = variants(experiment("grid", **{"train.matrix": {"optimizer.learning_rate": [0.001, 0.01]}}))
    mine = replace(run(grid[0]), provenance={"actor": "@ana"})
    closer = ran("closer", {"recipe.optimizer.learning_rate": 0.01, "train.nodes": None})
    (_, action) = explained(
        plan(grid, [mine, replace(closer, digests=replace(closer.digests, training="f" * 64))])
    ).actions
    assert why(action).startswith("new variant; like grid/learning_rate=0.001 but recipe.optimizer.learning_rate")


@pytest.mark.parametrize(
    "changed",
    [
        {"recipe.optimizer.learning_rate": 1e-4, "train.inputs": {"base-model": "@MODELS/other"}, "train.gpus": 4},
        {
            "recipe.data.sources.0.sql": "SELECT 1",
            **{f"recipe.data.other_{place}": place for place in range(nearest.FEW + 1)},
        },
    ],
)
def test_what_differs_in_much_is_another_thing(changed: dict[str, Any]) -> None:
    assert like(NEW, ran("other", changed)) is None


def test_only_what_did_something_counts() -> None:
    failed = ran("other", {}, training=Status.FAILED, evaluation=Status.FAILED)
    smoke = ran("other", {}, provenance={"smoke": True})
    assert like(NEW, failed, smoke) is None
    assert like(NEW, ran("other", {}, evaluation=Status.FAILED)) is not None


def test_what_has_earlier_runs_of_its_own_is_compared_with_those() -> None:
    changed = variant(**{"recipe.optimizer.learning_rate": 3e-4})
    (action,) = explained(plan([changed], [run(LORA), ran("other", {"train.gpus": 2})])).actions
    assert (action.like, action.against) == (None, run(LORA))


def test_baselines_are_like_baselines() -> None:
    one, other = (variants(baseline(name))[0] for name in ("one", "other"))
    document = {**other.spec["experiment"], "train": {"inputs": {"base-model": "@MODELS/large"}}}
    larger = replace(one, digests=replace(one.digests, training="c" * 64))
    found = like(larger, replace(run(other), spec={**other.spec, "experiment": document}))
    assert found is not None
    assert [(change.old, change.new) for change in found.changes] == [("@MODELS/large", "@MODELS/small")]


def test_many_runs_are_told_apart_without_comparing_each(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []
    real = nearest.changes
    monkeypatch.setattr(nearest, "changes", lambda old, new: compared.append(1) or real(old, new))
    runs = [
        replace(
            run(LORA),
            name=f"RUN_{place:012X}_1",
            experiment=f"other-{place}",
            digests=replace(LORA.digests, training=f"{place:064x}"),
            spec={**LORA.spec, "recipe": {**LORA.spec["recipe"], "seed": place % 7, "epochs": place}},
        )
        for place in range(2000)
    ]
    asked = [variant(f"mine-{place}", **{"recipe.epochs": 10_000 + place}) for place in range(20)]
    found = explained(plan(asked, runs))
    assert all(action.like for action in found.actions)
    assert len(compared) <= len(asked) * nearest.COMPARED


def test_who_adds_very_much_gets_the_first_explained() -> None:
    asked = [variant(f"mine-{place}", **{"recipe.epochs": 2 + place}) for place in range(nearest.EXPLAINED + 5)]
    found = explained(plan(asked, [run(LORA)]))
    assert [action.like is not None for action in found.actions].count(True) == nearest.EXPLAINED


def test_work_in_a_queue_says_what_changed_too() -> None:
    (due,) = plan([variant(**{"recipe.optimizer.learning_rate": 3e-4})], [run(LORA)]).actions
    waiting = replace(due, verb=Verb.WAIT, reason="1st in the queue of P", steps=(), queue=1)
    assert plan_text(Plan((waiting,))).splitlines()[-1].strip() == (
        "recipe.optimizer.learning_rate: 0.001 → 0.0003  [train]"
    )


def test_reused_work_costs_nothing_and_says_whose_it_is() -> None:
    tried = run(LORA, provenance={"actor": "@ben", "branch": "try-lora", "commit": "3f2c9d1aa", "tried": True})
    (kept,) = plan([LORA], [tried]).actions
    assert why(kept) == "trained by @ben on try-lora (3f2c9d1); 0 credits"
    (renamed,) = plan([variant("renamed")], [run(LORA)]).actions
    assert why(renamed) == "trained by @ana on main (3f2c9d1) as notes-lora; 0 credits"
    scored = variant("other", **{"suite.generate.max_new_tokens": 9})
    (action,) = plan([scored], [run(LORA)]).actions
    assert why(action) == "trained by @ana on main (3f2c9d1); 0 credits for the training"
    (own,) = plan([LORA], [run(LORA)]).actions
    assert why(own) == "trained by @ana on main (3f2c9d1)"
