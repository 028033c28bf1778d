from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from world import World, forking, found

import forked

LOAD = """
import pathlib, sys
from showcase import loader, soap_notes
from snowflake.snowpark import Session
with Session.builder.configs(dict(connection_name=sys.argv[1], database="PISTE", schema="DEV")).create() as session:
    session.sql("CREATE DATABASE IF NOT EXISTS PISTE").collect()
    session.sql("CREATE SCHEMA IF NOT EXISTS PISTE.DEV").collect()
    session.sql("USE SCHEMA PISTE.DEV").collect()
    loader.load_rows(session, list(soap_notes.visits({"train": 12, "test": 6})))
    loader.load_model(session, pathlib.Path(sys.argv[2]), "tiny")
"""


@dataclass(frozen=True)
class AccountAt:
    """A running account: the folder with connections.toml, the connection's name, and the trace of an embedded one."""

    home: Path
    connection: str
    directory: Path | None


@pytest.fixture(scope="module")
def account(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path
) -> Iterator[AccountAt]:
    """The embedded Snowflake with the tiny model and rows, each module's own; or with --live an account of yours."""
    home = tmp_path_factory.mktemp("home")
    live = request.config.getoption("--live")
    if live:
        yield _loaded(AccountAt(Path("~/.snowflake").expanduser(), live, None), tmp_path_factory, tiny_model)
        return
    directory = tmp_path_factory.mktemp("globe")
    pool = ("--pool", "PISTE_CPU=2:CPU_X64_S")
    command = [sys.executable, "-m", "snowglobe", "--dir", str(directory), "--port", "0", *pool]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        parameters = json.loads(server.stdout.readline())
        forked.wrap(directory)
        lines = [f"{key} = {json.dumps(value)}" for key, value in parameters.items() if not isinstance(value, dict)]
        (home / "connections.toml").write_text("[globe]\n" + "\n".join(lines) + "\n")
        (home / "connections.toml").chmod(0o600)
        yield _loaded(AccountAt(home, "globe", directory), tmp_path_factory, tiny_model)
    finally:
        server.terminate()
        assert server.wait(30) is not None


def _loaded(account: AccountAt, tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> AccountAt:
    world = World(tmp_path_factory.mktemp("nowhere"), account.home, account.connection)
    done = world.shell(sys.executable, "-c", LOAD, account.connection, str(tiny_model))
    assert done.code == 0, done.err
    return account


@pytest.fixture(scope="module")
def world(account: AccountAt, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A repository of its own for each module; with --live they share an account, so recipes have to differ."""
    trace = account.directory / "trace.jsonl" if account.directory else None
    directory = tmp_path_factory.mktemp("world")
    made = found(directory / "repository", account.home, account.connection, trace)
    with forking(made, directory / "commands"):
        yield made
