"""A stand-in for GitHub's token service on 127.0.0.1, and the tokens that it makes: unsigned, and good for a while."""

from __future__ import annotations

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

ISSUER = "https://token.actions.githubusercontent.com"
AUDIENCE = "snowflakecomputing.com"
BEARER = "request-secret-4711"
PLANTED = "PLANTEDSIGNATURE"
"""Ends every token: found anywhere, it gives a leak away."""


def token(subject: str, **claims: Any) -> str:
    """As GitHub makes them, five minutes to live."""
    said = {"iss": ISSUER, "sub": subject, "aud": AUDIENCE, "exp": int(time.time()) + 300, **claims}
    return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(said)}.{PLANTED}"


def _part(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")


class Issuer:
    """Answers with a token of `subject`, another one each time; `answers` are what it says first: (status, body)."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.claims: dict[str, Any] = {}
        self.answers: list[tuple[int, str]] = []
        self.asked: list[tuple[str, str]] = []
        self.made: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a job with `permissions: id-token: write`."""
        url = f"http://127.0.0.1:{self._server.server_port}/idtoken/1?api-version=2.0"
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": url,
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": BEARER,
            "NO_PROXY": "127.0.0.1",
        }

    def answer(self, path: str, authorization: str) -> tuple[int, str]:
        self.asked.append((path, authorization))
        if self.answers:
            return self.answers.pop(0)
        audience = parse_qs(urlsplit(path).query).get("audience", ["https://github.com/owner"])[0]
        claims = {"aud": audience, "jti": str(len(self.made)), **self.claims}
        self.made.append(token(self.subject, **claims))
        return 200, json.dumps({"count": 1, "value": self.made[-1]})

    def _handler(issuer) -> type[BaseHTTPRequestHandler]:  # noqa: N805
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = issuer.answer(self.path, self.headers.get("Authorization", ""))
                self.send_response(status)
                self.send_header("Content-Length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: Any) -> None:
                pass

        return Handler

    def __enter__(self) -> Issuer:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
