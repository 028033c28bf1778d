"""What can be wrong: a problem in a file, and the few exceptions that end a command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, order=True)
class Problem:
    """One thing to mend in one file.

    `file` is relative to the repository's root, with forward slashes. `line` and `column` count from 1; 0 means the
    whole file. `path` is the dotted key, empty for the whole file. `hint` says what to write instead.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""
    severity: Severity = "error"


class PisteError(Exception):
    """Ends a command with a message for people; `exit_code` is the command's."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class InvalidInput(PisteError):
    """Files that can't be used; carries every problem that was found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(f"{len(problems)} problem{'' if len(problems) == 1 else 's'} found")
        self.problems = tuple(problems)


class SnowflakeRefused(PisteError):
    """Snowflake said no, or could not be reached; `code` is its error number, 0 if it gave none."""

    def __init__(self, message: str, hint: str = "", code: int = 0) -> None:
        super().__init__(message, hint)
        self.code = code


class SnowflakeUnreachable(SnowflakeRefused):
    """No answer: whether a statement was executed is not known."""


class GitRefused(PisteError):
    """git said no, or origin could not be reached."""


class GitHubRefused(PisteError):
    """GitHub said no, or could not be reached."""


class PolicyRefused(PisteError):
    """A rule of this repository forbids what was asked (budget, pool, number of submissions)."""

    exit_code: ClassVar[int] = 4
