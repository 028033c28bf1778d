"""PUT, GET, LIST, REMOVE and COPY FILES. The client's own transfer agent copies to and from the stage's folder."""

from __future__ import annotations

import hashlib
import re
import shutil
import uuid
from pathlib import Path

from snowglobe import clock, identifiers, stages
from snowglobe.context import Context
from snowglobe.pools import options
from snowglobe.wire import Column, Json, Rows, Transfer

_PATTERN = re.compile(r"PATTERN\s*=\s*('(?:[^'\\]|''|\\.)*')", re.IGNORECASE)


def put(context: Context, match: re.Match[str]) -> Transfer:
    folder = stages.folder(context, context.text(match["place"]))
    folder.mkdir(parents=True, exist_ok=True)
    given = options(match["rest"])
    return _transfer(
        "UPLOAD", folder, [_local(match["file"])],
        autoCompress=given.get("auto_compress", "true").lower() == "true",
        sourceCompression=given.get("source_compression", "auto_detect").lower(),
        overwrite=given.get("overwrite", "false").lower() == "true",
        parallel=int(given.get("parallel", 4)),
    )  # fmt: skip


def get(context: Context, match: re.Match[str]) -> Transfer:
    place = context.text(match["place"])
    target = stages.folder(context, place)
    # The connector makes the folder that it is pointed at, so a single or missing file is named in its parent.
    base = target if target.is_dir() else target.parent
    found = [target] if target.is_file() else [path for path, _ in _named(context, place, match["rest"])]
    names = [str(path.relative_to(base)) for path in found if path.is_relative_to(base)]
    return _transfer("DOWNLOAD", base, names, localLocation=_local(match["file"]), parallel=4)


def show(context: Context, match: re.Match[str]) -> Rows:
    found = _named(context, context.text(match["place"]), match["rest"])
    columns: list[Column] = ["name", ("size", "fixed"), "md5", "last_modified"]
    return Rows(columns, [[name, path.stat().st_size, _md5(path), _modified(path)] for path, name in found])


def remove(context: Context, match: re.Match[str]) -> Rows:
    found = _named(context, context.text(match["place"]), match["rest"])
    for path, _ in found:
        path.unlink(missing_ok=True)
    return Rows(["name", "result"], [[name, "removed"] for _, name in found])


def copy(context: Context, match: re.Match[str]) -> Rows:
    target, source = (stages.folder(context, context.text(match[key])) for key in ("place", "source"))
    copied: list[list[str]] = []
    for path, _ in _named(context, context.text(match["source"]), match["rest"]):
        to = target / (path.relative_to(source) if source.is_dir() else path.name)
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to)
        copied.append([str(to.relative_to(target))])
    return Rows(["file"], copied)


def matching(context: Context, place: str) -> list[Path]:
    return [path for path, _ in _named(context, place, None)]


def _named(context: Context, place: str, rest: str | None) -> list[tuple[Path, str]]:
    """Files whose path begins as the place says, as Snowflake's prefixes do, with the names that LIST shows."""
    stages.folder(context, place)
    base, label, prefix = stages.resolve(context, place)
    pattern = identifiers.literal(m[1]) if (m := _PATTERN.search(rest or "")) else None
    found = []
    for path in sorted(p for p in base.rglob("*") if p.is_file() and not p.name.endswith(".arriving")):
        name = path.relative_to(base).as_posix()
        if name.startswith(prefix) and (pattern is None or re.fullmatch(pattern, f"{label}/{name}")):
            found.append((path, f"{label}/{name}"))
    return found


def _transfer(command: str, folder: Path, files: list[str], **more: Json | str | int | bool) -> Transfer:
    place = {"locationType": "LOCAL_FS", "location": str(folder), "creds": {}}
    return Transfer(
        {"command": command, "src_locations": files, "stageInfo": place, "queryId": str(uuid.uuid4()), **more}
    )


def _local(text: str) -> str:
    return re.sub(r"^file://", "", identifiers.literal(text))


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _modified(path: Path) -> str:
    return clock.seen(path.stat().st_mtime).strftime("%a, %d %b %Y %H:%M:%S GMT")
