"""Everything that this run reads from and writes to Snowflake."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from payload.failure import Failure, RunError, snowflake_code

if TYPE_CHECKING:
    from snowflake.snowpark import Session

ALREADY_EXISTS = 2002


def open_session() -> Session:
    """The job's own session; in a child process a new one, from what Snowflake puts into the container."""
    from snowflake.snowpark import Session
    from snowflake.snowpark.context import get_active_session
    from snowflake.snowpark.exceptions import SnowparkSessionException

    try:
        return get_active_session()
    except SnowparkSessionException:
        from snowflake.ml._internal.utils.connection_params import SnowflakeLoginOptions

        return Session.builder.configs({**SnowflakeLoginOptions(), "client_session_keep_alive": True}).create()


def service_name() -> str:
    return os.environ.get("SNOWFLAKE_SERVICE_NAME", "")


ROWS_AT_ONCE = 50
"""Of what is inserted with its values in the statement."""


@dataclass(frozen=True)
class Store:
    """A run's stage, its rows in the tables, and its events in the ledger."""

    session: Session
    run: str

    def fence(self, service: str) -> bool:
        """True for the one job that may do this run's work; a job that starts again finds its own name and goes on."""
        stage = f"{self.run}_STARTED"
        try:
            comment = service.replace("'", "''")
            self._sql(f"CREATE STAGE {stage} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE') COMMENT = '{comment}'")
        except Exception as error:
            if snowflake_code(error) != ALREADY_EXISTS:
                raise
            return bool(service) and self._comment(stage) == service
        return True

    def _comment(self, stage: str) -> str | None:
        rows = self.rows(f"SHOW STAGES LIKE '{stage}'")
        return next((row["comment"] for row in rows if row["name"] == stage), None)

    def event(self, name: str, body: Mapping[str, Any]) -> None:
        self._sql(
            "INSERT INTO LEDGER SELECT ?, CURRENT_TIMESTAMP(), ?, PARSE_JSON(?)",
            [self.run, name, json.dumps(body, allow_nan=False)],
        )

    def try_event(self, name: str, body: Mapping[str, Any]) -> None:
        """For what is nice to know: a heartbeat that can't be written must not end a training."""
        try:
            self.event(name, body)
        except Exception as error:
            print(f"piste | the event {name} could not be written: {type(error).__name__}", file=sys.stderr)

    def rows(self, sql: str, parameters: Sequence[Any] | None = None) -> list[dict[str, Any]]:
        return [row.as_dict() for row in self._sql(sql, parameters)]

    def predictions(self, run: str) -> dict[str, dict[str, Any]]:
        found = self._sql("SELECT SAMPLE_ID, PREDICTION, TOKENS, SECONDS FROM PREDICTIONS WHERE RUN = ?", [run])
        return {row["SAMPLE_ID"]: row.as_dict() for row in found}

    def sample_scores(self, run: str, score: str) -> dict[str, float]:
        """By sample, the whole of a score."""
        asked = "SELECT SAMPLE_ID, VALUE FROM SAMPLE_SCORES WHERE RUN = ? AND SCORE = ? AND FIELD = ''"
        return {row["SAMPLE_ID"]: row["VALUE"] for row in self._sql(asked, [run, score])}

    def replace_rows(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """This run's rows of a table; those that an interrupted start of the same job left are dropped."""
        import pandas

        self._sql(f"DELETE FROM {table} WHERE RUN = ?", [self.run])
        if rows:
            frame = pandas.DataFrame([[self.run, *row] for row in rows], columns=["RUN", *columns])
            self.session.write_pandas(frame, table, auto_create_table=False, overwrite=False)

    def add_judgements(self, row: Mapping[str, str], replies: Sequence[tuple[Mapping[str, Any], str]]) -> None:
        """A row for each reply; `row` is what all of them have in common."""
        columns = ["RUN", "SAMPLE_ID", "QUESTION", "REPLY", *row]
        for start in range(0, len(replies), ROWS_AT_ONCE):
            some = replies[start : start + ROWS_AT_ONCE]
            one = f"SELECT {', '.join('?' for _ in columns)}, CURRENT_TIMESTAMP()"
            values = [
                value
                for told, reply in some
                for value in (told["RUN"], told["SAMPLE_ID"], told["QUESTION"], reply, *row.values())
            ]
            rows = " UNION ALL ".join([one] * len(some))
            self._sql(f"INSERT INTO JUDGEMENTS ({', '.join(columns)}, AT) {rows}", values)

    def fetch(self, location: str, folder: Path) -> list[Path]:
        """All files below `@STAGE/path` (or the one file of that name), with their folders."""
        stage, _, inside = location.removeprefix("@").partition("/")
        inside = inside.strip("/")
        fetched = [self._fetch_file(stage, name, inside, folder) for name in self._list(stage, inside)]
        if not fetched:
            raise RunError(
                Failure(
                    "data",
                    f"There are no files at {location}.",
                    "FileNotFoundError",
                    "LIST shows what is on the stage; the job's role needs READ on it.",
                )
            )
        return fetched

    def _list(self, stage: str, inside: str) -> list[str]:
        """Names relative to the stage. LIST takes a prefix: `model` would find `model-2/x` as well."""
        rows = self._sql(f"LIST '@{stage}/{inside}'")
        names = [row["name"].partition("/")[2] for row in (row.as_dict() for row in rows)]
        return [name for name in names if not inside or name == inside or name.startswith(f"{inside}/")]

    def _fetch_file(self, stage: str, name: str, inside: str, folder: Path) -> Path:
        relative = PurePosixPath(name).name if name == inside else name.removeprefix(inside).lstrip("/")
        target = folder / relative
        if not target.resolve().is_relative_to(folder.resolve()):
            raise RunError(Failure("data", "A file on a stage has a name that leads out of its folder."))
        target.parent.mkdir(parents=True, exist_ok=True)
        self.session.file.get(f"@{stage}/{name}", str(target.parent))
        return target

    def upload(self, source: Path, target: str = "") -> None:
        """One whole file into a folder of the run's stage."""
        path = str(source.resolve()).replace("\\", "\\\\").replace("'", "\\'")
        location = f"@{self.run}/{target}".rstrip("/")
        self._aside(f"PUT 'file://{path}' '{location}' AUTO_COMPRESS = FALSE OVERWRITE = TRUE")

    def upload_folder(self, folder: Path, target: str) -> None:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            inside = path.parent.relative_to(folder).as_posix()
            self.upload(path, target if inside == "." else f"{target}/{inside}")

    def names(self) -> list[str]:
        """All files of the run's stage, relative to it."""
        return [row[0].partition("/")[2] for row in self._aside(f"LIST '@{self.run}/'")]

    def remove(self, inside: str) -> None:
        """What lies below a folder of the run's stage."""
        self._aside(f"REMOVE '@{self.run}/{inside}'")

    def _aside(self, statement: str) -> list[tuple[Any, ...]]:
        """With a cursor of its own, so that a thread may do it: a connection may be shared, a Snowpark session not."""
        with self.session.connection.cursor() as cursor:
            return [tuple(row) for row in cursor.execute(statement).fetchall()]

    def _sql(self, statement: str, parameters: Sequence[Any] | None = None) -> list[Any]:
        return list(self.session.sql(statement, params=parameters).collect())
