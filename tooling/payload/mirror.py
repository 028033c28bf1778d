"""What `piste model add` runs in place of a run: one commit of the hub, file by file, onto the stage of models.

Each file is verified before it is uploaded, and MODEL.json comes last: a folder that has it is whole. What an
interrupted job has uploaded stays, for the next one of the same commit.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
import threading
import time
import traceback
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from payload import snowflake_session
from payload.failure import Failure, RunError, snowflake_code
from payload.snowflake_session import ALREADY_EXISTS, Store

FILE = "MODEL.json"
WORKERS = 3
PAUSES = (5.0,)
"""Seconds before a file is asked for again that did not come; the hub's client repeats much by itself."""

_PLAIN = re.compile(r"[A-Za-z0-9_][\w.+=,-]*(/[A-Za-z0-9_][\w.+=,-]*)?")


@dataclass(frozen=True)
class Task:
    """mirror.json. `stage` is that of all models, `pin` says for ever what `name` stands for, `run` is this job's own.

    `revision` and `licence` are "" unless somebody said them; `schema` is that of MODEL.json; `weights` and `beside`
    are patterns of the files that are needed; `secret` is what a token's secret would be called, `access` the
    integration that reaches the hub, "" if none is named.
    """

    run: str
    stage: str
    pin: str
    schema: str
    name: str
    repository: str
    revision: str
    licence: str
    actor: str
    weights: Sequence[Sequence[str]]
    beside: Sequence[str]
    secret: str
    access: str

    def is_meant_by(self, pin: Mapping[str, str]) -> bool:
        """Whether what the name stands for is what is asked for, as far as that can be told without the hub."""
        of_commit = len(self.revision) >= 7 and pin["revision"].startswith(self.revision)
        return pin["repository"] == self.repository and (self.revision in ("", pin["asked"]) or of_commit)


@dataclass(frozen=True)
class Entry:
    """A file as the hub lists it: `sha256` of what is stored with LFS, `blob` (git's own id) of what is not."""

    path: str
    size: int
    sha256: str
    blob: str


@dataclass(frozen=True)
class Commit:
    """`licence` is "" where the hub names none."""

    id: str
    licence: str
    entries: tuple[Entry, ...]


def run(app: Path | None = None) -> dict[str, Any]:
    """Do what mirror.json says, and leave results.json: {"already": there was nothing to do} or {"failure"}."""
    app = app or Path(__file__).resolve().parents[1]
    os.environ |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    task = Task(**json.loads((app / "mirror.json").read_text()))
    session = snowflake_session.open_session()
    own = Store(session, task.run)
    try:
        already = mirror(task, Store(session, task.stage))
    except Exception as error:
        failure = explained(error, task)
        _put(own, "results.json", {"failure": failure.as_dict()})
        say(failure.message)
        raise SystemExit(1) from None
    _put(own, "results.json", {"already": already})
    return {"run": task.run}


def mirror(task: Task, stage: Store) -> bool:
    """False if MODEL.json has been written now, True if it was there."""
    pin = _pin(task, stage)
    commit = look(task, pin["revision"] if pin and task.is_meant_by(pin) else task.revision)
    if pin is None:  # a name must not stand for what can't be had
        _licence(task, commit)
        Transfer(task, stage, commit.id).try_one(needed(task, commit)[0])
        pin = _pin_now(task, stage, commit.id)
    if pin["repository"] != task.repository or (pin["revision"] != commit.id and not task.is_meant_by(pin)):
        raise _stands_for_other(task, pin, commit.id)
    if pin["revision"] != commit.id:  # another job was faster, a moment before the branch moved on
        commit = look(task, pin["revision"])
    already = FILE in _sizes(task, stage)
    if not already:
        _complete(task, stage, commit)
    return already


