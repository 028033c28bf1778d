"""git: where the working tree stands, and commits that are brought to a remote."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from piste.errors import GitRefused
from piste.generated import FileChange

AUTHOR = ("piste", "piste@users.noreply.github.com")
"""Of the commits that piste makes."""


@dataclass(frozen=True)
class Commit:
    """`trailers` are by name; `author` is a person's name."""

    sha: str
    author: str
    subject: str
    trailers: Mapping[str, str]


def git(root: Path, *arguments: str) -> str | None:
    """The output of a git command, stripped; None if git says no or there is no git."""
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def who(root: Path) -> dict[str, Any]:
    """Who asks, from which commit."""
    return {"actor": _actor(root), "commit": git(root, "rev-parse", "HEAD")}


def provenance(root: Path) -> dict[str, Any]:
    """The same with where it stands; recorded with a run and never part of its identity."""
    status = git(root, "status", "--porcelain", "--", "experiments")
    return {
        **who(root),
        "branch": os.environ.get("GITHUB_HEAD_REF") or os.environ.get("GITHUB_REF_NAME") or _branch(root),
        "dirty": bool(status) if status is not None else None,
    }


def remote_url(root: Path) -> str | None:
    """The repository's page, for links in reports: https, without .git; None where there is no such remote."""
    url = git(root, "remote", "get-url", "origin") or ""
    if url.startswith("git@"):
        url = "https://" + url.removeprefix("git@").replace(":", "/", 1)
    return url.removesuffix(".git") if url.startswith("https://") else None


def github_repository(root: Path) -> str:
    """OWNER/REPO of the remote, if it is on github.com; else ""."""
    url = git(root, "remote", "get-url", "origin") or ""
    found = re.fullmatch(r"(?:https://(?:[^@/]+@)?|(?:ssh://)?git@)github\.com[:/]([\w.-]+/[\w.-]+?)(?:\.git)?/?", url)
    return found[1] if found else ""


def _actor(root: Path) -> str:
    actor = os.environ.get("GITHUB_ACTOR")
    return f"@{actor}" if actor else git(root, "config", "user.name") or os.environ.get("USER") or "somebody"


def _branch(root: Path) -> str | None:
    return git(root, "symbolic-ref", "--short", "HEAD")


def changes(root: Path, base: str, head: str) -> tuple[FileChange, ...]:
    """What differs at `head` since it left `base`; a renamed file is one that is gone and one that is new.

    Raises:
        GitRefused: one of the commits is not here, or they have no common past.
    """
    told = _do(root, "diff", "--raw", "-z", "--no-renames", "--no-abbrev", f"{base}...{head}")
    words = iter(told.split("\0"))
    return tuple(_file_change(meta, next(words)) for meta in words if meta)


def _file_change(meta: str, path: str) -> FileChange:
    _, _, old, new, _ = meta.split(" ")
    return FileChange(path, *("" if set(blob) == {"0"} else blob for blob in (old, new)))


def changed_since(root: Path, revision: str) -> tuple[str, ...]:
    """Paths below `root` that differ between a commit and the working tree, files that git does not know yet included.

    Raises:
        GitRefused: there is no such commit here.
    """
    commit = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if not commit:
        hint = "Fetch it first; in a workflow, check out with  fetch-depth: 0."
        raise GitRefused(f"There is no commit {revision!r} in this clone.", hint)
    differ = _do(root, "diff", "--name-only", "-z", "--no-renames", "--relative", commit, "--", ".")
    new = _do(root, "ls-files", "-z", "--others", "--exclude-standard", "--", ".")
    return tuple(sorted({path for path in (differ + "\0" + new).split("\0") if path}))


def content(root: Path, revision: str, path: str) -> str:
    """A file below `root` as it was in a commit; "" where it was not there."""
    return git(root, "show", f"{revision}:./{path}") or ""


def fetch(root: Path, branch: str, token: str = "") -> str:
    """The commit at the tip of origin's branch, with its history; "" if there is no such branch.

    Raises:
        GitRefused: origin can't be reached, or asks for a token that may read.
    """
    if not _do(root, "ls-remote", "origin", f"refs/heads/{branch}", token=token):
        return ""
    _do(root, "fetch", "--quiet", "origin", f"+refs/heads/{branch}:refs/remotes/origin/{branch}", token=token)
    return _do(root, "rev-parse", f"refs/remotes/origin/{branch}")


@contextlib.contextmanager
def worktree(root: Path, commit: str) -> Iterator[Path]:
    """A checkout of a commit beside the working tree, for as long as the block lasts."""
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory, "tree")
        _do(root, "worktree", "add", "--quiet", "--detach", str(tree), commit)
        try:
            yield tree
        finally:
            git(root, "worktree", "remove", "--force", str(tree))


def changed(root: Path) -> list[str]:
    """Paths that differ from the commit that is checked out."""
    told = _do(root, "status", "--porcelain", "-z", "--untracked-files=all", "--no-renames")
    return sorted(entry[3:] for entry in told.split("\0") if entry)


def commit(root: Path, paths: Sequence[str], message: str) -> str:
    """Commit these paths; the new commit."""
    _do(root, "add", "--", *paths)
    name, mail = AUTHOR
    who = ("-c", f"user.name={name}", "-c", f"user.email={mail}", "-c", "commit.gpgsign=false")
    _do(root, *who, "commit", "--quiet", "--message", message)
    return _do(root, "rev-parse", "HEAD")


