"""EXPERIMENT objects and their runs, as the client's ExperimentTracking uses them."""

from __future__ import annotations

import json
import re
import shutil
import zlib
from typing import Any

from snowglobe import identifiers, listing
from snowglobe.clock import now
from snowglobe.context import Context
from snowglobe.store import Document
from snowglobe.wire import Cell, Column, Rows, SqlError, exists, missing, moment, single, status

_DOLLARS = re.compile(r"\$\$(.*)\$\$", re.DOTALL)
_STATUS = re.compile(r"STATUS\s*=\s*'(\w+)'", re.IGNORECASE)


def create(context: Context, match: re.Match[str]) -> Rows:
    name = context.name(match["name"])
    document = {"created": now().timestamp(), "owner": context.session.role, "runs": {}}
    if not context.account.experiments.create(name, document) and not match["maybe"]:
        raise exists(name[-1])
    return status(f"Experiment {name[-1]} successfully created.")


def drop(context: Context, match: re.Match[str]) -> Rows:
    name = context.name(match["name"])
    if not context.account.experiments.delete(name) and not match["maybe"]:
        raise missing("Experiment", identifiers.dotted(name))
    shutil.rmtree(context.account.directory.joinpath("experiment-files", *name), ignore_errors=True)
    return status(f"{name[-1]} successfully dropped.")


def show(context: Context, match: re.Match[str]) -> Rows:
    chosen = listing.parse(context, match["tail"]).pick(context.account.experiments.all())
    columns: list[Column] = [
        ("created_on", "timestamp_ltz"),
        "name",
        "database_name",
        "schema_name",
        "owner",
    ]
    return Rows(columns, [[moment(d["created"]), n[2], n[0], n[1], d["owner"]] for n, d in chosen])


def add_run(context: Context, match: re.Match[str]) -> Rows:
    run = identifiers.split(match["run"])[0]
    source = m[1] if (m := _DOLLARS.search(match["rest"] or "")) else None
    fresh: Document = {
        "status": "RUNNING",
        "created": now().timestamp(),
        "ended": None,
        "source": source,
        "metrics": [],
        "parameters": {},
    }

    def edit(document: Document) -> None:
        if run in document["runs"]:
            raise exists(run)
        document["runs"][run] = fresh

    return _change(context, match["name"], edit)


def commit_run(context: Context, match: re.Match[str]) -> Rows:
    state = m[1].upper() if (m := _STATUS.search(match["rest"] or "")) else "FINISHED"
    return _change_run(context, match, lambda run: run.update(status=state, ended=now().timestamp()))


def drop_run(context: Context, match: re.Match[str]) -> Rows:
    run = identifiers.split(match["run"])[0]
    _run(_experiment(context, match["name"]), run)
    return _change(context, match["name"], lambda document: document["runs"].pop(run))


def add_metrics(context: Context, match: re.Match[str]) -> Rows:
    given = [metric | {"at": now().timestamp()} for metric in json.loads(match["json"])]
    return _change_run(context, match, lambda run: run["metrics"].extend(given))


def add_parameters(context: Context, match: re.Match[str]) -> Rows:
    given = {parameter["name"]: parameter["value"] for parameter in json.loads(match["json"])}
    return _change_run(context, match, lambda run: run["parameters"].update(given))


def show_runs(context: Context, match: re.Match[str]) -> Rows:
    pattern = identifiers.literal(match["like"]) if match["like"] else "%"
    runs = _experiment(context, match["name"])["runs"]
    chosen = [(name, run) for name, run in runs.items() if identifiers.like(pattern, name)]
    return Rows(
        ["name", ("created_on", "timestamp_ltz"), "metadata"],
        [[name, moment(run["created"]), json.dumps(_metadata(run))] for name, run in chosen],
    )


def show_metrics(context: Context, match: re.Match[str]) -> Rows:
    rows: list[list[Cell]] = []
    for name, run in _chosen(context, match):
        latest: dict[str, Any] = {}
        for metric in run["metrics"]:
            if metric["name"] not in latest or metric["step"] >= latest[metric["name"]]["step"]:
                latest[metric["name"]] = metric
        rows += [[name, key, metric["value"]] for key, metric in latest.items()]
    return Rows(["run_name", "name", "value"], rows)


def show_parameters(context: Context, match: re.Match[str]) -> Rows:
    runs = _chosen(context, match)
    rows: list[list[Cell]] = [[name, key, value] for name, run in runs for key, value in run["parameters"].items()]
    return Rows(["run_name", "name", "value"], rows)


def resolve(context: Context, match: re.Match[str]) -> Rows:
    return single("ID", zlib.crc32(match[0].upper().encode()))


def history_sql(context: Context, experiment: str, run: str) -> str:
    """The metrics of a run as a subquery, for SYSTEM$GET_EXPERIMENT_RUN_METRICS."""
    metrics = _run(_experiment(context, experiment), identifiers.split(run)[0])["metrics"]
    rows = [(m["name"], m["step"], m["value"], m["at"]) for m in metrics]
    values = ", ".join(
        f"('{name.replace(chr(39), chr(39) * 2)}', {step}, {value!r}::FLOAT, TO_TIMESTAMP({at!r}))"
        for name, step, value, at in rows
    )
    empty = "(NULL::VARCHAR, NULL::INT, NULL::FLOAT, NULL::TIMESTAMP)"
    where = "" if rows else " WHERE 1 = 0"
    return f"(SELECT * FROM (VALUES {values or empty}) AS T(METRIC_NAME, STEP, VALUE, TIMESTAMP){where})"


def _metadata(run: Document) -> dict[str, Any]:
    return {"status": run["status"], "source_info": run["source"], "parameters": run["parameters"]}


def _experiment(context: Context, text: str) -> Document:
    name = context.name(text)
    found = context.account.experiments.get(name)
    if found is None:
        raise missing("Experiment", identifiers.dotted(name))
    return found


def _run(experiment: Document, run: str) -> Document:
    if run not in experiment["runs"]:
        raise missing("Run", run)
    found: Document = experiment["runs"][run]
    return found


def _chosen(context: Context, match: re.Match[str]) -> list[tuple[str, Document]]:
    wanted = identifiers.split(match["run"])[0] if match["run"] else None
    runs = _experiment(context, match["name"])["runs"]
    return [(name, run) for name, run in runs.items() if wanted in (None, name)]


def _change(context: Context, experiment: str, edit: Any) -> Rows:
    _experiment(context, experiment)
    context.account.experiments.change(context.name(experiment), edit)
    return status()


def _change_run(context: Context, match: re.Match[str], edit: Any) -> Rows:
    name = identifiers.split(match["run"])[0]

    def change(document: Document) -> None:
        run = _run(document, name)
        if run["status"] != "RUNNING":
            raise SqlError(400002, f"Run '{name}' is {run['status']}.", "22000")
        edit(run)

    return _change(context, match["name"], change)
