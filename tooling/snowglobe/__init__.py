"""snowglobe: an embedded Snowflake. The real client goes in, processes of this machine come out.

with snowglobe.serve(directory, pools={"CPU": 2}, schemas=["DB.SCHEMA"]) as globe:
    session = Session.builder.configs({**globe.connection, "database": "DB", "schema": "SCHEMA"}).create()
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from snowglobe import trace as _trace
from snowglobe.control import Control, ControlError, Levers

STOP_SECONDS = 30.0


@dataclass
class Globe(Levers):
    """A running server. State is in `directory`; `connection` is what snowflake's connect() takes."""

    directory: Path
    connection: dict[str, Any]
    process: subprocess.Popen[str]

    @property
    def port(self) -> int:
        return int(self.connection["port"])

    def trace(self) -> list[dict[str, Any]]:
        """Every statement since the directory began: at, session, user, sql, bindings, request_id, repeated."""
        return _trace.read(self.directory)

    def stop(self) -> None:
        """Ends the server and every process of its jobs."""
        if self.process.stdin:
            self.process.stdin.close()
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()

    def __enter__(self) -> Globe:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def serve(
    directory: Path | str,
    port: int = 0,
    *,
    pools: Mapping[str, int | tuple[int, str]] | None = None,
    schemas: Iterable[str] = (),
    scorer: str | None = None,
    grace_seconds: float | None = None,
    replies: Literal["remember", "forget"] = "remember",
) -> Globe:
    """Starts a server in a process of its own: fakesnow keeps its state in module globals, and DuckDB's files have
    one owner. It ends with `stop()`, at the end of the `with`, or when this process ends, however it ends.

    pools: name -> nodes, or (nodes, instance family). schemas: "DB.SCHEMA" to create. scorer: "module:function"
    that answers AI_COMPLETE. grace_seconds: between SIGTERM and SIGKILL for a job.
    replies: to a request that repeats a request id, the first reply again, or the statement is run again.
    """
    command = [sys.executable, "-m", "snowglobe", "--dir", str(directory), "--port", str(port), "--until-stdin-closes"]
    for name, size in (pools or {}).items():
        nodes, family = size if isinstance(size, tuple) else (size, "")
        command += ["--pool", f"{name}={nodes}" + (f":{family}" if family else "")]
    for schema in schemas:
        command += ["--schema", schema]
    if scorer:
        command += ["--scorer", scorer]
    if grace_seconds is not None:
        command += ["--grace", str(grace_seconds)]
    command += ["--replies", replies]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"snowglobe did not start (exit code {process.wait()}); what it said is on stderr")
    return Globe(Path(directory).resolve(), json.loads(line), process)


__all__ = ["Control", "ControlError", "Globe", "serve"]
