"""YAML text to data: what scalars mean, where keys are, what is refused."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from piste.documents import Parsed, RefusedError, parse, remembered
from piste.marked_documents import MAX_VALUES, Reader
from piste.plain_documents import plain_data

LONG = b"title: one\n" + b"".join(b"key-%d: {a: [1, 2.5, text], b: true}\n" % number for number in range(60))


def read(text: str, recipe: bool = False) -> Parsed:
    return parse(text.encode(), "a.yaml", recipe=recipe)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5), ("1E5", 1e5), ("1.5e3", 1500.0), (".5", 0.5), ("5.", 5.0), ("-.5", -0.5), ("+1", 1),
        ("010", 10), ("0o10", 8), ("0x1F", 31), ("-9223372036854775808", -(2**63)), ("1_000", "1_000"),
        ("12:30", "12:30"), ("0b11", "0b11"), ("2026-01-01", "2026-01-01"), ("3%", "3%"), ("1.5k", "1.5k"),
        ("on", "on"), ("Yes", "Yes"), ("n", "n"), ("true", True), ("False", False), ("TRUE", True), ("tRUE", "tRUE"),
        ("~", None), ("null", None), ("", None), ("nULL", "nULL"), ("inf", "inf"), ("nan", "nan"), ("1e", "1e"),
        ('"1"', "1"), ("'true'", "true"), ("|\n  1\n", "1\n"), ("+", "+"), (".", "."), ("1.2.3", "1.2.3"), ("=", "="),
        ("é", "é"), ("'it''s'", "it's"),
    ],
)  # fmt: skip
def test_scalars_follow_yaml_1_2(text: str, value: Any) -> None:
    parsed = read(f"key: {text}")
    assert parsed.problems == ()
    assert parsed.data == {"key": value}
    assert type(parsed.data["key"]) is type(value)


RECIPE_SCALARS = {
    "1e-5": "", "1E5": "", "+.5": "", "1.5e3": "", "0x1F": "", "1.0": "", "true": "", "~": "", "text": "", "3%": "",
    "010": "10 in YAML 1.2 and 8 in YAML 1.1", "0o10": "8 in YAML 1.2 and text in YAML 1.1",
    "1_000": "text in YAML 1.2 and 1000 in YAML 1.1", "0b11": "text in YAML 1.2 and 3 in YAML 1.1",
    "12:30": "text in YAML 1.2 and 750 in YAML 1.1", "1:30.5": "text in YAML 1.2 and 90.5 in YAML 1.1",
    "on": "text in YAML 1.2 and true in YAML 1.1", "No": "text in YAML 1.2 and false in YAML 1.1",
    "2026-01-01": "text in YAML 1.2 and a date in YAML 1.1", "2026-13-45": "can't read 2026-13-45", "=": "can't read =",
    "0x_1": "text in YAML 1.2 and 1 in YAML 1.1",
}  # fmt: skip


@pytest.mark.parametrize(("text", "said"), RECIPE_SCALARS.items())
def test_recipe_scalars_that_arctic_training_reads_differently(text: str, said: str) -> None:
    for document, path in ((f"key: {text}", "key"), (f"key: [[{text}]]", "key[0][0]")):
        problems = read(document, recipe=True).problems
        assert [problem.path for problem in problems] == ([path] if said else [])
        assert all(said in problem.message and problem.hint for problem in problems)
    assert read(f"key: {text}").problems == ()
    assert read(f"key: '{text}'", recipe=True).problems == ()


@pytest.mark.parametrize("text", [text for text, said in RECIPE_SCALARS.items() if not said])
def test_what_a_recipe_may_have_means_the_same_to_pyyaml(text: str) -> None:
    ours, theirs = read(f"key: {text}", recipe=True).data["key"], yaml.safe_load(f"key: {text}")["key"]
    assert ours == (float(theirs) if isinstance(ours, float) else theirs)


def test_every_key_and_item_has_its_place() -> None:
    parsed = read("# first\na: 1\nb:\n  c: [x, {d: 2}]\n  e:\n    - f\n    -\n      g: 3\n")
    assert parsed.marks == {
        ("a",): (2, 1), ("b",): (3, 1), ("b", "c"): (4, 3), ("b", "c", 0): (4, 7), ("b", "c", 1): (4, 10),
        ("b", "c", 1, "d"): (4, 11), ("b", "e"): (5, 3), ("b", "e", 0): (6, 7), ("b", "e", 1): (8, 7),
        ("b", "e", 1, "g"): (8, 7),
    }  # fmt: skip
    assert parsed.position(("b", "c", 1, "nothing", "here")) == (4, 10)
    assert parsed.position(("nothing",)) == (1, 1)


def test_places_count_characters_not_bytes() -> None:
    assert read("é: {ü: 1, ö: 2}").marks["é", "ö"] == (1, 11)


def test_all_problems_of_a_text_are_found_at_once() -> None:
    problems = read("a: .nan\nb: !x 1\nb: 2\n3: c\nd: 99999999999999999999\n").problems
    assert [(problem.line, problem.path) for problem in problems] == [(1, "a"), (2, "b"), (3, "b"), (4, "3"), (5, "d")]


def test_the_first_of_two_keys_counts() -> None:
    parsed = read("a: {b: 1, b: 2}")
    assert (parsed.data, len(parsed.problems)) == ({"a": {"b": 1}}, 1)
    assert "on line 1" in parsed.problems[0].message


def test_aliases_stand_for_values() -> None:
    assert read("a: &x {b: [1]}\nc: *x").data == {"a": {"b": [1]}, "c": {"b": [1]}}


def test_aliases_are_counted_as_if_written_out() -> None:
    row = ", ".join("1" * 100)
    few = f"row: &row [{row}]\n" + "".join(f"k{number}: *row\n" for number in range(MAX_VALUES // 102 - 2))
    assert read(few).problems == ()
    assert "more than 20,000 values" in read(few + few.replace("row", "x").replace("k", "l")).problems[0].message


@pytest.mark.parametrize("text", ["a: [", "a: ]", "a: 'x", "a: {b", "- a\nb: 1", "a:\n  b: 1\n c: 2", "a: *", "&", "%"])
def test_broken_text_is_one_problem_with_a_place(text: str) -> None:
    parsed = read(text)
    assert parsed.data is None
    assert len(parsed.problems) == 1
    assert parsed.problems[0].line >= 1
    assert parsed.problems[0].column >= 1


@pytest.mark.parametrize("text", [b"\x00", b"a: \xed\xa0\x80", b"\xff\xfea\x00", b"a: \x7f", b"a: [" * 100_000, b"\t"])
def test_hostile_bytes_are_refused(text: bytes) -> None:
    parsed = parse(text, "a.yaml")
    assert parsed.data is None
    assert len(parsed.problems) == 1


def test_reading_is_fast() -> None:
    began = time.process_time()
    for _ in range(20):
        assert parse(LONG, "a.yaml", recipe=True).problems == ()
    assert (time.process_time() - began) / 20 < 0.02
    assert len(LONG) > 2000


def test_shipped_documents_can_be_read() -> None:
    files = sorted((Path(__file__).parents[1] / "experiments").rglob("*.yaml"))
    assert files
    for file in files:
        assert parse(file.read_bytes(), file.name, recipe=file.name == "recipe.yaml").problems == ()


SHIPPED = sorted(Path(__file__).parents[1].glob("experiments/**/*.yaml"))
PIECES = st.sampled_from(
    ["a", "b", "<<", ": ", ":", "- ", "\n", "  ", "    ", "[", "]", "{", "}", ", ", "&x ", "*x", "!t ", "!!str ",
     "1e-5", "on", "0o7", ".nan", "~", "99999999999999999999", "2020-01-01", "|\n", ">-\n", "#", "---\n", "...\n",
     "'", '"', "?", "%YAML 1.1\n"]
)  # fmt: skip


def careful(text: str, recipe: bool) -> tuple[object, bool]:
    """What the reader that tells positions says, and whether it has nothing against the text."""
    reader = Reader("x.yaml", recipe)
    try:
        data = reader.document(text)
    except RefusedError:
        return None, False
    return data, not reader.problems


def same_or_left_alone(text: str, recipe: bool) -> bool:
    """Whether the quick reader took the text."""
    plain = plain_data(text, recipe)
    if plain is None:
        return False
    data, sound = careful(text, recipe)
    assert sound, text
    assert json.dumps(plain) == json.dumps(data), text  # 1 is not true, and the order of keys is the same
    return True


def test_shipped_files_are_plain() -> None:
    taken = [same_or_left_alone(file.read_text(), file.name.startswith("recipe")) for file in SHIPPED]
    assert len(taken) > 5
    assert all(taken)


@given(st.sampled_from(SHIPPED), st.data())
@settings(max_examples=300, deadline=None)
def test_an_edited_file_is_read_the_same_by_both_or_left_to_the_careful_one(file: Path, data: st.DataObject) -> None:
    text = file.read_text()
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 12)))
        text = text[:start] + data.draw(PIECES) + text[end:]
    for recipe in (False, True):
        same_or_left_alone(text, recipe)


@given(st.lists(PIECES, max_size=24))
@settings(max_examples=500, deadline=None)
def test_any_text_is_read_the_same_by_both_or_left_to_the_careful_one(pieces: list[str]) -> None:
    for recipe in (False, True):
        same_or_left_alone(f"a: {''.join(pieces)}", recipe)


def test_aliases_are_plain_while_they_can_not_make_much_of_little() -> None:
    assert same_or_left_alone("a: &x [1, {b: 2}]\nc: *x\nd: [*x, *x]\n", recipe=False)
    assert plain_data("a: &x [1, 2]\nb: &y [*x, *x]\nc: *y\n", recipe=False) is None
    many = "a: &x [" + "1, " * 2000 + "1]\n"
    assert same_or_left_alone(f"{many}b: *x\n", recipe=False)
    assert plain_data(f"{many}b: [*x, *x, *x, *x, *x, *x]\n", recipe=False) is None


def test_positions_are_told_of_what_was_read_quickly() -> None:
    text = "a:\n  b: [1, {c: 2}]\n"
    assert plain_data(text, recipe=False)
    assert read(text).position(("a", "b", 1, "c")) == (2, 11)


def test_a_remembered_document_tells_positions_as_the_parsed_one() -> None:
    text = b"a: 1\nb:\n- c: 2\n"
    parsed = parse(text, "x.yaml")
    again = remembered("x.yaml", parsed.data, lambda: text)
    assert again.marks == parsed.marks
    assert again.position(("b", 0, "c")) == (3, 3)


@pytest.mark.parametrize("now", [b"", b"a: [", b"\xff", None], ids=["empty", "broken", "not UTF-8", "gone"])
def test_a_file_that_has_changed_since_it_was_remembered_has_no_positions(now: bytes | None) -> None:
    def read() -> bytes:
        if now is None:
            raise FileNotFoundError
        return now

    problem = remembered("x.yaml", {"a": 1}, read).problem(("a",), "Odd.")
    assert (problem.file, problem.line) == ("x.yaml", 1)