def _complete(task: Task, stage: Store, commit: Commit) -> None:
    licence, entries = _licence(task, commit), needed(task, commit)
    total = sum(one.size for one in entries) / 1e6
    say(f"{task.repository} at {commit.id[:12]}: {len(entries)} files, {total:,.1f} MB, licence {licence}")
    _remove_others(task, stage, entries)
    sums = Transfer(task, stage, commit.id, _sizes(task, stage)).all(entries)
    there = _sizes(task, stage)
    lacking = [one.path for one in entries if there.get(one.path) != one.size]
    if lacking:
        raise _refused(f"{lacking[0]} did not reach the stage whole.", "Try again: what is there is not lost.")
    if FILE not in there:  # else another job of the same commit was faster
        _put(stage, FILE, _document(task, commit, licence, entries, sums), task.name)


def _document(
    task: Task, commit: Commit, licence: str, entries: Sequence[Entry], sums: Mapping[str, str]
) -> dict[str, Any]:
    sizes = sorted((one.path, one.size) for one in entries)
    return {
        "schema": task.schema,
        "name": task.name,
        "repository": task.repository,
        "revision": commit.id,
        "licence": licence,
        "files": {path: {"sha256": sums[path], "bytes": size} for path, size in sizes},
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "actor": task.actor,
    }


def look(task: Task, revision: str) -> Commit:
    """What the hub says of a revision, with the checksum of each file."""
    from huggingface_hub import HfApi

    found = HfApi().model_info(task.repository, revision=revision or None, files_metadata=True, token=_token())
    entries = (
        Entry(
            one.rfilename,
            int(one.lfs.size if one.lfs else one.size or 0),
            str(one.lfs.sha256) if one.lfs else "",
            str(one.blob_id or ""),
        )
        for one in found.siblings or ()
    )
    card = found.card_data.to_dict() if found.card_data else {}
    return Commit(str(found.sha), licence_of(card), tuple(entries))


def needed(task: Task, commit: Commit) -> tuple[Entry, ...]:
    """The smallest first."""
    paths = chosen([one.path for one in commit.entries], task.weights, task.beside)
    if not paths:
        raise _refused(
            f"{task.repository} has no weights that transformers reads.",
            "GGUF and ONNX are no use for training: name the repository that they were made from.",
        )
    return tuple(sorted((one for one in commit.entries if one.path in paths), key=lambda one: (one.size, one.path)))


def chosen(paths: Iterable[str], weights: Sequence[Sequence[str]], beside: Sequence[str]) -> tuple[str, ...]:
    """One form of the weights and what is beside them, as in piste/models.py; nothing without weights."""
    known = sorted(path for path in paths if _PLAIN.fullmatch(path))
    form = next((one for one in weights if any(_fits(path, one[0]) for path in known)), None)
    return tuple(path for path in known if form and any(_fits(path, pattern) for pattern in (*form, *beside)))


def _fits(path: str, pattern: str) -> bool:
    return path.count("/") == pattern.count("/") and fnmatchcase(path, pattern)


@dataclass
class Transfer:
    """Files on their way: few at a time, so that the largest ones fit on the container's disk."""

    task: Task
    stage: Store
    commit: str
    there: Mapping[str, int] = field(default_factory=dict)
    done: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def try_one(self, entry: Entry) -> None:
        """Raises as `all` would if files can't be had."""
        with tempfile.TemporaryDirectory() as folder:
            _verified(self._download(entry, Path(folder)), entry)

    def all(self, entries: Sequence[Entry]) -> dict[str, str]:
        """The SHA-256 of each. After a failure none begins any more."""
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(WORKERS) as workers:
            work = {
                one.path: workers.submit(self._one, one, Path(folder, str(number)), len(entries))
                for number, one in enumerate(entries)
            }
            try:
                return {path: each.result() for path, each in work.items()}
            finally:
                workers.shutdown(cancel_futures=True)

    def _one(self, entry: Entry, folder: Path, count: int) -> str:
        """A large file that is there in its full size came from a job of this commit, which had verified it."""
        if entry.sha256 and self.there.get(entry.path) == entry.size:
            self._tell(entry, count, "is there already")
            return entry.sha256
        source = self._download(entry, folder)
        found = _verified(source, entry)
        self.stage.upload(source, f"{self.task.name}/{entry.path}".rpartition("/")[0])
        source.unlink()
        self._tell(entry, count, f"{entry.size / 1e6:,.1f} MB")
        return found

    def _download(self, entry: Entry, folder: Path) -> Path:
        from huggingface_hub import hf_hub_download

        for pause in (*PAUSES, None):
            try:
                got = hf_hub_download(
                    self.task.repository, entry.path, revision=self.commit, local_dir=folder, token=_token()
                )
                return Path(got)
            except Exception as error:
                if pause is None or not _may_pass(error):
                    raise
                say(f"{entry.path}: {type(error).__name__}; once more in {pause:.0f} s")
                time.sleep(pause)
        raise AssertionError

    def _tell(self, entry: Entry, count: int, what: str) -> None:
        with self.lock:
            self.done += 1
            say(f"{self.done} of {count}  {entry.path}  {what}")


