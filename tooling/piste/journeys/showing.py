"""The committed reports on one page."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from urllib.parse import quote

from piste import git, repository
from piste.errors import Problem
from piste.journeys.reading import read
from piste.report.html import PATH
from piste.report.html import runs_page as render


def runs_page(
    root: Path, directory: Path, links: str | None = None, names: Collection[str] = (), since: str = ""
) -> tuple[Path, int, Sequence[Problem]]:
    """Write directory/index.html; where it is, of how many reports it was made, and those that could not be read.

    `links` is where the repository can be seen, up to and with a branch; without it GitHub, if the remote is there,
    else this working tree.
    """
    desired = read(root, tolerant=True, since=since)
    reports = desired.reports
    if names or since:
        wanted = {variant.experiment for variant in desired.only(names)}
        reports = {path: content for path, content in reports.items() if path.split("/")[1] in wanted}
    page, problems = render(reports, f"{(links or _seen_at(root, directory)).rstrip('/')}/")
    return repository.write_page(root, directory, page), len(reports) - len(problems), problems


def _seen_at(root: Path, directory: Path) -> str:
    if name := git.github_repository(root):
        return f"https://github.com/{name}/blob/HEAD"
    return quote(Path(os.path.relpath(root.resolve(), directory.resolve())).as_posix(), safe=PATH)
