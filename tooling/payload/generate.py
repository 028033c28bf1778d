"""`python -m payload.generate FOLDER`: what the model answers, in a process of its own that ends with its memory.

FOLDER holds request.json and samples.jsonl ({sample, messages, and reference where its loss is asked for});
predictions.jsonl is written batch by batch, so that the parent sees how far it is.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from payload import weights

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

REQUEST, SAMPLES, PREDICTIONS = "request.json", "samples.jsonl", "predictions.jsonl"
BATCH_SIZE, MAX_NEW_TOKENS, SEED = 8, 256, 0
MOST_SURPRISED = 100.0
"""Nats of a token that a model can't say a number for, or a larger one: a table holds no infinity."""


def main(folder: Path) -> None:
    request = json.loads((folder / REQUEST).read_text())
    samples = [json.loads(line) for line in (folder / SAMPLES).read_text().splitlines()]
    checkpoint = Path(request["checkpoint"]) if request["checkpoint"] else None
    tokenizer = load_tokenizer(checkpoint, request["base"])
    model = load_model(checkpoint, request["base"])
    references = {sample["sample"]: sample["reference"] for sample in samples if "reference" in sample}
    with (folder / PREDICTIONS).open("w") as file:
        for batch in batches(samples, tokenizer, request["options"].get("batch_size", BATCH_SIZE)):
            found = losses(model, tokenizer, [(prompt, references[sample]) for sample, prompt in batch if references])
            for line, loss in zip_longest(answer(model, tokenizer, batch, request["options"]), found):
                file.write(json.dumps(line if loss is None else {**line, "loss": loss}) + "\n")
            file.flush()


def load_tokenizer(checkpoint: Path | None, base: str) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    own = checkpoint is not None and (checkpoint / "tokenizer_config.json").exists()
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(checkpoint if own else base)
    tokenizer.padding_side = "left"
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer


def load_model(checkpoint: Path | None, base: str) -> PreTrainedModel:
    """float32 on a CPU, where bfloat16 is no faster; the checkpoint's own type on GPUs, spread over them."""
    import torch
    from transformers import AutoModelForCausalLM

    adapter = checkpoint is not None and weights.is_adapter(checkpoint)
    source = base if adapter or checkpoint is None else str(checkpoint)
    gpus = torch.cuda.device_count()
    placement: dict[str, Any] = {"dtype": "auto", "device_map": "auto"} if gpus else {"dtype": torch.float32}
    torch.manual_seed(SEED)
    model = AutoModelForCausalLM.from_pretrained(source, **placement)
    if adapter:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(checkpoint)).merge_and_unload()
    return model.eval()


def batches(
    samples: Sequence[Mapping[str, Any]], tokenizer: PreTrainedTokenizerBase, size: int
) -> Iterator[list[tuple[str, str]]]:
    """(sample, prompt text), long ones first: like lengths waste no padding, and too little memory shows at once."""
    prompts = [
        (
            sample["sample"],
            tokenizer.apply_chat_template(sample["messages"], tokenize=False, add_generation_prompt=True),
        )
        for sample in samples
    ]
    prompts.sort(key=lambda prompt: -len(prompt[1]))
    yield from (prompts[start : start + size] for start in range(0, len(prompts), size))


def answer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    batch: Sequence[tuple[str, str]],
    options: Mapping[str, Any],
) -> Iterator[dict[str, Any]]:
    """One line per sample; `seconds` is its share of the batch, `tokens` counts up to the end token."""
    import torch

    started = time.monotonic()
    encoded = tokenizer([prompt for _, prompt in batch], return_tensors="pt", padding=True, add_special_tokens=False)
    ids, mask = encoded["input_ids"].to(model.device), encoded["attention_mask"].to(model.device)
    with torch.inference_mode():
        output = model.generate(
            input_ids=ids, attention_mask=mask, pad_token_id=tokenizer.pad_token_id, **settings(options, tokenizer)
        )
    seconds = (time.monotonic() - started) / len(batch)
    for (sample, _), tokens in zip(batch, output[:, ids.shape[1] :], strict=True):
        kept = until_end(tokens, tokenizer)
        text = tokenizer.decode(kept, skip_special_tokens=True)
        yield {"sample": sample, "prediction": text, "tokens": len(kept), "seconds": round(seconds, 4)}


def losses(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch: Sequence[tuple[str, str]]) -> list[float]:
    """For each (prompt, reference) how much the model is surprised by the reference and that it ends there.

    Nats per token, in float32. Padded at the left, so that all references end at the same place and only their part
    of the logits is made.
    """
    import torch

    if not batch:
        return []
    prompts, references = ([_ids(tokenizer, text) for text in texts] for texts in zip(*batch, strict=True))
    answers = [[*reference, tokenizer.eos_token_id] for reference in references]
    longest = max(len(prompt) + len(answer) for prompt, answer in zip(prompts, answers, strict=True))
    most = max(map(len, answers))
    ids = torch.full((len(batch), longest), int(tokenizer.pad_token_id or 0))
    mask = torch.zeros_like(ids)
    for place, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        whole = [*prompt, *answer]
        ids[place, -len(whole) :], mask[place, -len(whole) :] = torch.tensor(whole), 1
    ids, mask = ids.to(model.device), mask.to(model.device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.inference_mode():
        logits = model(input_ids=ids, attention_mask=mask, position_ids=positions, logits_to_keep=most + 1).logits
        told = torch.log_softmax(logits[:, -most - 1 : -1].float(), dim=-1)
        surprise = -told.gather(-1, ids[:, -most:, None])[..., 0]
    surprise = surprise.nan_to_num(nan=MOST_SURPRISED).clamp(max=MOST_SURPRISED)
    return [float(row[-len(answer) :].mean()) for row, answer in zip(surprise, answers, strict=True)]


def _ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return found


def settings(options: Mapping[str, Any], tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Greedy at temperature 0; a model's own sampling defaults never leak in."""
    temperature = options.get("temperature", 0)
    chosen = {"do_sample": True, "temperature": float(temperature)} if temperature else {"do_sample": False}
    unset = {} if temperature else {"temperature": None}
    return {
        "max_new_tokens": options.get("max_new_tokens", MAX_NEW_TOKENS),
        "eos_token_id": tokenizer.eos_token_id,
        "top_p": None,
        "top_k": None,
        **unset,
        **chosen,
    }


def until_end(tokens: torch.Tensor, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    found: list[int] = tokens.tolist()
    return found[: found.index(tokenizer.eos_token_id)] if tokenizer.eos_token_id in found else found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
