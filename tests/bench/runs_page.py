"""How long the page of 2,000 runs takes to be made, to open, and to be sorted by each of its columns.

python tests/bench/runs_page.py
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page

sys.path.insert(0, str(Path(__file__).parents[1]))

import browser as browsers
from piste.report.html import runs_page
from report import runs

SORT = "sort => { document.querySelector(`[data-sort='${sort}']`).click(); return document.body.clientHeight; }"


def processor_time(page: Page, sorts: list[str]) -> list[float]:
    """Milliseconds that each sort and its layout keep the page busy, as it would be on a machine of its own."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return 1_000 * next(float(one["value"]) for one in metrics if one["name"] == "TaskDuration")

    took = []
    for name in sorts:
        before = busy()
        page.evaluate(SORT, name)
        took.append(busy() - before)
    return took


def main() -> None:
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "index.html")
        file.write_bytes(runs_page(runs.many(2000), "https://github.com/example/training/blob/HEAD/")[0])
        print(f"made in {time.perf_counter() - started:.1f} s, {file.stat().st_size / 2**20:.1f} MiB")
        with browsers.chromium() as browser, browsers.opened(browser, file) as page:
            opened = page.evaluate("performance.getEntriesByType('navigation')[0].duration")
            sorts = page.locator("#runs thead button").evaluate_all("buttons => buttons.map(one => one.dataset.sort)")
            took = processor_time(page, sorts)
    print(f"opened in {opened:.0f} ms; sorted in {statistics.median(took):.0f} ms of processor time (median)")


if __name__ == "__main__":
    main()
