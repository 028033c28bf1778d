from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from payload import templates
from payload.templates import DataError

ROW = {"ID": 7, "DIALOGUE": "  Hello {NOTE} ", "NOTE": "x"}


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{NOTE}", "x"),
        ("{ID}: {NOTE}{NOTE}", "7: xx"),
        ('{"S": {"a": "{NOTE}"}}', '{"S": {"a": "x"}}'),
        ("{}, {1}, {a b}, { NOTE }, {{NOTE}}", "{}, {1}, {a b}, { NOTE }, {x}"),
        ("{DIALOGUE}", "  Hello {NOTE} "),
        ("{note}, {Id}", "x, 7"),
    ],
)
def test_columns_are_replaced_and_other_braces_stay(template: str, filled: str) -> None:
    assert templates.fill(template, ROW) == filled


@pytest.mark.parametrize(
    ("value", "text"),
    [("a", "a"), (7, "7"), (7.0, "7"), (7.25, "7.25"), (Decimal("7"), "7"), (Decimal("7.50"), "7.50"), (True, "true")],
)
def test_a_number_reads_the_same_however_it_arrived(value: Any, text: str) -> None:
    assert templates.text(value, "C") == text


@pytest.mark.parametrize("nothing", [None, float("nan")])
def test_null_is_refused_by_column_name(nothing: Any) -> None:
    with pytest.raises(DataError, match="Column NOTE"):
        templates.fill("{NOTE}", {"NOTE": nothing})


def test_an_unknown_column_names_those_there_are() -> None:
    with pytest.raises(DataError, match=r"no column DIALOG, TEXT; the rows have ID, DIALOGUE, NOTE"):
        templates.require(["{TEXT}", "{DIALOG}"], ROW)


@pytest.mark.parametrize(
    ("name", "found"), [("id", "ID"), ("ID", "ID"), ("Note", "Note"), ("NOTE", "NOTE"), ("note", "note"), ("X", "X")]
)
def test_a_column_is_found_in_any_case_where_only_one_is_meant(name: str, found: str) -> None:
    assert templates.spelled(name, ["ID", "NOTE", "Note"]) == found


def test_a_column_that_might_be_two_is_unknown() -> None:
    templates.require(["{id} {NOTE}"], ["ID", "NOTE", "Note"])
    with pytest.raises(DataError, match="no column note; the rows have ID, NOTE, Note"):
        templates.require(["{note}"], ["ID", "NOTE", "Note"])


def test_a_chat_has_its_roles_in_order_and_its_texts_stripped() -> None:
    prompt = {"assistant": "{NOTE} ", "user": "{DIALOGUE}", "system": "Be brief."}
    assert templates.chat(prompt, ROW) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello {NOTE}"},
        {"role": "assistant", "content": "x"},
    ]


@pytest.mark.parametrize(
    ("keys", "order"),
    [([3, 1, 2], [1, 2, 0]), ([10, 9], [1, 0]), (["10", "9"], [0, 1]), ([Decimal(10), 9.0], [1, 0]), ([], [])],
)
def test_rows_are_sorted_by_key_and_numbers_by_value(keys: list[Any], order: list[int]) -> None:
    assert templates.order(keys) == order


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (["a", "b", "a"], "1 of 3 rows repeat"),
        ([1, None, None], "2 of 3 rows have no key"),
        ([1.0, float("nan")], "1 of 2 rows have no key"),
    ],
)
def test_keys_must_be_there_and_differ(keys: list[Any], told: str) -> None:
    with pytest.raises(DataError, match=told):
        templates.order(keys)
