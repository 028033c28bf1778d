"""Identity: what decides a run's weights and its scores, as SHA-256 over parsed documents.

Each key counts by the rule (`x-change`) that its schema gives it, so prose, placement and the order of keys never
change a digest. Values count by value: `1e-3` is `0.001`, `2` is `2.0`. A key that says what its schema's default
says is dropped. ArcticTraining's own defaults are never filled in: they belong to the runtime, which is named.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from piste import scores
from piste.change_rules import ABSENT, Kind, Place, place, top
from piste.experiment import Digests, Document, over
from piste.judge import is_on_pool
from piste.problems import Path
from piste.recipe import rule_beside_others

FORMAT = 1
"""Of the hashed structure; see docs/decisions/0002-identity.md before changing it."""

TRAINING_SEMANTICS = 1
"""Of the payload's hooks and data source, where they decide the weights."""

GENERATION_SEMANTICS = 1
"""Of the payload's generation, where it decides the predictions."""

SCORE_VERSIONS = dict.fromkeys(scores.BETTER, 1)
"""The payload's scores; a test holds the two to each other."""

JUDGE_SEMANTICS = 1
"""Of what a judge is asked and how its replies are read (`piste.judge`), where it decides the verdicts."""

IDENTITY = {"format": FORMAT, "training": TRAINING_SEMANTICS, "generation": GENERATION_SEMANTICS}
"""What the digests of a run were made with; the ledger keeps it with every claim."""


def digests(spec: Document, versions: Mapping[str, int] = SCORE_VERSIONS) -> Digests:
    """The digests of a run's resolved documents (`Variant.spec`). `versions` are those of the scores."""
    return Digests(training_digest(spec), **suite_digests(spec["suite"], versions))


def training_digest(spec: Document) -> str:
    """The same on every split."""
    experiment, suite = spec["experiment"], spec["suite"]
    return _sha256(
        {
            "format": FORMAT,
            "semantics": TRAINING_SEMANTICS,
            "experiment": only("train", experiment, "experiment"),
            "recipe": only("train", spec["recipe"], "recipe") if spec["recipe"] is not None else None,
            "files": spec["files"],
            **_shown(experiment, suite),
        }
    )


def suite_digests(suite: Document, versions: Mapping[str, int] = SCORE_VERSIONS) -> dict[str, str]:
    """Those of Digests that say how is evaluated: the same for everything that is evaluated with this suite."""
    generated = {"format": FORMAT, "semantics": GENERATION_SEMANTICS, "suite": only("generate", suite, "suite")}
    if scores.need_the_model(suite):  # what the model says of the reference is made with its answers
        generated["reference"] = suite["reference"]
    generation = _sha256(generated)
    versioned = {score["name"]: versions.get(score["name"]) for score in suite["scores"]}
    judge = _judge(suite)
    scored = {"format": FORMAT, "versions": versioned, "suite": only("score", suite, "suite")}
    if judge and is_on_pool(suite["judge"]["model"]):  # its verdicts are made by the job, as other scores
        scored["judge"] = judge
    parts = {"generation": generation, "scoring": _sha256(scored)}
    return {**parts, "suite": over(**parts, **({"judge": judge} if judge else {})), "judge": judge}


def _judge(suite: Document) -> str:
    """ "" for a suite without a judge: its suite digest is over two parts, as it was before there were judges."""
    if not suite.get("judge"):
        return ""
    return _sha256({"format": FORMAT, "semantics": JUDGE_SEMANTICS, "suite": only("judge", suite, "suite")})


def _shown(experiment: Document, suite: Document) -> dict[str, Any]:
    """The answers in a baseline's examples are made from the suite's reference, so what is evaluated depends on it."""
    return {"reference": suite["reference"]} if "examples" in experiment.get("evaluate", {}) else {}


def current(recorded: Digests, made_with: Mapping[str, Any], spec: Document) -> Digests:
    """A run's digests as this piste would make them.

    A run that was recorded under an older format or older semantics keeps its place: its digests are made again from
    the documents that the ledger stores, so that an upgrade trains nothing again. A score counts in the version that
    the run was scored with: a new version of a score is a reason to score again.
    """
    if not spec or {key: made_with.get(key, 1) for key in IDENTITY} == IDENTITY:
        return recorded
    return digests(spec, made_with.get("scores") or dict.fromkeys(SCORE_VERSIONS, 1))


def only(rule: str, document: Document, kind: Kind) -> Any:
    """The part of a document whose keys have this rule, without what equals its default."""
    undecided = rule_beside_others(document) if kind == "recipe" else ""
    kept = _kept(document, top(kind), rule, undecided)
    return {} if kept is ABSENT else kept


def is_default(kind: Kind, path: Path, value: Any) -> bool:
    """Whether saying this is the same as saying nothing."""
    return _says_nothing(place(kind, path), value)


def _says_nothing(here: Place, value: Any) -> bool:
    return here.standard is not ABSENT and bool(normal(here.standard) == normal(value))


_PLAIN = frozenset({str, int, bool, type(None)})
"""Most values are of these types: quicker to see than what else they may be."""


def _kept(value: Any, here: Place, rule: str, undecided: str) -> Any:
    if here.standard is not ABSENT and _says_nothing(here, value):
        return ABSENT
    kind = type(value)
    if value and kind not in _PLAIN and kind is not float:
        if kind is dict or isinstance(value, Mapping):
            items = [(key, _kept(child, here.below(key), rule, undecided)) for key, child in value.items()]
            return {key: child for key, child in items if child is not ABSENT} or ABSENT
        if kind is list or isinstance(value, Sequence):
            below = here.below(0)
            children = [_kept(child, below, rule, undecided) for child in value]
            return [child for child in children if child is not ABSENT] or ABSENT
    return value if (here.rule or undecided) == rule else ABSENT


def normal(value: Any) -> Any:
    """Numbers by value; anything that has no single meaning in JSON raises TypeError."""
    kind = type(value)
    if kind in _PLAIN or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if kind is dict or isinstance(value, Mapping):
        return {str(key): normal(child) for key, child in value.items()}
    if kind is list or isinstance(value, Sequence):
        return [normal(child) for child in value]
    raise TypeError(f"a {kind.__name__} has no place in an identity")


_json = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def _sha256(value: Any) -> str:
    return hashlib.sha256(_json(normal(value)).encode()).hexdigest()
