from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from payload import generate, similarity

SCHEMA = Path(__file__).parents[2] / "schemas" / "suite.schema.json"


def test_a_suite_that_leaves_the_options_out_gets_the_schemas_defaults() -> None:
    options = json.loads(SCHEMA.read_text())["properties"]["generate"]["properties"]
    defaults = {name: option["default"] for name, option in options.items()}
    tokenizer: Any = SimpleNamespace(eos_token_id=1)
    assert generate.settings({}, tokenizer) == generate.settings(defaults, tokenizer)
    assert defaults["batch_size"] == generate.BATCH_SIZE
    assert set(defaults) == {"max_new_tokens", "temperature", "batch_size"}


def test_the_loss_of_references_is_the_models_own(tiny_model: Path) -> None:
    """Against each sample by itself, without padding, by the cross entropy that the model computes."""
    import torch

    tokenizer, model = generate.load_tokenizer(None, str(tiny_model)), generate.load_model(None, str(tiny_model))
    batch = [("ask", "yes"), ("a much longer question, with words", "no, and that is a long story"), ("a", "")]
    for (prompt, reference), found in zip(batch, generate.losses(model, tokenizer, batch), strict=True):
        before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        after = [*tokenizer(reference, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        labels = torch.tensor([[-100] * len(before) + after])
        with torch.inference_mode():
            alone = model(input_ids=torch.tensor([before + after]), labels=labels).loss
        assert found == pytest.approx(float(alone), rel=1e-3)


def test_nothing_is_asked_of_the_model_where_no_score_wants_it() -> None:
    nothing: Any = None
    assert generate.losses(nothing, nothing, []) == []


def test_texts_are_as_alike_as_their_vectors(tiny_model: Path, tmp_path: Path) -> None:
    pairs = [
        {"sample": "same", "texts": ["a cough", "a cough"]},
        {"sample": "other", "texts": ["a cough", "rain in the mountains, and snow"]},
        {"sample": "silent", "texts": [" ", "a cough"]},
    ]
    (tmp_path / similarity.REQUEST).write_text(json.dumps({"model": str(tiny_model)}))
    (tmp_path / similarity.PAIRS).write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    similarity.main(tmp_path)
    lines = [json.loads(line) for line in (tmp_path / similarity.SIMILARITIES).read_text().splitlines()]
    found = {line["sample"]: line["value"] for line in lines}
    assert list(found) == ["same", "other", "silent"]
    assert found["same"] == pytest.approx(1.0, abs=1e-5)
    assert -1 <= found["other"] < 0.999
    assert found["silent"] == 0.0


def test_padding_changes_no_vector(tiny_model: Path) -> None:
    short, long = "a cough", "a much longer text that makes the short one be padded"
    together = dict(zip([long, short], similarity.embed(tiny_model, [long, short]), strict=True))
    (alone,) = similarity.embed(tiny_model, [short])
    assert float(together[short] @ alone) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("config", "pool"),
    [
        (None, "mean"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_cls_token": True, "word_embedding_dimension": 384}, "cls"),
        ({"pooling_mode_max_tokens": True}, None),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, None),
    ],
)
def test_how_an_embedding_model_pools_is_its_own_to_say(tmp_path: Path, config: Any, pool: str | None) -> None:
    if config:
        (tmp_path / "1_Pooling").mkdir()
        (tmp_path / similarity.POOLING).write_text(json.dumps(config))
    if pool is None:
        with pytest.raises(ValueError, match="not understood"):
            similarity.pooling(tmp_path)
    else:
        assert similarity.pooling(tmp_path) == pool


def test_an_embedding_model_with_a_layer_that_we_would_leave_out_is_refused(tmp_path: Path) -> None:
    kinds = ["Transformer", "Pooling", "Dense", "Normalize"]
    modules = [{"idx": place, "type": f"sentence_transformers.models.{kind}"} for place, kind in enumerate(kinds)]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(ValueError, match="Dense"):
        similarity.pooling(tmp_path)
