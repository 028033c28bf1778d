from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

import forked

SLOW = (
    "workflows/test_trouble.py",
    "faults/test_stack_races.py",
    "journeys/test_failures.py",
    "payload/test_endings.py",
    "faults/test_stack_crashes.py",
    "journeys/test_straight_line.py",
    "workflows/test_loop.py",
    "payload/test_job.py",
    "faults/test_stack_lives.py",
    "workflows/test_security.py",
    "workflows/test_events.py",
    "faults/test_stack_ends.py",
    "journeys/test_probe.py",
    "showcase/test_smollm2.py",
    "faults/test_model.py",
    "faults/test_sweep_double.py",
)
"""Files that take longest come first: what begins last keeps one core waiting for the other."""

KEEPER = pytest.StashKey["subprocess.Popen[bytes] | None"]()

# Trainings of several workers at once: threads that wait for each other on busy cores cost more than they bring.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What one test leaves in the user's cache is nothing to another: tests/test_cache.py has caches of its own.
os.environ["PISTE_CACHE"] = "off"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="rewrite expected.txt and golden files from what is seen")
    parser.addoption("--soak", action="store_true", help="every boundary and many rounds, not a sample")
    parser.addoption("--live", metavar="CONNECTION", help="run the journey tests on this Snowflake connection")


def pytest_configure(config: pytest.Config) -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:  # its workers have what this process begins
        config.stash[KEEPER] = forked.begin()


def pytest_unconfigure(config: pytest.Config) -> None:
    forked.end(config.stash.get(KEEPER, None))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=_place)


def _place(item: pytest.Item) -> int:
    return next((place for place, file in enumerate(SLOW) if item.path.as_posix().endswith(file)), len(SLOW))


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update"))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the tiny model: the first worker of a test run builds it for all of them."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "tiny-model"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            made = base / "tiny-model-in-the-making"
            subprocess.run([sys.executable, "-m", "showcase.tiny_model", str(made)], check=True, capture_output=True)
            made.rename(folder)
    return folder
