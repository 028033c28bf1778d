"""What must outlive the container is uploaded while it runs, by a thread: a slow upload must not stop the watch."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from payload.snowflake_session import Store

LOG_SECONDS = 60.0
POLL_SECONDS = 2.0
FINISH_SECONDS, CANCEL_SECONDS = 1800.0, 2.0


class Keeper:
    """While it is entered, does its tasks again and again; on a good way out once more, to the end."""

    def __init__(self, tasks: Sequence[Callable[[], None]]) -> None:
        self._tasks = tasks
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="keeper", daemon=True)
        self._failed: set[str] = set()

    def __enter__(self) -> Keeper:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(CANCEL_SECONDS if kind else FINISH_SECONDS)
        if kind is None and not self._thread.is_alive():
            self._do()

    def _work(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            self._do()

    def _do(self) -> None:
        for task in self._tasks:
            try:
                task()
            except Exception as error:
                self._say(f"piste | an upload failed, and the run goes on: {type(error).__name__}")

    def _say(self, words: str) -> None:
        if words not in self._failed:
            self._failed.add(words)
            print(words, file=sys.stderr, flush=True)


class Growing:
    """Files that grow: every so often, those that changed, from a copy that stands still."""

    def __init__(
        self, store: Store, files: Sequence[tuple[Path, str, str]], scratch: Path, every: float = LOG_SECONDS
    ) -> None:
        self._store, self._files, self._scratch, self._every = store, files, scratch, every
        self._sizes: dict[Path, int] = {}
        self._next = time.monotonic() + every

    def upload(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._every
        for source, name, target in self._files:
            size = source.stat().st_size if source.exists() else 0
            if size != self._sizes.get(source, 0):
                upload_as(self._store, source, name, target, self._scratch)
                self._sizes[source] = size


def upload_as(store: Store, source: Path, name: str, target: str, scratch: Path) -> None:
    """A file under another name, into a folder of the run's stage."""
    scratch.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, scratch / name)
    store.upload(scratch / name, target)