def commits(root: Path, since: str, until: str) -> tuple[Commit, ...]:
    """What `until` has and `since` has not, the latest first; without merges."""
    told = _do(root, "log", "--no-merges", f"--format={_FORMAT}", f"{since}..{until}")
    return tuple(_commit(one) for one in told.split("\x02") if one.strip())


def last_commit(root: Path, commit: str, *paths: str) -> Commit | None:
    """The latest commit up to `commit` that touched one of these paths."""
    told = git(root, "log", "-1", f"--format={_FORMAT}", commit, "--", *paths)
    return _commit(told.removesuffix("\x02")) if told else None


def history(root: Path, most: int, *paths: str) -> list[str]:
    """The commits up to HEAD that touched one of these paths, the latest first."""
    return _do(root, "log", f"-{most}", "--format=%H", "HEAD", "--", *paths).split()


def is_shallow(root: Path) -> bool:
    return _do(root, "rev-parse", "--is-shallow-repository") == "true"


def merge_base(root: Path, commit: str, other: str) -> str:
    """The last commit that both have in their past; "" without one."""
    return git(root, "merge-base", commit, other) or ""


def fetch_commit(root: Path, commit: str, reference: str, token: str = "") -> None:
    """Have this commit here, which origin keeps under `reference`.

    Raises:
        GitRefused: it is not there, or origin can't be reached.
    """
    if git(root, "cat-file", "-e", f"{commit}^{{commit}}") is None:
        _do(root, "fetch", "--quiet", "--no-tags", "origin", reference, token=token)
    _do(root, "cat-file", "-e", f"{commit}^{{commit}}")


_FORMAT = "%H%x01%an%x01%s%x01%(trailers:only,unfold)%x02"


def _commit(told: str) -> Commit:
    sha, author, subject, trailers = told.strip("\n").split("\x01")
    pairs = (line.partition(": ") for line in trailers.splitlines())
    return Commit(sha, author, subject, {name: value for name, _, value in pairs})


def merged_tree(root: Path, base: str, other: str) -> str | None:
    """The tree that merging the two would give; None if they conflict."""
    return git(root, "merge-tree", "--write-tree", base, other)


def tree(root: Path, commit: str) -> str:
    return _do(root, "rev-parse", f"{commit}^{{tree}}")


def push(root: Path, commit: str, branch: str, token: str, over: str | None = None) -> bool:
    """Let origin's branch point to a commit; False if it has moved.

    `over` is the commit that may be given up, "" if there must be no such branch; without it the branch only goes
    forward.

    Raises:
        GitRefused: a rule of the repository forbids it, or origin can't be reached.
    """
    lease = [f"--force-with-lease=refs/heads/{branch}:{over}"] if over is not None else []
    done = _run(root, "push", "--porcelain", *lease, "origin", f"{commit}:refs/heads/{branch}", token=token)
    said = done.stdout + done.stderr
    if done.returncode == 0:
        return True
    if any(word in said for word in ("stale info", "fetch first", "non-fast-forward", "cannot lock ref")):
        return False
    raise GitRefused(f"git push to {branch} was refused.\n  {_last(said, token)}", _why_refused(said))


def delete_branch(root: Path, branch: str, token: str, over: str) -> None:
    """Unless somebody has moved it meanwhile."""
    lease = f"--force-with-lease=refs/heads/{branch}:{over}"
    _run(root, "push", "--quiet", lease, "origin", f":refs/heads/{branch}", token=token)


def _why_refused(said: str) -> str:
    if any(word in said for word in ("protected branch", "rule violations", "GH006", "GH013")):
        return 'Write  reports = "pull-request"  in [tool.piste.github], or let this actor bypass the rule.'
    return "The job needs `permissions: contents: write`." if "403" in said or "ermission" in said else ""


def _do(root: Path, *arguments: str, token: str = "") -> str:
    done = _run(root, *arguments, token=token)
    if done.returncode:
        raise GitRefused(f"git {arguments[0]} failed.\n  {_last(done.stderr, token)}")
    return done.stdout.strip("\n")


def _run(root: Path, *arguments: str, token: str = "") -> subprocess.CompletedProcess[str]:
    """The token passes through the environment: command lines can be seen by others."""
    command = ["git", "-C", str(root), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, env=_with_token(token))
    except OSError as error:
        raise GitRefused("There is no git here.", "Install git.") from error


def _with_token(token: str) -> dict[str, str]:
    never_ask = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    if not token:
        return never_ask
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    server = os.environ.get("GITHUB_SERVER_URL", "https://github.com")
    configured = {"KEY_0": f"http.{server}/.extraheader", "VALUE_0": f"AUTHORIZATION: basic {basic}"}
    return {**never_ask, "GIT_CONFIG_COUNT": "1", **{f"GIT_CONFIG_{key}": value for key, value in configured.items()}}


def _last(said: str, token: str) -> str:
    lines = [line for line in said.strip().splitlines() if line.strip()]
    text = " ".join(lines[-3:])
    return (text.replace(token, "***") if token else text)[:300]
