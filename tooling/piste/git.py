"""Where the working tree stands: provenance of a run, and the commits of the demo."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any


def git(root: Path, *arguments: str) -> str | None:
    """The output of a git command, stripped; None if git says no or there is no git."""
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def provenance(root: Path) -> dict[str, Any]:
    """Who asks, from which commit; recorded with a run and never part of its identity."""
    status = git(root, "status", "--porcelain", "--", "experiments")
    return {
        "actor": _actor(root),
        "commit": git(root, "rev-parse", "HEAD"),
        "branch": os.environ.get("GITHUB_HEAD_REF") or os.environ.get("GITHUB_REF_NAME") or _branch(root),
        "dirty": bool(status) if status is not None else None,
    }


def remote_url(root: Path) -> str | None:
    """The repository's page, for links in reports: https, without .git; None where there is no such remote."""
    url = git(root, "remote", "get-url", "origin") or ""
    if url.startswith("git@"):
        url = "https://" + url.removeprefix("git@").replace(":", "/", 1)
    return url.removesuffix(".git") if url.startswith("https://") else None


def _actor(root: Path) -> str:
    actor = os.environ.get("GITHUB_ACTOR")
    return f"@{actor}" if actor else git(root, "config", "user.name") or os.environ.get("USER") or "somebody"


def _branch(root: Path) -> str | None:
    return git(root, "symbolic-ref", "--short", "HEAD")
