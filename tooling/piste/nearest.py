"""The run elsewhere that a new variant is most like, and in what it differs: `like soap-lora but learning_rate …`.

Only a few runs are ever compared key by key. All others are told apart by hashes of their documents' sections, which
are made once, and only where something is new.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from piste.changes import changes
from piste.experiment import Document, Variant
from piste.plan import Action, Like, Plan, Verb
from piste.recipe import PLACEMENT
from piste.run import Run, Status

FEW: Final = 4
"""More differing fields than that, and it is another thing."""

SECTIONS: Final = 2
"""So many sections may differ. One of any three is then the same, which is what runs are looked up by."""

COMPARED: Final = 8
"""So many runs are compared key by key for one variant, those with the fewest differing sections."""

RECENT: Final = 4000
"""So many trainings are known, the latest: what came long before them is rarely what somebody began from."""

CANDIDATES: Final = 400
"""So many of the latest are looked at where more share a section."""

EXPLAINED: Final = 200
"""So many new variants of one plan are explained: whoever adds more knows what they are like."""

Section = tuple[str, str]


def explained(plan: Plan) -> Plan:
    """The plan with, for each new training or baseline, what it is like; of its own experiment first."""
    new = [index for index, action in enumerate(plan.actions) if _is_new(action)][:EXPLAINED]
    if not new:
        return plan
    runs = _Runs(plan.runs)
    if not runs.runs:
        return plan
    actions = list(plan.actions)
    for index in new:
        actions[index] = replace(actions[index], like=runs.like(actions[index].variant))
    return replace(plan, actions=tuple(actions))


def _is_new(action: Action) -> bool:
    return action.submits and action.against is None and (action.verb is Verb.TRAIN or not action.variant.trains)


class _Runs:
    """Runs that did something, of each training the latest, by the sections of their documents."""

    def __init__(self, runs: Sequence[Run]) -> None:
        latest: dict[str, Run] = {}
        for run in reversed(runs):
            if _did(run):
                latest.setdefault(run.digests.training, run)
            if len(latest) == RECENT:
                break
        self.runs = list(reversed(latest.values()))
        self.sections = [frozenset(_sections(run.spec)) for run in self.runs]
        self.having: dict[Section, list[int]] = defaultdict(list)
        for place, sections in enumerate(self.sections):
            for section in sections:
                self.having[section].append(place)

    def like(self, variant: Variant) -> Like | None:
        sections = frozenset(_sections(variant.spec))
        own: list[tuple[int, int]] = []
        others: list[tuple[int, int]] = []
        for place in self._sharing(sections):
            differing = len({name for name, _ in sections ^ self.sections[place]})
            if differing <= SECTIONS:
                (own if self.runs[place].experiment == variant.experiment else others).append((differing, -place))
        return self._closest(variant, own) or self._closest(variant, others)

    def _sharing(self, sections: Iterable[Section]) -> list[int]:
        """Places of runs that have one of the sections which are the rarest."""
        rarest = sorted((self.having.get(section, []) for section in sections), key=len)[: SECTIONS + 1]
        return sorted({place for places in rarest for place in places[-CANDIDATES:]})

    def _closest(self, variant: Variant, found: Sequence[tuple[int, int]]) -> Like | None:
        """With the fewest fields that decide the weights; of equals the latest."""
        likes = (
            Like(self.runs[-place], _deciding(self.runs[-place], variant)) for _, place in sorted(found)[:COMPARED]
        )
        best = min(likes, key=lambda like: len(like.changes), default=None)
        return best if best and 0 < len(best.changes) <= FEW else None


def _did(run: Run) -> bool:
    return bool(run.spec) and not run.smoke and Status.DONE in (run.training, run.evaluation)


def _deciding(run: Run, variant: Variant) -> tuple[Any, ...]:
    return tuple(change for change in changes(run.spec, variant.spec) if change.rule == "train")


def _sections(spec: Document) -> Iterator[Section]:
    """Of what decides the weights: each key of the recipe and of `train`, the files, the examples."""
    recipe, experiment = spec.get("recipe") or {}, spec.get("experiment") or {}
    for key, value in recipe.items():
        if (key,) not in PLACEMENT:
            yield f"recipe.{key}", _written(value)
    for key, value in (experiment.get("train") or {}).items():
        yield f"train.{key}", _written(value)
    for name, value in (
        ("files", spec.get("files") or {}),
        ("examples", (experiment.get("evaluate") or {}).get("examples") or {}),
    ):
        yield name, _written(value)


def _written(value: Any) -> str:
    """2.0 as 2: what a run's documents came through has one kind of number. Near enough: fields are compared later."""
    return _POINT_ZERO.sub("", _in_order(value) if isinstance(value, dict | list) else repr(value))


_POINT_ZERO = re.compile(r"(?<=\d)\.0(?!\d)")

_in_order = json.JSONEncoder(sort_keys=True).encode
