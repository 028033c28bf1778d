"""What the cache knows of experiments: page by page where nothing of a page has changed, else one by one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final
from zlib import crc32

from piste import validation
from piste.repository.cache import Cache, Page, Row
from piste.repository.entries import Entry, remembered
from piste.repository.scanning import Folder

PAGE: Final = 128
"""So many experiments, more or less, share a page; fewer need none."""


class Recall:
    """`versions` says of each sound suite which it is."""

    def __init__(self, cache: Cache, versions: Mapping[str, bytes]) -> None:
        self.cache = cache
        self.versions = versions
        self._keys: dict[str, bytes] = {}
        self._unknown: dict[bytes, list[str]] = {}

    def entries(self, found: Iterable[Folder]) -> dict[str, Entry]:
        self._keys = {one.name: one.key for one in found if one.key and validation.NAME.fullmatch(one.name)}
        pages = {self._page_key(names): names for names in _pages(self._keys)}
        known: dict[str, Entry] = {}
        for key, told in self.cache.pages(list(pages)):
            if len(told) == len(pages[key]):
                known |= self._read(zip(pages[key], told, strict=True))
        self._unknown = {key: names for key, names in pages.items() if not known.keys() >= set(names)}
        return known | self._one_by_one({name: key for name, key in self._keys.items() if name not in known})

    def to_keep(self, entries: Iterable[Entry]) -> tuple[list[Row], list[Page]]:
        """Of what was made now, and of what is known by now; `entries` are all."""
        every = {one.name: one for one in entries}
        rows = [
            Row(one.key, self.versions[one.suite], one.facts, one.documents)
            for one in every.values()
            if one.key is not None and one.facts
        ]
        pages = [
            Page(key, [every[name].facts or every[name].remembering() for name in names])
            for key, names in self._unknown.items()
            if all(every[name].key == self._keys[name] for name in names)
        ]
        return rows, pages

    def _page_key(self, names: Sequence[str]) -> bytes:
        found = blake2b(digest_size=32)
        for name, version in sorted(self.versions.items()):
            found.update(b"%d:%b%b" % (len(name), name.encode(), version))
        found.update(b"".join([self._keys[name] for name in names]))
        return found.digest()

    def _read(self, told: Iterable[tuple[str, Any]], version: bytes | None = None) -> dict[str, Entry]:
        """`version` is the suite's that they were made with, if it isn't the present one anyway."""
        found = {}
        for name, facts in told:
            try:
                entry = remembered(name, facts, self._keys[name])
                if version in (None, self.versions.get(entry.suite)):
                    found[name] = entry
            except (LookupError, TypeError, ValueError, AttributeError):  # not what was written
                continue
        return found

    def _one_by_one(self, keys: Mapping[str, bytes]) -> dict[str, Entry]:
        facts: dict[bytes, list[tuple[bytes, Any]]] = defaultdict(list)
        for key, suite, told in self.cache.facts(sorted(set(keys.values()))):
            facts[key].append((suite, told))
        found: dict[str, Entry] = {}
        for name, key in keys.items():
            for suite, told in facts.get(key, ()):
                found |= self._read([(name, told)], suite)
        return found


def _pages(names: Sequence[str] | Mapping[str, Any]) -> Iterator[list[str]]:
    """By their names alone, so that what comes, goes or changes touches one page, and seldom all of them."""
    if len(names) < PAGE:
        return
    count = 1 << (len(names) // PAGE).bit_length()
    pages: dict[int, list[str]] = defaultdict(list)
    for name in names:
        pages[crc32(name.encode()) % count].append(name)
    yield from pages.values()
