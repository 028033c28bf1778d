"""One account for each module of the whole stack's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faults.stack import Stack, stack


@pytest.fixture(scope="module")
def soak(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--soak"))


@pytest.fixture(scope="module")
def hurt(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An account that executes a repeated request again, as the real one may."""
    with stack(tmp_path_factory.mktemp("stack"), replies="forget") as made:
        yield made
