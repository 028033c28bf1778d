"""Same experiment, same run: what may change a digest, and what may not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from builders import baseline, experiment, variant
from piste.digest import digests, normal
from piste.variants import variants

SAME: dict[str, dict[str, Any]] = {
    "number as another literal": {"recipe.optimizer.learning_rate": 1e-3},
    "integer as a float": {"recipe.micro_batch_size": 4.0},
    "owner": {"owner": "@ben"},
    "title": {"title": "Another title"},
    "question": {"question": "Why?"},
    "conclusion": {"conclusion": "It does."},
    "tags": {"tags": ["a"]},
    "pool": {"compute.pool": "gpu-small"},
    "timeout": {"compute.timeout": "4h"},
    "compare": {"compare": "notes-base"},
    "wandb": {"recipe.wandb": {"enable": True, "project": "x"}},
    "cache path": {"recipe.data.cache_dir": "/elsewhere"},
    "workers": {"recipe.data.num_proc": 2},
    "gpus as its default": {"train.gpus": None},
    "name of the recipe file": {"train.recipe": "other.yaml"},
    "suite title": {"suite.title": "Another"},
    "batch size of generation": {"suite.generate.batch_size": 3},
    "what difference is of interest": {"suite.scores.0": {"name": "json_valid", "minimum": 0.1}},
    "a score's option as its default": {"suite.scores.0": {"name": "json_valid", "unit": "characters"}},
    "which direction is better": {"suite.scores.0": {"name": "json_valid", "better": "lower"}},
}
TRAINS: dict[str, dict[str, Any]] = {
    "learning rate": {"recipe.optimizer.learning_rate": 3e-4},
    "gpus": {"train.gpus": 2},
    "nodes": {"train.nodes": 2},
    "base model": {"train.inputs.base-model": "@MODELS/other"},
    "data query": {"recipe.data.sources.0.sql": "SELECT 1"},
    "declared file": {"files.train.py": "b" * 64},
    "runtime": {"train.runtime": "cpu-2027.01"},
    "a true for a one": {"recipe.micro_batch_size": True},
}


@pytest.mark.parametrize("changes", SAME.values(), ids=SAME.keys())
def test_what_decides_nothing_changes_no_digest(changes: dict[str, Any]) -> None:
    assert variant(**changes).digests == variant().digests


@pytest.mark.parametrize("changes", TRAINS.values(), ids=TRAINS.keys())
def test_what_decides_the_weights_changes_the_training_digest_alone(changes: dict[str, Any]) -> None:
    changed, original = variant(**changes).digests, variant().digests
    assert changed.training != original.training
    assert changed.suite == original.suite


def test_folder_name_is_no_identity() -> None:
    assert variant("another-name").digests == variant().digests


def test_key_order_is_no_identity() -> None:
    spec = variant().spec
    turned = {key: dict(reversed(value.items())) if isinstance(value, dict) else value for key, value in spec.items()}
    assert digests(turned) == variant().digests


def test_generation_length_changes_generation_and_not_scoring() -> None:
    changed, original = variant(**{"suite.generate.max_new_tokens": 99}).digests, variant().digests
    assert changed.generation != original.generation
    assert (changed.training, changed.scoring) == (original.training, original.scoring)


def test_another_score_changes_scoring_and_not_generation() -> None:
    changed, original = variant(**{"suite.scores.1": {"name": "rouge_l"}}).digests, variant().digests
    assert changed.scoring != original.scoring
    assert (changed.training, changed.generation) == (original.training, original.generation)
    assert changed.suite != original.suite


@pytest.mark.parametrize(
    "changes",
    [
        {"suite.scores.0": {"name": "contains", "text": "mg"}},
        {"suite.scores.0": {"name": "json_valid", "as": "form"}},
        {"suite.scores.0": {"name": "similarity", "model": "@MODELS/other"}},
        {"suite.data.group": "PATIENT"},
    ],
)
def test_what_a_score_is_told_changes_scoring_alone(changes: dict[str, Any]) -> None:
    changed, original = variant(**changes).digests, variant().digests
    assert changed.scoring != original.scoring
    assert (changed.training, changed.generation) == (original.training, original.generation)


def test_what_the_model_says_of_references_is_made_with_the_answers() -> None:
    """So a suite that asks for it generates again, and after that for another reference alone."""
    asked = {"suite.scores.1": {"name": "perplexity"}}
    changed, original = variant(**asked).digests, variant().digests
    assert (changed.generation != original.generation, changed.scoring != original.scoring) == (True, True)
    both = variant(**asked, **{"suite.scores.0": {"name": "reference_loss"}}).digests
    assert both.generation == changed.generation
    assert variant(**asked, **{"suite.reference": "{NOTE}."}).digests.generation != changed.generation
    assert variant(**{"suite.reference": "{NOTE}."}).digests.generation == original.generation


SHOWN = {"sql": "SELECT ID, DIALOGUE, NOTE FROM NOTES WHERE SPLIT = 'train'", "count": 3}


def shown(reference: str = "{NOTE}", **examples: Any) -> Any:
    made = baseline()
    document = {**made.document, "evaluate": {"suite": "notes", "examples": {**SHOWN, **examples}}}
    suite = replace(made.suite, document={**made.suite.document, "reference": reference})
    return variants(replace(made, document=document, suite=suite))[0].digests


def test_examples_decide_what_is_evaluated_and_leave_the_suite_comparable() -> None:
    plain = variants(baseline())[0].digests
    assert shown().training != plain.training
    assert shown().suite == plain.suite
    assert shown(seed=0) == shown()
    others = [shown(seed=1), shown(count=4), shown(sql="SELECT 1")]
    assert len({shown().training, *(one.training for one in others)}) == 4
    assert shown(reference="{NOTE}.").training != shown().training, "their answers are made from it"


JUDGE = {"model": "claude-4-5-sonnet", "rubric": "Every finding, none invented.", "scale": "pass_fail"}


def test_a_judge_changes_the_suite_digest_and_nothing_that_a_job_does() -> None:
    judged, original = variant(**{"suite.judge": JUDGE}).digests, variant().digests
    assert (judged.training, judged.generation, judged.scoring) == (
        original.training,
        original.generation,
        original.scoring,
    )
    assert judged.suite != original.suite
    assert judged.evaluation == original.evaluation == original.suite
    other = variant(**{"suite.judge": {**JUDGE, "rubric": "Is it polite?"}}).digests
    assert (other.judge != judged.judge, other.suite != judged.suite) == (True, True)


def test_what_decides_no_verdict_judges_nothing_again() -> None:
    more = {"pairwise": True, "canaries": 5, "batch_size": 7}
    gold = {"sql": "SELECT * FROM GOLD", "answer": "ANSWER", "verdict": "VERDICT"}
    changed = variant(**{"suite.judge": {**JUDGE, **more, "gold": gold}}).digests
    assert changed == variant(**{"suite.judge": JUDGE}).digests


def test_matrix_and_seeds_make_variants_with_digests_of_their_own() -> None:
    many = experiment(**{"train.matrix": {"optimizer.learning_rate": [1e-3, 3e-4]}, "train.seeds": [1, 2]})
    made = variants(many)
    assert [one.name for one in made] == [
        "learning_rate=0.001,seed=1",
        "learning_rate=0.001,seed=2",
        "learning_rate=0.0003,seed=1",
        "learning_rate=0.0003,seed=2",
    ]
    assert len({one.digests.training for one in made}) == 4


def test_a_grown_matrix_keeps_the_digests_it_had() -> None:
    before = variants(experiment(**{"train.seeds": [1, 2]}))
    after = variants(experiment(**{"train.seeds": [1, 2, 3]}))
    assert [one.digests for one in after[:2]] == [one.digests for one in before]


def test_a_baseline_is_identified_by_its_inputs() -> None:
    one = variants(baseline())[0]
    assert not one.trains
    assert one.digests.training != variant().digests.training


def test_digests_are_pinned() -> None:
    """Whoever changes these re-trains every experiment of every user: raise FORMAT and write a migration instead."""
    found = variant().digests
    assert (found.training[:12], found.generation[:12], found.scoring[:12]) == PINNED


PINNED = ("6d364bff1d85", "20858fdb14eb", "d9c3f01d31b2")


def test_a_value_without_one_meaning_has_no_identity() -> None:
    with pytest.raises(TypeError, match="set has no place"):
        normal({"a": {1, 2}})
