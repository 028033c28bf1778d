"""run.json (run/v1): what this job has to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCHEMA = "run/v1"


@dataclass(frozen=True)
class Spec:
    """The fields of run.json under their own names; `trained_run` and `predicted_run` are the runs whose checkpoint
    or predictions are evaluated again. `examples` says which rows a model is shown before each question,
    `hosted` names the model that Snowflake hosts, where one answers; `judge` is what is needed to judge by a model on a
    stage.
    `timeout_seconds` is for the whole run; `resume_from` names earlier attempts, the latest first, whose stages may
    hold a state to train on from."""

    run: str
    experiment: str
    variant: str
    steps: tuple[str, ...]
    gpus: int
    nodes: int
    user_code: str | None
    files: tuple[str, ...]
    inputs: Mapping[str, str]
    trained_run: str | None
    predicted_run: str | None
    examples: Mapping[str, Any] | None
    hosted: str | None
    suite: Mapping[str, Any]
    judge: Mapping[str, Any] | None
    tracking: Mapping[str, Any]
    heartbeat_seconds: float
    timeout_seconds: float
    resume_from: tuple[str, ...]

    @property
    def title(self) -> str:
        """As `piste apply --retry` takes it."""
        return f"{self.experiment}/{self.variant}" if self.variant else self.experiment

    @property
    def trains(self) -> bool:
        return "train" in self.steps

    @property
    def generates(self) -> bool:
        return "generate" in self.steps

    @property
    def evaluates(self) -> bool:
        return "score" in self.steps


def read(path: Path) -> Spec:
    document = json.loads(path.read_text())
    if document.get("schema") != SCHEMA:
        raise ValueError(f"run.json has schema {document.get('schema')!r}; this payload reads {SCHEMA}")
    return Spec(
        run=document["run"],
        experiment=document["experiment"],
        variant=document["variant"],
        steps=tuple(document["steps"]),
        gpus=document["gpus"],
        nodes=document["nodes"],
        user_code=document["user_code"],
        files=tuple(document["files"]),
        inputs=document["inputs"],
        trained_run=(document["adapter_or_model"] or {}).get("run"),
        predicted_run=(document["predictions"] or {}).get("run"),
        examples=document["examples"],
        hosted=document["hosted"],
        suite=document["suite"] or {},
        judge=document["judge"],
        tracking=document["tracking"] or {},
        heartbeat_seconds=document["heartbeat_seconds"],
        timeout_seconds=document["timeout_seconds"],
        resume_from=tuple(document["resume_from"]),
    )
