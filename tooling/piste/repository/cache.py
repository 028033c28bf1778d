"""What is remembered of experiments, so that one whose files are unchanged is not parsed again.

One SQLite file outside of every repository, so that no commit can plant anything in it: $PISTE_CACHE, else `piste` in
the user's cache folder. It is addressed by content: the key of an entry is a hash of a folder's bytes together
with piste itself, its schemas and the settings; the suite's bytes stand beside it. So branches, worktrees and clones
share it, an old entry is never wrong, and whatever is missing, damaged or locked is only parsed once more.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, NamedTuple

MOST_ENTRIES: Final = 300_000
"""Beyond them the older half is dropped: some 1 GB."""
MOST_PAGES: Final = 4_000
"""Likewise: some 160 MB."""

_FORMAT = 2
_AT_ONCE = 500
_SECONDS = 2.0
_TABLES = (
    "CREATE TABLE IF NOT EXISTS entries"
    " (key BLOB, suite BLOB, facts TEXT, documents TEXT, sum BLOB, PRIMARY KEY (key, suite))",
    "CREATE TABLE IF NOT EXISTS pages (key BLOB PRIMARY KEY, facts TEXT, sum BLOB)",
)


class Row(NamedTuple):
    """`facts` is what a plan needs, `documents` what the folder's files say; both are JSON."""

    key: bytes
    suite: bytes
    facts: str
    documents: str


class Page(NamedTuple):
    """The facts of many entries at once: of folders whose keys together make the page's."""

    key: bytes
    facts: Sequence[str]


class Cache:
    """Never raises for what it holds or can't do: then it knows nothing."""

    def __init__(self, place: Path | None) -> None:
        self._file = place / f"experiments-{_FORMAT}.sqlite" if place else None
        self._opened: sqlite3.Connection | None = None

    def facts(self, keys: Sequence[bytes]) -> Iterator[tuple[bytes, bytes, Any]]:
        """Key, suite and facts of what is known; a folder that was seen with several suites comes several times."""
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            found = self._ask(f"SELECT key, suite, facts, sum FROM entries WHERE key IN ({marks})", some)
            whole = [(key, suite, facts) for key, suite, facts, sum_ in found if _is_whole(key, suite, facts, sum_)]
            every = json.loads(f"[{','.join(facts for _, _, facts in whole)}]")
            yield from ((key, suite, facts) for (key, suite, _), facts in zip(whole, every, strict=True))

    def documents(self, key: bytes, suite: bytes) -> str | None:
        found = self._ask("SELECT documents, sum FROM entries WHERE key = ? AND suite = ?", (key, suite))
        whole = (documents for documents, sum_ in found if _is_whole(key, suite, documents, sum_, 16))
        return next(whole, None)

    def pages(self, keys: Sequence[bytes]) -> Iterator[tuple[bytes, list[Any]]]:
        """Key and facts of those that are known."""
        for key in keys:
            for facts, sum_ in self._ask("SELECT facts, sum FROM pages WHERE key = ?", (key,)):
                if _is_whole(key, b"", facts, sum_):
                    yield key, json.loads(facts)

    def keep(self, rows: Sequence[Row], pages: Sequence[Page] = ()) -> bool:
        """Whether they are kept; all of them or none. Nothing is not kept either."""
        if not (rows or pages):
            return False
        values = [(*row, _sum(row.key, row.suite, row.facts) + _sum(row.key, row.suite, row.documents)) for row in rows]
        with self._forgiving(), self._connection() as connection:
            for table in _TABLES:
                connection.execute(table)
            connection.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?)", values)
            connection.executemany("INSERT OR REPLACE INTO pages VALUES (?, ?, ?)", map(_page, pages))
            _drop_older(connection, "entries", MOST_ENTRIES)
            _drop_older(connection, "pages", MOST_PAGES)
            return True
        return False

    def close(self) -> None:
        """It opens again when it is asked."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _ask(self, statement: str, values: Sequence[bytes]) -> list[Any]:
        if self._file is not None and self._file.exists():
            with self._forgiving():
                return self._connection().execute(statement, values).fetchall()
        return []

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        """What is locked, full or read-only stays as it is; what SQLite can't read makes room for a new file."""
        try:
            yield
        except (OSError, UnicodeError, sqlite3.OperationalError):
            return
        except sqlite3.DatabaseError:
            self.close()
            with contextlib.suppress(OSError):
                for file in (f"{self._file}-journal", str(self._file)):
                    Path(file).unlink(missing_ok=True)

    def _connection(self) -> sqlite3.Connection:
        if self._file is None:
            raise sqlite3.OperationalError("no cache")
        if self._opened is None:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._opened = sqlite3.connect(self._file, timeout=_SECONDS, check_same_thread=False)
            self._opened.execute("PRAGMA synchronous = OFF")  # what a power cut damages the sums tell
        return self._opened


def default_place() -> Path | None:
    """$PISTE_CACHE (`off` for none), else below the user's cache folder."""
    told = os.environ.get("PISTE_CACHE", "")
    if told == "off":
        return None
    if told:
        return Path(told)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "piste"
    except RuntimeError:  # nobody's home
        return None


def _page(page: Page) -> tuple[bytes, str, bytes]:
    facts = f"[{','.join(page.facts)}]"
    return page.key, facts, _sum(page.key, b"", facts)


def _drop_older(connection: sqlite3.Connection, table: str, most: int) -> None:
    """Half of them, if there are more."""
    (newest,) = connection.execute(f"SELECT COALESCE(MAX(rowid), 0) FROM {table}").fetchone()
    if newest > most and connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] > most:
        connection.execute(f"DELETE FROM {table} WHERE rowid <= ?", (newest - most // 2,))


def _is_whole(key: Any, suite: Any, text: Any, sum_: Any, part: int = 0) -> bool:
    """By the part of the sum that is this text's; SQLite holds what was written, of whatever type."""
    try:
        return bool(sum_[part : part + 16] == _sum(key, suite, text))
    except (TypeError, AttributeError, UnicodeError):
        return False


def _sum(key: bytes, suite: bytes, text: str) -> bytes:
    return blake2b(b"%b%b%b" % (key, suite, text.encode()), digest_size=16).digest()
