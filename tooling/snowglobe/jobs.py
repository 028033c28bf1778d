"""All jobs of the account: submitted, started in order as their pool has nodes, cancelled, remembered."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from snowglobe import container, secret
from snowglobe.account import Account
from snowglobe.clock import now
from snowglobe.identifiers import Name, dotted, folder, split
from snowglobe.job import JOB_TOKEN, Fate, Job, end_leftovers, make_spec
from snowglobe.mounts import Mount
from snowglobe.wire import Json, exists, missing

StageFolder = Callable[[str], Path]
LOST = "the server ended while this job ran"
NODE_LOST = "the node of this job was lost"


class Jobs:
    def __init__(self, account: Account, stage_folder: StageFolder) -> None:
        self._account, self._stage_folder = account, stage_folder
        self._directory = account.directory / "jobs"
        self._directory.mkdir(exist_ok=True)
        self._commands = container.build(account.directory)
        self._lock = threading.RLock()
        self._threads: list[threading.Thread] = []
        self._stopping = False
        self._jobs = [self._recover(file.parent) for file in self._directory.glob("*/job.json")]
        self._jobs.sort(key=lambda job: job.created)

    def _recover(self, directory: Path) -> Job:
        job = Job.load(directory)
        if not job.ended and job.status != "PENDING":
            end_leftovers(directory)
            job.status, job.message, job.completed = "INTERNAL_ERROR", LOST, now()
            job.note(LOST)
            job.save()
        return job

    def submit(self, name: Name, pool: str, given: Json, options: Json, submitter: str, role: str) -> Job:
        most = self._account.pools.nodes(pool)
        wanted = int(options.get("TARGET_INSTANCES") or 1)
        with self._lock:
            if any(job.name == name and not job.deleted for job in self.all()):
                raise exists(name[-1])
            directory = self._folder(name)
            spec = make_spec(directory, name[-1], given, options)
            job = Job(directory, name, pool, spec, options, max(1, min(wanted, most)), submitter, now(), role)
            job.save()
            self._jobs.append(job)
        self.schedule()
        return job

    def _folder(self, name: Name) -> Path:
        base = ".".join(folder(part) for part in name)
        found = self._directory / base
        number = 1
        while found.exists():
            number += 1
            found = self._directory / f"{base}~{number}"
        found.mkdir(parents=True)
        return found

    def schedule(self) -> None:
        """Starts, per pool, the longest waiting jobs for as long as they fit: nobody overtakes."""
        with self._lock:
            if self._stopping:
                return
            full: set[str] = set()
            for job in self._jobs:
                if job.status != "PENDING" or job.deleted or job.pool in full:
                    continue
                if self.busy(job.pool) + job.nodes > self._account.pools.nodes(job.pool):
                    full.add(job.pool)
                    continue
                job.status, job.started = "RUNNING", now()
                thread = threading.Thread(target=self._run, args=(job,), name=job.name[-1], daemon=True)
                self._threads.append(thread)
                thread.start()

    def _run(self, job: Job) -> None:
        try:
            self._run_once(job)
            while self._restarts(job):
                self._run_once(job)
            status, message = self._outcome(job)
        except Exception as error:
            job.note(f"{type(error).__name__}: {error}")
            status, message = "INTERNAL_ERROR", f"{type(error).__name__}: {error}"
        self._finish(job, status, message)
        self.schedule()

    def _run_once(self, job: Job) -> None:
        mounts = self._mounts(job)
        if job.cancelled or job.fate:
            return
        self._launch(job, mounts)
        if job.process is None:  # stopped meanwhile
            return
        job.wait(mounts)
        for mount in mounts if not job.fate else []:
            mount.sync(ended=True)

    def _restarts(self, job: Job) -> bool:
        with self._lock:
            if job.fate != "restarted" or job.cancelled or self._stopping:
                return False
            job.begin_again(now())
            return True

    def _mounts(self, job: Job) -> list[Mount]:
        stage = Mount(job.directory / "job_stage", self._stage_folder(job.volume("stage-volume")))
        result = Mount(job.directory / "job_result", self._stage_folder(job.volume("result-volume")))
        for mount in (stage, result):
            mount.fill()
        container.stub(stage.local / "system")
        for mount in (stage, result):
            mount.mark()
        return [stage, result]

    def _launch(self, job: Job, mounts: list[Mount]) -> None:
        environment = container.environment(
            job.container["env"] | secret.values(self._account, job.container) | self._login(job),
            directory=job.directory, mounts=[mount.local for mount in mounts], commands=self._commands,
        )  # fmt: skip
        with self._lock:
            if not self._stopping and not job.cancelled and not job.fate:
                job.launch(environment, self._account.grace_seconds)
                job.save()

    def _login(self, job: Job) -> dict[str, str]:
        """What the container's environment tells a client; one local process stands for all nodes."""
        warehouse = job.options.get("QUERY_WAREHOUSE")
        return {
            "SNOWFLAKE_JOBS_COUNT": "1", "MLRS_MIN_INSTANCES": "1",
            "SNOWFLAKE_ACCOUNT": "snowglobe", "SNOWFLAKE_HOST": self._account.host,
            "SNOWFLAKE_PORT": str(self._account.port), "SNOWFLAKE_PROTOCOL": "http", "SNOWFLAKE_SSL": "off",
            "SNOWFLAKE_DATABASE": job.name[0], "SNOWFLAKE_SCHEMA": job.name[1],
            "SNOWFLAKE_WAREHOUSE": split(warehouse)[0] if warehouse else "",
            "SNOWFLAKE_TOKEN": f"{JOB_TOKEN}{job.role}:{job.name[-1]}",
        }  # fmt: skip

    def _outcome(self, job: Job) -> tuple[str, str]:
        if job.cancelled:
            return "CANCELLED", "cancelled"
        if job.fate in ("lost", "vanished"):
            return "INTERNAL_ERROR", NODE_LOST
        if job.code == 0:
            return "DONE", ""
        if self._stopping:
            return "INTERNAL_ERROR", LOST
        if job.code is None:
            return "INTERNAL_ERROR", "the job's supervisor was killed"
        return "FAILED", f"ended by signal {-job.code}" if job.code < 0 else f"ended with exit code {job.code}"

    def _finish(self, job: Job, status: str, message: str) -> None:
        with self._lock:
            job.status, job.message, job.completed = status, message, now()
            job.save()

    def cancel(self, job: Job) -> None:
        with self._lock:
            if job.ended:
                return
            job.cancelled = True
            if job.status == "PENDING":
                self._finish(job, "CANCELLED", "cancelled before it started")
            else:
                job.status = "CANCELLING"
                job.stop()
        self.schedule()

    def drop(self, job: Job) -> None:
        self.cancel(job)
        with self._lock:
            job.deleted = now()
            job.save()

    def strike(self, job: Job, fate: Fate) -> None:
        """Ends a job's processes at once: its node is lost, its container restarts, or nobody knows it any more."""
        with self._lock:
            if job.ended:
                return
            job.fate, job.forgotten = fate, fate == "vanished"
            if job.status != "PENDING":
                job.kill()
            elif fate == "restarted":
                job.fate = None
            else:
                self._finish(job, "INTERNAL_ERROR", NODE_LOST)
        self.schedule()

    def forget(self) -> int:
        """Ended jobs are not known any more; says how many."""
        with self._lock:
            ended = [job for job in self.all() if job.ended]
            for job in ended:
                job.forgotten = True
                job.save()
        return len(ended)

    def stop(self) -> None:
        """Ends every job and waits until nothing of them runs."""
        with self._lock:
            self._stopping = True
            for job in self._jobs:
                job.stop()
        for thread in self._threads:
            thread.join(self._account.grace_seconds + 10)

    def get(self, name: Name) -> Job:
        found = next((job for job in reversed(self.all()) if job.name == name and not job.deleted), None)
        if found is None:
            raise missing("Service", dotted(name))
        return found

    def all(self) -> list[Job]:
        """Every job that the account still knows, dropped ones among them."""
        with self._lock:
            return [job for job in self._jobs if self._account.retention.knows(job)]

    def listed(self) -> list[Job]:
        """As `all`, for lists, which may come back empty."""
        return [] if self._account.retention.hidden else self.all()

    def live(self) -> list[tuple[Name, Job]]:
        return [(job.name, job) for job in self.listed() if not job.deleted]

    def active(self, pool: str) -> int:
        return sum(job.pool == pool and not job.ended for job in self._jobs)

    def busy(self, pool: str) -> int:
        running = [job for job in self._jobs if job.pool == pool and job.status in ("RUNNING", "CANCELLING")]
        return sum(job.nodes for job in running)
