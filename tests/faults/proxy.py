"""A fault-injecting HTTP proxy between the real Snowflake client and an embedded account, statement by statement.

with Proxy(globe.connection) as proxy:
    proxy.plan([Fault("drop-after", when=3)])
    ...                       # a client connected with proxy.connection
    assert [seen.number for seen in proxy.statements] == [1, 2, 3, 3, 4]

A statement is a query-request with a request id that was not there before: a client that repeats one, because its reply
was lost or its token expired, repeats the same statement. Logins, heartbeats, renewals and telemetry pass uncounted.
Bytes are forwarded as they came.
"""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import os
import random
import re
import select
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, get_args
from urllib.parse import parse_qs, urlsplit

Json = dict[str, Any]
Kind = Literal[
    "drop-before",  # the connection is reset, nothing is forwarded
    "drop-after",  # it is executed, the reply is lost: the connection is reset
    "reset",  # it is executed, the connection is reset within the reply: the client does not repeat it
    "delay",  # it is forwarded `seconds` later
    "http-500-before", "http-503-before",  # a gateway's answer; nothing is forwarded
    "http-500-after", "http-503-after",  # it is executed, then the gateway's answer
    "expire-token",  # the session token has expired: the client renews it and repeats the request
    "end-session",  # it has expired, and so has what would renew it: only a new login helps
    "kill-before", "kill-after",  # SIGKILL to `proxy.victim`; after: executed, the reply never delivered
    "outage",  # from here on everything is refused, until `proxy.down = False`
]  # fmt: skip
When = int | str | Callable[["Seen"], bool]

STATEMENTS = "/queries/v1/query-request"
RENEWAL = "/session/token-request"
TOKEN_EXPIRED, MASTER_TOKEN_EXPIRED = "390112", "390114"
UPSTREAM_SECONDS = 600.0
_NOT_FORWARDED = frozenset(
    {"drop-before", "http-500-before", "http-503-before", "expire-token", "end-session", "kill-before", "outage"}
)
_TOKEN = re.compile(r'Token="([^"]*)"')


@dataclass(frozen=True)
class Seen:
    """A request that arrived. `number` is the statement's, from 1, or 0; `attempt` counts from 1 per request id."""

    number: int
    attempt: int
    path: str
    sql: str = ""
    request_id: str | None = None
    describe_only: bool = False
    fault: Kind | None = None

    @property
    def forwarded(self) -> bool:
        return self.fault not in _NOT_FORWARDED


@dataclass(frozen=True)
class Fault:
    """What happens to which statements.

    when: a statement's number; a regular expression searched in SQL, any case; or a function of Seen, such as
    `share(…)` and `path(…)`. times: how often a chosen statement is hit; what the client sends after that gets through.
    most: how many statements are hit at all; None: all that are chosen.
    """

    kind: Kind
    when: When
    times: int = 1
    most: int | None = None
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"{self.kind!r} is no kind of fault; choose one of {', '.join(get_args(Kind))}")

    def chooses(self, seen: Seen) -> bool:
        if isinstance(self.when, int):
            return seen.number == self.when
        if isinstance(self.when, str):
            return seen.number > 0 and re.search(self.when, seen.sql, re.IGNORECASE | re.DOTALL) is not None
        return self.when(seen)


def share(probability: float, seed: int = 0) -> Callable[[Seen], bool]:
    """That part of all statements, the same ones (by number) for the same seed."""
    return lambda seen: seen.number > 0 and random.Random(f"{seed}:{seen.number}").random() < probability


def path(pattern: str) -> Callable[[Seen], bool]:
    """Requests, statements or not, in whose path the regular expression is found."""
    return lambda seen: re.search(pattern, seen.path) is not None


