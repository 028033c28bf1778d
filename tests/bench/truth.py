"""Verdicts against the truth, with models that are really trained: does `piste compare` say what is so?

python tests/bench/truth.py train DIR      # needs torch; minutes on a GPU, an hour or more without one
python tests/bench/truth.py judge DIR      # needs piste; exits with 1 if a bound is missed

A recipe is a number of training steps of a small transformer that copies four facts out of a dialogue of tokens; more
steps make it better. Its true score is the mean of many seeds over many samples that no verdict sees. A verdict gets
three seeds of each recipe and 250 samples. Pairs are better, equal (the same recipe, other seeds) or worse by
construction. Bounds: a wrong direction in at most 5% of the pairs; of true gains or losses of ten points or more, at
least 80% found.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STEPS = (25, 35, 45, 55, 65, 75, 85, 100)
SEEDS, OF_A_VERDICT, SAMPLES, HELD_BACK = 12, 3, 250, 4000
GAP = 0.10
RUNS = "runs.jsonl"
FIELDS, VALUES, FILLERS, LENGTH = 4, 24, 40, 48
VOCABULARY = FIELDS * (VALUES + 1) + FILLERS


@dataclass(frozen=True)
class Pair:
    """Two recipes, each with the seeds that the verdict gets."""

    ours: tuple[int, tuple[int, ...]]
    theirs: tuple[int, tuple[int, ...]]
    by: str


def pairs() -> Iterator[Pair]:
    """Every recipe against itself, its next ones in both directions; each pair with seeds of its own draw."""
    sets = [tuple(range(start, start + OF_A_VERDICT)) for start in range(0, SEEDS, OF_A_VERDICT)]
    for place, steps in enumerate(STEPS):
        yield Pair((steps, sets[0]), (steps, sets[1]), "equal")
        yield Pair((steps, sets[2]), (steps, sets[3]), "equal")
        for further in STEPS[place + 1 : place + 3]:
            yield Pair((further, sets[0]), (steps, sets[1]), "better")
            yield Pair((steps, sets[2]), (further, sets[3]), "worse")


def train(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / RUNS
    file.write_text("")
    for seed in range(SEEDS):
        for steps, values, mean in _trained(seed):
            line = {"steps": steps, "seed": seed, "held_back": mean, "values": values}
            file.write_text(f"{file.read_text()}{json.dumps(line)}\n")
            print(f"{steps:4} steps, seed {seed:2}: {mean:.3f} over {HELD_BACK:,} samples", flush=True)


def _trained(seed: int) -> Iterator[tuple[int, list[float], float]]:
    """One training of each recipe: its schedule ends with its last step, as a recipe's does."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    seen, held = _data(torch, SAMPLES, 1, device), _data(torch, HELD_BACK, 2, device)
    for steps in STEPS:
        torch.manual_seed(1000 * steps + seed)
        model = _model(torch).to(device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        decay = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
        for step in range(steps):
            tokens, facts = _data(torch, 128, (seed + 1) * 100_003 + step, device)
            loss = torch.nn.functional.cross_entropy(model(tokens).transpose(1, 2), facts)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            decay.step()
        with torch.no_grad():
            right = [(model(tokens).argmax(-1) == facts).float().mean(1) for tokens, facts in (seen, held)]
        yield steps, right[0].tolist(), float(right[1].mean())


def _data(torch: Any, count: int, seed: int, device: str) -> tuple[Any, Any]:
    """Dialogues of fillers with `name value` somewhere for each field, in any order; and the values."""
    random = torch.Generator().manual_seed(seed)
    tokens = torch.randint(FIELDS * (VALUES + 1), VOCABULARY, (count, LENGTH), generator=random)
    facts = torch.randint(0, VALUES, (count, FIELDS), generator=random)
    places = torch.rand((count, LENGTH // 2), generator=random).argsort(1)[:, :FIELDS] * 2
    rows = torch.arange(count)[:, None]
    tokens[rows, places] = torch.arange(FIELDS).expand(count, FIELDS)
    tokens[rows, places + 1] = FIELDS + torch.arange(FIELDS) * VALUES + facts
    return tokens.to(device), facts.to(device)


def _model(torch: Any) -> Any:
    nn = torch.nn

    class Reader(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(VOCABULARY, 64)
            self.places = nn.Parameter(torch.randn(LENGTH + FIELDS, 64) * 0.02)
            self.asked = nn.Parameter(torch.randn(FIELDS, 64) * 0.02)
            layer = nn.TransformerEncoderLayer(64, 4, 128, dropout=0.0, batch_first=True, norm_first=True)
            self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.head = nn.Linear(64, VALUES)

        def forward(self, tokens: Any) -> Any:
            asked = self.asked.expand(len(tokens), -1, -1)
            read = self.layers(torch.cat([self.words(tokens), asked], 1) + self.places)
            return self.head(read[:, -FIELDS:])

    return Reader()


def judge(folder: Path) -> int:
    """The table of all pairs, and how often the verdict was wrong or found what there is."""
    from piste import statistics

    read = [json.loads(line) for line in (folder / RUNS).read_text().splitlines()]
    runs = {(one["steps"], one["seed"]): one for one in read}
    truth = {steps: sum(runs[steps, seed]["held_back"] for seed in range(SEEDS)) / SEEDS for steps in STEPS}
    wrong, large, found, counted = 0, 0, 0, 0
    print("steps against steps   by construction   true difference   measured (95% interval)     verdict")
    for pair in pairs():
        sides = [[_values(runs[steps, seed]) for seed in seeds] for steps, seeds in (pair.ours, pair.theirs)]
        told = statistics.with_verdict(statistics.over_seeds(sides[0], sides[1]))
        true = truth[pair.ours[0]] - truth[pair.theirs[0]]
        verdict = str(told["verdict"])
        direction = {"improved": 1, "regressed": -1}.get(verdict, 0)
        wrong += direction != 0 and direction * true <= 0
        counted += 1
        if abs(true) >= GAP:
            large, found = large + 1, found + (direction * true > 0)
        spread = f"{told['difference']:+.3f} ({told['low']:+.3f} to {told['high']:+.3f})"
        print(f"{pair.ours[0]:6} {pair.theirs[0]:8}      {pair.by:15}   {true:+.3f}            {spread:27} {verdict}")
    print(f"\n{counted} pairs: a wrong direction in {wrong} ({wrong / counted:.1%})")
    print(f"of {large} true differences of {GAP:.0%} or more, {found} found ({found / max(large, 1):.0%})")
    return int(wrong > 0.05 * counted or found < 0.8 * large or counted < 20)


def _values(run: dict[str, Any]) -> dict[str, float]:
    return {str(sample): value for sample, value in enumerate(run["values"])}


if __name__ == "__main__":
    action, directory = sys.argv[1:]
    sys.exit(train(Path(directory)) if action == "train" else judge(Path(directory)))
