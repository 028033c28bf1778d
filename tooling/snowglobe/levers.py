"""What a test moves from outside: time, what is remembered of jobs, jobs' nodes. The other end is control.py."""

from __future__ import annotations

import time
from collections.abc import Callable

from snowglobe import clock
from snowglobe.account import Account
from snowglobe.identifiers import dotted, split
from snowglobe.job import Fate, Job
from snowglobe.jobs import Jobs
from snowglobe.wire import Json, SqlError, invalid, missing

MOST_SECONDS = 30.0


def pull(account: Account, jobs: Jobs, told: Json) -> Json:
    """Does what `told["do"]` says; what it is told wrongly is an SqlError."""
    lever = _LEVERS.get(str(told.get("do")))
    if lever is None:
        raise invalid(f"There is no lever {told.get('do')!r}: {', '.join(_LEVERS)} (tooling/snowglobe/levers.py)")
    try:
        return lever(account, jobs, told) | {"now": clock.now().isoformat()}
    except (KeyError, TypeError, ValueError) as error:
        raise invalid(f"The lever {told['do']!r} cannot be pulled so: {type(error).__name__}: {error}") from error


def _now(account: Account, jobs: Jobs, told: Json) -> Json:
    return {}


def _advance(account: Account, jobs: Jobs, told: Json) -> Json:
    clock.advance(float(told["seconds"]))
    return {}


def _keep_jobs(account: Account, jobs: Jobs, told: Json) -> Json:
    account.retention.keep(float(told["seconds"]))
    return {}


def _hide_jobs(account: Account, jobs: Jobs, told: Json) -> Json:
    account.retention.hide(bool(told["hidden"]))
    return {}


def _forget_jobs(account: Account, jobs: Jobs, told: Json) -> Json:
    return {"forgotten": jobs.forget()}


def _set_nodes(account: Account, jobs: Jobs, told: Json) -> Json:
    pool, nodes = split(told["pool"])[-1], int(told["nodes"])
    account.pools.get(pool)
    account.pools.store.change((pool,), lambda document: document.update(max_nodes=nodes))
    jobs.schedule()
    return {}


def _judge(account: Account, jobs: Jobs, told: Json) -> Json:
    account.judge.change({key: value for key, value in told.items() if key != "do"})
    return {"asked": account.judge.asked}


def _struck(fate: Fate) -> Callable[[Account, Jobs, Json], Json]:
    def strike(account: Account, jobs: Jobs, told: Json) -> Json:
        job = _find(jobs, str(told["job"]))
        jobs.strike(job, fate)
        deadline = time.monotonic() + MOST_SECONDS
        while job.fate is not None and not job.ended and time.monotonic() < deadline:
            time.sleep(0.01)
        return {"job": dotted(job.name), "status": job.status}

    return strike


def _find(jobs: Jobs, text: str) -> Job:
    """By its name, qualified or not, or by how its name begins, if only one job that has not ended does so."""
    parts = split(text)
    live = [job for job in jobs.all() if not job.ended]
    found = [job for job in live if job.name[-len(parts) :] == parts]
    found = found or [job for job in live if len(parts) == 1 and job.name[-1].startswith(parts[0])]
    if not found:
        raise missing("Live job", text)
    if len(found) > 1:
        raise SqlError(1003, f"Several jobs are meant by {text!r}: {', '.join(dotted(job.name) for job in found)}")
    return found[0]


_LEVERS: dict[str, Callable[[Account, Jobs, Json], Json]] = {
    "now": _now,
    "advance": _advance,
    "keep_jobs": _keep_jobs,
    "hide_jobs": _hide_jobs,
    "forget_jobs": _forget_jobs,
    "set_nodes": _set_nodes,
    "judge": _judge,
    "lose_node": _struck("lost"),
    "restart_job": _struck("restarted"),
    "vanish": _struck("vanished"),
}
