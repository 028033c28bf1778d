"""Where a result comes from: who, which commit, which job, on what. An explicit list; nothing else is let through."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from piste.run import Run

KEY_PACKAGES = ("torch", "transformers", "peft", "deepspeed", "arctic-training", "snowflake-ml-python")
SUBMITTED = ("actor", "commit", "branch", "dirty")
PLACE = ("pool", "family", "runtime")
FOUND = ("python", "platform", "cuda", "gpu", "cpus")


def provenance(run: Run, trainer: Run | None) -> dict[str, Any]:
    """`trained_by` names the run that trained, where that was another one."""
    environment = (run.results or {}).get("environment") or {}
    packages = normalised(environment.get("packages") or {})
    runtime = run.spec.get("experiment", {}).get("train", {}).get("runtime")
    given = {"runtime": runtime, **run.provenance}
    return {
        **{key: given.get(key) for key in SUBMITTED},
        "job": run.job,
        **{key: given.get(key) for key in PLACE},
        "attempt": run.attempt,
        "steps": list(run.steps),
        "tried": bool(run.provenance.get("tried")),
        "trained_by": trainer.name if trainer and trainer is not run else None,
        **{key: environment.get(key) for key in FOUND},
        "packages": {name: packages[name] for name in KEY_PACKAGES if name in packages},
        "packages_sha256": fingerprint(packages) if packages else None,
        "claimed_at": run.claimed_at or None,
        "started_at": run.started_at or None,
        "ended_at": run.ended_at or None,
    }


def normalised(packages: Mapping[str, str]) -> dict[str, str]:
    """By the names that the package index compares: lower case, runs of `-_.` are one `-`."""
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in packages.items()}


def fingerprint(packages: Mapping[str, str]) -> str:
    """SHA-256 over `name==version` lines, sorted: equal where everything installed was equal."""
    lines = sorted(f"{name}=={version}\n" for name, version in packages.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()
