"""A plan by an account that remembers many runs: the statements it makes, and how long it takes."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import many
import scale
from pandas import DataFrame
from snowflake.snowpark import Session

import snowglobe
from piste import repository
from piste.digest import IDENTITY, SCORE_VERSIONS
from piste.experiment import Variant
from piste.observed import runs
from piste.snowflake import connect
from piste.variants import all_variants

STAGES = 10
"""One run of so many still has its stage; `piste gc` has deleted the others."""
AT = "2026-11-20T10:00:00.000+00:00"


def ledger(directory: Path, home: Path, count: int) -> None:
    """Half of the runs are of what the repository asks for, half of what it asked for before."""
    root = directory / "repository"
    many.write(root, count // 2)
    pools = {"PISTE_CPU": (4, "CPU_X64_S")}
    with snowglobe.serve(directory / "globe", pools=pools, schemas=["PISTE.DEV"]) as globe:
        told = {key: value for key, value in globe.connection.items() if not isinstance(value, dict)}
        lines = [f"{key} = {json.dumps(value)}" for key, value in told.items()]
        (home / "connections.toml").write_text("\n".join(["[globe]", *lines, ""]))
        (home / "connections.toml").chmod(0o600)
        os.environ["PISTE_CACHE"] = str(directory / "cache")
        read = repository.read(root)
        _remember(globe.connection, all_variants(read.experiments), count)
        command = scale.piste("--root", str(root), "--connection", "globe", "plan")
        before = len(globe.trace())
        seen = scale.median(lambda: scale.measured(command))
        asked = Counter(" ".join(one["sql"].split()[:4]) for one in globe.trace()[before:] if _is_ours(one["sql"]))
        print(f"{count:,} runs in the ledger, {len(read.experiments):,} experiments, nothing changed")
        each = ", ".join(f"{sql} ({number / scale.TIMES:g})" for sql, number in asked.items())
        print(f"  {asked.total() / scale.TIMES:g} statements a plan: {each}")
        print(f"  {seen.wall:.2f} s, {seen.cpu:.2f} s of it piste's own, {seen.memory:.0f} MiB")
        _apart(read)


def _is_ours(sql: str) -> bool:
    return not sql.upper().startswith(("USE ", "ALTER SESSION", "SELECT CURRENT_", "SELECT SYSTEM$CANCEL"))


def _apart(read: repository.Repository) -> None:
    times = []
    with connect(read.settings.chosen(), "globe") as account:
        for _ in range(3):
            begun = time.perf_counter()
            seen = account.observe()
            asked = time.perf_counter()
            runs(seen)
            times.append((asked - begun, time.perf_counter() - asked))
    observe, put = (statistics.median(one) for one in zip(*times, strict=True))
    print(f"  {observe:.2f} s for Snowflake's three replies, {put:.2f} s to put runs together\n")


def _remember(connection: dict[str, object], variants: tuple[Variant, ...], count: int) -> None:
    place = {**connection, "database": "PISTE", "schema": "DEV"}
    rows = [row for number in range(count) for row in _rows(variants[number % len(variants)], number // len(variants))]
    settings = repository.read(many.HOME).settings.chosen()
    with connect(settings, "globe") as account:
        account.prepare()
    with Session.builder.configs(place).create() as session:
        session.write_pandas(DataFrame(rows, columns=["RUN", "EVENT", "BODY"]), "LOADED", auto_create_table=True)
        loaded = f"SELECT RUN, '{AT}'::TIMESTAMP_LTZ, EVENT, PARSE_JSON(BODY) FROM LOADED"
        session.sql(f"INSERT INTO LEDGER {loaded}").collect()
        session.sql("DROP TABLE LOADED").collect()
        for run in list(dict.fromkeys(row[0] for row in rows))[::STAGES]:
            session.sql(f"CREATE STAGE {run} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE') COMMENT = '{{}}'").collect()


def _rows(of: Variant, before: int) -> Iterator[tuple[str, str, str]]:
    """Of a run that ended well; `before` makes it one of an earlier recipe."""
    digests = {**of.digests.told, "training": f"{before:02d}{of.digests.training[2:]}"} if before else of.digests.told
    evaluated = "" if of.trains else f"_{digests['suite'][:12].upper()}"
    name = f"RUN_{digests['training'][:12].upper()}{evaluated}_1"
    steps = ["train", "generate", "score"] if of.trains else ["generate", "score"]
    provenance = {"actor": "@ana", "commit": "3f2c9d1aa0", "branch": "main", "tried": bool(before)}
    claimed = {"experiment": of.experiment, "variant": "", "digests": digests, "steps": steps, "spec": of.spec}
    claimed |= {"provenance": provenance, "attempt": 1, "identity": {**IDENTITY, "scores": SCORE_VERSIONS}}
    scores = {"json_valid": {"mean": 0.9, "n": 50}}
    results = {"training": {"status": "done"}, "evaluation": {"status": "done", "scores": scores}}
    ended = {"job_status": "DONE", "training": "done", "evaluation": "done", "results": results, "ended_at": AT}
    bodies = {"claimed": claimed, "submitted": {"job": f"{name}_NOTES_A1B2C3D4E5F6"}, "ended": ended}
    yield from ((name, event, json.dumps(body)) for event, body in bodies.items())
