"""Makes what git can't keep."""

from __future__ import annotations

from pathlib import Path


def make(root: Path) -> None:
    values = ", ".join(str(number) for number in range(100))
    recipe, experiment = root / "experiments/notes-lora/recipe.yaml", root / "experiments/notes-lora/experiment.yaml"
    recipe.write_text(recipe.read_text() + "micro_batch_size: 4\nepochs: 1\n")
    paths = ("optimizer.learning_rate", "micro_batch_size", "epochs")
    matrix = "".join(f"    {path}: [{values}]\n" for path in paths)
    experiment.write_text(experiment.read_text().replace("evaluate:", "  matrix:\n" + matrix + "evaluate:"))
