"""Replies by request id: the client repeats a request whose reply was lost, with the same id.

What the real server does then is not documented, so both are here: the first reply again, or the statement again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

Reply = bytes


class Replies:
    def __init__(self, forget: bool = False, most: int = 10_000, most_bytes: int = 256 * 1024 * 1024) -> None:
        self._most, self._most_bytes, self._bytes = most, most_bytes, 0
        self._forget, self._ids = forget, set[str]()
        self._replies: OrderedDict[str, asyncio.Task[Reply]] = OrderedDict()

    def seen(self, request_id: str | None) -> bool:
        return request_id in self._replies or request_id in self._ids

    async def once(self, request_id: str | None, answer: Callable[[], Coroutine[Any, Any, Reply]]) -> Reply:
        """The first reply to this id, once it is made; a caller that goes away stops nothing."""
        if request_id is None:
            return await answer()
        if self._forget:
            self._ids.add(request_id)
            return await asyncio.shield(asyncio.create_task(answer()))
        task = self._replies.get(request_id)
        if task is None:
            task = self._replies[request_id] = asyncio.create_task(answer())
            task.add_done_callback(self._remember)
        return await asyncio.shield(task)

    def _remember(self, task: asyncio.Task[Reply]) -> None:
        self._bytes += _size(task)
        while self._replies and (len(self._replies) > self._most or self._bytes > self._most_bytes):
            oldest = next(iter(self._replies))
            if not self._replies[oldest].done():
                break
            self._bytes -= _size(self._replies.pop(oldest))


def _size(task: asyncio.Task[Reply]) -> int:
    return 0 if task.cancelled() or task.exception() else len(task.result())
