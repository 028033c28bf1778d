"""Plain YAML scalars to values: by YAML 1.2's core rules, and as ArcticTraining's YAML 1.1 reader would."""

from __future__ import annotations

import datetime
import math
import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

from piste.problems import quoted

if TYPE_CHECKING:
    from yaml import SafeLoader

_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_SPECIAL_START: Final = frozenset("-+.0123456789~nNtTfF")
_INTEGERS: Final = range(-(1 << 63), 1 << 63)


class UnreadableError(ValueError):
    """A scalar that YAML allows and no document may have."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def core(text: str) -> Any:
    """The value of a plain scalar, https://yaml.org/spec/1.2.2/#1032-tag-resolution."""
    return _known_core(text) if len(text) <= SHORT else _core(text)


def _core(text: str) -> Any:
    if text and text[0] not in _SPECIAL_START:
        return text
    if text in _NULLS:
        return None
    if text in _BOOLS:
        return _BOOLS[text]
    if _INT.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        return _float(text)
    if _NOT_FINITE.fullmatch(text):
        raise UnreadableError(
            f"{text} is not a number that can be compared.", "Write a finite number, or text in quotes."
        )
    return text


SHORT: Final = 64
"""Keys and values of so few characters come again and again: what they stand for is remembered."""
_known_core = lru_cache(maxsize=8192)(_core)


def _integer(text: str) -> int:
    if len(text) <= 24:
        value = int(text, 8) if text.startswith("0o") else int(text, 16) if text.startswith("0x") else int(text)
        if value in _INTEGERS:
            return value
    raise UnreadableError(f"The integer {quoted(text)[1:-1]} needs more than 64 bits.", "Write a smaller number.")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise UnreadableError(
            f"The number {quoted(text)[1:-1]} is too large for a 64-bit float.", "Write a smaller number."
        )
    return value


@cache
def _yaml_1_1() -> SafeLoader:
    import yaml

    return yaml.SafeLoader("")


def read_differently(text: str, value: Any) -> tuple[str, str] | None:
    """Message and hint when PyYAML, ArcticTraining's reader, takes a plain scalar for something else than `value`.

    `1e-5` is text to PyYAML and a number here: that is fine, for ArcticTraining takes such text for the number it
    looks like (arctic_training/config/utils.py, parse_human_val), and the job's recipe is written from our values.
    """
    return _known_difference(text, value) if len(text) <= SHORT else _difference(text, value)


def _difference(text: str, value: Any) -> tuple[str, str] | None:
    try:
        theirs = _by_yaml_1_1(text)
    except (ValueError, TypeError):
        return f"ArcticTraining's YAML 1.1 can't read {quoted(text)[1:-1]}.", f"Write {_written(text)} for text."
    if type(theirs) is type(value) and theirs == value:
        return None
    if isinstance(value, float) and isinstance(theirs, str):
        return None
    here, there = _named(value), _named(theirs)
    message = f"{quoted(text)[1:-1]} is {here} in YAML 1.2 and {there} in YAML 1.1, which ArcticTraining reads."
    if isinstance(theirs, datetime.date):
        return message, f"Write {_written(text)} for text."
    return message, f"Write {_written(value)} or {_written(theirs)}, whichever you mean."


_known_difference = lru_cache(maxsize=8192, typed=True)(_difference)


def _by_yaml_1_1(text: str) -> Any:
    import yaml

    reader = _yaml_1_1()
    if text and text[0] not in reader.yaml_implicit_resolvers:
        return text
    tag: str = reader.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    construct = reader.yaml_constructors.get(tag, yaml.SafeLoader.construct_undefined)
    try:
        return construct(reader, yaml.ScalarNode(tag, text))
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def _named(value: Any) -> str:
    if isinstance(value, str):
        return "text"
    if isinstance(value, bool | int | float):
        return _written(value)
    return "a date" if isinstance(value, datetime.date) else "nothing"


def _written(value: Any) -> str:
    """How to write a value so that both versions agree."""
    return quoted(value)
