"""ExperimentTracking and AI_COMPLETE."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from snowflake.ml.experiment import ExperimentTracking
from snowflake.snowpark import Row, Session
from snowflake.snowpark import functions as F  # noqa: N812

Query = Callable[..., list[Row]]
FORMAT = {"type": "json", "schema": {"type": "object", "properties": {
    "score": {"type": "integer"}, "why": {"type": "string"}, "ok": {"type": "boolean"},
    "class": {"enum": ["a", "b"]}}}}  # fmt: skip


@pytest.fixture
def tracking(session: Session) -> Iterator[ExperimentTracking]:
    ExperimentTracking._instance = None  # one per process otherwise
    yield ExperimentTracking(session=session)
    ExperimentTracking._instance = None


def test_runs_metrics_parameters_and_artifacts(tracking: ExperimentTracking, query: Query, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello")
    tracking.set_experiment("TRACKED")
    with tracking.start_run("R1"):
        tracking.log_params({"rate": "it's 0.1"})
        tracking.log_metrics({"loss": 2.0}, step=0)
        tracking.log_metrics({"loss": 0.5}, step=1)
        tracking.log_artifact(str(tmp_path / "note.txt"), "notes")
    with pytest.raises(ValueError, match="on purpose"), tracking.start_run("R2"):
        raise ValueError("on purpose")
    last = tracking.list_metrics().to_pandas().set_index("run_name")["loss"]
    assert last["R1"] == 0.5
    assert tracking.list_params().to_pandas().set_index("run_name")["rate"]["R1"] == "it's 0.1"
    history = tracking.get_metric_history("R1").to_pandas()
    assert list(zip(history["step"], history["value"], strict=True)) == [(0, 2.0), (1, 0.5)]
    assert [artifact.name for artifact in tracking.list_artifacts("R1")] == ["notes/note.txt"]
    states = {row["name"]: json.loads(row["metadata"])["status"] for row in query("SHOW RUNS IN EXPERIMENT TRACKED")}
    assert states == {"R1": "FINISHED", "R2": "FAILED"}
    tracking.delete_experiment("TRACKED")
    assert query("SHOW EXPERIMENTS LIKE 'TRACKED'") == []


def test_the_default_scorer_says_that_it_is_no_model(query: Query, session: Session) -> None:
    answer = query("SELECT AI_COMPLETE('claude-4-sonnet', 'It''s ' || 'me') AS A")[0]["A"]
    assert answer == "[snowglobe-echo (not an LLM), asked as claude-4-sonnet] It's me"
    query("CREATE OR REPLACE TABLE ANSWERS AS SELECT * FROM (VALUES ('q1', 'one two'), ('q2', NULL)) AS T(ID, ANSWER)")
    call = F.ai_complete(
        "m", F.concat(F.lit("Judge: "), F.col("ANSWER")), model_parameters={"temperature": 0.0}, response_format=FORMAT
    )
    rows = session.table("ANSWERS").select("ID", call.alias("J")).sort("ID").collect()
    assert json.loads(rows[0]["J"]) == {"score": 3, "why": "[snowglobe-echo (not an LLM)]", "ok": True, "class": "a"}
    assert rows[1]["J"] is None
    sql = (
        "SELECT AI_COMPLETE(model => 'm', prompt => ANSWER, model_parameters => {'temperature': 0, 'max_tokens': 10}, "
        "show_details => TRUE) AS J FROM ANSWERS WHERE ID = 'q1'"
    )
    assert "not an LLM" in json.loads(query(sql)[0]["J"])["model"]
