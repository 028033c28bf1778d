"""One ML Job: its document, its folder, and its processes while it runs."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import yaml

from snowglobe import container, supervisor
from snowglobe.identifiers import Name, dotted
from snowglobe.mounts import Mount
from snowglobe.store import write_json
from snowglobe.wire import Json

Fate = Literal["lost", "restarted", "vanished"]
TERMINAL = frozenset({"DONE", "FAILED", "CANCELLED", "INTERNAL_ERROR", "DELETED"})
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # libyaml's, where it is there
SYNC_SECONDS = 1.0
JOB_TOKEN = "job:"  # begins what a job logs in with; its role follows
_SAVED = (
    "name", "pool", "spec", "options", "status", "message", "nodes", "code", "group", "submitter", "role",
    "restarts", "forgotten",
)  # fmt: skip
_TIMES = ("created", "started", "completed", "deleted")


@dataclass
class Job:
    directory: Path
    name: Name
    pool: str
    spec: Json
    options: Json
    nodes: int
    submitter: str
    created: dt.datetime
    role: str = "ACCOUNTADMIN"  # of whoever submitted it: its sessions have it too
    status: str = "PENDING"
    message: str = ""
    code: int | None = None
    group: int | None = None  # the process group of the job's main process
    started: dt.datetime | None = None
    completed: dt.datetime | None = None
    deleted: dt.datetime | None = None
    cancelled: bool = False
    restarts: int = 0
    forgotten: bool = False  # by the account; the folder stays
    fate: Fate | None = None  # what befell its processes
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def ended(self) -> bool:
        return self.status in TERMINAL

    @property
    def log(self) -> Path:
        return self.directory / "main.log"

    def save(self) -> None:
        times = {key: getattr(self, key) and getattr(self, key).isoformat() for key in _TIMES}
        write_json(self.directory / "job.json", {key: getattr(self, key) for key in _SAVED} | times)

    @classmethod
    def load(cls, directory: Path) -> Job:
        document = json.loads((directory / "job.json").read_text())
        times = {key: document[key] and dt.datetime.fromisoformat(document[key]) for key in _TIMES}
        return cls(directory=directory, **(document | times | {"name": tuple(document["name"])}))

    def logs(self, limit: int | None = None) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-limit:] if limit and limit > 0 else lines)

    def note(self, text: str) -> None:
        with self.log.open("a") as log:
            log.write(f"snowglobe: {text}\n")

    def launch(self, environment: dict[str, str], grace_seconds: float) -> None:
        command = [sys.executable, "-I", "-S", supervisor.__file__, str(grace_seconds)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command + [str(a) for a in self.container["command"]],
                cwd=self.directory / "job_stage", env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=log, start_new_session=True,
            )  # fmt: skip
        self.group = self._told("pid")

    def wait(self, mounts: list[Mount]) -> None:
        assert self.process is not None
        while True:
            try:
                self.process.wait(SYNC_SECONDS)
                break
            except subprocess.TimeoutExpired:
                for mount in mounts:
                    mount.sync()
        self.code = self._told("code")
        end_leftovers(self.directory)

    def stop(self) -> None:
        """Tells the supervisor to end the job; it does so within the grace."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Tells the supervisor to end the job at once."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGHUP)

    def begin_again(self, at: dt.datetime) -> None:
        """As a new container does: an empty disk, a new log."""
        self.fate, self.process, self.code, self.group = None, None, None, None
        self.restarts, self.started, self.status = self.restarts + 1, at, "RUNNING"
        for mount in ("job_stage", "job_result"):
            shutil.rmtree(self.directory / mount, ignore_errors=True)
        if self.log.exists():
            self.log.rename(self.directory / f"main.{self.restarts}.log")
        self.save()

    def _told(self, key: str) -> int | None:
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        told = json.loads(line) if line else {}
        if key != "code" and "code" in told:
            self.code = told["code"]
        return told.get(key, self.code if key == "code" else None)

    @cached_property
    def spec_text(self) -> str:
        """As SHOW and DESCRIBE say it."""
        return str(yaml.dump(self.spec, Dumper=_DUMPER))

    @property
    def container(self) -> Json:
        main: Json = self.spec["spec"]["containers"][0]
        return main

    def volume(self, name: str) -> str:
        volumes: list[Json] = self.spec["spec"]["volumes"]
        return str(next(v["stageConfig"]["name"] for v in volumes if v["name"] == name))


def make_spec(directory: Path, name: str, given: Json, options: Json) -> Json:
    """The service specification that the client reads back, with mount paths of this machine."""
    stage, result = directory / "job_stage", directory / "job_result"
    nodes = str(options.get("TARGET_INSTANCES") or 1)
    env = {key: str(value) for key, value in (given.get("ENV_VARS") or {}).items()}
    env |= {
        "MLRS_MIN_INSTANCES": str(options.get("MIN_INSTANCES") or 1),
        "MLRS_STAGE_RESULT_PATH": container.RESULT_MOUNT,
        "MLRS_RESULT_PATH": "mljob_result",
        "SNOWFLAKE_JOBS_COUNT": nodes,
        "SNOWFLAKE_JOB_INDEX": "0",
        "SNOWFLAKE_SERVICE_NAME": name,
        "ENABLE_HEALTH_CHECKS": "false",
    }
    main: Json = {
        "name": "main",
        "image": given.get("RUNTIME"),
        "command": [container.substitute(a, stage, result) for a in given["ARGS"]],
        "env": {key: container.substitute(value, stage, result) for key, value in env.items()},
        "volumeMounts": [
            {"name": "stage-volume", "mountPath": str(stage)},
            {"name": "result-volume", "mountPath": str(result)},
        ],
    }
    for override in ((given.get("SPEC_OVERRIDES") or {}).get("spec") or {}).get("containers") or []:
        main |= {key: value for key, value in override.items() if key != "env"}
        main["env"] |= override.get("env") or {}
    volumes = [
        {"name": "stage-volume", "stageConfig": {"name": given["STAGE_PATH"]}},
        {"name": "result-volume", "stageConfig": {"name": f"{given['STAGE_PATH']}/{name}"}},
    ]
    return {"spec": {"containers": [main], "volumes": volumes}}


def end_leftovers(directory: Path) -> None:
    """Ends processes that still carry the job's mark: only a killed supervisor leaves any."""
    mark = f"SNOWGLOBE_JOB={directory}\0".encode()
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in environ.read_bytes() + b"\0" and int(environ.parent.name) != os.getpid():
                os.kill(int(environ.parent.name), signal.SIGKILL)
        except OSError:
            continue


def service_id(name: Name) -> str:
    return dotted(name)
