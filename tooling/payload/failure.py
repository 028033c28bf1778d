"""Why a run ends badly, in words that carry no data."""

from __future__ import annotations

import signal
from dataclasses import asdict, dataclass, replace
from typing import Any

LOGS_HINT = "The traceback is in the run's logs on its stage: piste logs shows them."


@dataclass(frozen=True)
class Failure:
    """`phase`: fetch, train, generate, score, upload. `kind`: recipe, data, training, diverged, stalled, killed,
    evaluation, timeout, cancelled, platform. `type` is an exception's type or a signal's name."""

    kind: str
    message: str
    type: str = ""
    hint: str = ""
    exit_code: int | None = None
    phase: str = ""

    def at(self, phase: str) -> Failure:
        return self if self.phase else replace(self, phase=phase)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


MISSING = 2003
"""Snowflake's error of an object that isn't there."""


class RunError(Exception):
    """Ends a phase; its text is safe to show anywhere."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure)
        self.failure = failure

    def __str__(self) -> str:
        return self.failure.message


class Cancelled(BaseException):
    """The job was told to stop (SIGTERM)."""


def unexpected(error: BaseException, phase: str) -> Failure:
    """An exception that nobody here raised on purpose: only its type is told."""
    if isinstance(error, RunError):
        return error.failure.at(phase)
    if isinstance(error, Cancelled):
        return Failure("cancelled", "The job was cancelled.", "SIGTERM", "", None, phase)
    code = snowflake_code(error)
    kind = "platform" if phase in ("fetch", "upload") or code is not None else "evaluation"
    if code is not None and (fault := fault_of_query(code)):
        return fault.at(phase)
    said = f"Snowflake error {code:06d}" if code is not None else type(error).__name__
    return Failure(kind, f"{said} while the run was in phase {phase}.", type(error).__name__, LOGS_HINT, None, phase)


WRONG_WORDS = (904, 1003)
"""Snowflake's errors of a column that isn't there, and of what is no SQL."""

UNFIT_VALUES = range(100_000, 101_000)
"""Snowflake's errors of a statement that could not be executed on its rows: 100038, 'abc' is no number."""


def fault_of_query(code: int) -> Failure | None:
    """What the same query meets again, however often it is tried; None for what may pass."""
    if code == MISSING:
        return missing_object()
    if code not in WRONG_WORDS and code not in UNFIT_VALUES:
        return None
    why = "can't be done on its rows" if code in UNFIT_VALUES else "is not understood, or names no column"
    hint = "Run the queries of the recipe's data sources and of the suite in a worksheet: there Snowflake shows more."
    return Failure("data", f"A query {why} (Snowflake error {code:06d}).", "SnowparkSQLException", hint)


def missing_object() -> Failure:
    return Failure(
        "data",
        "A table or another object that is read does not exist, or the role may not see it (Snowflake error 002003).",
        "SnowparkSQLException",
        "Check the names in the recipe's data sources and the suite's query, and the grants of the job's role.",
    )


def snowflake_code(error: BaseException | None) -> int | None:
    """The number of the Snowflake error that caused this one, if one did."""
    while error is not None:
        for name in ("sql_error_code", "errno"):
            code = getattr(error, name, None)
            if isinstance(code, int) and not isinstance(error, OSError) and code > 0:
                return code
        error = error.__cause__ or error.__context__
    return None


def killed_by(exit_code: int) -> str:
    """The signal behind an exit code: -9, 137 (128 + 9) and 247 (256 - 9, as DeepSpeed's launcher says it)."""
    number = -exit_code if exit_code < 0 else 256 - exit_code if exit_code > 256 - 65 else exit_code - 128
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""
