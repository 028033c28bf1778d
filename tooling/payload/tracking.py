"""The run in Snowflake's ExperimentTracking: parameters, the loss curve, the scores. Nice to have: it never fails."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from payload.snowflake_session import Store

MOST_POINTS = 200


def track(store: Store, tracking: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    if not tracking:
        return
    try:
        _track(store, tracking, results)
    except Exception as error:
        print(f"piste | ExperimentTracking did not take the run: {type(error).__name__}", file=sys.stderr)


def _track(store: Store, tracking: Mapping[str, Any], results: Mapping[str, Any]) -> None:
    from snowflake.ml.experiment import ExperimentTracking

    experiments = ExperimentTracking(store.session, capture_source_info=False)
    experiments.set_experiment(tracking["experiment"])
    experiments.start_run(tracking["run"])
    if tracking["parameters"]:
        experiments.log_params({key: str(value) for key, value in tracking["parameters"].items()})
    training = results["training"] or {}
    for name in ("loss", "eval_loss"):
        for step, value in thinned(training.get(name, [])):
            if value is not None:
                experiments.log_metric(name, value, step=step)
    scores = (results["evaluation"] or {}).get("scores", {})
    if scores:
        experiments.log_metrics({name: score["mean"] for name, score in scores.items()})
    experiments.end_run(status="FAILED" if results["failure"] else "FINISHED")


def thinned(curve: Sequence[Sequence[Any]], most: int = MOST_POINTS) -> list[Sequence[Any]]:
    """At most so many points, evenly, the first and the last among them."""
    if len(curve) <= most:
        return list(curve)
    return [curve[round(i * (len(curve) - 1) / (most - 1))] for i in range(most)]
