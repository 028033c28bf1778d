"""Everything that can be said about experiments and suites without running them. Pure: takes what was read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Final

from piste import baselines, comparisons, gate_rules, matrix, recipe, shape, suites
from piste.documents import Parsed
from piste.environment import Settings
from piste.errors import Problem
from piste.problems import Path, listed, quoted, sentences, suggestion
from piste.sources import Known, Source, choose, matrix_of, section, seeds_of

NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,62}")
NAME_HINT: Final = "Use lower-case letters, digits and hyphens, beginning with a letter; at most 63."


def check_experiment(source: Source, known: Known) -> list[Problem]:
    """Everything, with what it says of other experiments."""
    return _check(source, known, (_rules_alone, check_references))


def check_alone(source: Source, known: Known) -> list[Problem]:
    """What its own files, the settings and the suites decide, whatever other experiments there are."""
    return _check(source, known, (_rules_alone,))


def refers(head: Mapping[str, Any]) -> bool:
    """Whether an experiment says anything that others decide."""
    return not head.keys().isdisjoint(("compare", "gates", "waivers"))


def check_references(source: Source, known: Known) -> Iterator[Problem]:
    """What other experiments decide. Of all experiments only what `sources.head` keeps is looked at."""
    yield from comparisons.check(source, known)
    yield from gate_rules.check(source, known)


_Rules = Callable[[Source, Known], Iterator[Problem]]


def _check(source: Source, known: Known, every: Sequence[_Rules]) -> list[Problem]:
    if source.experiment.data is None:
        return list(source.experiment.problems)
    train = section(source.experiment.data, "train")
    better = ("compute.pool",) if _alias(source.experiment, known.settings) else ()
    problems = _checked(
        source.experiment, "experiment", lambda: (found for rules in every for found in rules(source, known)), better
    )
    if source.recipe is not None:
        found = recipe.check(source.recipe, source.files, train.get("inputs"))
        said = {problem.path for problem in source.recipe.problems}
        problems += [*source.recipe.problems, *(problem for problem in found if problem.path not in said)]
    return problems


def check_suite(suite: Parsed, known: Known) -> list[Problem]:
    alone = check_suite_alone(suite, known)
    return [*alone, *check_suite_references(suite, known, alone)]


def check_suite_alone(suite: Parsed, known: Known) -> list[Problem]:
    """Without its gates, which name experiments."""
    return list(suite.problems) if suite.data is None else _checked(suite, "suite", partial(_suite_alone, suite, known))


def check_suite_references(suite: Parsed, known: Known, alone: Iterable[Problem]) -> list[Problem]:
    """What experiments decide, at keys with which nothing else is wrong; `alone` is all that is."""
    said = {problem.path for problem in alone}
    found = gate_rules.check_suite(suite, known) if suite.data is not None else ()
    return [problem for problem in found if problem.path not in said]


def _suite_alone(suite: Parsed, known: Known) -> Iterator[Problem]:
    return suites.check(suite, PurePosixPath(suite.file).parent.name, known.settings.policy)


def _checked(
    parsed: Parsed, kind: str, rules: Callable[[], Iterator[Problem]], better: Sequence[str] = ()
) -> list[Problem]:
    """Reading problems, schema problems, and of the rules' problems those at keys that have none yet.

    `better` are the keys of which the rules know more than the schema.
    """
    shapes = [problem for problem in shape.check(parsed, kind) if problem.path not in better]
    seen = {problem.path for problem in (*parsed.problems, *shapes)}
    return [*parsed.problems, *shapes, *(problem for problem in rules() if problem.path not in seen)]


def _rules_alone(source: Source, known: Known) -> Iterator[Problem]:
    experiment, train = source.experiment, source.experiment.data.get("train")
    if isinstance(train, Mapping):
        yield from _training(experiment, train, known.settings)
        yield from _matrix(source, train)
    yield from _pool(experiment, known.settings)
    suite = section(experiment.data, "evaluate").get("suite")
    if isinstance(suite, str) and suite not in known.suites:
        hint = choose(suite, known.suites, "add experiments/_suites/NAME/suite.yaml")
        yield experiment.problem(("evaluate", "suite"), f"There is no suite {quoted(suite)}.", hint)
    yield from baselines.check_examples(source, known)
    yield from baselines.check_hosted(source, known)


def _training(experiment: Parsed, train: Mapping[str, Any], settings: Settings) -> Iterator[Problem]:
    if "recipe" not in train:
        if not shape.meant(train, "recipe"):
            yield from baselines.check(experiment, train)
        return
    runtime = train.get("runtime")
    if "runtime" not in train:
        choice = next(iter(settings.runtimes), "cpu-2026.11")
        yield experiment.problem(("train", "runtime"), '"runtime" is missing.', f"Write e.g.  runtime: {choice}")
    elif isinstance(runtime, str) and settings.runtimes and runtime not in settings.runtimes:
        hint = choose(runtime, settings.runtimes, "add it to [tool.piste.runtimes] in pyproject.toml")
        message = f"{quoted(runtime)} is not a runtime of this repository."
        yield experiment.problem(("train", "runtime"), message, hint)


def _alias(experiment: Parsed, settings: Settings) -> str:
    """The alias of the pool that is named by itself."""
    pool = section(experiment.data, "compute").get("pool")
    if not isinstance(pool, str) or pool in settings.pools:
        return ""
    return next((alias for alias, name in settings.pools.items() if name.casefold() == pool.casefold()), "")


def _pool(experiment: Parsed, settings: Settings) -> Iterator[Problem]:
    pools, pool = settings.pools, section(experiment.data, "compute").get("pool")
    if not pools:
        return
    if pool is None:
        hint = f"Write  compute: {{pool: {next(iter(pools))}}}  or another of {listed(sorted(pools))}."
        yield experiment.problem(("compute", "pool"), "This names no pool to run in.", hint)
    elif alias := _alias(experiment, settings):
        yield experiment.problem(("compute", "pool"), f"{pool} is the pool itself.", f"Write its alias:  pool: {alias}")
    elif isinstance(pool, str) and pool not in pools:
        environment = settings.chosen().name
        hint = choose(pool, pools, f"add it to [tool.piste.environments.{environment}.pools] in pyproject.toml")
        yield experiment.problem(("compute", "pool"), f"{quoted(pool)} is not a pool of {environment}.", hint)


def _matrix(source: Source, train: Mapping[str, Any]) -> Iterator[Problem]:
    experiment, paths, seeds = source.experiment, matrix_of(train), seeds_of(train)
    count = matrix.size(paths, seeds)
    place: Path = ("train", "matrix") if paths else ("train", "seeds")
    if count > matrix.MAX_VARIANTS:
        message = f"This makes {count:,} variants; at most {matrix.MAX_VARIANTS} are run."
        yield experiment.problem(place, message, "Take values away, or make several experiments.")
        return
    faults = [*_matrix_paths(source, paths, bool(seeds)), *_matrix_values(experiment, paths)]
    faults += _matrix_types(source, paths)
    yield from faults
    if not faults and source.recipe is not None and isinstance(source.recipe.data, Mapping):
        yield from _variant_names(experiment, [name for name, _ in matrix.named(paths, seeds)], place)


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
            hint = sentences(_nearest_path(data, path), "Write it in the recipe first, with one value.")
            yield source.experiment.problem(place, f"The recipe has no {quoted(path)}.", hint)


def _nearest_path(data: Any, path: str) -> str:
    """What the recipe has instead of `path`: a key beside it, else a path like it; never what is above it."""
    above, _, last = path.rpartition(".")
    beside = matrix.value(data, above) if above and matrix.exists(data, above) else None
    if not isinstance(beside, Mapping) or not beside:
        return suggestion(path, (other for other in _dotted_paths(data) if not path.startswith(f"{other}.")))
    close = suggestion(last, beside, quote=False).removeprefix("Did you mean ").removesuffix("?")
    return f"Did you mean {quoted(f'{above}.{close}')}?" if close else f"{listed([above])} has {listed(beside)}."


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


def _matrix_types(source: Source, paths: Mapping[str, Sequence[Any]]) -> Iterator[Problem]:
    """Text, true or false for a number. Other types may be choices of one key: deepspeed's "auto", 1.5k, all-linear."""
    data = source.recipe.data if source.recipe is not None else None
    if not isinstance(data, Mapping) or data.get("code"):
        return
    for path, values in paths.items():
        own = matrix.value(data, path) if matrix.exists(data, path) else None
        if isinstance(own, bool) or not isinstance(own, int | float) or path.startswith("deepspeed."):
            continue
        for index, value in enumerate(values):
            if isinstance(value, bool) or (isinstance(value, str) and not value[:1].isdecimal()):
                kind = "text" if isinstance(value, str) else "no number"
                message = f"{quoted(value)} is {kind}, but {listed([path])} in the recipe is the number {own}."
                yield source.experiment.problem(("train", "matrix", path, index), message, "Write a number.")


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
