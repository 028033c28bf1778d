"""What an action asks for, as the rules of a policy speak of it: its models, their licences, what is not pinned."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from piste.data_access import access
from piste.environment import Environment, Settings
from piste.experiment import Document, Variant
from piste.models import STAGE

_VERSION: Final = re.compile(
    r"\d+(\.\d+)+|(.*[-_=])?(v\d[\w.]*|\d{4}-\d{2}-\d{2}|(sha256[-=])?[0-9a-f]{12,64})", re.IGNORECASE
)
"""A folder or file whose name says which version it is: `v3`, `notes-v3`, `1.2`, `2026-11-28`, or a digest."""


@dataclass(frozen=True)
class Asked:
    """Of one action. `title` names its variant with its split, `training` and `suite` are digests.

    `family` is "" where the pool can't be seen. `models` maps each model to its licence, "" where that is not known.
    `unpinned` are inputs that may change under their name. `credits` is the bound of a run that takes its timeout, None
    without a price; `max_credits` the experiment's own bound. `spender` is who pays, as Snowflake or GitHub knows them.
    `approved` is the number of the merged pull request that asked for it, where one had to; else 0.
    """

    title: str
    experiment: str
    training: str
    suite: str
    owner: str = ""
    runtime: str = ""
    pool: str = ""
    family: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    tables: tuple[str, ...] = ()
    unpinned: tuple[str, ...] = ()
    credits: float | None = None
    max_credits: float | None = None
    spender: str = ""
    approved: int = 0


def asked(
    variant: Variant,
    settings: Settings,
    environment: Environment,
    licences: Mapping[str, str],
    pool: tuple[str, str] = ("", ""),
    credits: float | None = None,
    spender: str = "",
) -> Asked:
    """`licences` are by the names of models on the environment's stage; `pool` is its name and family."""
    experiment, train = variant.spec["experiment"], variant.spec["experiment"]["train"]
    named = [spelled(model, environment) for model in models(variant.spec)]
    reads_matter = settings.policy.allowed_tables is not None  # to read SQL takes time
    return Asked(
        title=variant.label,
        experiment=variant.experiment,
        training=variant.digests.training,
        suite=variant.digests.suite,
        owner=str(experiment.get("owner") or ""),
        runtime=str(train.get("runtime") or settings.runtime),
        pool=pool[0],
        family=pool[1],
        models={model: licence(model, settings, environment, licences) for model in named},
        tables=access([variant], environment.database, environment.schema).tables if reads_matter else (),
        unpinned=tuple(dict.fromkeys(unpinned(variant.spec, environment))),
        credits=credits,
        max_credits=experiment.get("compute", {}).get("max_credits"),
        spender=spender,
    )


def models(spec: Document) -> tuple[str, ...]:
    """What is trained or evaluated: inputs by their path on a stage, a hosted model and one of the hub by name."""
    train, recipe = spec["experiment"]["train"], spec["recipe"]
    inputs = train.get("inputs", {})
    if train.get("hosted"):
        return (str(train["hosted"]),)
    if recipe is None:
        return tuple(inputs.values())
    base = [inputs["base-model"]] if "base-model" in inputs else []
    return tuple(dict.fromkeys([*base, *(inputs.get(_input(name), name) for name in _named(recipe))]))


def _named(recipe: Document) -> Iterator[str]:
    """Of every section that is a model: the one that is trained, and one that it is held against."""
    for key, section in recipe.items():
        if str(key).endswith("model") and isinstance(section, Mapping) and section.get("name_or_path"):
            yield str(section["name_or_path"])


def _input(name: str) -> str:
    """The input that a path of the recipe lies in; "" if in none."""
    parts = PurePosixPath(name).parts
    return parts[1] if len(parts) > 1 and parts[0] == "inputs" else ""


def spelled(path: str, environment: Environment) -> str:
    """A path on a stage with the stage in upper case, and the environment's own schema left out."""
    if not path.startswith("@"):
        return path
    stage, slash, rest = path.removeprefix("@").rstrip("/").partition("/")
    own = f"{environment.database}.{environment.schema}.".upper()
    return f"@{stage.upper().removeprefix(own)}{slash}{rest}"


def licence(model: str, settings: Settings, environment: Environment, known: Mapping[str, str]) -> str:
    """As its MODEL.json says it, else as settings do; "" where neither does."""
    told = {spelled(name, environment): said for name, said in settings.model_licences.items()}
    return known.get(_mirrored(model), "") or told.get(model, "")


def _mirrored(model: str) -> str:
    """The name of a model that `piste model add` brings; "" for what lies elsewhere."""
    stage, _, rest = model.partition("/")
    return rest.partition("/")[0] if stage == f"@{STAGE}" else ""


def unpinned(spec: Document, environment: Environment) -> Iterator[str]:
    """Inputs, models and data that may be something else tomorrow. Rows of tables always may, and are not meant."""
    train, recipe, files = spec["experiment"]["train"], spec["recipe"] or {}, spec["files"]
    for path in train.get("inputs", {}).values():
        name = spelled(path, environment)
        if not _mirrored(name) and not any(_VERSION.fullmatch(part) for part in name.split("/")[1:]):
            yield path
    for name in _named(recipe):
        if not _input(name) and not _declared(name, files):
            yield name
    for source in _data(recipe):
        if isinstance(source, str):
            yield source
        elif not (source.get("sql") or source.get("table_name")):
            name = str(source.get("dataset_uri") or source.get("name_or_path") or source.get("type"))
            if "/versions/" not in name and not _input(name) and not _declared(name, files):
                yield name


def _declared(name: str, files: Mapping[str, str]) -> bool:
    path = PurePosixPath(name)
    return any(path == PurePosixPath(file) or path in PurePosixPath(file).parents for file in files)


def _data(recipe: Document) -> Iterator[Any]:
    data = recipe.get("data") or {}
    for key in ("sources", "eval_sources"):
        found = data.get(key) or ()
        yield from found if isinstance(found, list | tuple) else (found,)
