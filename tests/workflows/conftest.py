from __future__ import annotations

from collections.abc import Iterator

import pytest

from workflows.rehearsal import Rehearsal, rehearsal


@pytest.fixture(scope="module")
def repository(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """A repository on GitHub, of its own for each module; what test_loop.py runs is all started anew."""
    with rehearsal(tmp_path_factory.mktemp("github"), forks=request.path.name != "test_loop.py") as made:
        yield made
