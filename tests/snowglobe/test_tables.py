"""SQL that goes on to fakesnow, where it needed help."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
from snowflake.ml.data.data_connector import DataConnector
from snowflake.snowpark import Row, Session
from snowflake.snowpark.exceptions import SnowparkSQLException

from snowglobe import Globe

Connect = Callable[..., Session]
Query = Callable[..., list[Row]]
INSERT = "INSERT INTO LEDGER SELECT ?, CURRENT_TIMESTAMP(), ?, PARSE_JSON(?)"
LATEST = (
    "CREATE VIEW IF NOT EXISTS LEDGER_LATEST AS SELECT * FROM LEDGER "
    "QUALIFY ROW_NUMBER() OVER (PARTITION BY RUN, EVENT ORDER BY AT DESC) = 1"
)


@pytest.fixture
def ledger(query: Query) -> Query:
    query("CREATE OR REPLACE TABLE LEDGER (RUN VARCHAR, AT TIMESTAMP_LTZ, EVENT VARCHAR, BODY VARIANT)")
    query("CREATE TABLE IF NOT EXISTS LEDGER (RUN VARCHAR, AT TIMESTAMP_LTZ, EVENT VARCHAR, BODY VARIANT)")
    query(LATEST)
    query(LATEST.replace("VIEW IF NOT EXISTS", "OR REPLACE VIEW"))
    return query


def test_an_append_only_table_and_its_latest_rows(ledger: Query) -> None:
    body = {"a": {"b": 2}, "text": 'it\'s "x" \\ é\nline', "empty": None}
    ledger(INSERT, "R1", "claimed", json.dumps({"a": 1}))
    ledger(INSERT, "R1", "claimed", json.dumps(body))
    ledger("INSERT INTO LEDGER (RUN, AT, EVENT, BODY) SELECT 'R2', CURRENT_TIMESTAMP(), 'ended', NULL")
    rows = ledger("SELECT RUN, AT, EVENT, BODY FROM LEDGER ORDER BY AT")
    assert [row["RUN"] for row in rows] == ["R1", "R1", "R2"]
    assert json.loads(rows[1]["BODY"]) == body
    assert rows[2]["BODY"] is None
    assert rows[0]["AT"] < rows[1]["AT"] < rows[2]["AT"]
    assert abs(dt.datetime.now(dt.UTC) - rows[0]["AT"]) < dt.timedelta(minutes=1)
    latest = ledger("SELECT RUN, EVENT, TO_JSON(BODY) AS BODY FROM DB.S.LEDGER_LATEST ORDER BY RUN")
    assert [(row["RUN"], row["BODY"] and json.loads(row["BODY"])) for row in latest] == [("R1", body), ("R2", None)]
    recent = "SELECT L.AT FROM LEDGER_LATEST L WHERE AT > DATEADD('hour', -1, CURRENT_TIMESTAMP()) AND L.RUN = ?"
    assert len(ledger(recent, "R1")) == 1
    assert ledger("SELECT BODY:a.b::INT AS B FROM LEDGER WHERE BODY:text IS NOT NULL")[0]["B"] == 2
    assert [row["name"] for row in ledger("DESCRIBE TABLE LEDGER")] == ["RUN", "AT", "EVENT", "BODY"]


def test_words_that_are_names_in_snowflake(query: Query) -> None:
    query(
        "CREATE OR REPLACE TABLE SAMPLE_SCORES (RUN VARCHAR, SAMPLE VARCHAR, SCORE VARCHAR, FIELD VARCHAR, VALUE FLOAT)"
    )
    query(
        "INSERT INTO SAMPLE_SCORES (RUN, SAMPLE, SCORE, FIELD, VALUE) SELECT ?, ?, ?, ?, ?", "R", "1", "exact", "", 0.5
    )
    row = query("SELECT SAMPLE, SCORE, FIELD, VALUE FROM SAMPLE_SCORES WHERE SAMPLE = '1' ORDER BY SAMPLE")[0]
    assert tuple(row) == ("1", "exact", "", 0.5)
    counted = query("SELECT COUNT(*), MAX(VALUE), min(SAMPLE) FROM SAMPLE_SCORES")[0]
    assert counted.as_dict() == {"COUNT(*)": 1, "MAX(VALUE)": 0.5, "MIN(SAMPLE)": "1"}
    assert query("SELECT ' AT sample ' AS TEXT")[0]["TEXT"] == " AT sample "
    assert len(query("SELECT * FROM SAMPLE_SCORES SAMPLE (100)")) == 1


def test_write_pandas_makes_tables_and_appends(session: Session, query: Query) -> None:
    frame = pd.DataFrame({
        "RUN": ["a", "it's"], "TOKENS": [1, 2], "SECONDS": [0.5, None], "OK": [True, False],
        "WHEN": pd.to_datetime(["2026-01-01T10:00:00", "2026-01-02T00:00:00"]),
    })  # fmt: skip
    session.write_pandas(frame, "WRITTEN", auto_create_table=True, overwrite=True)
    session.write_pandas(frame, "WRITTEN", auto_create_table=True, overwrite=True)
    session.write_pandas(frame[["TOKENS", "RUN"]], "WRITTEN")
    rows = query("SELECT * FROM WRITTEN ORDER BY TOKENS, SECONDS NULLS LAST")
    assert [row["RUN"] for row in rows] == ["a", "a", "it's", "it's"]
    assert rows[0]["WHEN"] == dt.datetime(2026, 1, 1, 10)
    assert rows[1]["OK"] is None
    query(
        "CREATE OR REPLACE TABLE PREDICTIONS "
        "(RUN VARCHAR, SAMPLE VARCHAR, PREDICTION VARCHAR, TOKENS NUMBER, SECONDS FLOAT)"
    )
    some = pd.DataFrame({"RUN": ["r"], "SAMPLE": ["1"], "PREDICTION": ['{"a": "é"}'], "TOKENS": [3], "SECONDS": [0.1]})
    session.write_pandas(some, "PREDICTIONS", database="DB", schema="S", quote_identifiers=False)
    assert query("SELECT SAMPLE, PREDICTION, TOKENS FROM PREDICTIONS")[0] == Row("1", '{"a": "é"}', 3)


def test_data_connector(session: Session, query: Query) -> None:
    query("CREATE OR REPLACE TABLE NOTES AS SELECT 'n' || SEQ AS ID, SEQ AS N FROM (VALUES (1), (2), (3)) AS T(SEQ)")
    connector = DataConnector.from_sql("SELECT ID, N FROM NOTES WHERE N > 1 ORDER BY ID", session=session)
    assert connector.to_pandas().to_dict("list") == {"ID": ["n2", "n3"], "N": [2, 3]}
    dataset = connector.to_huggingface_dataset(streaming=False, limit=1, batch_size=1024)
    assert dataset[:] == {"ID": ["n2"], "N": [2]}


def test_data_frames(session: Session) -> None:
    rows = [[number, f"it's {number}"] for number in range(1500)]
    frame = session.create_dataframe(rows, schema=["N", "TEXT"])
    frame.write.mode("overwrite").save_as_table("FRAME")
    frame.write.mode("append").save_as_table("FRAME")
    counted = session.table("FRAME").group_by("N").count().filter("COUNT = 2").count()
    assert counted == 1500


@pytest.mark.parametrize(
    ("sql", "code", "message"),
    [
        ("SELECT * FROM NOT_THERE", 2003, "Object 'NOT_THERE' does not exist or not authorized"),
        ("SELECT NO_SUCH_FUNCTION(1)", 2003, "Unknown function NO_SUCH_FUNCTION"),
        ("SELEC 1", 1003, "Unexpected token"),
        ("SELECT NO_SUCH_COLUMN FROM DB.INFORMATION_SCHEMA.TABLES", 2043, "NO_SUCH_COLUMN"),
    ],
)
def test_mistakes_are_sql_errors(query: Query, sql: str, code: int, message: str) -> None:
    with pytest.raises(SnowparkSQLException, match=message) as caught:
        query(sql)
    assert caught.value.sql_error_code == code


def test_one_session_in_many_threads(session: Session) -> None:
    def ask(number: int) -> int:
        return int(session.sql(f"SELECT {number} AS N").collect()[0]["N"])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(40))) == list(range(40))


def test_creating_a_table_twice(query: Query) -> None:
    query("CREATE TABLE TWICE (N INT)")
    with pytest.raises(SnowparkSQLException) as caught:
        query("CREATE TABLE TWICE (N INT)")
    assert caught.value.sql_error_code == 2002


def test_eight_sessions_write_and_read_at_once(globe: Globe, connect: Connect, query: Query) -> None:
    query("CREATE TABLE SHARED (SESSION INT, N INT, AT TIMESTAMP_LTZ)")
    sessions = [connect(globe) for _ in range(8)]

    def write(number: int) -> list[int]:
        seen = []
        for n in range(5):
            sessions[number].sql("INSERT INTO SHARED SELECT ?, ?, CURRENT_TIMESTAMP()", params=[number, n]).collect()
            mine = sessions[number].sql("SELECT COUNT(*) AS C FROM SHARED WHERE SESSION = ?", params=[number])
            seen.append(int(mine.collect()[0]["C"]))
        return seen

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(write, range(8))) == [[1, 2, 3, 4, 5]] * 8
    assert query("SELECT COUNT(*) AS C, COUNT(DISTINCT SESSION * 10 + N) AS D FROM SHARED")[0].as_dict() == {
        "C": 40,
        "D": 40,
    }
    for session in sessions:
        session.close()
