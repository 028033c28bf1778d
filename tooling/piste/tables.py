"""The environment's own tables and view, and the statements that make them where they are missing."""

from __future__ import annotations

TABLES = (
    "CREATE TABLE IF NOT EXISTS LEDGER (RUN VARCHAR, AT TIMESTAMP_LTZ, EVENT VARCHAR, BODY VARIANT)",
    "CREATE TABLE IF NOT EXISTS PREDICTIONS"
    " (RUN VARCHAR, SAMPLE_ID VARCHAR, PREDICTION VARCHAR, TOKENS NUMBER, SECONDS FLOAT)",
    "CREATE TABLE IF NOT EXISTS SAMPLE_SCORES"
    " (RUN VARCHAR, SAMPLE_ID VARCHAR, SCORE VARCHAR, FIELD VARCHAR, VALUE FLOAT)",
    "CREATE VIEW IF NOT EXISTS LEDGER_LATEST AS SELECT RUN, AT, EVENT, BODY FROM LEDGER QUALIFY ROW_NUMBER() OVER"
    " (PARTITION BY RUN, EVENT, BODY:other::VARCHAR ORDER BY AT DESC) = 1",
)
"""`BODY:other` keeps one comparison per other run; it is NULL in all other events."""

PRIVILEGES = {
    "LEDGER": ("TABLE", ("SELECT", "INSERT")),
    "PREDICTIONS": ("TABLE", ("SELECT", "INSERT", "DELETE")),
    "SAMPLE_SCORES": ("TABLE", ("SELECT", "INSERT", "DELETE")),
    "LEDGER_LATEST": ("VIEW", ("SELECT",)),
}
"""What whoever submits, and so the job, does with each."""

ROWS = ("PREDICTIONS", "SAMPLE_SCORES")
"""Those that hold a row for each sample."""
