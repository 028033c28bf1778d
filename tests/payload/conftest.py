"""Payloads run as real jobs: the client submits them to an embedded Snowflake that holds the tiny model and rows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from snowflake.ml import jobs
from snowflake.snowpark import Session

import forked
import snowglobe
import tiny
from processes import of_account
from showcase import loader, soap_notes

PAYLOAD = Path(__file__).parents[2] / "tooling" / "payload"
TABLES = (
    'CREATE TABLE LEDGER (RUN VARCHAR, "AT" TIMESTAMP_LTZ, EVENT VARCHAR, BODY VARIANT)',
    "CREATE TABLE PREDICTIONS (RUN VARCHAR, SAMPLE_ID VARCHAR, PREDICTION VARCHAR, TOKENS NUMBER, SECONDS FLOAT)",
    "CREATE TABLE SAMPLE_SCORES (RUN VARCHAR, SAMPLE_ID VARCHAR, SCORE VARCHAR, FIELD VARCHAR, VALUE FLOAT)",
    "CREATE TABLE JUDGEMENTS (RUN VARCHAR, SAMPLE_ID VARCHAR, JUDGE VARCHAR, KIND VARCHAR, OTHER VARCHAR, HOW VARCHAR,"
    ' "AT" TIMESTAMP_LTZ, QUESTION VARCHAR, REPLY VARCHAR)',
)
SUITE: dict[str, Any] = {
    **tiny.SUITE,
    "prompt": {"system": "Notes as JSON.", "user": "{DIALOGUE}"},
    "generate": {"max_new_tokens": 8, "temperature": 0, "batch_size": 4},
    "scores": [{"name": "json_valid"}, {"name": "json_fields", "fields": ["A", "P.drug"]}],
}


@dataclass(frozen=True)
class Ended:
    status: str
    log: str
    results: dict[str, Any]


@dataclass(frozen=True)
class Account:
    """An account, and the folder that payloads are put together in."""

    session: Session
    folder: Path

    def run(self, name: str, steps: list[str], **more: Any) -> Ended:
        return self.ended(name, self.submit(name, steps, **more))

    def submit(self, name: str, steps: list[str], **more: Any) -> Any:
        """As piste does it."""
        self.session.sql(f"CREATE STAGE IF NOT EXISTS {name} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')").collect()
        app = self._app(name, steps, **more)
        return jobs.submit_directory(
            str(app), "POOL", entrypoint="main.py", stage_name=name, name=f"{name}_TINY", session=self.session
        )

    def ended(self, name: str, job: Any) -> Ended:
        status = job.wait(timeout=300)
        return Ended(status, job.get_logs(verbose=True), self.results(name))

    def _app(
        self, name: str, steps: list[str], recipe: Any = None, files: Any = None, main: str = "", **more: Any
    ) -> Path:
        """`main` takes the place of main.py's last line, which runs the job as its defaults say."""
        app = self.folder / name
        shutil.rmtree(app, ignore_errors=True)
        shutil.copytree(PAYLOAD, app / "payload", ignore=shutil.ignore_patterns("__pycache__"))
        usual = (PAYLOAD / "main.py").read_text()
        (app / "main.py").write_text(usual.replace("__return__ = run()", main) if main else usual)
        for path, text in (files or {}).items():
            (app / "files" / path).parent.mkdir(parents=True, exist_ok=True)
            (app / "files" / path).write_text(text)
        if recipe:
            (app / "recipe.resolved.yaml").write_text(yaml.safe_dump(recipe))
        instructions = instruct(name, steps, files=sorted(files or {}), **more)
        (app / "run.json").write_text(json.dumps(instructions))
        return app

    def instructions(self, name: str, steps: list[str]) -> dict[str, Any]:
        return instruct(name, steps, files=[])

    def results(self, run: str) -> dict[str, Any]:
        target = self.folder / f"{run}-fetched"
        if not any(name.endswith("/results.json") for name in self.stage(run)):
            return {}
        self.session.file.get(f"@{run}/results.json", str(target))
        found: dict[str, Any] = json.loads((target / "results.json").read_text())
        return found

    def stage(self, run: str) -> list[str]:
        return sorted("/" + row["name"].partition("/")[2] for row in self.session.sql(f"LIST @{run}").collect())

    def processes(self, *words: str) -> dict[int, str]:
        """The command lines of its jobs that hold these words."""
        return of_account(self.folder, *words)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.session.sql(sql).collect()]


def instruct(name: str, steps: list[str], change: Any = None, **more: Any) -> dict[str, Any]:
    """run.json; `change` is put over the suite."""
    return {
        "schema": "run/v1",
        "run": name,
        "experiment": "tiny",
        "variant": "",
        "steps": steps,
        "training_digest": "a" * 64,
        "suite_digest": "b" * 64,
        "gpus": 1,
        "nodes": 1,
        "user_code": None,
        "inputs": {"base-model": "@MODELS/tiny"},
        "adapter_or_model": None,
        "predictions": None,
        "examples": None,
        "hosted": None,
        "suite": {**SUITE, **(change or {})},
        "judge": None,
        "suite_name": "tiny-notes",
        "tracking": {"experiment": "PISTE_TINY", "run": name, "parameters": {"recipe.train_iters": "4"}},
        "heartbeat_seconds": 1,
        "timeout_seconds": 3600,
        "resume_from": [],
        **more,
    }


def source(split: str, limit: int) -> dict[str, Any]:
    return {
        "type": "snowflake_messages",
        "sql": f"SELECT ID, DIALOGUE, NOTE FROM SOAP_NOTES WHERE SPLIT = '{split}' ORDER BY ID DESC",
        "limit": limit,
        "key": "id",
        "messages": {"system": "Notes as JSON.", "user": "{dialogue}", "assistant": "{NOTE}"},
    }


RECIPE: dict[str, Any] = {
    **tiny.RECIPE,
    "code": "payload_hooks.py",
    "data": {
        **tiny.RECIPE["data"],
        "sources": [source("train", 8)],
        "eval_sources": [source("validation", 4)],
        "cache_dir": "./cache",
    },
    "micro_batch_size": 2,
    "train_iters": 4,
    "eval_interval": 2,
    "optimizer": {"learning_rate": 0.01},
    "train_log_metrics_path": "./output/train-log-metrics.jsonl",
    "kill_switch_path": "./kill-switch",
    "checkpoint": [{"type": "huggingface", "output_dir": "./output/checkpoint", "save_end_of_training": True}],
}


@pytest.fixture(scope="session")
def recipe() -> dict[str, Any]:
    """Four steps of an adapter; to be changed in copies."""
    return RECIPE


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Account]:
    folder = tmp_path_factory.mktemp("account")
    with snowglobe.serve(folder / "globe", pools={"POOL": 4}, schemas=["PISTE.DEV"]) as globe:
        forked.wrap(folder / "globe")
        place = {"database": "PISTE", "schema": "DEV", "network_timeout": 60}
        with Session.builder.configs({**globe.connection, **place}).create() as session:
            for statement in TABLES:
                session.sql(statement).collect()
            loader.load_rows(session, soap_notes.visits({"train": 16, "validation": 4, "test": 8}))
            loader.load_model(session, tiny_model, "tiny")
            yield Account(session, folder)
