"""python -m snowglobe --dir DIR [--port PORT] [--pool NAME=NODES[:FAMILY]]… [--schema DB.SCHEMA]… [--scorer M:F]

Prints one line of JSON, the connection parameters, when it listens. SIGTERM and SIGINT end it and all of its jobs.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import logging
import os
import signal
import socket
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import uvicorn

from snowglobe import clock, cortex, stages
from snowglobe.account import NAME, Account
from snowglobe.engine import Engine
from snowglobe.identifiers import split
from snowglobe.jobs import Jobs
from snowglobe.pools import DEFAULT_FAMILY
from snowglobe.replies import Replies
from snowglobe.server import Server
from snowglobe.trace import Trace

HOST = "127.0.0.1"


def main() -> None:
    options = _options()
    directory = options.dir.resolve()
    directory.mkdir(parents=True, exist_ok=True)
    lock = _own(directory)
    _log_to(directory / "server.log")
    listening = _listen(options.port)
    server = _server(directory, listening.getsockname()[1], options)
    running = _Announcing(
        uvicorn.Config(server.app(), log_config=None, access_log=False, lifespan="on"), connection(server.account.port)
    )
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn stops, then raises the signal once more
        signal.signal(number, lambda *_: None)
    if options.until_stdin_closes:
        threading.Thread(target=_stop_at_end_of_stdin, daemon=True).start()
    running.run(sockets=[listening])
    lock.close()


def connection(port: int) -> dict[str, Any]:
    return {
        "account": NAME.lower(),
        "user": "snowglobe",
        "password": "snowglobe",
        "host": HOST,
        "port": port,
        "protocol": "http",
        "session_parameters": {"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False},
    }


def _server(directory: Path, port: int, options: argparse.Namespace) -> Server:
    clock.keep_in(directory)
    scorer = cortex.load(options.scorer) if options.scorer else None
    account = Account(directory, scorer=scorer, grace_seconds=options.grace, host=HOST, port=port)
    engine = Engine(directory)
    engine.function(cortex.FUNCTION, cortex.caller(account.scorer or account.judge.answer), 5)
    stages.forget_temporary(account, None)
    for name, _ in account.stages.all():
        engine.register_stage(name)
    for text in options.schema:
        engine.create(*split(text))
    for name, nodes, family in options.pool:
        account.pools.add(name, nodes, family)
    jobs = Jobs(account, lambda place: stages.place_folder(account, place))
    return Server(account, engine, jobs, Trace(directory), Replies(forget=options.replies == "forget"))


class _Announcing(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, said: dict[str, Any]) -> None:
        super().__init__(config)
        self._said = said

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        sys.stdout.write(json.dumps(self._said) + "\n")
        sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m snowglobe", description="An embedded Snowflake on this machine.")
    parser.add_argument("--dir", type=Path, required=True, help="the folder that holds all state")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--pool", type=_pool, action="append", default=[], metavar="NAME=NODES[:FAMILY]")
    parser.add_argument("--schema", action="append", default=[], metavar="DB.SCHEMA", help="created if it is missing")
    parser.add_argument("--scorer", metavar="MODULE:FUNCTION", help="answers AI_COMPLETE")
    parser.add_argument("--grace", type=float, default=5.0, metavar="SECONDS", help="a job's time to end after SIGTERM")
    parser.add_argument(
        "--replies", choices=("remember", "forget"), default="remember",
        help="to a request that repeats a request id: the first reply again, or the statement is run again",
    )  # fmt: skip
    parser.add_argument("--until-stdin-closes", action="store_true", help="end when stdin does")
    return parser.parse_args()


def _listen(port: int) -> socket.socket:
    # asyncio switches Nagle's delay off only for sockets that name their protocol
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((HOST, port))
    listening.listen(128)
    return listening


def _log_to(path: Path) -> None:
    logging.basicConfig(filename=path, level=logging.INFO, format="%(asctime)s %(name)s %(message)s", force=True)
    logging.captureWarnings(True)
    warnings.simplefilter("ignore")


def _pool(text: str) -> tuple[str, int, str]:
    name, _, size = text.partition("=")
    nodes, _, family = size.partition(":")
    if not name or not nodes.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=NODES[:FAMILY]")
    return split(name)[0], int(nodes), family.upper() or DEFAULT_FAMILY


def _own(directory: Path) -> Any:
    """One server per folder."""
    lock = (directory / "lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(f"{directory} is in use by another snowglobe")
    return lock


def _stop_at_end_of_stdin() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
