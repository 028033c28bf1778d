"""Values for tests: a small experiment, its variants, and runs of them."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from piste.experiment import Digests, Experiment, Suite, Variant
from piste.run import Run, Status
from piste.variants import variants

MESSAGES = {"user": "{DIALOGUE}", "assistant": "{NOTE}"}
RECIPE: dict[str, Any] = {
    "type": "sft",
    "micro_batch_size": 4,
    "model": {"name_or_path": "./inputs/base-model", "dtype": "fp32"},
    "data": {
        "sources": [{"type": "snowflake_messages", "sql": "SELECT * FROM NOTES", "key": "ID", "messages": MESSAGES}],
        "cache_dir": "/tmp/a",
    },
    "optimizer": {"learning_rate": 0.001},
    "wandb": {"enable": False},
}
SUITE: dict[str, Any] = {
    "schema": "suite/v1",
    "title": "Notes",
    "data": {"sql": "SELECT * FROM NOTES WHERE SPLIT = 'test'", "key": "ID"},
    "prompt": {"user": "{DIALOGUE}"},
    "generate": {"max_new_tokens": 160},
    "reference": "{NOTE}",
    "scores": [{"name": "json_valid"}],
}
DOCUMENT: dict[str, Any] = {
    "schema": "experiment/v1",
    "title": "Notes with a small model",
    "question": "Does it learn?",
    "owner": "@ana",
    "train": {
        "recipe": "recipe.yaml",
        "runtime": "cpu-2026.11",
        "gpus": 1,
        "nodes": 1,
        "inputs": {"base-model": "@MODELS/small"},
        "files": ["train.py"],
    },
    "evaluate": {"suite": "notes"},
    "compute": {"pool": "cpu", "timeout": "1h"},
}


def experiment(name: str = "notes-lora", **changes: Any) -> Experiment:
    """The experiment above with dotted changes: `experiment(**{"recipe.optimizer.learning_rate": 1e-4})`.

    A path begins with `recipe.`, `suite.` or `files.`; any other path is a key of experiment.yaml. None removes.
    """
    documents = {"recipe": copy.deepcopy(RECIPE), "suite": copy.deepcopy(SUITE), "files": {"train.py": "a" * 64}}
    document = copy.deepcopy(DOCUMENT)
    for path, value in changes.items():
        head, _, rest = path.partition(".")
        _set(*((documents[head], rest) if head in documents else (document, path)), value)
    return Experiment(name, document, documents["recipe"], Suite("notes", documents["suite"]), documents["files"])


def baseline(name: str = "notes-base") -> Experiment:
    document = copy.deepcopy(DOCUMENT) | {"train": {"inputs": {"base-model": "@MODELS/small"}}}
    return Experiment(name, document, None, Suite("notes", copy.deepcopy(SUITE)), {})


def variant(name: str = "notes-lora", **changes: Any) -> Variant:
    return variants(experiment(name, **changes))[0]


def run(
    of: Variant, training: Status | None = Status.DONE, evaluation: Status | None = Status.DONE, **changes: Any
) -> Run:
    steps = ("train", "generate", "score") if of.trains else ("generate", "score")
    made = Run(
        name=f"RUN_{of.digests.training[:12].upper()}_1",
        experiment=of.experiment,
        variant=of.name,
        digests=of.digests,
        attempt=1,
        steps=steps,
        training=training if of.trains else None,
        evaluation=evaluation,
        spec=of.spec,
        provenance={"actor": "@ana", "branch": "main", "commit": "3f2c9d1aa"},
        job="JOB",
        job_status="DONE",
        collected=True,
        claimed_at="2026-11-20T10:00:00.000+00:00",
    )
    return replace(made, **changes)


def digests(of: Variant, **changes: str) -> Digests:
    return replace(of.digests, **changes)


def _set(document: Any, path: str, value: Any) -> None:
    *parents, last = [path] if path in document else [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parents:
        document = document[part]
    if value is None:
        del document[last]
    elif isinstance(document, list) and last == len(document):
        document.append(value)
    else:
        document[last] = value
