"""Everything that can be said about experiments and suites without running them. Pure: takes what was read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from piste import matrix, recipe, shape
from piste.documents import Parsed
from piste.environment import Settings
from piste.errors import Problem
from piste.problems import Path, listed, quoted, sentences, suggestion
from piste.templates import columns

NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
NAME_HINT: Final = "Use lower-case letters, digits and hyphens, beginning with a letter; at most 63."

_BASELINE_KEYS: Final = ("inputs",)


@dataclass(frozen=True)
class Source:
    """An experiment as read; `recipe` is None for a baseline, or when there is nothing to read.

    `files` are the paths that it declares, with those inside a declared folder.
    """

    name: str
    experiment: Parsed
    recipe: Parsed | None = None
    files: Sequence[str] = ()


@dataclass(frozen=True)
class Known:
    """What an experiment's names can refer to."""

    settings: Settings = field(default_factory=Settings)
    suites: Mapping[str, Parsed] = field(default_factory=dict)
    experiments: Mapping[str, Source] = field(default_factory=dict)


def check_experiment(source: Source, known: Known) -> list[Problem]:
    if source.experiment.data is None:
        return list(source.experiment.problems)
    train = section(source.experiment.data, "train")
    problems = _checked(source.experiment, "experiment", partial(_experiment_rules, source, known))
    if source.recipe is not None:
        problems += [*source.recipe.problems, *recipe.check(source.recipe, source.files, train.get("inputs"))]
    return problems


def check_suite(suite: Parsed) -> list[Problem]:
    return list(suite.problems) if suite.data is None else _checked(suite, "suite", partial(_suite_rules, suite))


def section(document: Any, key: str) -> Mapping[str, Any]:
    value = document.get(key) if isinstance(document, Mapping) else None
    return value if isinstance(value, Mapping) else {}


def _checked(parsed: Parsed, kind: str, rules: Callable[[], Iterator[Problem]]) -> list[Problem]:
    """Reading problems, schema problems, and of the rules' problems those at keys that have none yet."""
    shapes = shape.check(parsed, kind)
    seen = {problem.path for problem in (*parsed.problems, *shapes)}
    return [*parsed.problems, *shapes, *(problem for problem in rules() if problem.path not in seen)]


def _experiment_rules(source: Source, known: Known) -> Iterator[Problem]:
    experiment, train = source.experiment, source.experiment.data.get("train")
    if isinstance(train, Mapping):
        yield from _training(experiment, train, known.settings)
        yield from _matrix(source, train)
    yield from _pool(experiment, known.settings)
    suite = section(experiment.data, "evaluate").get("suite")
    if isinstance(suite, str) and suite not in known.suites:
        hint = _choose(suite, known.suites, "add experiments/_suites/NAME/suite.yaml")
        yield experiment.problem(("evaluate", "suite"), f"There is no suite {quoted(suite)}.", hint)
    yield from _compare(source, known)


def _choose(word: str, choices: Iterable[str], otherwise: str) -> str:
    every = sorted(choices)
    if not every:
        return f"{otherwise[0].upper()}{otherwise[1:]}."
    return sentences(suggestion(word, every), f"Choose one of {listed(every)}, or {otherwise}.")


def _training(experiment: Parsed, train: Mapping[str, Any], settings: Settings) -> Iterator[Problem]:
    if "recipe" not in train:
        yield from _baseline(experiment, train)
        return
    runtime = train.get("runtime")
    if "runtime" not in train:
        choice = next(iter(settings.runtimes), "cpu-2026.11")
        yield experiment.problem(("train", "runtime"), '"runtime" is missing.', f"Write e.g.  runtime: {choice}")
    elif isinstance(runtime, str) and settings.runtimes and runtime not in settings.runtimes:
        hint = _choose(runtime, settings.runtimes, "add it to [tool.piste.runtimes] in pyproject.toml")
        message = f"{quoted(runtime)} is not a runtime of this repository."
        yield experiment.problem(("train", "runtime"), message, hint)


def _baseline(experiment: Parsed, train: Mapping[str, Any]) -> Iterator[Problem]:
    for key in train:
        if key not in _BASELINE_KEYS:
            message = f"Without a recipe nothing is trained, so {quoted(key)} has no meaning."
            yield experiment.problem(("train", key), message, "Add  recipe: recipe.yaml  or remove this key.")
    if "base-model" not in section(train, "inputs"):
        message = "A baseline, an experiment without a recipe, needs the model that it evaluates."
        hint = 'Write  inputs: {base-model: "@MODELS/…"}  or add  recipe: recipe.yaml'
        yield experiment.problem(("train", "inputs", "base-model"), message, hint)


