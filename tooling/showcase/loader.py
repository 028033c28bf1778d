"""Puts the example into a schema: the table of visits and the model's files. Doing it again changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import TYPE_CHECKING

from showcase import smollm2, soap_notes
from showcase.soap_notes import Visit

if TYPE_CHECKING:
    from snowflake.snowpark import Session

TABLE, STAGE = "SOAP_NOTES", "MODELS"
COLUMNS = tuple(field.name.upper() for field in fields(Visit))
Say = Callable[[str], None]


def load(session: Session, model_cache: Path, say: Say = print) -> None:
    load_rows(session, soap_notes.visits(), say)
    say(f"converting {smollm2.NAME} (once)" if not (model_cache / smollm2.NAME).exists() else "the model is converted")
    load_model(session, smollm2.ensure(model_cache), smollm2.NAME, say)


def load_rows(session: Session, visits: Sequence[Visit], say: Say = print) -> bool:
    """True if the table had to be written."""
    columns = ", ".join(f"{column} VARCHAR" for column in COLUMNS)
    session.sql(f"CREATE TABLE IF NOT EXISTS {TABLE} ({columns})").collect()
    wanted = sorted(astuple(visit) for visit in visits)
    if sorted(tuple(row) for row in session.sql(f"SELECT {', '.join(COLUMNS)} FROM {TABLE}").collect()) == wanted:
        say(f"table {TABLE}: {len(wanted)} rows are there")
        return False
    _write_rows(session, wanted)
    say(f"table {TABLE}: wrote {len(wanted)} rows")
    return True


def _write_rows(session: Session, rows: Sequence[tuple[str, ...]]) -> None:
    import pandas

    session.sql(f"DELETE FROM {TABLE}").collect()
    frame = pandas.DataFrame(rows, columns=list(COLUMNS))
    session.write_pandas(frame, TABLE, auto_create_table=False, overwrite=False)


def load_model(session: Session, folder: Path, name: str, say: Say = print) -> bool:
    """True if a file had to be uploaded; files are told apart by name and size."""
    session.sql(f"CREATE STAGE IF NOT EXISTS {STAGE} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')").collect()
    there = {row["name"].partition("/")[2]: row["size"] for row in session.sql(f"LIST '@{STAGE}/{name}/'").collect()}
    files = sorted(path for path in folder.iterdir() if path.is_file())
    missing = [path for path in files if there.get(f"{name}/{path.name}") != path.stat().st_size]
    for path in missing:
        say(f"stage {STAGE}/{name}: {path.name}, {path.stat().st_size / 1e6:,.1f} MB")
        session.file.put(str(path), f"@{STAGE}/{name}", auto_compress=False, overwrite=True)
    if not missing:
        say(f"stage {STAGE}/{name}: {len(files)} files are there")
    return bool(missing)