def _verified(path: Path, entry: Entry) -> str:
    """The file's SHA-256. Raises RunError for other bytes than the hub's list tells of."""
    size = path.stat().st_size
    sha256, blob = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 22):
            sha256.update(chunk)
            blob.update(chunk)
    found, wanted = (sha256.hexdigest(), entry.sha256) if entry.sha256 else (blob.hexdigest(), entry.blob)
    if size != entry.size or (wanted and found != wanted):
        raise _refused(
            f"{entry.path} is not what the hub's list says: {found[:12]}…, {size:,} bytes,"
            f" instead of {wanted[:12]}…, {entry.size:,} bytes.",
            "It was not kept. Try again; if it stays so, something between here and the hub changes files.",
        )
    return sha256.hexdigest()


def _pin(task: Task, stage: Store) -> dict[str, str] | None:
    """What the name stands for: {"repository", "revision", "asked"}."""
    rows = stage.rows(f"SHOW STAGES LIKE '{task.pin}'")
    comment = next((row["comment"] for row in rows if row["name"] == task.pin), None)
    return None if comment is None else dict(json.loads(comment))


def _pin_now(task: Task, stage: Store, commit: str) -> dict[str, str]:
    """Exactly one creator of the stage decides, for ever; what it decided."""
    pin = {"model": task.name, "repository": task.repository, "revision": commit, "asked": task.revision}
    comment = json.dumps(pin).replace("\\", "\\\\").replace("'", "\\'")
    statement = f"CREATE STAGE {task.pin} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE') COMMENT = '{comment}'"
    try:
        stage.session.sql(statement).collect()
    except Exception as error:
        if snowflake_code(error) != ALREADY_EXISTS:
            raise
        return _pin(task, stage) or pin
    return pin


def _stands_for_other(task: Task, pin: Mapping[str, str], commit: str) -> RunError:
    held = f"{pin['repository'] or 'a folder'} at {pin['revision'][:12]}"
    return _refused(
        f"{task.name} stands for {held}, not for {task.repository} at {commit[:12]}.",
        "Choose another name; a model's name is part of identity, so its content never changes.",
    )


def _sizes(task: Task, stage: Store) -> dict[str, int]:
    """The files of the model's folder, by their path inside it."""
    rows = stage.rows(f"LIST '@{task.stage}/{task.name}/'")
    return {str(row["name"]).split("/", 2)[2]: int(row["size"]) for row in rows}


def _remove_others(task: Task, stage: Store, entries: Sequence[Entry]) -> None:
    """First of all, since REMOVE takes what begins with the name as well."""
    for path in _sizes(task, stage).keys() - {one.path for one in entries} - {FILE}:
        stage.remove(f"{task.name}/{path}")


def _put(stage: Store, name: str, document: Mapping[str, Any], target: str = "") -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
        stage.upload(path, target)