def _pool(experiment: Parsed, settings: Settings) -> Iterator[Problem]:
    pools, pool = settings.pools, section(experiment.data, "compute").get("pool")
    if not pools:
        return
    if pool is None:
        hint = f"Write  compute: {{pool: {next(iter(pools))}}}  or another of {listed(sorted(pools))}."
        yield experiment.problem(("compute", "pool"), "This names no pool to run in.", hint)
    elif isinstance(pool, str) and pool not in pools:
        environment = settings.chosen().name
        hint = _choose(pool, pools, f"add it to [tool.piste.environments.{environment}.pools] in pyproject.toml")
        yield experiment.problem(("compute", "pool"), f"{quoted(pool)} is not a pool of {environment}.", hint)


def _matrix(source: Source, train: Mapping[str, Any]) -> Iterator[Problem]:
    experiment, paths, seeds = source.experiment, _lists(section(train, "matrix")), _seeds(train)
    count = matrix.size(paths, seeds)
    place: Path = ("train", "matrix") if paths else ("train", "seeds")
    if count > matrix.MAX_VARIANTS:
        message = f"This makes {count:,} variants; at most {matrix.MAX_VARIANTS} are run."
        yield experiment.problem(place, message, "Take values away, or make several experiments.")
        return
    faults = [*_matrix_paths(source, paths, bool(seeds)), *_matrix_values(experiment, paths)]
    yield from faults
    if not faults and source.recipe is not None and isinstance(source.recipe.data, Mapping):
        yield from _variant_names(experiment, [name for name, _ in matrix.named(paths, seeds)], place)


def _seeds(train: Mapping[str, Any]) -> list[int]:
    """Each once; that one is there twice is the schema's to say."""
    seeds = train.get("seeds")
    return list(dict.fromkeys(seed for seed in seeds if isinstance(seed, int))) if isinstance(seeds, list) else []


def _lists(values: Mapping[str, Any]) -> dict[str, list[Any]]:
    return {path: value for path, value in values.items() if isinstance(value, list) and value}


def _matrix_paths(source: Source, paths: Iterable[str], seeded: bool) -> Iterator[Problem]:
    data = source.recipe.data if source.recipe is not None else None
    for path in paths:
        place = ("train", "matrix", path)
        above = next((other for other in paths if path.startswith(f"{other}.")), None)
        if seeded and path in ("seed", "data.seed"):
            yield source.experiment.problem(place, "train.seeds sets this already.", "Keep one of the two.")
        elif above:
            message = f"This lies inside {quoted(above)}, which the matrix sets too."
            yield source.experiment.problem(place, message, "Keep one of the two.")
        elif isinstance(data, Mapping) and not matrix.exists(data, path):
            hint = sentences(suggestion(path, _dotted_paths(data)), "Write it in the recipe first, with one value.")
            yield source.experiment.problem(place, f"The recipe has no {quoted(path)}.", hint)


def _dotted_paths(value: Any, prefix: str = "") -> Iterator[str]:
    pairs = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield f"{prefix}{key}"
        yield from _dotted_paths(item, f"{prefix}{key}.")


def _matrix_values(experiment: Parsed, paths: Mapping[str, Sequence[Any]]) -> Iterator[Problem]:
    for path, values in paths.items():
        for index, value in enumerate(values):
            if isinstance(value, list) and any(isinstance(item, list | dict | None) for item in value):
                message = "A list in a matrix can hold text, numbers, true and false only."
                yield experiment.problem(("train", "matrix", path, index), message, "Write a recipe for each instead.")


def _variant_names(experiment: Parsed, names: Sequence[str], place: Path) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for name in names:
        if len(name) > matrix.MAX_NAME:
            message = f"The variant's name {quoted(name)} has {len(name)} characters; at most {matrix.MAX_NAME} fit."
            yield experiment.problem(place, message, "Use shorter values, or fewer paths.")
        elif other := seen.get(name.casefold()):
            also = "" if other == name else f" and {quoted(other)}"
            message = f"Two variants would be named {quoted(name)}{also}, which is one folder."
            yield experiment.problem(place, message, "Keep one of the two values.")
        seen[name.casefold()] = name


