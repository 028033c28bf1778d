"""Stages: a document in the catalog and a folder of files."""

from __future__ import annotations

import re
import shutil
from pathlib import Path, PurePosixPath

from snowglobe import identifiers, listing
from snowglobe.account import Account
from snowglobe.clock import now
from snowglobe.context import Context
from snowglobe.identifiers import Name
from snowglobe.store import Document
from snowglobe.wire import Cell, Column, Rows, exists, invalid, missing, moment, status

_PLACE = re.compile(r'@((?:"(?:[^"]|"")*"|[^/"])+)/?(.*)', re.DOTALL)
_EXPERIMENT = re.compile(r"snow://experiment/((?:\"[^\"]*\"|[^/])+)/versions/?(.*)", re.DOTALL | re.IGNORECASE)
_COMMENT = re.compile(r"\bCOMMENT\s*=\s*('(?:[^'\\]|''|\\.)*'|\$\$.*?\$\$)", re.IGNORECASE | re.DOTALL)
_ENCRYPTION = re.compile(r"\bENCRYPTION\s*=\s*\(\s*TYPE\s*=\s*'(\w+)'", re.IGNORECASE)
_URL = re.compile(r"\bURL\s*=\s*'", re.IGNORECASE)
_DIRECTORY = re.compile(r"\bDIRECTORY\s*=\s*\(\s*ENABLE\s*=\s*TRUE", re.IGNORECASE)
COLUMNS: list[Column] = [
    ("created_on", "timestamp_ltz"), "name", "database_name", "schema_name", "url", "has_credentials",
    "has_encryption_key", "owner", "comment", "region", "type", "cloud", "notification_channel", "storage_integration",
    "endpoint", "owner_role_type", "directory_enabled",
]  # fmt: skip


def create(context: Context, match: re.Match[str]) -> Rows:
    name = context.name(match["name"])
    require_schema(context, name)
    options = match["rest"] or ""
    if _URL.search(options):
        raise context.unknown()
    document: Document = {
        "created": now().timestamp(),
        "comment": comment(options) or "",
        "encryption": m[1].upper() if (m := _ENCRYPTION.search(options)) else "SNOWFLAKE_FULL",
        "directory": bool(_DIRECTORY.search(options)),
        "owner": context.session.role,
        "session": context.session.token if match["temporary"] else None,
    }
    if match["replace"]:
        remove(context.account, name)
    if not context.account.stages.create(name, document):
        if not match["maybe"]:
            raise exists(name[-1])
        return status(f"{name[-1]} already exists, statement succeeded.")
    root(context.account, name).mkdir(parents=True, exist_ok=True)
    context.engine.register_stage(name)
    return status(f"Stage area {name[-1]} successfully created.")


def describe(context: Context, match: re.Match[str]) -> Rows:
    document = find(context, context.name(match["name"]))
    columns: list[Column] = ["parent_property", "property", "property_type", "property_value", "property_default"]
    properties = [
        ["STAGE_LOCATION", "URL", "String", "", ""],
        ["STAGE_ENCRYPTION", "TYPE", "String", document["encryption"], "SNOWFLAKE_FULL"],
        ["DIRECTORY", "ENABLE", "Boolean", str(document["directory"]).lower(), "false"],
    ]
    return Rows(columns, properties)


def alter(context: Context, match: re.Match[str]) -> Rows:
    name = context.name(match["name"])
    if context.account.stages.get(name) is None and match["maybe"]:
        return status()
    find(context, name)
    text = "" if match["unset"] else comment(match["rest"])
    if text is None:
        raise context.unknown()
    context.account.stages.change(name, lambda document: document.update(comment=text))
    return status()


def drop(context: Context, match: re.Match[str]) -> Rows:
    name = context.name(match["name"])
    if not remove(context.account, name):
        if match["maybe"]:
            return status(f"Drop statement executed successfully ({name[-1]} already dropped).")
        raise missing("Stage", identifiers.dotted(name))
    return status(f"{name[-1]} successfully dropped.")


def show(context: Context, match: re.Match[str]) -> Rows:
    items = [item for item in context.account.stages.all() if item[1]["session"] in (None, context.session.token)]
    return Rows(COLUMNS, [_row(*item) for item in listing.parse(context, match["tail"]).pick(items)])


def remove(account: Account, name: Name) -> bool:
    existed = account.stages.delete(name)
    if existed:
        shutil.rmtree(root(account, name), ignore_errors=True)
    return existed


def remove_below(account: Account, scope: Name) -> None:
    for name, _ in account.stages.all():
        if name[: len(scope)] == scope:
            remove(account, name)


def forget_temporary(account: Account, token: str | None) -> None:
    """Drops a session's temporary stages; without a session, everybody's (at start)."""
    for name, document in account.stages.all():
        if document["session"] and token in (None, document["session"]):
            remove(account, name)


def find(context: Context, name: Name) -> Document:
    document = context.account.stages.get(name)
    if document is None or document["session"] not in (None, context.session.token):
        raise missing("Stage", identifiers.dotted(name))
    return document


def root(account: Account, name: Name) -> Path:
    """Where fakesnow's COPY INTO looks too: DIR/stages/DB/SCHEMA/NAME."""
    return account.directory.joinpath("stages", *name)


def comment(options: str | None) -> str | None:
    match = _COMMENT.search(options or "")
    return identifiers.literal(match[1]) if match else None


def resolve(context: Context, place: str) -> tuple[Path, str, str]:
    """A place such as @db.schema.stage/path -> (its root folder, what LIST calls the root, the path)."""
    place = identifiers.literal(place)
    if match := _EXPERIMENT.fullmatch(place):
        name = context.name(match[1])
        if context.account.experiments.get(name) is None:
            raise missing("Experiment", identifiers.dotted(name))
        return context.account.directory.joinpath("experiment-files", *name), "/versions", match[2]
    stage = _PLACE.fullmatch(place)
    if not stage or stage[1][0] in "~%":
        raise context.unknown()
    name = context.name(stage[1])
    find(context, name)
    return root(context.account, name), name[-1].lower(), stage[2]


def folder(context: Context, place: str) -> Path:
    base, _, path = resolve(context, place)
    found = base.joinpath(*PurePosixPath(path).parts).resolve()
    if not found.is_relative_to(base.resolve()):
        raise invalid(f"The path {path!r} leaves its stage.")
    return found


def place_folder(account: Account, place: str) -> Path:
    """As `folder`, for the fully qualified place that a job's volume names."""
    match = _PLACE.fullmatch(place)
    assert match is not None
    return root(account, identifiers.split(match[1])).joinpath(*PurePosixPath(match[2]).parts)


def qualified(context: Context, place: str) -> str:
    match = _PLACE.fullmatch(identifiers.literal(place))
    if not match:
        raise invalid(f"{place!r} is not a place in a stage.")
    path = match[2].strip("/")
    return "@" + identifiers.dotted(context.name(match[1])) + (f"/{path}" if path else "")


def require_schema(context: Context, name: Name) -> None:
    if not context.engine.has(name[0], name[1]):
        raise missing("Schema", identifiers.dotted(name[:2]))


def _row(name: Name, document: Document) -> list[Cell]:
    kind = "INTERNAL TEMPORARY" if document["session"] else "INTERNAL"
    kind = kind if document["encryption"] == "SNOWFLAKE_FULL" else f"{kind} NO CSE"
    return [
        moment(document["created"]), name[2], name[0], name[1], "", "N", "N", document["owner"], document["comment"],
        None, kind, None, None, None, None, "ROLE", "Y" if document["directory"] else "N",
    ]  # fmt: skip
