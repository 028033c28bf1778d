"""Statements about jobs: submit, describe, list, wait, logs, cancel, drop, history."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from typing import Any

import sqlglot
from sqlglot import exp

from snowglobe import identifiers, listing, secret, stages
from snowglobe.context import Context
from snowglobe.cortex import python_value
from snowglobe.job import Job, service_id
from snowglobe.wire import Cell, Column, Rows, SqlError, missing, single, status

POLL_SECONDS = 0.05
IMAGE = "/snowflake/images/snowflake_images/snowglobe/runtime:2.6.0-local"
COLUMNS: list[Column] = [
    "name", "status", "database_name", "schema_name", "owner", "compute_pool", "spec", "dns_name",
    ("current_instances", "fixed"), ("target_instances", "fixed"), ("min_ready_instances", "fixed"),
    ("min_instances", "fixed"), ("max_instances", "fixed"), "auto_resume", "external_access_integrations",
    ("created_on", "timestamp_ltz"), ("updated_on", "timestamp_ltz"), ("resumed_on", "timestamp_ltz"), "comment",
    "owner_role_type", "query_warehouse", "is_job",
]  # fmt: skip


def runtime(context: Context, match: re.Match[str]) -> Rows:
    context.account.pools.get(identifiers.split(_arguments(match["arguments"])[0])[-1])
    return single("SYSTEM$GET_ML_JOB_RUNTIME", IMAGE)


def execute(context: Context, match: re.Match[str]) -> Rows:
    prefix, pool_name, spec_text, options_text = _arguments(match["arguments"])
    spec, options = json.loads(spec_text), json.loads(options_text)
    pool = identifiers.split(pool_name)[-1]
    context.account.pools.get(pool)
    name = context.name(prefix)
    spec["STAGE_PATH"] = stages.qualified(context, spec["STAGE_PATH"])
    stages.folder(context, spec["STAGE_PATH"])
    secret.qualified(context, spec)
    if options.get("GENERATE_SUFFIX"):
        name = (*name[:2], (name[2] + uuid.uuid4().hex[:12]).upper())
    job = context.jobs.submit(name, pool, spec, options, context.session.user, context.session.role)
    return single("SYSTEM$EXECUTE_ML_JOB", service_id(job.name))


def describe(context: Context, match: re.Match[str]) -> Rows:
    return Rows(COLUMNS, [_row(_job(context, match["name"]))])


def show(context: Context, match: re.Match[str]) -> Rows:
    jobs = listing.parse(context, match["tail"]).pick(context.jobs.live())
    return Rows(COLUMNS, [_row(job) for _, job in jobs])


def instances(context: Context, match: re.Match[str]) -> Rows:
    job = _job(context, match["name"])
    columns: list[Column] = [
        "database_name", "schema_name", "service_name", "instance_id", "status", "spec_digest", "creation_time",
        "start_time", "ip_address",
    ]  # fmt: skip
    begun = job.started.isoformat() if job.started else None
    return Rows(columns, [[*job.name, "0", _instance(job), "", job.created.isoformat(), begun, "127.0.0.1"]])


def containers(context: Context, match: re.Match[str]) -> Rows:
    job = _job(context, match["name"])
    columns: list[Column] = [
        "database_name", "schema_name", "service_name", "instance_id", "container_name", "status", "message",
        "image_name", ("restart_count", "fixed"), "start_time",
    ]  # fmt: skip
    begun, image = job.started.isoformat() if job.started else None, job.container["image"]
    return Rows(columns, [[*job.name, "0", "main", job.status, job.message, image, job.restarts, begun]])


def endpoints(context: Context, match: re.Match[str]) -> Rows:
    _job(context, match["name"])
    return Rows(["name", ("port", "fixed"), "ingress_url"], [])


def logs(context: Context, match: re.Match[str]) -> Rows:
    given = sqlglot.parse_one(f"SELECT F({match['arguments']})", read="snowflake").find(exp.Anonymous)
    assert given is not None
    bound = iter(context.bindings)
    values = [next(bound) if isinstance(a, exp.Placeholder) else python_value(a) for a in given.expressions]
    job = _job(context, str(values[0]))
    if job.status == "PENDING":
        raise SqlError(395016, "Container Status: PENDING", "22000")
    return single("SYSTEM$GET_SERVICE_LOGS", job.logs(int(values[3]) if len(values) > 3 else None))


async def wait(context: Context, match: re.Match[str]) -> Rows:
    job, deadline = _job(context, match["name"]), time.monotonic() + int(match["seconds"])
    while not job.ended and time.monotonic() < deadline:
        await asyncio.sleep(POLL_SECONDS)
    if not job.ended:  # the client then polls
        raise SqlError(395029, f"wait timed out, the service is {job.status}", "22000")
    return single("SPCS_WAIT_FOR", job.status)


def cancel(context: Context, match: re.Match[str]) -> Rows:
    context.jobs.cancel(_job(context, match["name"]))
    return single("SPCS_CANCEL_JOB", "Job cancellation requested.")


def drop(context: Context, match: re.Match[str]) -> Rows:
    try:
        job = _job(context, match["name"])
    except SqlError:
        if match["maybe"]:
            return status("Drop statement executed successfully.")
        raise
    context.jobs.drop(job)
    return status(f"{job.name[-1]} successfully dropped.")


def history(jobs: list[Job], most: int) -> list[tuple[Any, ...]]:
    """The rows of GET_JOB_HISTORY, newest first."""
    newest = sorted(jobs, key=lambda job: job.created, reverse=True)[:most]
    return [
        (
            job.name[2], job.status, job.message, job.name[0], job.name[1], job.role, job.pool,
            json.dumps({"REPLICAS": job.options.get("TARGET_INSTANCES") or 1}), job.created, job.completed, job.deleted,
        )
        for job in newest
    ]  # fmt: skip


def _job(context: Context, argument: str) -> Job:
    name = context.name(argument)
    try:
        return context.jobs.get(name)
    except SqlError as error:
        raise missing("Service", context.text(argument)) from error


def _row(job: Job) -> list[Cell]:
    nodes, least = job.options.get("TARGET_INSTANCES") or 1, job.options.get("MIN_INSTANCES") or 1
    access = job.options.get("EXTERNAL_ACCESS_INTEGRATIONS")
    return [
        job.name[2], job.status, job.name[0], job.name[1], job.role, job.pool, job.spec_text,
        None, nodes, nodes, least, least, nodes, "false", json.dumps(access) if access else None, job.created,
        job.completed or job.started or job.created, job.started, job.options.get("COMMENT"), "ROLE",
        job.options.get("QUERY_WAREHOUSE"), "true",
    ]  # fmt: skip


def _instance(job: Job) -> str:
    return {"RUNNING": "READY", "DONE": "SUCCEEDED", "PENDING": "PENDING"}.get(job.status, job.status)


def _arguments(text: str) -> list[Any]:
    call = sqlglot.parse_one(f"SELECT F({text})", read="snowflake").find(exp.Anonymous)
    assert call is not None
    return [python_value(argument) for argument in call.expressions]
