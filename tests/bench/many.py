"""Repositories of many experiments: recipes and suites as the shipped ones, each with a learning rate of its own.

python tests/bench/many.py FOLDER COUNT
"""

from __future__ import annotations

import sys
from pathlib import Path

HOME = Path(__file__).parents[2]
SHIPPED = HOME / "experiments"
SUITES = 4
SETTINGS = """
[tool.piste]
environment = "dev"
runtime = "cpu-2026.11"
[tool.piste.environments.dev]
database = "PISTE"
schema = "DEV"
pools = {cpu = "PISTE_CPU"}
[tool.piste.runtimes."cpu-2026.11"]
lock = "lock.txt"
[tool.piste.credits]
CPU_X64_S = 0.11
"""


def write(root: Path, count: int) -> None:
    """`count` experiments of two YAML files each, all compared with one baseline, on four suites."""
    experiments = root / "experiments"
    text = (SHIPPED / "soap-smollm2-lora/experiment.yaml").read_text()
    recipe = (SHIPPED / "soap-smollm2-lora/recipe.yaml").read_text()
    suite = (SHIPPED / "_suites/soap-notes/suite.yaml").read_text()
    for number in range(SUITES):
        file = experiments / f"_suites/soap-notes-{number}/suite.yaml"
        file.parent.mkdir(parents=True)
        file.write_text(suite.replace("LIMIT 50", f"LIMIT {50 - number}"))
        baseline = experiments / f"base-{number}/experiment.yaml"
        baseline.parent.mkdir()
        shipped = (SHIPPED / "soap-smollm2-base/experiment.yaml").read_text()
        baseline.write_text(_on(shipped, number))
    for number in range(count - SUITES):
        folder = experiments / f"notes-{number:06}"
        folder.mkdir()
        (folder / "experiment.yaml").write_text(_on(text, number % SUITES))
        (folder / "recipe.yaml").write_text(recipe.replace("1.0e-3", rate(number)))
    (root / "pyproject.toml").write_text(SETTINGS)
    (root / "lock.txt").write_text("torch==2.13.0\n")


def rate(number: int) -> str:
    return f"{1e-3 / (number + 2):.18f}"


def _on(text: str, number: int) -> str:
    return text.replace("soap-smollm2-base", f"base-{number}").replace(
        "suite: soap-notes", f"suite: soap-notes-{number}"
    )


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
