"""Observe 5 and then many live runs on snowglobe: `python load.py DIRECTORY MANY` prints runs, statements and seconds.

A process of its own, so that its time is not that of a test run and its connection is read from its own folder.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "journeys")]
HOME = Path(sys.argv[1]) / "home"
os.environ["SNOWFLAKE_HOME"] = str(HOME)
HOME.mkdir(parents=True)
HOME.chmod(0o700)

import snowglobe  # noqa: E402
from builders import variant  # noqa: E402
from faults.proxy import Proxy  # noqa: E402
from piste import ending, observed  # noqa: E402
from piste.environment import Environment  # noqa: E402
from piste.snowflake import Account, connect  # noqa: E402

SPEC = {"STAGE_PATH": "@LOAD", "ARGS": ["true"], "ENV_VARS": {}, "RUNTIME": "image:tag"}
OPTIONS = {"TARGET_INSTANCES": 1, "MIN_INSTANCES": 1, "GENERATE_SUFFIX": True, "ASYNC": True}
EVENTS = ("submitted", "started", "heartbeat", "trained")


def main() -> None:
    directory = Path(sys.argv[1]) / "globe"
    pools = {"PISTE_CPU": (1, "CPU_X64_S")}
    with snowglobe.serve(directory, pools=pools, schemas=["PISTE.DEV"]) as globe, Proxy(globe.connection) as proxy:
        globe.set_nodes("PISTE_CPU", 0)
        lines = [f"{k} = {json.dumps(v)}" for k, v in proxy.connection.items() if not isinstance(v, dict)]
        (HOME / "connections.toml").write_text("[load]\n" + "\n".join(lines) + "\n")
        (HOME / "connections.toml").chmod(0o600)
        with connect(Environment("dev", "PISTE", "DEV"), "load") as account:
            account.prepare()
            account.attempt("CREATE STAGE LOAD")
            for first, last in ((0, 5), (5, int(sys.argv[2]))):
                for number in range(first, last):
                    submit(account, number)
                proxy.reset()
                begun = time.monotonic()
                live = [run for run in observed.runs(account.observe()) if not ending.is_over(run)]
                print(len(live), proxy.count, f"{time.monotonic() - begun:.2f}", flush=True)


def submit(account: Account, number: int) -> None:
    """A run that trains, by the statements that count: its claim, its rows, its job."""
    of = variant(**{"recipe.optimizer.learning_rate": 1e-3 / (number + 1)})
    name = f"RUN_{of.digests.training[:12].upper()}_1"
    named = {"experiment": f"load-{number}", "variant": "", "steps": ["train", "generate", "score"]}
    digests = vars(of.digests)
    account.claim(name, {**digests, **named, "actor": "@ana", "commit": None})
    account.record(name, "claimed", {**named, "digests": digests, "spec": of.spec, "provenance": {"actor": "@ana"}})
    for event in EVENTS:
        account.record(name, event, {"job": f"{name}_LOAD", "phase": "train", "step": 3, "steps": 20})
    arguments = (f"PISTE.DEV.{name}_LOAD_", "PISTE_CPU", json.dumps(SPEC), json.dumps(OPTIONS))
    answer = account.attempt(f"CALL SYSTEM$EXECUTE_ML_JOB({', '.join(map(_literal, arguments))})")
    assert answer.error is None, answer


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


if __name__ == "__main__":
    main()
