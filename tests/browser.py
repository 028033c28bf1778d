"""A real Chromium without a window, for tests of pages."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


@contextmanager
def chromium() -> Iterator[Browser]:
    """$PISTE_CHROMIUM, one on the PATH, or Playwright's own; a test that needs it is skipped where there is none."""
    with sync_playwright() as playwright:
        place = _found(playwright)
        if place is None:
            pytest.skip("no Chromium is here: install one (apt-get install chromium), or name it in PISTE_CHROMIUM")
        # Its sandbox needs what a container often forbids; only pages of our own are opened.
        browser = playwright.chromium.launch(executable_path=place, args=["--no-sandbox"])
        yield browser
        browser.close()


def _found(playwright: Playwright) -> str | None:
    named = [os.environ.get("PISTE_CHROMIUM"), *map(shutil.which, NAMES)]
    own = playwright.chromium.executable_path
    return next(filter(None, named), own if Path(own).exists() else None)


@contextmanager
def opened(browser: Browser, file: Path, **context: object) -> Iterator[Page]:
    """The file's page; afterwards it must have complained of nothing, and asked nobody for anything."""
    complaints: list[str] = []
    with browser.new_context(**context) as made:  # type: ignore[arg-type]
        page = made.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url) if _outside(request.url, file) else None)
        page.goto(file.as_uri())
        yield page
        assert complaints == []


def _outside(url: str, file: Path) -> bool:
    return not url.startswith("data:") and url.partition("#")[0] != file.as_uri()
