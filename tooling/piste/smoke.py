"""A variant cut down to a few minutes: does it run at all? Its digests are its own: it is never the real one."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from piste import durations
from piste.change_rules import compute
from piste.digest import digests
from piste.experiment import JUDGE, PAIRWISE, Deferred, Document, Variant

NAME: Final = "smoke"
"""A smoke variant's name; those of a matrix have an equals sign."""

STEPS: Final = 3
ROWS: Final = 16
"""At most so many rows are evaluated."""

PACKED: Final = 32
"""So many rows may be packed into one sample."""

TIMEOUT: Final = "15m"


def smoke(variants: Iterable[Variant]) -> tuple[Variant, ...]:
    """Of each experiment its first variant, cut down: STEPS optimizer steps, ROWS rows to evaluate."""
    first: dict[str, Variant] = {}
    for variant in variants:
        first.setdefault(variant.experiment, variant)
    return tuple(_cut(variant) for variant in first.values())


def _cut(variant: Variant) -> Variant:
    spec: dict[str, Any] = copy.deepcopy(dict(variant.spec))
    experiment, suite = spec["experiment"], spec["suite"]
    written = compute(experiment, "timeout")
    shorter = written if durations.seconds(written) < durations.seconds(TIMEOUT) else TIMEOUT
    experiment["compute"] = {**experiment.get("compute", {}), "timeout": shorter, "retries": 0}
    query = suite["data"]["sql"].rstrip().rstrip(";")
    if suite.pop("judge", None) and suite.get("primary") in (JUDGE, PAIRWISE):
        del suite["primary"]
    suite["data"] = {**suite["data"], "sql": f"SELECT * FROM (\n{query}\n) LIMIT {ROWS}"}
    if spec["recipe"] is not None:
        spec["recipe"] = _recipe(spec["recipe"], experiment["train"])
    return replace(variant, name=NAME, documents=Deferred(lambda: spec), digests=digests(spec))


def _recipe(recipe: Document, train: Mapping[str, Any]) -> dict[str, Any]:
    cut = {key: value for key, value in recipe.items() if key not in ("epochs", "exit_iteration", "min_iterations")}
    cut["train_iters"] = STEPS
    if cut.get("eval_interval"):
        cut["eval_interval"] = STEPS
    data = dict(cut.get("data") or {})
    limits = {"sources": _rows(recipe, train), "eval_sources": ROWS}
    cut["data"] = data | {key: _limited(data[key], rows) for key, rows in limits.items() if data.get(key)}
    return cut


def _rows(recipe: Document, train: Mapping[str, Any]) -> int:
    """Enough for STEPS steps, whatever is packed."""
    batch = [recipe.get(key) for key in ("micro_batch_size", "gradient_accumulation_steps")]
    ranks = [train.get(key) for key in ("gpus", "nodes")]
    each = math.prod(value for value in (*batch, *ranks) if isinstance(value, int) and value > 0)
    packed = PACKED if (recipe.get("data") or {}).get("pack_samples") else 1
    return max(ROWS, STEPS * each * packed)


def _limited(sources: Any, rows: int) -> Any:
    """Sources in Snowflake take a limit, those of the hub a count; others stay whole."""
    if isinstance(sources, list | tuple):
        return [_limited(source, rows) for source in sources]
    if not isinstance(sources, Mapping):
        return sources
    if str(sources.get("type", "")).startswith("snowflake"):
        return {**sources, "limit": min(rows, sources.get("limit") or rows)}
    if "sample_ratio" in sources or "sample_count" in sources:
        return sources
    return {**sources, "sample_count": rows} if "name_or_path" in sources else sources