def _compare(source: Source, known: Known) -> Iterator[Problem]:
    compare = source.experiment.data.get("compare")
    if not isinstance(compare, str) or not compare:
        return
    other, _, variant = compare.partition("/")
    problem = partial(source.experiment.problem, ("compare",))
    if other == source.name:
        yield problem("This compares the experiment with itself.", "Name another experiment, or remove the key.")
    elif other not in known.experiments:
        others = {*known.experiments} - {source.name}
        yield problem(f"There is no experiment {quoted(other)}.", _choose(other, others, "add it"))
    elif cycle := _cycle(source.name, known.experiments):
        message = f"These comparisons go in a circle: {' → '.join(cycle)}."
        yield problem(message, "Let one of them compare with nothing.")
    else:
        yield from _comparable(source, known.experiments[other], variant, known, problem)


def _cycle(start: str, experiments: Mapping[str, Source]) -> list[str]:
    """`start` and what it compares with in turn, if that comes back to `start`."""
    chain = [start]
    while (name := _compared(experiments[chain[-1]])) in experiments and name not in chain:
        chain.append(name)
    return [*chain, start] if name == start else []


def _compared(source: Source) -> str:
    compare = source.experiment.data.get("compare") if isinstance(source.experiment.data, Mapping) else None
    return compare.partition("/")[0] if isinstance(compare, str) else ""


def _comparable(
    source: Source, other: Source, variant: str, known: Known, problem: Callable[[str, str], Problem]
) -> Iterator[Problem]:
    ours, theirs = (str(section(each.experiment.data, "evaluate").get("suite")) for each in (source, other))
    if {ours, theirs} <= known.suites.keys() and _task(known.suites[ours]) != _task(known.suites[theirs]):
        message = f"{quoted(other.name)} is evaluated with the suite {quoted(theirs)}, and this with {quoted(ours)}."
        yield problem(message, "Only results of the same suite compare.")
    names = _names(other)
    if variant and names is not None and variant not in names:
        hint = _choose(variant, filter(None, names), "name the experiment alone")
        yield problem(f"{quoted(other.name)} has no variant {quoted(variant)}.", hint)


def _task(suite: Parsed) -> Any:
    return {**suite.data, "title": ""} if isinstance(suite.data, Mapping) else None


def _names(source: Source) -> list[str] | None:
    """The variants' names, if they can be told."""
    train = section(source.experiment.data, "train")
    paths, seeds = _lists(section(train, "matrix")), _seeds(train)
    if matrix.size(paths, seeds) > matrix.MAX_VARIANTS:
        return None
    return [name for name, _ in matrix.named(paths, seeds)]


def _suite_rules(suite: Parsed) -> Iterator[Problem]:
    scores = suite.data.get("scores")
    scores = [score for score in scores if isinstance(score, Mapping)] if isinstance(scores, list) else []
    names = [score.get("name") for score in scores]
    for index, score in enumerate(scores):
        yield from _score(suite, score, index, names[:index])
    primary = suite.data.get("primary")
    if isinstance(primary, str) and primary not in names:
        hint = _choose(primary, [name for name in names if isinstance(name, str)], "add it to scores")
        yield suite.problem(("primary",), f"{quoted(primary)} is not one of this suite's scores.", hint)
    yield from _suite_templates(suite)


def _score(suite: Parsed, score: Mapping[str, Any], index: int, before: Sequence[Any]) -> Iterator[Problem]:
    name = score.get("name")
    if name == "json_fields" and "fields" not in score:
        hint = "Write e.g.  {name: json_fields, fields: [S.complaint]}"
        yield suite.problem(("scores", index, "fields"), '"json_fields" needs the fields that it compares.', hint)
    if name != "json_fields" and "fields" in score:
        message = f"Only json_fields has fields; {quoted(name)} compares whole answers."
        yield suite.problem(("scores", index, "fields"), message, "Remove them.")
    if name in before:
        yield suite.problem(("scores", index, "name"), f"{quoted(name)} is in this list already.", "Keep one of them.")


def _suite_templates(suite: Parsed) -> Iterator[Problem]:
    prompt, data = section(suite.data, "prompt"), section(suite.data, "data")
    every: dict[Path, Any] = {("prompt", key): prompt.get(key) for key in ("system", "user")}
    every[("reference",)] = suite.data.get("reference")
    texts = {path: text for path, text in every.items() if isinstance(text, str)}
    for path, text in texts.items():
        if path != ("prompt", "system") and not columns(text):
            message = "This names no column, so it would be the same for every row."
            yield suite.problem(path, message, "Write the name of a column in braces, e.g. {DIALOGUE}.")
    yield from recipe.unknown_columns(suite, data.get("sql"), data.get("key"), ("data", "key"), texts)
