"""Moves a running server's world from outside: its clock, what it remembers of jobs, their nodes."""

from __future__ import annotations

import datetime as dt
import json
import urllib.request
from collections.abc import Mapping
from typing import Any

PATH = "/snowglobe/control"
TIMEOUT_SECONDS = 60.0


class ControlError(RuntimeError):
    """The server does not do that; the message says why."""


class Levers:
    """What `Control` and `Globe` can move. A job is told by its name, or by how the name of the one live job begins."""

    @property
    def port(self) -> int:
        raise NotImplementedError

    def now(self) -> dt.datetime:
        """What the account's clock shows."""
        return dt.datetime.fromisoformat(self._pull("now")["now"])

    def advance(self, seconds: float) -> dt.datetime:
        """Moves the clock forward, for CURRENT_TIMESTAMP and whatever is listed with a time. A restart keeps it.

        Processes go on by the machine's clock: inside a job no time has passed.
        """
        return dt.datetime.fromisoformat(self._pull("advance", seconds=seconds)["now"])

    def keep_jobs(self, seconds: float) -> None:
        """How long an ended job is known, by the clock; 14 days unless told."""
        self._pull("keep_jobs", seconds=seconds)

    def forget_jobs(self) -> int:
        """Forgets every job that has ended; says how many."""
        return int(self._pull("forget_jobs")["forgotten"])

    def hide_jobs(self, hidden: bool = True) -> None:
        """SHOW JOB SERVICES and the history come back empty although jobs live, as for another role."""
        self._pull("hide_jobs", hidden=hidden)

    def lose_node(self, job: str) -> None:
        """Kills the job's processes at once; it ends as INTERNAL_ERROR, and what it had not stored is lost."""
        self._pull("lose_node", job=job)

    def restart_job(self, job: str) -> None:
        """Kills the job's processes at once and starts the same job again, as Snowflake does with a container."""
        self._pull("restart_job", job=job)

    def vanish(self, job: str) -> None:
        """Kills the job's processes at once; no list, description, log or history knows it any more."""
        self._pull("vanish", job=job)

    def set_nodes(self, pool: str, nodes: int) -> None:
        """How many nodes the pool has from now on; 0: jobs stay PENDING. What runs goes on."""
        self._pull("set_nodes", pool=pool, nodes=nodes)

    def judge(self, **habits: float) -> int:
        """Sets how well the local scorer behind AI_COMPLETE judges (`judge.Habits`); how often it was asked so far."""
        return int(self._pull("judge", **habits)["asked"])

    def _pull(self, lever: str, **told: Any) -> dict[str, Any]:
        body = json.dumps({"do": lever, **told}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{PATH}", body, {"Content-Type": "application/json"}
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            answer: dict[str, Any] = json.load(response)
        if not answer["success"]:
            raise ControlError(str(answer["message"]))
        found: dict[str, Any] = answer["data"]
        return found


class Control(Levers):
    """For a server that another process started: by its connection parameters, or its port."""

    def __init__(self, connection: Mapping[str, Any] | int) -> None:
        self._port = connection if isinstance(connection, int) else int(connection["port"])

    @property
    def port(self) -> int:
        return self._port
