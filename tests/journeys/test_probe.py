"""`piste doctor --probe` on an account: what is inferred holds there, and nothing of the probe stays."""

from __future__ import annotations

import re
import signal
from typing import Any

import pytest
from commands import Done
from world import SCHEMA, World

LEFT = """
import sys
from snowflake.snowpark import Session
with Session.builder.configs(dict(connection_name=sys.argv[1])).create() as session:
    for kind in ("STAGES", "TABLES", "VIEWS", "JOB SERVICES"):
        for row in session.sql(f"SHOW {kind} LIKE 'PROBE%' IN SCHEMA {sys.argv[2]}").collect():
            print(kind, row["name"])
"""


@pytest.fixture(scope="module")
def probed(world: World) -> Done:
    return world.piste("doctor", "--probe", "--format", "json")


def left_behind(world: World) -> list[str]:
    done = world.script(LEFT, world.connection, SCHEMA)
    assert done.code == 0, done.err
    return done.out.splitlines()


def test_all_that_is_relied_on_holds(probed: Done) -> None:
    found: dict[str, dict[str, Any]] = {one["id"]: one for one in probed.json()["inferences"]}
    wrong = {name: one["detail"] for name, one in found.items() if one["verdict"] == "does not hold" and one["relied"]}
    assert wrong == {}
    assert probed.code == 0, probed.err
    for one in found.values():
        assert one["verdict"] == "holds" or not one["relied"]
        assert one["verdict"] != "not known" or one["detail"]
    assert len(found) > 25


def test_it_says_before_what_it_makes_and_may_cost(probed: Done) -> None:
    first = probed.err.splitlines()[0]
    assert re.search(r"PROBE_[0-9A-F]{8}… in PISTE\.DEV .* at most 5 minutes, at most 0\.0\d\d credits", first)


def test_nothing_is_left_behind(probed: Done, world: World) -> None:
    assert probed.json()["left"] == []
    assert left_behind(world) == []


def test_an_interruption_leaves_nothing_behind(world: World) -> None:
    process = world.start("doctor", "--probe")
    assert process.stdout is not None
    said = []
    for line in process.stdout:
        said.append(line)
        if "the jobs are" in line:
            process.send_signal(signal.SIGINT)
            break
    said.append(process.communicate(timeout=120)[0])
    assert process.returncode == 130, "".join(said)
    assert "nothing is left behind" in "".join(said)
    assert left_behind(world) == []


def test_too_dear_a_pool_is_refused(world: World) -> None:
    settings = (world.root / "pyproject.toml").read_text()
    world.write("pyproject.toml", settings.replace("CPU_X64_S = 0.11", "CPU_X64_S = 11"))
    done = world.piste("doctor", "--probe")
    world.write("pyproject.toml", settings)
    assert (done.code, done.out) == (4, "")
    assert "Nothing was submitted." in done.err


def test_sql_is_no_format_of_it(world: World) -> None:
    assert world.piste("doctor", "--probe", "--format", "sql").code == 2
