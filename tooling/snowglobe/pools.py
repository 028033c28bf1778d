"""Compute pools: a name, an instance family, and how many nodes run jobs at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from snowglobe import identifiers, listing
from snowglobe.clock import now
from snowglobe.store import Document, Store
from snowglobe.wire import Cell, Column, Rows, exists, missing, moment, status

if TYPE_CHECKING:
    from snowglobe.context import Context

# https://docs.snowflake.com/en/sql-reference/sql/create-compute-pool: vCPU, memory GiB, GPUs
FAMILIES = {
    "CPU_X64_XS": (1, 6, 0), "CPU_X64_S": (3, 13, 0), "CPU_X64_M": (6, 28, 0), "CPU_X64_L": (28, 116, 0),
    "HIGHMEM_X64_S": (6, 58, 0), "HIGHMEM_X64_M": (28, 240, 0), "HIGHMEM_X64_L": (124, 984, 0),
    "GPU_NV_S": (6, 27, 1), "GPU_NV_M": (44, 178, 4), "GPU_NV_L": (92, 1112, 8), "GPU_NV_XS": (3, 26, 1),
}  # fmt: skip
DEFAULT_FAMILY = "CPU_X64_S"
DEFAULT_SUSPEND = 3600
_OPTION = re.compile(r"(\w+)\s*=\s*(?:'((?:[^'\\]|''|\\.)*)'|([\w.]+))")
COLUMNS: list[Column] = [
    "name", "state", ("min_nodes", "fixed"), ("max_nodes", "fixed"), "instance_family", ("num_services", "fixed"),
    ("num_jobs", "fixed"), ("auto_suspend_secs", "fixed"), "auto_resume", ("active_nodes", "fixed"),
    ("idle_nodes", "fixed"), ("target_nodes", "fixed"), ("created_on", "timestamp_ltz"), "owner", "comment",
]  # fmt: skip


class Pools:
    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, name: str, nodes: int, family: str = DEFAULT_FAMILY, **more: object) -> bool:
        document = {"min_nodes": 1, "max_nodes": nodes, "family": family, "created": now().timestamp(), **more}
        return self._store.create((name,), document)

    def get(self, name: str) -> Document:
        found = self._store.get((name,))
        if found is None:
            raise missing("Compute pool", name)
        return found

    def nodes(self, name: str) -> int:
        found = self._store.get((name,))
        return int(found["max_nodes"]) if found else 0

    @property
    def store(self) -> Store:
        return self._store


def options(text: str | None) -> dict[str, str]:
    return {
        m[1].lower(): m[3] if m[3] is not None else identifiers.literal(f"'{m[2]}'")
        for m in _OPTION.finditer(text or "")
    }


def create(context: Context, match: re.Match[str]) -> Rows:
    name, given = identifiers.split(context.text(match["name"]))[-1], options(match["rest"])
    made = context.account.pools.add(
        name, int(given.get("max_nodes", 1)), given.get("instance_family", DEFAULT_FAMILY).upper(),
        min_nodes=int(given.get("min_nodes", 1)), comment=given.get("comment", ""),
        auto_suspend_secs=int(given.get("auto_suspend_secs", DEFAULT_SUSPEND)),
    )  # fmt: skip
    if not made and not match["maybe"]:
        raise exists(name)
    return status(
        f"Compute Pool {name} successfully created." if made else f"{name} already exists, statement succeeded."
    )


def alter(context: Context, match: re.Match[str]) -> Rows:
    name, given = identifiers.split(match["name"])[-1], options(match["rest"])
    context.account.pools.get(name)
    changes = {k: int(v) for k, v in given.items() if k in ("max_nodes", "min_nodes", "auto_suspend_secs")}
    context.account.pools.store.change((name,), lambda document: document.update(changes))
    context.jobs.schedule()
    return status()


def drop(context: Context, match: re.Match[str]) -> Rows:
    name = identifiers.split(match["name"])[-1]
    if not context.account.pools.store.delete((name,)) and not match["maybe"]:
        raise missing("Compute pool", name)
    return status(f"{name} successfully dropped.")


def show(context: Context, match: re.Match[str]) -> Rows:
    chosen = listing.parse(context, match["tail"], account=True).pick(context.account.pools.store.all())
    return Rows(COLUMNS, [_row(context, name[0], document) for name, document in chosen])


def describe(context: Context, match: re.Match[str]) -> Rows:
    name = identifiers.split(context.text(match["name"]))[-1]
    return Rows(COLUMNS, [_row(context, name, context.account.pools.get(name))])


def families(context: Context, match: re.Match[str]) -> Rows:
    columns: list[Column] = ["name", ("vcpu", "fixed"), ("memory_gib", "fixed"), ("gpu", "fixed")]
    chosen = listing.parse(context, match["tail"], account=True)
    return Rows(columns, [[name, *size] for name, size in FAMILIES.items() if chosen.accepts((name,))])


def _row(context: Context, name: str, document: Document) -> list[Cell]:
    jobs, busy, nodes = context.jobs.active(name), context.jobs.busy(name), int(document["max_nodes"])
    return [
        name, "ACTIVE" if busy else "IDLE", document["min_nodes"], nodes, document["family"], 0, jobs,
        document.get("auto_suspend_secs", DEFAULT_SUSPEND), "true", busy, max(nodes - busy, 0), nodes,
        moment(document["created"]), "ACCOUNTADMIN", document.get("comment", ""),
    ]  # fmt: skip
