"""Stages: exactly one creator, comments, listings, files."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from snowflake.connector.errors import ProgrammingError
from snowflake.snowpark import Row, Session
from snowflake.snowpark.exceptions import SnowparkSQLException

from snowglobe import Globe

Query = Callable[..., list[Row]]
Connect = Callable[..., Session]


def test_one_of_eight_creators_wins(globe: Globe, connect: Connect) -> None:
    sessions = [connect(globe) for _ in range(8)]

    def create(number: int, stage: str) -> int:
        try:
            sessions[number].sql(f"CREATE STAGE {stage} COMMENT = 'creator {number}'").collect()
        except SnowparkSQLException as error:
            return int(error.sql_error_code) if "42710" in str(error) else -1
        return 0

    with ThreadPoolExecutor(8) as pool:
        for round_ in range(5):
            codes = list(pool.map(create, range(8), [f"RACE_{round_}"] * 8))
            assert sorted(codes) == [0] + [2002] * 7
            shown = sessions[0].sql(f"SHOW STAGES LIKE 'RACE\\\\_{round_}'").collect()
            assert shown[0]["comment"] == f"creator {codes.index(0)}"
    for session in sessions:
        session.close()


def test_comment_and_encryption_are_kept(query: Query) -> None:
    said = json.dumps({"nonce": "it's", "text": 'a "quoted" \\ back\nslash', "é": "—"})
    literal = said.replace("\\", "\\\\").replace("'", "\\'")
    query(f"CREATE STAGE KEPT ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE') COMMENT = '{literal}'")
    shown = query("SHOW STAGES LIKE 'KEPT' IN SCHEMA DB.S")[0]
    assert shown["comment"] == said
    assert (shown["type"], shown["database_name"], shown["schema_name"], shown["url"]) == (
        "INTERNAL NO CSE",
        "DB",
        "S",
        "",
    )
    assert shown["created_on"].year >= 2024
    query("CREATE STAGE IF NOT EXISTS KEPT COMMENT = 'another'")
    assert query("SHOW STAGES LIKE 'KEPT'")[0]["comment"] == said
    query("ALTER STAGE KEPT SET COMMENT = 'it''s new'")
    assert query("SHOW STAGES LIKE 'KEPT'")[0]["comment"] == "it's new"
    encryption = {row["property"]: row["property_value"] for row in query("DESCRIBE STAGE KEPT")}
    assert encryption["TYPE"] == "SNOWFLAKE_SSE"
    query("DROP STAGE KEPT")
    query("DROP STAGE IF EXISTS KEPT")
    for statement in ("DROP STAGE KEPT", "DESCRIBE STAGE KEPT", "LIST @KEPT", "ALTER STAGE KEPT SET COMMENT = 'x'"):
        with pytest.raises(SnowparkSQLException) as caught:
            query(statement)
        assert caught.value.sql_error_code == 2003


@pytest.mark.parametrize(
    ("tail", "names"),
    [
        (r"LIKE 'LK\\_%'", ["LK_1", "LK_2"]),
        ("LIKE 'LK_%'", ["LKX1", "LK_1", "LK_2"]),
        (r"LIKE 'lk\\_1'", ["LK_1"]),
        (r"LIKE 'LK\\_%' IN SCHEMA DB.S", ["LK_1", "LK_2"]),
        (r"LIKE 'LK\\_%' IN DATABASE DB", ["LK_1", "LK_2", "LK_OTHER"]),
        (r"LIKE 'LK\\_%' IN ACCOUNT", ["LK_1", "LK_2", "LK_OTHER"]),
        (r"LIKE 'LK\\_%' IN DB.PUBLIC", ["LK_OTHER"]),
        (r"LIKE 'LK\\_%' LIMIT 1", ["LK_1"]),
        ("STARTS WITH 'LK_'", ["LK_1", "LK_2"]),
        ("LIKE '%' IN SCHEMA DB.PUBLIC STARTS WITH 'LK_' LIMIT 5", ["LK_OTHER"]),
    ],
)
def test_show_stages(query: Query, tail: str, names: list[str]) -> None:
    for stage in ("LK_1", "LK_2", "LKX1", "DB.PUBLIC.LK_OTHER"):
        query(f"CREATE STAGE IF NOT EXISTS {stage}")
    assert sorted(row["name"] for row in query(f"SHOW STAGES {tail}")) == sorted(names)


def test_shown_rows_can_be_queried(session: Session, query: Query) -> None:
    query("CREATE STAGE IF NOT EXISTS SHOWN COMMENT = 'it''s'")
    shown = session.sql("SHOW STAGES").filter("\"name\" = 'SHOWN'").select('"comment"', '"created_on"').collect()
    assert [row["comment"] for row in shown] == ["it's"]
    later = session.sql("SHOW STAGES LIKE 'SHOWN'").collect_nowait().result()
    assert [row["comment"] for row in later] == ["it's"]


def test_files_go_in_and_out(session: Session, query: Query, tmp_path: Path) -> None:
    query("CREATE STAGE FILES")
    (tmp_path / "a b.txt").write_text("hello")
    session.file.put(str(tmp_path / "a b.txt"), "@FILES/deep/er", auto_compress=False)
    session.file.put_stream(io.BytesIO(b"{}"), "@FILES/results.json", auto_compress=False)
    session.file.put_stream(io.BytesIO(b"[]"), "@DB.S.FILES/results.json", auto_compress=False, overwrite=True)
    assert session.file.get_stream("@FILES/results.json").read() == b"[]"
    listed = {row["name"]: row["size"] for row in query("LIST @FILES")}
    assert listed == {"files/deep/er/a b.txt": 5, "files/results.json": 2}
    assert [row["name"] for row in query("LIST @FILES PATTERN = '.*[.]json'")] == ["files/results.json"]
    session.file.get("@FILES/deep", str(tmp_path / "out"))
    assert (tmp_path / "out" / "a b.txt").read_text() == "hello"
    query("REMOVE @FILES/deep/")
    assert [row["name"] for row in query("LIST @FILES")] == ["files/results.json"]
    with pytest.raises(SnowparkSQLException, match="does not exist"):
        session.file.get_stream("@FILES/absent.json")


def test_a_path_cannot_leave_its_stage(query: Query, session: Session) -> None:
    query("CREATE STAGE IF NOT EXISTS INSIDE")
    with pytest.raises(ProgrammingError, match="leaves its stage"):
        session.file.put_stream(io.BytesIO(b"x"), "@INSIDE/../../../out.txt", auto_compress=False)
    with pytest.raises(SnowparkSQLException, match="leaves its stage"):
        query("LIST @INSIDE/../..")


def test_temporary_stages_end_with_their_session(globe: Globe, connect: Connect, query: Query) -> None:
    other = connect(globe)
    other.sql("CREATE TEMPORARY STAGE PASSING").collect()
    assert len(other.sql("SHOW STAGES LIKE 'PASSING'").collect()) == 1
    assert query("SHOW STAGES LIKE 'PASSING'") == []
    other.close()
    assert not (globe.directory / "stages/DB/S/PASSING").exists()
