"""What git asks for: experiments, the suites they are evaluated with, and their variants."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, NamedTuple, TypeVar
from urllib.parse import quote

VALIDATION: Final = "validation"
TEST: Final = "test"
"""The splits of a suite that keeps choosing and reporting apart."""

Document = Mapping[str, Any]
"""A parsed YAML document; defaults are not filled in."""


T = TypeVar("T")


class Deferred(Generic[T]):
    """A value that is made when somebody asks for it, once."""

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], T]) -> None:
        self._make: Callable[[], T] | None = make

    @property
    def value(self) -> T:
        if self._make is not None:
            self._made = self._make()
            self._make = None  # and what it holds on to
        return self._made


@dataclass(frozen=True)
class Suite:
    """How a task is evaluated; `experiments/_suites/<name>/suite.yaml`."""

    name: str
    document: Document


JUDGE, PAIRWISE = "judge", "judge_pairwise"
"""The scores that a judge makes: of an answer by itself, and of two answers against each other."""


def primary_score(suite: Document) -> str:
    """The score that decides: the one that a suite.yaml names as such, else its first."""
    return str(suite.get("primary") or suite["scores"][0].get("as") or suite["scores"][0]["name"])


@dataclass(frozen=True)
class Experiment:
    """A folder under `experiments/`.

    `recipe` is None for a baseline, which evaluates a model as it is. `files` maps each declared file to the SHA-256
    (hex) of its bytes.
    """

    name: str
    document: Document
    recipe: Document | None
    suite: Suite
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def head(self) -> Document:
        """Its document; of one that is remembered only the keys by which it stands to others."""
        return self.document

    @property
    def trains(self) -> bool:
        return self.recipe is not None

    @property
    def trainings(self) -> Trainings | None:
        """The name and the training digest of each variant, where they are known without its documents."""
        return None


Trainings = tuple[tuple[str, str], ...]


class Documents(NamedTuple):
    """What an experiment's folder says."""

    experiment: Document
    recipe: Document | None
    files: Mapping[str, str]


class Remembered(Experiment):
    """An experiment whose documents are read only when somebody looks into them."""

    def __init__(
        self, name: str, suite: Suite, head: Document, trainings: Trainings, documents: Deferred[Documents]
    ) -> None:
        self.__dict__.update(name=name, suite=suite, _head=head, _trainings=trainings, _documents=documents)

    @property
    def head(self) -> Document:
        return self.__dict__["_head"]  # type: ignore[no-any-return]

    @property
    def trains(self) -> bool:
        return self.head["train"].get("recipe") is not None

    @property
    def trainings(self) -> Trainings:
        return self.__dict__["_trainings"]  # type: ignore[no-any-return]

    @property
    def _read(self) -> Documents:
        return self.__dict__["_documents"].value  # type: ignore[no-any-return]

    @property
    def document(self) -> Document:
        return self._read.experiment

    @property
    def recipe(self) -> Document | None:
        return self._read.recipe

    @property
    def files(self) -> Mapping[str, str]:
        return self._read.files


@dataclass(frozen=True)
class Digests:
    """The identity of a variant, SHA-256 values in hex.

    `training` covers what decides the weights. `generation`, `scoring` and `judge` ("" without one) cover the parts of
    the suite; `suite` is over all of them.
    """

    training: str
    generation: str
    scoring: str
    suite: str
    judge: str = ""

    @property
    def evaluation(self) -> str:
        """Over what a job does of the suite: without a judge the suite digest itself."""
        return over(generation=self.generation, scoring=self.scoring) if self.judge else self.suite

    @property
    def told(self) -> dict[str, str]:
        """As the ledger keeps them: without those that there are not."""
        return {part: digest for part, digest in vars(self).items() if digest}


def over(**digests: str) -> str:
    """A digest over digests."""
    return hashlib.sha256(json.dumps(digests, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def folder(variant: str) -> str:
    """A variant's name as a folder's: what a path can't hold as %XX."""
    return quote(variant, safe="=,+@~%. ")


@dataclass(frozen=True)
class Variant:
    """One point of an experiment's matrix and seeds; without them the only one, named "".

    `split` is, of the suite's splits, the one it is scored on; "" where the suite has only one. `trains` is false of a
    baseline. `aside` says that its experiment is scored on the other split first. `chosen_from` is how many recipes it
    was the best of on validation; 0 for one that was not chosen.
    """

    experiment: str
    name: str
    split: str
    trains: bool
    documents: Deferred[Document] = field(repr=False, compare=False)
    digests: Digests
    aside: bool = False
    chosen_from: int = 0

    @property
    def spec(self) -> Document:
        """What a run of it is made from and what the ledger and report.json keep.

        `{"experiment": experiment.yaml without matrix and seeds, "recipe": the recipe with this variant's values or
        None, "suite": suite.yaml with the rows of one split, "split": its name or "", "files": {path: sha256},
        "settings": {dotted recipe path: value}}`. Read when it is first asked for.
        """
        return self.documents.value

    @property
    def title(self) -> str:
        """`experiment` or `experiment/variant`, as `compare` and the command line write it."""
        return f"{self.experiment}/{self.name}" if self.name else self.experiment

    @property
    def place(self) -> str:
        """Where its page lies below its experiment's report/, with a slash at its end; "" for the only variant's.

        Of two splits the one that its experiment is not scored on first has a folder of its own.
        """
        folders = (self.split if self.aside else "", folder(self.name))
        return "".join(f"{name}/" for name in folders if name)

    @property
    def label(self) -> str:
        """The title with the split: no two variants have the same."""
        return f"{self.title} ({self.split})" if self.split else self.title
