"""A stand-in of the Hugging Face hub on this machine: its API for models, and files as it serves them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

LARGE = (".safetensors", ".bin", ".gguf", ".onnx")
"""What is stored with LFS."""


@dataclass
class Repository:
    """`commits` are files by path, by commit; `branches` name commits. `token` opens a gated one."""

    commits: dict[str, dict[str, bytes]]
    branches: dict[str, str]
    card: dict[str, Any] = field(default_factory=dict)
    token: str | None = None


@dataclass
class Hub:
    """`tampered` names files that arrive with another byte; those in `held` don't arrive.

    `served` counts files by path; so many requests for files as `unavailable` says are answered with 503 first.
    """

    address: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    tampered: set[str] = field(default_factory=set)
    held: dict[str, threading.Event] = field(default_factory=dict)
    served: Counter[str] = field(default_factory=Counter)
    unavailable: int = 0
    asked: threading.Event = field(default_factory=threading.Event)

    def add(self, name: str, files: Mapping[str, bytes], **more: Any) -> str:
        """The new head of its main branch."""
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        known = self.repositories.setdefault(name, Repository({}, {}))
        known.commits[commit] = dict(files)
        known.branches["main"] = commit
        for key, value in more.items():
            setattr(known, key, value)
        return commit

    @contextlib.contextmanager
    def holding(self, path: str) -> Iterator[None]:
        """Within the block this file's content does not come. `asked` is set when somebody waits for it."""
        self.asked.clear()
        self.held[path] = threading.Event()
        try:
            yield
        finally:
            self.held.pop(path).set()


def blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Any

    @property
    def hub(self) -> Hub:
        return self.server.hub  # type: ignore[no-any-return]

    def log_message(self, format: str, *arguments: Any) -> None:
        return

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.partition("?")[0]
        if asked := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self._info(asked[1], asked[2] or "main")
        elif asked := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._file(asked[1], asked[2], asked[3])
        elif asked := re.fullmatch(r"/cdn/([^/]+/[^/]+)/([^/]+)/(.+)", path):
            self._content(asked[3], self.hub.repositories[asked[1]].commits[asked[2]][asked[3]], {})
        else:
            self._refuse(404, "")

    def _info(self, name: str, revision: str) -> None:
        found = self.hub.repositories.get(name)
        if found is None:
            return self._refuse(401, "RepoNotFound")
        commit = found.branches.get(revision, revision)
        if commit not in found.commits:
            return self._refuse(404, "RevisionNotFound")
        files = [self._listed(path, content) for path, content in found.commits[commit].items()]
        gated = "manual" if found.token else False
        said = {"id": name, "sha": commit, "siblings": files, "cardData": found.card, "gated": gated}
        self._send(200, json.dumps(said).encode(), {"Content-Type": "application/json"})

    @staticmethod
    def _listed(path: str, content: bytes) -> dict[str, Any]:
        large = {"size": len(content), "sha256": sha256(content), "pointerSize": 134}
        more = {"lfs": large} if path.endswith(LARGE) else {}
        return {"rfilename": path, "size": len(content), "blobId": blob(content), **more}

    def _file(self, name: str, commit: str, path: str) -> None:
        found = self.hub.repositories[name]
        if found.token and self.headers.get("Authorization") != f"Bearer {found.token}":
            return self._refuse(403 if self.headers.get("Authorization") else 401, "GatedRepo")
        if self.hub.unavailable > 0:
            self.hub.unavailable -= 1
            return self._refuse(503, "")
        content = found.commits[commit][path]
        if not path.endswith(LARGE):
            return self._content(path, content, {"X-Repo-Commit": commit, "ETag": f'"{blob(content)}"'})
        place = f"{self.hub.address}/cdn/{name}/{commit}/{path}"
        linked = {"X-Linked-Etag": f'"{sha256(content)}"', "X-Linked-Size": str(len(content))}
        return self._send(302, b"", {"X-Repo-Commit": commit, "Location": place, **linked})

    def _content(self, path: str, content: bytes, headers: Mapping[str, str]) -> None:
        if self.command == "GET":
            if (held := self.hub.held.get(path)) is not None:
                self.hub.asked.set()
                held.wait(120)
            self.hub.served[path] += 1
            if path in self.hub.tampered:
                content = content[:-1] + bytes([content[-1] ^ 1])
        self._send(200, content, headers)

    def _refuse(self, status: int, code: str) -> None:
        self._send(status, b"", {"X-Error-Code": code} if code else {})

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)


@contextlib.contextmanager
def serve() -> Iterator[Hub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    hub = Hub(f"http://127.0.0.1:{server.server_port}")
    server.hub = hub  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        for event in hub.held.values():
            event.set()
        server.shutdown()
        server.server_close()
