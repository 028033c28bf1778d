"""What numbers of evaluated runs the ledger lacks, and how they are made."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from builders import baseline, experiment, run
from piste import measures
from piste.experiment import Variant
from piste.measures import GROUP, LENGTH, VERSION, missing, records, seeds_key
from piste.run import Run, Status
from piste.variants import all_variants

DONE = {"version": VERSION}


def desired(**train: object) -> tuple[Variant, ...]:
    changes = {f"train.{key}": value for key, value in train.items()}
    return all_variants([baseline(), experiment(compare="notes-base", **changes)])


def named(runs: list[Run]) -> dict[str, Run]:
    return {one.name: one for one in runs}


def samples(runs: list[Run], shift: float = 0.1) -> dict[str, dict[str, dict[str, float]]]:
    chance = random.Random(1)
    base = {f"s{number}": chance.betavariate(4, 3) for number in range(60)}
    found = {}
    for place, one in enumerate(runs):
        values = {key: value + shift * (place > 0) + chance.gauss(0, 0.02) for key, value in base.items()}
        found[one.name] = {"rouge_l": values, GROUP: {key: float(int(key[1:]) // 3) for key in base}}
        found[one.name] |= {LENGTH: {key: 100.0 * value for key, value in values.items()}, "_loss": base}
    return found


def test_each_run_is_measured_and_compared_once_and_only_under_one_suite() -> None:
    asked = desired()
    base, lora = (run(one) for one in asked)
    due = missing(asked, [base, lora])
    assert [one.experiment for one in due.measured] == ["notes-base", "notes-lora"]
    assert [(mine.experiment, theirs.experiment) for mine, theirs in due.compared] == [("notes-lora", "notes-base")]
    assert (due.pooled, set(due.runs)) == ((), {base.name, lora.name})
    base, lora = replace(base, measured=DONE), replace(lora, measured=DONE, comparisons={base.name: DONE})
    assert missing(asked, [base, lora]).runs == ()
    older = replace(lora, comparisons={base.name: {"scores": {}}})
    assert missing(asked, [base, older]).compared == ((older, base),)
    elsewhere = replace(base, digests=replace(base.digests, suite="s"))
    assert missing(asked, [elsewhere, lora]).compared == ()
    assert missing(asked, [run(asked[0], evaluation=Status.FAILED), lora]).runs == ()


def test_what_git_does_not_ask_for_is_left_alone() -> None:
    asked = desired()
    assert missing(asked[:1], [run(asked[1])]).runs == ()


def test_an_imported_run_has_no_samples() -> None:
    asked = desired()
    base, lora = (run(one, provenance={"imported_by": "@ana"}) for one in asked)
    assert missing(asked, [base, replace(lora, comparisons={base.name: {"scores": {}}})]).runs == ()


def test_seeds_are_pooled_and_again_when_another_is_done() -> None:
    asked = desired(seeds=[1, 2, 3])
    base, *seeds = (run(one) for one in asked)
    (pool,) = missing(asked, [base, *seeds[:2]]).pooled
    assert pool.key == seeds_key(seeds[:2], [base])
    first, *others = sorted(seeds, key=lambda one: one.name)
    known = replace(first, pooled={seeds_key(seeds[:2], [base]): DONE})
    (pool,) = missing(asked, [base, known, *others]).pooled
    assert pool.key == seeds_key(seeds, [base])
    assert missing(asked, [base, replace(first, pooled={pool.key: DONE}), *others]).pooled == ()


def test_each_recipe_of_a_matrix_has_its_own_pool() -> None:
    asked = desired(seeds=[1, 2], matrix={"optimizer.learning_rate": [0.1, 0.2]})
    runs = [run(one) for one in asked]
    pools = missing(asked, runs).pooled
    assert [len(pool.ours) for pool in pools] == [2, 2]
    assert missing(desired(), [run(one) for one in desired()]).pooled == ()


def test_the_rows_say_what_was_found() -> None:
    asked = desired(seeds=[1, 2])
    runs = [run(one) for one in asked]
    due = missing(asked, runs)
    rows = {(one, kind, body.get("other", "")): body for one, kind, body in records(due, samples(runs))}
    base, first, second = runs
    assert len(rows) == 3 + 2 + 1
    measured = rows[base.name, "measured", ""]["scores"]
    assert list(measured) == ["rouge_l"], "what stands beside the scores is none"
    assert (measured["rouge_l"]["n"], measured["rouge_l"]["groups"]) == (60, 20)
    compared = rows[first.name, "compared", base.name]
    assert (compared["experiment"], compared["version"]) == ("notes-base", VERSION)
    assert compared["scores"]["rouge_l"]["verdict"] == "improved"
    assert compared["scores"]["rouge_l"]["test"] == "permutation of groups"
    length = (rows[first.name, "measured", ""]["length"], compared["length"])
    assert length[0]["mean"] == pytest.approx(length[1]["mean_a"])
    assert (length[1]["difference"], length[1]["verdict"]) == (pytest.approx(10, abs=0.5), "different")
    leader = min(first.name, second.name)
    pooled = rows[leader, "pooled", seeds_key([first, second], [base])]["scores"]["rouge_l"]
    assert (pooled["seeds"], pooled["verdict"]) == ([2, 1], "improved")


def test_a_run_without_scores_is_measured_all_the_same() -> None:
    """So that it is not asked for again and again."""
    asked = desired()[:1]
    one = run(asked[0])
    assert list(records(missing(asked, [one]), {})) == [
        (one.name, "measured", {"version": VERSION, "scores": {}}),
    ]
    assert measures.VERSION >= 1
