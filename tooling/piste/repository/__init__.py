"""experiments/ on disk <-> values: reading with every problem found, writing only what differs."""

from piste.repository.parsing import HOME
from piste.repository.reading import Repository, declared_files, read, report_files
from piste.repository.scores import read as read_scores
from piste.repository.suites import SUITES
from piste.repository.writing import (
    about_its_result,
    copy_experiment,
    remove_leftovers,
    with_imported,
    write_files,
    write_page,
)

__all__ = [
    "HOME",
    "SUITES",
    "Repository",
    "about_its_result",
    "copy_experiment",
    "declared_files",
    "read",
    "read_scores",
    "remove_leftovers",
    "report_files",
    "with_imported",
    "write_files",
    "write_page",
]
