"""The plan's comment: its size, and seconds of each step from a push to it, with a ledger of many runs.

python tests/bench/plan_comment.py [RUNS]     2,000 unless said

The cache is restored at once here, where GitHub takes some seconds; GitHub's own queue is not in it.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "journeys"), str(TESTS.parent / "tooling")]

from pandas import DataFrame  # noqa: E402
from snowflake.snowpark import Session  # noqa: E402

from builders import variant  # noqa: E402
from piste.digest import IDENTITY, SCORE_VERSIONS  # noqa: E402
from piste.review import comment  # noqa: E402
from test_review import many, reviewed  # noqa: E402
from workflows.rehearsal import Rehearsal, rehearsal  # noqa: E402


def main() -> None:
    for count in (1, 30, 10_000):
        print(f"{len(comment(reviewed(many(count), mine=count))):6,} characters for {count:,} actions")
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000
    with tempfile.TemporaryDirectory() as directory, rehearsal(Path(directory)) as repository:
        remember(repository, runs)
        repository.on_branch("measured")
        repository.add("measured", 7001)
        repository.push("Add measured")
        pull = repository.open("Add measured")
        repository.pull_request(pull, "opened")
        ran = repository.pull_request(pull)["plan"]
        assert ran.well, ran.log
        for step, seconds in ran.steps:
            print(f"{seconds:6.1f} s  {step}")
        print(f"{sum(seconds for _, seconds in ran.steps):6.1f} s  in all steps")
        print(f"{ran.seconds:6.1f} s  with act's own time; {runs} runs in the ledger")


def remember(repository: Rehearsal, runs: int) -> None:
    """Runs that ended well, as the ledger and the stages would hold them."""
    begun = time.monotonic()
    place = {**repository.stack.globe.connection, "database": "PISTE", "schema": "DEV"}
    with Session.builder.configs(place).create() as session:
        rows = [row for number in range(runs) for row in rows_of(number)]
        session.write_pandas(DataFrame(rows, columns=["RUN", "EVENT", "BODY"]), "LOADED", auto_create_table=True)
        loaded = "SELECT RUN, CURRENT_TIMESTAMP(), EVENT, PARSE_JSON(BODY) FROM LOADED"
        session.sql(f"INSERT INTO LEDGER {loaded}").collect()
        session.sql("DROP TABLE LOADED").collect()
        for run in {row[0] for row in rows}:
            session.sql(f"CREATE STAGE {run} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE') COMMENT = '{{}}'").collect()
    print(f"{runs} runs recorded in {time.monotonic() - begun:.0f} s")


def rows_of(number: int) -> Iterator[tuple[str, str, str]]:
    of = variant(f"notes-{number % 50}", **{"recipe.optimizer.learning_rate": 1 / (number + 2)})
    name = f"RUN_{of.digests.training[:12].upper()}_1"
    steps = ["train", "generate", "score"]
    provenance = {"actor": "@ana", "commit": "3f2c9d1aa0", "branch": "main", "tried": True}
    claimed = {"experiment": of.experiment, "variant": "", "digests": vars(of.digests), "steps": steps, "spec": of.spec}
    loss = [[step, 2.5 * 0.99**step] for step in range(200)]
    scores = {"json_valid": {"mean": 0.9, "n": 50}}
    results = {"training": {"status": "done", "loss": loss}, "evaluation": {"status": "done", "scores": scores}}
    ended = {"job_status": "DONE", "training": "done", "evaluation": "done", "results": results}
    identity = {**IDENTITY, "scores": SCORE_VERSIONS}
    bodies = {
        "claimed": {**claimed, "provenance": provenance, "attempt": 1, "identity": identity},
        "submitted": {"job": f"{name}_NOTES_A1B2C3D4E5F6"},
        "started": {"job": f"{name}_NOTES_A1B2C3D4E5F6"},
        "heartbeat": {"phase": "score", "step": 200, "steps": 200},
        "finished": results,
        "ended": ended,
    }
    yield from ((name, event, json.dumps(body)) for event, body in bodies.items())


if __name__ == "__main__":
    main()
