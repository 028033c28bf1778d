"""The tail that all SHOW statements share: [LIKE '…'] [IN …] [STARTS WITH '…'] [LIMIT n]."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from snowglobe import identifiers
from snowglobe.identifiers import Name

if TYPE_CHECKING:
    from snowglobe.context import Context

Item = TypeVar("Item")
_STRING = r"'(?:[^'\\]|''|\\.)*'"
_TAIL = re.compile(
    rf"\s*(?:LIKE\s+(?P<like>\?|{_STRING}))?"
    r"(?:\s*\b(?P<in>IN)\b\s*(?:(?P<kind>ACCOUNT|DATABASE|SCHEMA|APPLICATION|COMPUTE\s+POOL)\b)?\s*(?P<scope>(?!STARTS\b|LIMIT\b)[^\s']+)?)?"
    rf"(?:\s*STARTS\s+WITH\s+(?P<start>{_STRING}))?"
    r"(?:\s*LIMIT\s+(?P<limit>\d+)(?:\s+FROM\s+'[^']*')?)?\s*",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True)
class Filter:
    pattern: str = "%"
    prefix: str = ""
    scope: Name = ()
    limit: int | None = None

    def accepts(self, name: Name) -> bool:
        inside = name[: len(self.scope)] == self.scope
        return inside and name[-1].startswith(self.prefix) and identifiers.like(self.pattern, name[-1])

    def pick(self, items: Sequence[tuple[Name, Item]]) -> list[tuple[Name, Item]]:
        return [(name, item) for name, item in items if self.accepts(name)][: self.limit]


def parse(context: Context, tail: str | None, *, account: bool = False, schemas: bool = False) -> Filter:
    match = _TAIL.fullmatch(tail or "")
    if not match:
        raise context.unknown()
    return Filter(
        pattern=context.text(match["like"]) if match["like"] else "%",
        prefix=identifiers.literal(match["start"]) if match["start"] else "",
        scope=() if account else _scope(context, match, schemas),
        limit=int(match["limit"]) if match["limit"] else None,
    )


def _scope(context: Context, match: re.Match[str], schemas: bool) -> Name:
    """The database or schema that IN names; the current one without it."""
    kind, text = (match["kind"] or "").upper(), match["scope"]
    if not match["in"]:
        return context.home[:1] if schemas else context.home
    if kind == "ACCOUNT":
        return ()
    if kind == "DATABASE" or schemas:
        return identifiers.split(text) if text else context.home[:1]
    if not text:
        return context.home
    parts = identifiers.split(text)
    return parts if len(parts) == 2 else context.home[:1] + parts
