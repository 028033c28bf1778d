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


@dataclass(frozen=True)
class Refusal:
    """What a rule of [tool.piste.policy] has against one action, or "" against all that was asked.

    `rule` is its name in `piste.policy_rules.RULES`; `title` the action's variant, with its split.
    """

    rule: str
    title: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return ": ".join(filter(None, (self.rule, self.title, self.message)))


class PolicyRefused(PisteError):
    """A rule of this repository forbids what was asked; carries all that is refused, where rules have names."""

    exit_code: ClassVar[int] = 4

    def __init__(self, message: str, hint: str = "", refusals: Sequence[Refusal] = ()) -> None:
        super().__init__(message, hint)
        self.refusals = tuple(refusals)