def _licence(task: Task, commit: Commit) -> str:
    said, told = commit.licence, task.licence
    if said and told and said.lower() != told.lower():
        raise _refused(f"The hub says licence {said}, not {told}.", "Leave --licence out.")
    if not said and not told:
        raise _refused(
            f"The hub names no licence for {task.repository}.",
            f"Read its terms at {_page(task)} and say which they are with  --licence ID",
        )
    return said or told


def licence_of(card: Mapping[str, Any]) -> str:
    """As piste/models.py reads a README: `other` is none, unless it has a name."""
    said = card.get("license") or ""
    text = ", ".join(map(str, said)) if isinstance(said, list) else str(said)
    return str(card.get("license_name") or "") if text.lower() in ("", "other", "unknown") else text


def _token() -> str | bool:
    """From the secret that the job was given; no other that may lie about."""
    return os.environ.get("HF_TOKEN", "").strip() or False


def _page(task: Task) -> str:
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{task.repository}"


def _refused(message: str, hint: str) -> RunError:
    return RunError(Failure("data", message, "", hint))


def _status(error: Exception) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _may_pass(error: Exception) -> bool:
    """A lost connection, a file cut short, or a fault on the hub's side; not an answer to what was asked."""
    status = _status(error)
    if status is not None:
        return status >= 500 or status in (408, 429)
    of_network = type(error).__module__.partition(".")[0] in ("requests", "urllib3", "httpx", "huggingface_hub")
    return of_network or (isinstance(error, OSError) and error.errno is None)


def explained(error: Exception, task: Task) -> Failure:
    """In words that carry no secret: of what is not understood only the type is told, and the log has the rest."""
    if isinstance(error, RunError):
        return error.failure
    known = _of_hub(error, task)
    if known is not None:
        return Failure("data", known[0], type(error).__name__, known[1])
    traceback.print_exception(error)
    code = snowflake_code(error)
    said = f"Snowflake error {code:06d}" if code is not None else type(error).__name__
    return Failure("platform", f"{said} while the model was mirrored.", type(error).__name__, "Try again.")


def _of_hub(error: Exception, task: Task) -> tuple[str, str] | None:
    """What happened and what to do, of errors that the hub's client raises."""
    from huggingface_hub import constants, errors

    status, token = _status(error), bool(_token())
    if isinstance(error, errors.GatedRepoError):
        terms = f"Accept its terms at {_page(task)}"
        if token:
            return f"{task.repository} is gated, and the token has no access.", f"{terms} with the token's account."
        return f"{task.repository} is gated, and there is no token.", f"{terms}. {_how_to_give_a_token(task)}"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{task.repository} has no revision {task.revision!r}.", "Name a branch, a tag or a commit."
    if isinstance(error, errors.RepositoryNotFoundError):
        hidden = "the token may not see it" if token else f"it is private. {_how_to_give_a_token(task)}"
        return f"The hub shows no {task.repository}.", f"It is written differently, or {hidden}"
    if status in (401, 403):
        return f"The hub refuses the token ({status}).", "If it has expired: ALTER SECRET … SET SECRET_STRING = '…';"
    if status is not None:
        return f"The hub answered {status}.", "Try again later: what is on the stage is not lost."
    if _may_pass(error):
        return f"{constants.ENDPOINT} can't be reached from the job ({type(error).__name__}).", _how_to_reach_it(task)
    return None


def _how_to_give_a_token(task: Task) -> str:
    """SQL, and a line of the settings."""
    return (
        "Store a token of your account as a secret, and name it in the environment's settings:\n"
        f"CREATE SECRET {task.secret} TYPE = GENERIC_STRING SECRET_STRING = '<token>';\n"
        f'secrets = {{HF_TOKEN = "{task.secret}"}}'
    )


def _how_to_reach_it(task: Task) -> str:
    if task.access:
        return (
            f"Try again; if it stays so, the integration {task.access} does not allow it: DESCRIBE INTEGRATION shows."
        )
    return (
        'Name an integration that allows it,  model_access = "PISTE_HUB"  : `piste doctor` has the SQL that makes it.'
    )


def say(words: str) -> None:
    print(f"piste | {words}", flush=True)
