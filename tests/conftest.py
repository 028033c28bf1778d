from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="rewrite expected.txt and golden files from what is seen")
    parser.addoption("--soak", action="store_true", help="every boundary and many rounds, not a sample")
    parser.addoption("--live", metavar="CONNECTION", help="run the journey tests on this Snowflake connection")


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update"))
