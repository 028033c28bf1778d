from __future__ import annotations

from builders import DOCUMENT, MESSAGES, RECIPE, baseline, experiment, run, variant
from piste.plan import plan
from piste.smoke import NAME, smoke
from piste.variants import variants


def test_it_is_short_and_has_digests_of_its_own() -> None:
    whole = variant(**{"recipe.epochs": 3, "recipe.eval_interval": 500, "compute.timeout": "8h", "compute.retries": 4})
    (cut,) = smoke([whole])
    recipe, suite = cut.spec["recipe"], cut.spec["suite"]
    assert (recipe["train_iters"], recipe["eval_interval"], "epochs" in recipe) == (3, 3, False)
    assert recipe["data"]["sources"][0]["limit"] == 16
    assert suite["data"]["sql"] == "SELECT * FROM (\nSELECT * FROM NOTES WHERE SPLIT = 'test'\n) LIMIT 16"
    assert cut.spec["experiment"]["compute"] == {"pool": "cpu", "timeout": "15m", "retries": 0}
    assert (cut.name, cut.title) == (NAME, "notes-lora/smoke")
    assert cut.digests.training != whole.digests.training
    assert cut.digests.suite != whole.digests.suite
    assert whole.spec["recipe"]["epochs"] == 3


def test_there_are_rows_for_every_step_however_they_are_packed() -> None:
    many = {"recipe.micro_batch_size": 8, "recipe.gradient_accumulation_steps": 4, "train.gpus": 8}
    (cut,) = smoke([variant(**many)])
    assert cut.spec["recipe"]["data"]["sources"][0]["limit"] == 3 * 8 * 4 * 8
    (packed,) = smoke([variant(**{"recipe.data.pack_samples": True})])
    assert packed.spec["recipe"]["data"]["sources"][0]["limit"] == 3 * 4 * 32


def test_a_limit_that_is_lower_stays_and_the_hub_gets_a_count() -> None:
    rows = {"type": "snowflake_messages", "sql": "SELECT * FROM NOTES", "key": "ID", "messages": MESSAGES, "limit": 5}
    sources = [rows, {"type": "huggingface", "name_or_path": "org/rows"}, "org/more:train"]
    (cut,) = smoke([variant(**{"recipe.data.sources": sources, "recipe.data.eval_sources": [rows | {"limit": 90}]})])
    data = cut.spec["recipe"]["data"]
    assert [source if isinstance(source, str) else source.get("limit") for source in data["sources"]] == [
        5,
        None,
        "org/more:train",
    ]
    assert data["sources"][1]["sample_count"] == 16
    assert data["eval_sources"][0]["limit"] == 16


def test_of_a_matrix_one_variant_stands_for_all() -> None:
    asked = variants(experiment(**{"train.matrix": {"optimizer.learning_rate": [0.1, 0.2]}}))
    assert [cut.title for cut in smoke(asked)] == ["notes-lora/smoke"]


def test_a_baseline_is_only_evaluated() -> None:
    (cut,) = smoke(variants(baseline()))
    assert cut.spec["recipe"] is None


def test_a_smoke_run_neither_counts_as_the_real_one_nor_as_one_before_it() -> None:
    whole = variant()
    (cut,) = smoke([whole])
    before = run(cut, provenance={"smoke": True, "tried": True})
    (action,) = plan([whole], [before]).actions
    assert (action.verb, action.reason) == ("train", "new")
    assert plan([whole], [before]).orphans == ()
    (kept,) = plan([cut], [before]).actions
    assert kept.verb == "keep"


def test_the_documents_that_it_is_made_from_stay_as_they_are() -> None:
    smoke([variant()])
    assert "limit" not in RECIPE["data"]["sources"][0]
    assert DOCUMENT["compute"] == {"pool": "cpu", "timeout": "1h"}
