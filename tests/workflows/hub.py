"""A stand-in for GitHub on 127.0.0.1: pull requests, comments, labels, git over HTTP, the issuer of identity tokens.

It knows what the workflows ask, answers in GitHub's words, and lets a test look at the state of the world and hurt it.
Tokens decide what is allowed, as a job's `permissions` do.
"""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from issuer import token

REPOSITORY = "acme/training"
REQUEST_TOKEN = "request-2c91f0"
"""With it a job asks for its identity token."""

Json = dict[str, Any]


@dataclass
class Pull:
    """A pull request from a branch of the repository, or of somebody's fork."""

    number: int
    branch: str
    title: str
    body: str = ""
    user: str = "ana"
    state: str = "open"
    merged_at: str | None = None
    labels: list[str] = field(default_factory=list)
    commits: list[str] = field(default_factory=list)
    fork: bool = False
    merged_by: str = "maria"
    base: str = "main"


@dataclass
class Hub:
    """The state. `tokens` maps a token to the permissions of its job; `failing` are answers to give in place of any.

    `before_push` happens, one after the other, between what a push was told of a branch and what it wants to change.
    """

    origin: Path
    url: str = ""
    pulls: dict[int, Pull] = field(default_factory=dict)
    comments: dict[int, Json] = field(default_factory=dict)
    tokens: dict[str, set[str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    failing: list[int] = field(default_factory=list)
    subject: str = ""
    identities: list[str] = field(default_factory=list)
    pushes: list[str] = field(default_factory=list)
    before_push: list[Callable[[], None]] = field(default_factory=list)
    _count: int = 0

    def job(self, name: str, *permissions: str) -> str:
        """The token of a job that may so much."""
        made = f"ghs_{name}"
        self.tokens[made] = {*permissions}
        return made

    def open(self, branch: str, title: str, body: str = "", user: str = "ana", fork: bool = False) -> Pull:
        self._count += 1
        pull = Pull(self._count, branch, title, body, user, fork=fork)
        self.pulls[pull.number] = pull
        return pull

    def said(self, number: int) -> list[str]:
        """The comments of a pull request, the earliest first."""
        return [one["body"] for one in self.comments.values() if one["number"] == number]

    def comment(self, number: int, body: str, user: str, kind: str) -> Json:
        self._count += 1
        made = {"id": self._count, "number": number, "body": body, "user": {"login": user, "type": kind}}
        made["html_url"] = f"{self.url}/{REPOSITORY}/pull/{number}#issuecomment-{self._count}"
        self.comments[self._count] = made
        return made

    def sha(self, reference: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.origin), "rev-parse", "--verify", "--quiet", reference],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip()

    def described(self, pull: Pull) -> Json:
        """As the API and events describe it."""
        home = {"full_name": REPOSITORY}
        elsewhere = {"full_name": f"{pull.user}/training"}
        reference = f"refs/pull/{pull.number}/head" if pull.fork else f"refs/heads/{pull.branch}"
        return {
            "number": pull.number,
            "title": pull.title,
            "body": pull.body,
            "state": pull.state,
            "merged_at": pull.merged_at,
            "merge_commit_sha": pull.commits[0] if pull.commits else None,
            "html_url": f"{self.url}/{REPOSITORY}/pull/{pull.number}",
            "user": {"login": pull.user, "type": "User"},
            "labels": [{"name": name} for name in pull.labels],
            "head": {"ref": pull.branch, "sha": self.sha(reference), "repo": elsewhere if pull.fork else home},
            "base": {"ref": pull.base, "sha": self.sha(f"refs/heads/{pull.base}"), "repo": home},
        }


@contextlib.contextmanager
def serve(origin: Path) -> Iterator[Hub]:
    """GitHub for the bare repository at `origin`, at `hub.url`."""
    hub = Hub(origin)
    app = Starlette(routes=_routes(hub))
    listener = socket.create_server(("127.0.0.1", 0))
    hub.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield hub
    finally:
        server.should_exit = True
        thread.join(10)


def _routes(hub: Hub) -> list[Route]:
    api = f"/repos/{REPOSITORY}"
    answers = {
        f"{api}/issues/{{number:int}}/comments": (_comments, ["GET", "POST"]),
        f"{api}/issues/comments/{{id:int}}": (_comment, ["PATCH", "DELETE"]),
        f"{api}/issues/{{number:int}}/labels/{{label:path}}": (_label, ["DELETE"]),
        f"{api}/commits/{{sha}}/pulls": (_pulls_of, ["GET"]),
        f"{api}/pulls": (_pulls, ["GET", "POST"]),
        f"{api}/pulls/{{number:int}}": (_pull, ["GET", "PATCH"]),
    }
    routes = [Route(path, _guarded(hub, answer), methods=methods) for path, (answer, methods) in answers.items()]
    routes.append(Route("/identity", partial(_identity, hub), methods=["GET"]))
    routes.append(Route(f"/{REPOSITORY}.git/{{path:path}}", partial(_git, hub), methods=["GET", "POST"]))
    return routes


NEEDS = {"issues": "pull-requests", "pulls": "pull-requests", "commits": "pull-requests"}


def _guarded(hub: Hub, answer: Any) -> Any:
    async def endpoint(request: Request) -> Response:
        path = request.url.path.removeprefix(f"/repos/{REPOSITORY}/")
        hub.asked.append(f"{request.method} {path}")
        if hub.failing:
            return JSONResponse({"message": "Server Error"}, hub.failing.pop(0))
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in hub.tokens:
            return JSONResponse({"message": "Bad credentials"}, 401)
        if request.method != "GET" and NEEDS[path.split("/")[0]] not in hub.tokens[token]:
            return JSONResponse({"message": "Resource not accessible by integration"}, 403)
        body = await request.json() if await request.body() else {}
        return answer(hub, request, body)

    return endpoint


def _comments(hub: Hub, request: Request, body: Json) -> Response:
    number = request.path_params["number"]
    if number not in hub.pulls:
        return JSONResponse({"message": "Not Found"}, 404)
    if request.method == "POST":
        if len(body["body"]) > 65_536:
            return JSONResponse({"message": "Validation Failed: body is too long (maximum is 65536 characters)"}, 422)
        return JSONResponse(hub.comment(number, body["body"], "github-actions[bot]", "Bot"), 201)
    every = [one for one in hub.comments.values() if one["number"] == number]
    size, page = (int(request.query_params.get(key, default)) for key, default in (("per_page", "30"), ("page", "1")))
    return JSONResponse(every[(page - 1) * size : page * size])


def _comment(hub: Hub, request: Request, body: Json) -> Response:
    found = hub.comments.get(request.path_params["id"])
    if found is None:
        return JSONResponse({"message": "Not Found"}, 404)
    if request.method == "DELETE":
        del hub.comments[found["id"]]
        return Response(status_code=204)
    found["body"] = body["body"]
    return JSONResponse(found)


def _label(hub: Hub, request: Request, _: Json) -> Response:
    pull, label = hub.pulls[request.path_params["number"]], request.path_params["label"]
    if label not in pull.labels:
        return JSONResponse({"message": "Label does not exist"}, 404)
    pull.labels.remove(label)
    return JSONResponse([])


def _pulls_of(hub: Hub, request: Request, _: Json) -> Response:
    sha = request.path_params["sha"]
    return JSONResponse([hub.described(pull) for pull in hub.pulls.values() if sha in pull.commits])


def _pulls(hub: Hub, request: Request, body: Json) -> Response:
    if request.method == "GET":
        branch = request.query_params["head"].partition(":")[2]
        found = [pull for pull in hub.pulls.values() if pull.branch == branch and pull.state == "open"]
        return JSONResponse([hub.described(pull) for pull in found])
    if any(pull.branch == body["head"] and pull.state == "open" for pull in hub.pulls.values()):
        message = f"A pull request already exists for acme:{body['head']}."
        return JSONResponse({"message": "Validation Failed", "errors": [{"message": message}]}, 422)
    pull = hub.open(body["head"], body["title"], body["body"], "github-actions[bot]")
    return JSONResponse(hub.described(pull), 201)


def _pull(hub: Hub, request: Request, body: Json) -> Response:
    pull = hub.pulls.get(request.path_params["number"])
    if pull is None:
        return JSONResponse({"message": "Not Found"}, 404)
    if request.method == "GET":
        merged_by = {"login": pull.merged_by, "type": "User"} if pull.merged_at else None
        return JSONResponse({**hub.described(pull), "merged_by": merged_by})
    for key in ("title", "body", "state"):
        setattr(pull, key, body.get(key, getattr(pull, key)))
    return JSONResponse(hub.described(pull))


def _identity(hub: Hub, request: Request) -> Response:
    """The token says which environment the job runs in, which is all that Snowflake lets decide who logs in."""
    if request.headers.get("Authorization", "").lower() != f"bearer {REQUEST_TOKEN}":
        return JSONResponse({"message": "Unauthorized"}, 401)
    hub.identities.append(token(hub.subject, aud=request.query_params.get("audience", "")))
    return JSONResponse({"value": hub.identities[-1]})


async def _git(hub: Hub, request: Request) -> Response:
    """git over HTTP, by git's own program; without a token that may, nothing is told or taken."""
    token = _basic(request.headers.get("Authorization", ""))
    writes = "git-receive-pack" in str(request.url)
    allowed = hub.tokens.get(token, set())
    if token not in hub.tokens or "contents" not in {one.partition(":")[0] for one in allowed}:
        return Response("no", 401, {"WWW-Authenticate": 'Basic realm="GitHub"'})
    if writes and "contents" not in allowed:
        return Response(f"remote: Permission to {REPOSITORY} denied.", 403)
    body = await request.body()
    if writes and request.method == "POST":
        hub.pushes.append(token)
        if hub.before_push:
            await run_in_threadpool(hub.before_push.pop(0))
    return await run_in_threadpool(_backend, hub, request, body)


def _basic(header: str) -> str:
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return ""
    with contextlib.suppress(ValueError):
        return base64.b64decode(value).decode().partition(":")[2]
    return ""


def _backend(hub: Hub, request: Request, body: bytes) -> Response:
    environment: Mapping[str, str] = {
        **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
        "GIT_PROJECT_ROOT": str(hub.origin.parent),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{hub.origin.name}/{request.path_params['path']}",
        "QUERY_STRING": str(request.url.query),
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        "HTTP_GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "REMOTE_USER": "workflow",
    }
    done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=False)
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
    status = int(headers.pop("Status", "200").split()[0])
    return Response(content, status, headers)
