"""Every key of the schemas, changed one by one, leads to exactly the action that its rule says, and is named by it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest

from builders import baseline, experiment, run
from piste import recipe
from piste.change_rules import RULES, Kind, defaults, rule_of
from piste.digest import is_default
from piste.experiment import Experiment, Suite, Variant
from piste.plan import Action, plan
from piste.resources import schema
from piste.variants import variants

KINDS: tuple[Kind, ...] = ("experiment", "suite")
ONLY_BASELINES = ("train.hosted", "evaluate.examples")
"""Keys that only what is not trained can have."""

NOT_IN_A_RUN = ("train.recipe", "train.files", "train.seeds", "train.matrix", "data.validation")
"""Keys that say where or how many, and that a run's documents hold resolved: told apart below."""


class Leaf(NamedTuple):
    """`path` has * for the places of a list and the names of a mapping."""

    kind: Kind
    path: tuple[str, ...]
    example: Any

    @property
    def name(self) -> str:
        return ".".join(self.path)

    @property
    def rule(self) -> str:
        return rule_of(self.path, self.kind)

    def under(self, *names: str) -> bool:
        return any(self.name == name or self.name.startswith(f"{name}.") for name in names)


def leaves(kind: Kind, node: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[Leaf]:
    children = {**node.get("properties", {})}
    for inside in ("items", "additionalProperties"):
        if isinstance(node.get(inside), dict):
            children["*"] = node[inside]
    for key, child in children.items():
        yield from leaves(kind, child, (*path, key))
    if not children:
        yield Leaf(kind, path, node["examples"][0] if "examples" in node else node["default"])


JUDGE = {"model": "claude-4-5-sonnet", "rubric": "Every finding.", "scale": "pass_fail"}

ALL = [leaf for kind in KINDS for leaf in leaves(kind, schema(kind))]
TOLD = [leaf for leaf in ALL if not leaf.under(*NOT_IN_A_RUN)]


def other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return f"{value}x"


def pair(leaf: Leaf) -> tuple[Any, Any]:
    """Two values, neither of them what saying nothing means."""
    values = [leaf.example]
    while len(values) < 4:
        values.append(other(values[-1]) if not isinstance(values[-1], bool) else not values[-1])
    standard = defaults(leaf.kind).get(leaf.path)
    kept = [value for value in values if value != standard or isinstance(value, bool)]
    return kept[0], next(value for value in kept if value != kept[0])


def put(document: Any, path: tuple[str, ...], value: Any) -> tuple[str | int, ...]:
    """Set the value, making what is missing on the way; the path as it came out."""
    key, *rest = path
    place: str | int = (0 if isinstance(document, list) else "base-model") if key == "*" else key
    if isinstance(document, list) and not document:
        document.append({})
    if not rest:
        document[place] = value
        return (place,)
    child = document.get(place) if isinstance(document, dict) else document[place]
    if child in (None, {}) and rest[0] == "*":
        child = {} if "inputs" in path else []
    document[place] = {} if child is None else child
    return (place, *put(document[place], tuple(rest), value))


def changed(base: Experiment, leaf: Leaf, value: Any) -> tuple[Experiment, str]:
    """The experiment with one value, and how the key is written."""
    document = copy.deepcopy(base.document if leaf.kind == "experiment" else base.suite.document)
    path = put(document, leaf.path, value)
    written = "" if leaf.kind == "experiment" else "suite"
    for part in path:
        written += f"[{part}]" if isinstance(part, int) else f".{part}" if written else part
    if leaf.kind == "experiment":
        return replace(base, document=document), written
    return replace(base, suite=Suite(base.suite.name, document)), written


def act(before: Experiment, after: Experiment) -> Action:
    """What the plan says where only the first was run, and judged."""
    earlier = variants(before)[0]
    (action,) = plan(variants(after), [run(earlier, judged={earlier.digests.judge: {}})]).actions
    return action


def expected(rule: str, trains: bool) -> tuple[str, tuple[str, ...]]:
    if rule == "train":
        return ("train", ("train", "generate", "score")) if trains else ("evaluate", ("generate", "score"))
    steps = {"generate": ("generate", "score"), "score": ("score",)}.get(rule, ())
    return ("evaluate" if steps else "keep"), steps


@pytest.mark.parametrize("leaf", TOLD, ids=lambda leaf: f"{leaf.kind}.{leaf.name}")
def test_a_changed_key_leads_to_what_its_rule_says(leaf: Leaf) -> None:
    base = baseline() if leaf.under(*ONLY_BASELINES) else experiment(**_beside(leaf))
    old, new = pair(leaf)
    before, _ = changed(base, leaf, old)
    after, written = changed(base, leaf, new)
    action = act(before, after)
    assert (action.verb.value, action.steps) == expected(leaf.rule, base.trains)
    (change,) = action.changes
    assert (change.path, change.rule) == (written, leaf.rule)
    seen = [None if is_default(leaf.kind, leaf.path, value) else value for value in (old, new)]
    assert [change.old, change.new] == seen
    assert action.against is not None
    if action.submits:
        assert action.reason.startswith(f"{written} ")
    assert ("asks its judge" in action.reason) == (leaf.rule == "judge")


def _beside(leaf: Leaf) -> dict[str, Any]:
    """What has to be there for the key to mean anything."""
    return {"suite.judge": dict(JUDGE)} if leaf.under("judge") else {}


def test_every_rule_and_every_key_is_there() -> None:
    assert {leaf.rule for leaf in TOLD} == set(RULES)
    assert {leaf.name for leaf in ALL} - {leaf.name for leaf in TOLD} == {
        "train.recipe",
        "train.files.*",
        "train.seeds.*",
        "train.matrix.*.*",
        "data.validation",
    }
    assert len(TOLD) > 70


def test_a_judge_on_a_pool_asks_within_the_job() -> None:
    before, after = (experiment(**{"suite.judge": {**JUDGE, "model": f"@MODELS/{name}"}}) for name in "ab")
    action = act(before, after)
    assert (action.verb.value, action.steps) == ("evaluate", ("score",))
    assert action.reason == "suite.judge.model @MODELS/a → @MODELS/b"


def test_where_a_file_is_leads_to_nothing() -> None:
    for change in ({"train.recipe": "other.yaml"}, {"train.files": ["project/train.py"]}):
        action = act(experiment(), experiment(**change))
        assert (action.verb.value, action.changes) == ("keep", ())
    action = act(experiment(), experiment(**{"files.train.py": "b" * 64}))
    assert (action.verb.value, action.reason) == (
        "train",
        f"files.train.py {'a' * 20}…{'a' * 19} → {'b' * 20}…{'b' * 19}",
    )


def by_name(asked: tuple[Variant, ...], *before: Variant) -> dict[str, tuple[str, str]]:
    made = plan(asked, [run(one, name=f"RUN_{place}") for place, one in enumerate(before)])
    return {action.variant.name: (action.verb.value, action.reason) for action in made.actions}


def test_another_seed_and_another_value_are_other_variants() -> None:
    one = variants(experiment(**{"train.seeds": [1]}))
    more = variants(experiment(**{"train.seeds": [1, 2]}))
    assert [verb for verb, _ in by_name(more, *one).values()] == ["keep", "train"]
    grid = {"optimizer.learning_rate": [0.001]}
    one, more = (
        variants(experiment(**{"train.matrix": {**grid, "optimizer.learning_rate": values}}))
        for values in ([0.001], [0.001, 0.01])
    )
    found = by_name(more, *one)
    assert sorted(found.values())[-1] == ("train", "new variant")


def test_another_validation_split_scores_again_what_is_chosen_by_it() -> None:
    def grid(sql: str) -> tuple[Variant, ...]:
        changes = {"train.matrix": {"optimizer.learning_rate": [0.001, 0.01]}, "suite.data.validation": sql}
        return variants(experiment(**changes))

    before, after = grid("SELECT 1"), grid("SELECT 2")
    for verb, reason in by_name(after, *before).values():
        assert (verb, reason) == ("evaluate", "suite.data.sql SELECT 1 → SELECT 2")
    alone = (experiment(**{"suite.data.validation": sql}) for sql in ("SELECT 1", "SELECT 2"))
    assert act(*alone).verb == "keep", "what chooses nothing is scored on test"


RECIPE_KEYS = sorted(
    {(key,) for key in recipe.KEYS - recipe.SECTIONS.keys() | recipe.DPO_KEYS}
    | {(section, key) for section, keys in recipe.SECTIONS.items() for key in keys}
    | {("data", key) for keys in recipe.DATA_KEYS.values() for key in keys}
    | {path if len(path) > 1 else (*path, "anything") for path in recipe.PLACEMENT}
    | {("checkpoint", "output_dir"), ("something", "new")}
)


@pytest.mark.parametrize("path", RECIPE_KEYS, ids=".".join)
def test_a_changed_key_of_a_recipe_leads_to_what_the_table_says(path: tuple[str, ...]) -> None:
    def with_value(value: str) -> Experiment:
        base = experiment()
        document: dict[str, Any] = copy.deepcopy(dict(base.recipe or {}))
        held = document
        for key in path[:-1]:
            held[key] = dict(held.get(key) or {}) if isinstance(held.get(key) or {}, dict) else {}
            held = held[key]
        held[path[-1]] = value
        return replace(base, recipe=document)

    action = act(with_value("one"), with_value("two"))
    (change,) = action.changes
    rule = rule_of(path, "recipe", with_value("two").recipe)
    assert rule == ("placement" if any(path[:length] in recipe.PLACEMENT for length in (1, 2)) else rule)
    assert (change.path, change.old, change.new, change.rule) == (f"recipe.{'.'.join(path)}", "one", "two", rule)
    assert (action.verb.value, action.steps) == expected(rule, trains=True)
    assert action.reason == (f"{change.path} one → two" if rule == "train" else action.reason)
