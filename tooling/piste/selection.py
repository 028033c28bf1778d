"""Which experiments a command is about: names, globs, tags, owners, and what has changed since a commit. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final, TypeVar

from piste.errors import PisteError
from piste.experiment import Document, Experiment, Variant
from piste.generated import is_generated
from piste.problems import listed, quoted, sentences, suggestion
from piste.run import Run

TAG: Final = "tag:"
OWNER: Final = "owner:"

Named = TypeVar("Named", Variant, Run)


Heads = Mapping[str, Document]
"""By experiment, the keys of experiment.yaml that are known without reading it again: `owner` and `tags` among them."""


def select(words: Collection[str], among: Sequence[Named], heads: Heads = MappingProxyType({})) -> tuple[Named, ...]:
    """What at least one of these words means, in the order of `among`; all of it without a word.

    A word is an experiment or experiment/variant, a glob over both (`soap-*`), `tag:soap` or `owner:@ana`, and what
    follows the colon may be a glob.

    Raises:
        PisteError: a word means nothing of it.
    """
    if not words:
        return tuple(among)
    found = tuple(one for one in among if any(means(word, one, heads) for word in words))
    for word in words:
        if not any(means(word, one, heads) for one in found):
            raise unknown(word, among)
    return found


def means(word: str, one: Variant | Run, heads: Heads = MappingProxyType({})) -> bool:
    for mark, known in ((TAG, _tags), (OWNER, _owners)):
        if word.startswith(mark):
            return any(fnmatchcase(name, word.removeprefix(mark)) for name in known(_head(one, heads)))
    if word in (one.experiment, one.title):
        return True
    return is_glob(word) and (fnmatchcase(one.experiment, word) or fnmatchcase(one.title, word))


def is_glob(word: str) -> bool:
    return "*" in word or "?" in word


def by_name(word: str) -> bool:
    """Whether a word can be understood of an experiment of which only the name is known."""
    return not word.startswith((TAG, OWNER))


def unknown(word: str, among: Iterable[Variant | Run], more: Collection[str] = ()) -> PisteError:
    """What to say of a word that means nothing; `more` are names of experiments besides."""
    every = tuple(among)
    for mark, known, what in ((TAG, _tags, "tags"), (OWNER, _owners, "owners")):
        if word.startswith(mark):
            names = sorted({name for one in every for name in known(_head(one))})
            hint = _hint(word.removeprefix(mark), names, f"The {what} are")
            return PisteError(f"{quoted(word)} selects no experiment.", hint)
    names = sorted({name for one in every for name in (one.experiment, one.title)} | {*more})
    if is_glob(word):
        return PisteError(f"{quoted(word)} selects no experiment.", _hint("", names, "There are"))
    return PisteError(f"There is no experiment {word!r}.", _hint(word, names, "There are"))


def _hint(word: str, names: Sequence[str], what: str) -> str:
    return sentences(suggestion(word, names), f"{what}: {listed(names) or 'none'}.")


def _head(one: Variant | Run, heads: Heads = MappingProxyType({})) -> Document:
    known = heads.get(one.experiment)
    return one.spec.get("experiment", {}) if known is None else known


def _tags(head: Document) -> Sequence[str]:
    return head.get("tags") or ()


def _owners(head: Document) -> Sequence[str]:
    """With and without the @ that people write."""
    owner = str(head.get("owner") or "")
    return (owner, owner.removeprefix("@")) if owner else ()


def touched(experiments: Iterable[Experiment], paths: Iterable[str], runtimes: Collection[str]) -> frozenset[str]:
    """Experiments that a change of these files, and of these runtimes, is about: by folder, suite or runtime.

    What piste writes itself is no change. A runtime named "" is the one that baselines get.
    """
    inside = [path.split("/") for path in paths if path.startswith("experiments/") and not is_generated(path)]
    folders = {parts[1] for parts in inside if len(parts) > 2}
    suites = {parts[2] for parts in inside if parts[1] == "_suites" and len(parts) > 3}
    return frozenset(
        one.name
        for one in experiments
        if one.name in folders or one.suite.name in suites or one.head["train"].get("runtime", "") in runtimes
    )
