"""What a job gets: a folder of files, made from a variant and the action that is due."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from piste import durations, judge_sql
from piste.change_rules import compute
from piste.experiment import Document, Variant
from piste.judge import judge_of
from piste.plan import Action

HEARTBEAT_SECONDS = 10


@dataclass(frozen=True)
class Payload:
    """`files` are the job's app folder, by relative path, and `claim` is the stage that it lies on.

    `secrets` maps environment variables of the job to secrets by their full names, `variables` to what they say;
    `access` are external access integrations beside the environment's.
    """

    claim: str
    job_name: str
    files: Mapping[str, bytes]
    secrets: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    access: tuple[str, ...] = ()


def claim_name(action: Action) -> str:
    """The stage that a run lives in. Training claims ignore the suite: same training, same claim."""
    digests = action.variant.digests
    suite = "" if "train" in action.steps else f"_{digests.evaluation[:12].upper()}"
    return f"RUN_{digests.training[:12].upper()}{suite}_{action.attempt}"


def job_name(claim: str, experiment: str) -> str:
    """Begins with the claim, so that a renamed folder can't hide a job; an unquoted SQL identifier."""
    return f"{claim}_{re.sub(r'[^A-Z0-9]+', '_', experiment.upper())[:40].strip('_')}"


def payload(
    action: Action,
    payload_files: Mapping[str, bytes],
    experiment_files: Mapping[str, bytes],
    lock: bytes,
    heartbeat_seconds: int = HEARTBEAT_SECONDS,
) -> Payload:
    """`payload_files` is tooling/payload, `experiment_files` what `train.files` declares, `lock` the runtime's pins."""
    claim, spec = claim_name(action), action.variant.spec
    files = {"main.py": payload_files["main.py"], "requirements.txt": lock}
    files |= {f"payload/{path}": content for path, content in payload_files.items()}
    files["run.json"] = _json(_instructions(action, claim, heartbeat_seconds))
    if "train" in action.steps:
        files["recipe.resolved.yaml"] = yaml.safe_dump(resolved_recipe(spec["recipe"]), sort_keys=False).encode()
        files |= {f"files/{path}": content for path, content in experiment_files.items()}
    return Payload(claim, job_name(claim, action.variant.experiment), files)


def resolved_recipe(recipe: Document) -> dict[str, Any]:
    """The recipe as the job runs it: our hooks as its code, and every path in the run's own scratch directory.

    ArcticTraining's defaults for these paths are shared by all runs of a machine (`/tmp/at_kill_switch`, `/tmp/`).
    """
    resolved = copy.deepcopy(dict(recipe))
    resolved["code"] = "payload_hooks.py"
    resolved["train_log_metrics_path"] = "./output/train-log-metrics.jsonl"
    resolved["kill_switch_path"] = "./kill-switch"
    resolved["data"] = {**resolved.get("data", {}), "cache_dir": "./cache"}
    resolved["checkpoint"] = _checkpoints(resolved.get("checkpoint", []))
    return resolved


def _checkpoints(configured: Any) -> list[dict[str, Any]]:
    """Whatever else a recipe saves, the run ends with a checkpoint that transformers can load."""
    engines = [dict(engine) for engine in ([configured] if isinstance(configured, Mapping) else configured)]
    if not any(engine.get("type") == "huggingface" for engine in engines):
        engines.append({"type": "huggingface"})
    for engine in engines:
        final = engine.get("type") == "huggingface"
        engine["output_dir"] = "./output/checkpoint" if final else "./output/resume"
        if final:
            engine["save_end_of_training"] = True
    _let_one_resume(engines)
    return engines


def _let_one_resume(engines: list[dict[str, Any]]) -> None:
    """ArcticTraining resumes with DeepSpeed's engine only, which is its default, and with one of them at most."""
    able = [engine for engine in engines if engine.get("type", "deepspeed") == "deepspeed" and _saves(engine)]
    for engine in engines:
        engine.pop("auto_resume", None)
    if able:
        able[0]["auto_resume"] = True


def _saves(engine: Document) -> bool:
    when = ("save_every_n_steps", "save_every_n_epochs", "save_end_of_training")
    return bool(engine.get("enabled", True)) and any(engine.get(key) for key in when)


def _timeout(document: Document) -> float:
    written = compute(document, "timeout")
    return durations.seconds(written)


def _instructions(action: Action, claim: str, heartbeat_seconds: int) -> dict[str, Any]:
    variant, spec = action.variant, action.variant.spec
    train = spec["experiment"]["train"]
    source = action.run.name if action.run is not None else None
    judge = judge_of(spec["suite"], variant.digests.judge)
    return {
        "schema": "run/v1",
        "run": claim,
        "experiment": variant.experiment,
        "variant": variant.name,
        "steps": list(action.steps),
        "training_digest": variant.digests.training,
        "suite_digest": variant.digests.suite,
        "gpus": train.get("gpus", 1),
        "nodes": train.get("nodes", 1),
        "user_code": (spec["recipe"] or {}).get("code"),
        "files": sorted(spec["files"]) if "train" in action.steps else [],
        "inputs": train.get("inputs", {}),
        "adapter_or_model": {"run": source} if "generate" in action.steps and variant.trains and source else None,
        "predictions": {"run": source} if "generate" not in action.steps else None,
        "hosted": train.get("hosted"),
        "examples": spec["experiment"]["evaluate"].get("examples"),
        "suite": spec["suite"],
        "judge": judge_sql.in_job(judge, spec["suite"], claim) if judge and judge.on_pool else None,
        "tracking": {"experiment": _tracking_name(variant), "run": claim, "parameters": _parameters(variant)},
        "heartbeat_seconds": heartbeat_seconds,
        "timeout_seconds": _timeout(spec["experiment"]),
        "resume_from": list(action.earlier) if "train" in action.steps else [],
    }


def _tracking_name(variant: Variant) -> str:
    return "PISTE_" + variant.experiment.upper().replace("-", "_")


def _parameters(variant: Variant) -> dict[str, str]:
    spec = variant.spec
    found = {
        f"train.{key}": str(spec["experiment"]["train"][key])
        for key in ("runtime", "gpus", "nodes")
        if key in spec["experiment"]["train"]
    }
    found |= {f"recipe.{path}": str(value) for path, value in _scalars(spec["recipe"] or {}, "")}
    return found | {"suite": spec["experiment"]["evaluate"]["suite"]}


_NOT_TRACKED = ("sql", "messages")
"""Texts of data sections: long, and of no use as a parameter."""


def _scalars(value: Any, path: str) -> list[tuple[str, Any]]:
    if isinstance(value, Mapping):
        return [
            pair
            for key, child in value.items()
            if key not in _NOT_TRACKED
            for pair in _scalars(child, f"{path}.{key}" if path else str(key))
        ]
    if isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        return [pair for index, child in enumerate(value) for pair in _scalars(child, f"{path}.{index}")]
    return [(path, value)]


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
