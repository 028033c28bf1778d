"""One pass over experiments/: which folders there are, and a hash of what each holds.

Content alone says that a folder is unchanged: neither times nor sizes, which an editor, a checkout or a restored cache
may leave as they were. Reading and hashing two small files costs a thirtieth of parsing them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final, NamedTuple

REPORT: Final = "report"
MOST_FILES: Final = 256
MOST_BYTES: Final = 1 << 20
"""Of one file. Folders with more, or larger ones, are read in full each time."""

_IN_ONE_READ = 1 << 16
_NOT_OF_THE_EXPERIMENT = frozenset({REPORT, "README.md"})


class Folder(NamedTuple):
    """`key` is the BLAKE2b of what it was begun with and of the folder's content, report/ and README.md aside.

    None where there is more than plain files.
    """

    name: str
    key: bytes | None
    reported: bool


def scan(folders: Iterable[os.DirEntry[str]], begun: bytes = b"") -> list[Folder]:
    """In their order. `begun` is what the keys begin with: what else decides what is made of the content."""
    return [
        Folder(folder.name, None, False) if folder.is_symlink() else Folder(folder.name, *_content(folder.path, begun))
        for folder in folders
    ]


def folder_key(path: str, begun: bytes = b"") -> bytes | None:
    """What a folder holds. Every name and every byte counts, hidden ones too: a document may name any of them."""
    try:
        return None if stat.S_ISLNK(os.lstat(path).st_mode) else _content(path, begun)[0]
    except OSError:
        return None


def _content(path: str, begun: bytes) -> tuple[bytes | None, bool]:
    found, reported = blake2b(begun, digest_size=32), False
    try:
        names = sorted(os.listdir(path))  # noqa: PTH208 (a path object of each takes as long as its content)
        reported = REPORT in names
        _take_in(found, path, names)
    except (OSError, _OddError):
        return None, reported
    return found.digest(), reported


def stamp(path: str) -> list[tuple[int, ...]]:
    """What changes whenever a file is written, even to what it was: to see that nothing did while it was read."""
    found: list[tuple[int, ...]] = []
    with os.scandir(path) as listed:
        for entry in listed:
            if entry.name not in _NOT_OF_THE_EXPERIMENT:
                seen = entry.stat(follow_symlinks=False)
                found.append((seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns))
                found += stamp(entry.path) if entry.is_dir(follow_symlinks=False) else ()
    return found


class Unchanged:
    """Whether a folder is still what it was when this was made: by content, and by what every write changes."""

    def __init__(self, path: str, begun: bytes, key: bytes | None) -> None:
        self._path, self._begun, self._key = path, begun, key
        self._stamp = stamp(path) if key else []

    def holds(self) -> bool:
        """False for what has no key."""
        now = folder_key(self._path, self._begun) if self._key else None
        return now is not None and (now, stamp(self._path)) == (self._key, self._stamp)


class _OddError(Exception):
    """A link, a pipe, a file that is too large: nothing that can be told by its bytes alone."""


def _take_in(found: blake2b, folder: str, names: Iterable[str], above: str = "", count: int = 0) -> int:
    """Name and content of each file, those of the folders inside too; how many there are with the `count` before.

    To open is quicker than to ask what it is: a link can't be opened so, a folder can't be read.
    """
    for name in names:
        path, relative = f"{folder}/{name}", above + name
        if relative in _NOT_OF_THE_EXPERIMENT:
            if stat.S_ISLNK(os.lstat(path).st_mode):
                raise _OddError
            continue
        try:
            content = _read(path)
        except IsADirectoryError:
            names_inside = sorted(os.listdir(path))  # noqa: PTH208
            count = _take_in(found, path, names_inside, f"{relative}/", count)
            continue
        count += 1
        if count > MOST_FILES:
            raise _OddError
        named = relative.encode(errors="surrogateescape")
        found.update(b"%d:%b%d:%b" % (len(named), named, len(content), content))
    return count


_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def _read(file: str) -> bytes:
    opened = os.open(file, _FLAGS)
    try:
        content = os.read(opened, _IN_ONE_READ)
        if not content or len(content) == _IN_ONE_READ:
            status = os.fstat(opened)
            if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:
                raise _OddError
            while more := os.read(opened, MOST_BYTES):
                content += more
    finally:
        os.close(opened)
    return content
