"""Names, string literals and LIKE patterns as Snowflake reads them."""

from __future__ import annotations

import re
from urllib.parse import quote as percent_encode
from urllib.parse import unquote as percent_decode

Name = tuple[str, ...]

_PART = re.compile(r'"(?:[^"]|"")*"|[^."\s]+')
_PLAIN = re.compile(r"[A-Z_][A-Z0-9_$]*")
_ESCAPE = re.compile(r"''|\\(?:u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}|[0-7]{3}|.)", re.DOTALL)
_SINGLE = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0"}


def split(text: str) -> Name:
    """`db."Sch".t` -> ("DB", "Sch", "T")."""
    return tuple(p[1:-1].replace('""', '"') if p.startswith('"') else p.upper() for p in _PART.findall(text.strip()))


def quote(part: str) -> str:
    return part if _PLAIN.fullmatch(part) else '"' + part.replace('"', '""') + '"'


def dotted(name: Name) -> str:
    return ".".join(quote(part) for part in name)


def always_quoted(name: Name) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in name)


def literal(text: str) -> str:
    """The value of a string literal: '…' with '' and backslash escapes, or $$…$$."""
    text = text.strip()
    if text.startswith("$$"):
        return text[2:-2]
    if not text.startswith("'"):
        return text
    return _ESCAPE.sub(_unescape, text[1:-1])


def _unescape(match: re.Match[str]) -> str:
    found = match[0]
    if found == "''":
        return "'"
    body = found[1:]
    if len(body) > 1:
        return chr(int(body.lstrip("ux"), 8 if body[0].isdigit() else 16))
    return _SINGLE.get(body, body)


def like(pattern: str, text: str) -> bool:
    """SHOW … LIKE: case-insensitive, % and _ are wildcards, a backslash takes the next character as it is."""
    expression, escaped = "", False
    for char in pattern:
        if escaped or char not in "%_\\":
            expression, escaped = expression + re.escape(char), False
        elif char == "\\":
            escaped = True
        else:
            expression += ".*" if char == "%" else "."
    return re.fullmatch(expression, text, re.IGNORECASE | re.DOTALL) is not None


def folder(part: str) -> str:
    """A name as one readable path component."""
    return percent_encode(part, safe=" $@+=,") if part not in (".", "..") else part.replace(".", "%2E")


def unfolder(part: str) -> str:
    return percent_decode(part)