class Proxy:
    """Listens on 127.0.0.1 between `with` and its end. `victim`: the process id, or what tells it, for kill-…"""

    def __init__(self, upstream: Mapping[str, Any]) -> None:
        self._upstream = dict(upstream)
        self.victim: int | Callable[[], int] | None = None
        self.down = False
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self.trouble: list[Exception] = []  # what went wrong in the proxy itself; raised at the end of the `with`
        self.reset()

    def reset(self) -> None:
        """Forgets the plan, what was seen, dead sessions and the outage; the next statement is number 1."""
        with self._lock:
            self.requests: list[Seen] = []
            self._numbers: dict[str, int] = {}
            self._attempts: dict[str, int] = {}
            self._dead: set[str] = set()
            self.down = False
        self.plan([])

    def plan(self, faults: Iterable[Fault]) -> None:
        """Replaces what was planned; numbers go on. Of several faults for a request, the first that is left applies."""
        with self._lock:
            self._faults = list(faults)
            self._hits: dict[tuple[int, str], int] = {}
            self._chosen: dict[int, set[str]] = {}

    @property
    def statements(self) -> list[Seen]:
        """The query-requests so far in order of arrival, repetitions among them."""
        return [seen for seen in list(self.requests) if seen.number]

    @property
    def count(self) -> int:
        """How many distinct statements arrived."""
        return len(self._numbers)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def connection(self) -> dict[str, Any]:
        return {**self._upstream, "host": "127.0.0.1", "port": self.port}

    def __enter__(self) -> Proxy:
        self._server = _Listening(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        with self._lock:
            still_open = list(self._open)
        for one in still_open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        if kind is None and self.trouble:
            raise self.trouble[0]

    def arrives(self, target: str, body: bytes, encoding: str | None, token: str) -> tuple[Seen, Fault | None]:
        """Numbers a request, and says what is to happen to it."""
        parts = urlsplit(target)
        request_id = next(iter(parse_qs(parts.query).get("requestId", [])), None)
        told = _decoded(body, encoding) if parts.path in (STATEMENTS, RENEWAL) else {}
        with self._lock:
            number = self._number(request_id) if parts.path == STATEMENTS and request_id else 0
            key = request_id or f"{parts.path} {len(self.requests)}"
            self._attempts[key] = self._attempts.get(key, 0) + 1
            sql, describe_only = str(told.get("sqlText") or ""), bool(told.get("describeOnly"))
            seen = Seen(number, self._attempts[key], parts.path, sql, request_id, describe_only)
            fault = self._fault(seen, key, str(told.get("oldSessionToken") or token))
            if fault is not None:
                seen = replace(seen, fault=fault.kind)
                self.down = self.down or fault.kind == "outage"
                if fault.kind == "end-session":
                    self._dead.add(token)
            self.requests.append(seen)
        return seen, fault

    def kill(self) -> None:
        if self.victim is None:
            raise RuntimeError("proxy.victim does not say whom to kill")
        os.kill(self.victim() if callable(self.victim) else self.victim, signal.SIGKILL)

    def upstream(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(
            str(self._upstream["host"]), int(self._upstream["port"]), timeout=UPSTREAM_SECONDS
        )

    def note_open(self, one: socket.socket, is_open: bool) -> None:
        with self._lock:
            (self._open.add if is_open else self._open.discard)(one)

    def _number(self, request_id: str) -> int:
        return self._numbers.setdefault(request_id, len(self._numbers) + 1)

    def _fault(self, seen: Seen, key: str, token: str) -> Fault | None:
        if self.down:
            return Fault("outage", when=lambda _: True)
        if token in self._dead and seen.path in (STATEMENTS, RENEWAL):
            return Fault("end-session", when=lambda _: True)
        for index, fault in enumerate(self._faults):
            chosen = self._chosen.setdefault(index, set())
            if key not in chosen and fault.most is not None and len(chosen) >= fault.most:
                continue
            if self._hits.get((index, key), 0) < fault.times and fault.chooses(seen):
                chosen.add(key)
                self._hits[index, key] = self._hits.get((index, key), 0) + 1
                return fault
        return None


class _Listening(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away, killed for instance, is what this is for."""


class _Lost(Exception):
    """The client gets no reply: its connection is reset."""


@dataclass(frozen=True)
class _Reply:
    status: int
    headers: list[tuple[str, str]]
    body: bytes


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(_Handler):
        owner = proxy

    return Handler


class _Handler(BaseHTTPRequestHandler):
    owner: Proxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self.owner.note_open(self.connection, True)
        self._upstream: http.client.HTTPConnection | None = None

    def finish(self) -> None:
        self.owner.note_open(self.connection, False)
        if self._upstream is not None:
            self._upstream.close()
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: paths hold request ids, and tests print what they want."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        token = m[1] if (m := _TOKEN.search(self.headers.get("Authorization", ""))) else ""
        seen, fault = self.owner.arrives(self.path, body, self.headers.get("Content-Encoding"), token)
        try:
            self._deliver(self._reply(seen, fault, body), half=seen.fault == "reset")
        except (_Lost, OSError, http.client.HTTPException):
            self._hang_up()
        except Exception as error:
            self.owner.trouble.append(error)
            self._hang_up()

    do_GET = do_POST  # noqa: N815

    def _reply(self, seen: Seen, fault: Fault | None, body: bytes) -> _Reply:
        if fault is None:
            return self._forward(body)
        if fault.kind == "kill-before":
            self.owner.kill()
        if fault.kind == "delay":
            time.sleep(fault.seconds)
        reply = self._forward(body) if seen.forwarded else None
        if fault.kind == "kill-after":
            self.owner.kill()
        if fault.kind.startswith("http-"):
            return _Reply(int(fault.kind.split("-")[1]), [], b"")
        if fault.kind in ("expire-token", "end-session"):
            return _refusal(MASTER_TOKEN_EXPIRED if seen.path == RENEWAL else TOKEN_EXPIRED)
        if reply is None or fault.kind not in ("delay", "reset"):
            raise _Lost
        return reply

    def _forward(self, body: bytes) -> _Reply:
        upstream = self._connected()
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            upstream.putheader(name, value)
        upstream.endheaders(body or None)
        answer = upstream.getresponse()
        skipped = ("connection", "transfer-encoding", "content-length")
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in skipped]
        return _Reply(answer.status, headers, answer.read())

    def _connected(self) -> http.client.HTTPConnection:
        """One connection to the upstream for each of the client's, unless the upstream closed it meanwhile."""
        if self._upstream is not None and self._upstream.sock and select.select([self._upstream.sock], [], [], 0)[0]:
            self._upstream.close()
            self._upstream = None
        if self._upstream is None:
            self._upstream = self.owner.upstream()
        return self._upstream

    def _hang_up(self) -> None:
        """Ends the client's connection with RST: no goodbye, as a network that fails."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _deliver(self, reply: _Reply, half: bool) -> None:
        self.send_response_only(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body[: len(reply.body) // 2] if half else reply.body)
        self.wfile.flush()
        if half:
            raise _Lost


def _refusal(code: str) -> _Reply:
    what = "Master token" if code == MASTER_TOKEN_EXPIRED else "Session token"
    text = f"{what} has expired. The user must authenticate again."
    answer = {"data": None, "code": code, "message": text, "success": False}
    return _Reply(200, [("Content-Type", "application/json")], json.dumps(answer).encode())


def _decoded(body: bytes, encoding: str | None) -> Json:
    loaded = json.loads(gzip.decompress(body) if encoding == "gzip" else body or b"{}")
    return loaded if isinstance(loaded, dict) else {}
