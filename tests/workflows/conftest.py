from __future__ import annotations

from collections.abc import Iterator

import pytest

from workflows.rehearsal import Rehearsal, rehearsal


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """A repository on GitHub, of its own for each module."""
    with rehearsal(tmp_path_factory.mktemp("github")) as made:
        yield made
