"""`python -m payload.similarity FOLDER`: how alike texts are by an embedding model, in a process of its own.

FOLDER holds request.json ({model}) and pairs.jsonl ({sample, texts}, two each); similarities.jsonl gets {sample,
value}. The model's files are as sentence-transformers keeps them; a plain encoder of transformers does as well.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

REQUEST, PAIRS, SIMILARITIES = "request.json", "pairs.jsonl", "similarities.jsonl"
BATCH_SIZE, LONGEST = 32, 512
POOLING = "1_Pooling/config.json"
UNDERSTOOD = ("Transformer", "Pooling", "Normalize")


def main(folder: Path) -> None:
    model = Path(json.loads((folder / REQUEST).read_text())["model"])
    pairs = [json.loads(line) for line in (folder / PAIRS).read_text().splitlines()]
    texts = sorted({text for pair in pairs for text in pair["texts"]}, key=lambda text: (-len(text), text))
    vectors = dict(zip(texts, embed(model, texts), strict=True))
    with (folder / SIMILARITIES).open("w") as file:
        for pair in pairs:
            file.write(json.dumps({"sample": pair["sample"], "value": similarity(*pair["texts"], vectors)}) + "\n")


def similarity(prediction: str, reference: str, vectors: Mapping[str, torch.Tensor]) -> float:
    """The cosine; 0 where the model said nothing at all."""
    if not prediction.strip():
        return 0.0
    return float(vectors[prediction] @ vectors[reference])


def embed(folder: Path, texts: Sequence[str]) -> Iterator[torch.Tensor]:
    """A vector of length 1 for each text, in float32; texts are cut off where the model's window ends."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    pool = pooling(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.padding_side = "right"
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModel.from_pretrained(folder, dtype=torch.float32).to(device).eval()
    longest = min(LONGEST, tokenizer.model_max_length)
    for start in range(0, len(texts), BATCH_SIZE):
        batch = list(texts[start : start + BATCH_SIZE])
        encoded = tokenizer(batch, return_tensors="pt", padding=True, truncation=True, max_length=longest).to(device)
        with torch.inference_mode():
            states = model(**encoded).last_hidden_state
        yield from torch.nn.functional.normalize(_pooled(states, encoded["attention_mask"], pool), dim=-1).cpu()


def pooling(folder: Path) -> str:
    """How the model makes one vector of a text: `mean` of its tokens unless it says `cls`, the first of them.

    Raises ValueError for a model that does something else, which would give other numbers than its own library.
    """
    modules = folder / "modules.json"
    if modules.exists():
        kinds = [str(module["type"]).rpartition(".")[2] for module in json.loads(modules.read_text())]
        if unknown := [kind for kind in kinds if kind not in UNDERSTOOD]:
            raise ValueError(f"the embedding model has modules that are not understood: {', '.join(unknown)}")
    config: dict[str, Any] = json.loads((folder / POOLING).read_text()) if (folder / POOLING).exists() else {}
    chosen = [key.removeprefix("pooling_mode_") for key, on in config.items() if key.startswith("pooling_mode_") and on]
    found = {"mean_tokens": "mean", "cls_token": "cls"}.get(chosen[0]) if len(chosen) == 1 else None
    if chosen and found is None:
        raise ValueError(f"the embedding model pools by {', '.join(chosen)}, which is not understood")
    return found or "mean"


def _pooled(states: torch.Tensor, mask: torch.Tensor, pool: str) -> torch.Tensor:
    if pool == "cls":
        return states[:, 0]
    weights = mask[..., None].to(states.dtype)
    return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
