"""The page of all runs in a real browser: sort, filter, compare, and no word to anybody."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

import browser as browsers
from piste.report.html import runs_page
from report import runs

LORA, BASE, OTHER = "soap-smollm2-lora", "soap-smollm2-base", "other-suite"
RATES = "soap-smollm2-rates/learning_rate=0.001,seed=1"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsers.chromium() as found:
        yield found


def write(folder: Path, reports: dict[str, bytes]) -> Path:
    file = folder / "index.html"
    file.write_bytes(runs_page(reports, "https://github.com/example/training/blob/HEAD/")[0])
    return file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path, runs.committed())


@pytest.fixture
def page(browser: Browser, file: Path) -> Iterator[Page]:
    with browsers.opened(browser, file) as found:
        yield found


def column(page: Page, name: str) -> list[str]:
    """The first line of each cell, from top to bottom."""
    heads = page.locator("#runs thead th").all_inner_texts()
    place = heads.index(name)
    cells = page.locator(f"#runs tbody tr > :nth-child({place + 1})").all_inner_texts()
    return [cell.strip().split("\n")[0] for cell in cells]


def sort(page: Page, name: str) -> str | None:
    head = page.locator("#runs thead").get_by_role("columnheader", name=name, exact=True)
    head.get_by_role("button").click()
    return head.get_attribute("aria-sort")


def compare(page: Page, *titles: str) -> None:
    for title in titles:
        page.get_by_label(f"Compare {title}", exact=True).check()


def line(page: Page, score: str) -> list[str]:
    """A line of the comparison, without its plot."""
    row = page.locator(".scores tbody tr").filter(has=page.get_by_role("rowheader", name=score)).first
    return [" ".join(text.split()) for text in row.locator("td:not(.plot)").all_inner_texts()]


def test_every_column_sorts_both_ways(page: Page) -> None:
    names = page.locator("#runs thead th").all_inner_texts()
    assert names[:3] == ["experiment", "variant", "suite"]
    assert names[-5:] == ["difference", "verdict", "credits", "date", "status"]
    for name in names:
        first = sort(page, name)
        seen = column(page, name)
        second = sort(page, name)
        other = column(page, name)
        assert {first, second} == {"ascending", "descending"}, name
        known = [[cell for cell in cells if cell != "\N{EN DASH}"] for cells in (seen, other)]
        assert known[0] == known[1][::-1] or sorted(known[0]) == sorted(known[1]), name
        assert seen[: len(known[0])] == known[0], f"{name}: what is unknown is last"
        assert other[: len(known[1])] == known[1], f"{name}: what is unknown is last"
        assert page.locator("#runs thead [aria-sort]:not([aria-sort=none])").count() == 1


def test_numbers_sort_as_numbers(page: Page) -> None:
    sort(page, "field accuracy")
    found = [float(cell) for cell in column(page, "field accuracy") if cell != "\N{EN DASH}"]
    assert len(found) == 9
    assert found == sorted(found, reverse=True)
    sort(page, "field accuracy")
    assert float(column(page, "field accuracy")[0]) == 0.0


def test_keys_sort_and_choose(page: Page) -> None:
    page.locator("#runs thead").get_by_role("button", name="experiment").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.dataset.sort") == "experiment"
    assert column(page, "experiment") == sorted(column(page, "experiment"))
    page.keyboard.press("Space")
    assert page.evaluate("document.activeElement.parentElement.ariaSort") == "descending"
    page.get_by_label(f"Compare {LORA}", exact=True).focus()
    page.keyboard.press("Space")
    assert "choose another run" in page.locator("#comparison h2").inner_text()


def test_filters_narrow_the_list(page: Page) -> None:
    count = page.locator("#count")
    assert count.inner_text() == "15 runs"
    page.get_by_label("Find").fill("RATES 0.0003")
    assert count.inner_text() == "2 of 15 runs"
    page.get_by_role("button", name="Clear").click()
    page.get_by_label("Status").select_option("failed")
    assert set(column(page, "status")) == {"failed"}
    page.get_by_label("Status").select_option("")
    page.locator("#suite").select_option(label="soap-short · 460487c2c934")
    assert column(page, "experiment") == [OTHER]
    page.get_by_label("Find").fill("nobody")
    assert count.inner_text() == "0 of 15 runs"
    page.get_by_role("button", name="Clear").click()
    assert count.inner_text() == "15 runs"


def test_a_pair_that_a_report_compares_has_its_interval(page: Page) -> None:
    compare(page, LORA, BASE)
    assert line(page, "field accuracy") == [
        "0.964 0.933 to 0.993",
        "0.000 0.000 to 0.029",
        "+0.964 +0.943 to +0.984 improved",
    ]
    assert page.locator(".scores svg").count() == 8
    page.get_by_role("button", name="Swap").click()
    assert line(page, "field accuracy")[2] == "\N{MINUS SIGN}0.964 \N{MINUS SIGN}0.984 to \N{MINUS SIGN}0.943 regressed"


def test_gates_are_told_the_worst_first(browser: Browser, tmp_path: Path) -> None:
    with browsers.opened(browser, write(tmp_path, runs.committed("gates"))) as page:
        assert sort(page, "gates") == "ascending"
        assert column(page, "gates")[0] == "2 failed (1 waived), 1 incomparable, 1 missing, 1 undecided, 2 passed"
        compare(page, "gated-lora", "gated-base")
        said = page.locator(".sides").inner_text()
        assert "passed: valid JSON at least 0.9: 1.000 (0.969 to 1.000)" in said
        assert "; waived by @ana until" in said


def test_another_pair_of_one_suite_has_a_difference_of_means(page: Page) -> None:
    compare(page, RATES, LORA)
    assert line(page, "field accuracy")[2] == "\N{MINUS SIGN}0.104"
    assert line(page, "valid JSON")[2] == "±0.000"
    assert page.locator("#comparison .notice code").inner_text() == f"piste compare {RATES} {LORA}"
    settings = page.locator(".settings tbody tr").all_inner_texts()
    assert [row.split("\t")[0].strip() for row in settings] == ["recipe.data.seed", "recipe.seed"]


def test_under_two_suites_it_says_what_differs_and_no_difference(page: Page) -> None:
    compare(page, LORA, OTHER)
    said = page.locator("#comparison .notice").inner_text()
    assert "the suites differ in what decides the answers (data, prompt, generation)." in said
    assert "suite.generate.max_new_tokens" in said
    assert page.locator(".scores thead th").all_inner_texts()[-1] == "means with 95% intervals"
    assert page.locator(".scores .difference").count() == 0


def test_a_third_choice_takes_the_place_of_the_first(page: Page) -> None:
    compare(page, LORA, BASE, OTHER)
    assert page.locator("#comparison h2").inner_text() == f"{BASE} and {OTHER}"
    assert page.locator("#runs input:checked").count() == 2
    page.get_by_role("button", name="Clear").first.click()
    page.locator("#comparison").get_by_role("button", name="Clear").click()
    assert page.locator("#comparison").is_hidden()
    assert page.locator("#runs input:checked").count() == 0


def test_links_lead_to_the_reports(page: Page) -> None:
    compare(page, LORA, RATES)
    found = page.locator("#comparison a").evaluate_all("links => links.map(link => link.href)")
    assert found == [
        "https://github.com/example/training/blob/HEAD/experiments/soap-smollm2-lora/report/README.md",
        "https://github.com/example/training/blob/HEAD/experiments/soap-smollm2-rates/report/"
        "learning_rate=0.001,seed=1/README.md",
    ]


def test_an_address_shows_others_the_same(browser: Browser, page: Page, file: Path) -> None:
    page.get_by_label("Find").fill("soap")
    sort(page, "credits")
    compare(page, LORA, BASE)
    with browsers.opened(browser, file) as other:
        other.goto(page.url)
        other.reload()
        assert other.locator("#comparison h2").inner_text() == f"{LORA} and {BASE}"
        assert column(other, "experiment") == column(page, "experiment")
        assert other.get_by_label("Find").input_value() == "soap"
        other.goto(f"{file.as_uri()}#sort=nothing&status=nothing&a=nobody&text=%3Cb%3E")
        other.reload()
        assert other.locator("#count").inner_text() == "0 of 15 runs"


def test_hostile_text_is_text(browser: Browser, tmp_path: Path) -> None:
    with browsers.opened(browser, write(tmp_path, runs.committed("pair") | runs.hostile())) as page:
        page.locator("#runs tbody input").first.check()
        page.locator("#runs tbody input").last.check()
        assert page.evaluate("[window.hit, document.images.length, document.querySelectorAll('script').length]") == [
            None,
            0,
            2,
        ]
        assert "<img src=x onerror='window.hit = 1'>" in page.locator("#runs").inner_text()
        assert "<img src=x onerror='window.hit = 1'>" in page.locator("#comparison").inner_text()


def test_without_a_report_it_says_so(browser: Browser, tmp_path: Path) -> None:
    with browsers.opened(browser, write(tmp_path, {})) as page:
        assert page.locator("#count").inner_text() == "No report is committed yet."


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_as_light_as_the_system(browser: Browser, file: Path, scheme: Any) -> None:
    with browsers.opened(browser, file, color_scheme=scheme) as page:
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}[scheme]


def test_it_fits_a_phone(browser: Browser, file: Path) -> None:
    with browsers.opened(browser, file, viewport={"width": 390, "height": 844}, has_touch=True) as page:
        compare(page, LORA, RATES)
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.locator(".scores svg").first.bounding_box()["width"] > 300  # type: ignore[index]
        small = "buttons => buttons.filter(one => one.offsetHeight && one.offsetHeight < 36).length"
        assert page.locator("button").evaluate_all(small) == 0


def test_two_thousand_runs_sort_at_once(browser: Browser, tmp_path: Path) -> None:
    with browsers.opened(browser, write(tmp_path, runs.many(2_000))) as page:
        assert page.locator("#count").inner_text() == "2,000 runs"
        sort(page, "field accuracy")
        assert column(page, "field accuracy")[:2] == ["1.000", "0.999"]
        rows = page.locator("#runs tbody tr")
        assert rows.count() == 50
        page.get_by_role("button", name="Show more").click()
        assert rows.count() == 250
