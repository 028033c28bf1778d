"""The HTTP endpoint: logins, and statements answered by the table in statements.py or by fakesnow."""

from __future__ import annotations

import contextlib
import inspect
import json
import logging
import re
from collections.abc import AsyncIterator, Callable
from typing import cast

import fakesnow.server as fakesnow_server
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from snowglobe import control, grants, levers, loading, logins, rewrite, stages, statements
from snowglobe.account import Account
from snowglobe.context import Context, Session
from snowglobe.engine import SUCCESS, Engine
from snowglobe.jobs import Jobs
from snowglobe.replies import Replies
from snowglobe.trace import Trace, holds_secret, masked
from snowglobe.wire import Json, Reply, SqlError, Transfer, fail, read_body, rowset, succeed

_COMMENT = re.compile(r"'(?:[^'\\]|''|\\.)*'|\"(?:[^\"]|\"\")*\"|\$\$.*?\$\$|(/\*.*?\*/|--[^\n]*)", re.DOTALL)
Quick = Callable[[Context, re.Match[str]], Reply]
log = logging.getLogger("snowglobe")


class Server:
    def __init__(self, account: Account, engine: Engine, jobs: Jobs, trace: Trace, replies: Replies) -> None:
        self.account, self.engine, self.jobs, self.trace = account, engine, jobs, trace
        self.sessions: dict[str, Session] = {}
        self.replies = replies

    def app(self) -> Starlette:
        @contextlib.asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            self.jobs.schedule()
            yield
            await run_in_threadpool(self.jobs.stop)

        mine = {
            "/session/v1/login-request": self.login,
            "/queries/v1/query-request": self.query,
            "/session": self.session,
            "/session/heartbeat": self.session,
            "/session/token-request": self.renew,
            "/session/authenticator-request": _accept,
            "/telemetry/send": _accept,
            control.PATH: self.control,
        }
        routes = [Route(path, endpoint, methods=["POST"]) for path, endpoint in mine.items()]
        routes.append(Route("/monitoring/queries/{sfqid}", _monitor, methods=["GET"]))
        theirs = [r for r in fakesnow_server.routes if r.path not in mine]
        return Starlette(routes=[*routes, *theirs], lifespan=lifespan)

    async def login(self, request: Request) -> Response:
        body = read_body(await request.body(), request.headers.get("Content-Encoding"))
        data = body.get("data") or {}
        try:
            session = logins.open_session(self.account, self.engine, dict(request.query_params), data)
        except SqlError as error:
            return JSONResponse(fail(error))
        self.sessions[session.token] = session
        return JSONResponse(logins.reply(session, data.get("SESSION_PARAMETERS") or {}))

    async def session(self, request: Request) -> Response:
        session = self.sessions.get(_token(request))
        if session is None:
            return _expired()
        if request.query_params.get("delete"):
            del self.sessions[session.token]
            stages.forget_temporary(self.account, session.token)
            self.engine.disconnect(session.token)
        return JSONResponse(succeed())

    async def renew(self, request: Request) -> Response:
        session = self.sessions.get(_token(request).removeprefix("master-"))
        if session is None:
            return _expired()
        return JSONResponse(logins.renewed(session))

    async def control(self, request: Request) -> Response:
        try:
            told = read_body(await request.body(), None)
            return JSONResponse(succeed(await run_in_threadpool(levers.pull, self.account, self.jobs, told)))
        except SqlError as error:
            return JSONResponse(fail(error))

    async def query(self, request: Request) -> Response:
        session = self.sessions.get(_token(request))
        if session is None:
            return _expired()
        body = read_body(await request.body(), request.headers.get("Content-Encoding"))
        request_id = request.query_params.get("requestId")
        self._note(session, body, request_id)

        async def answer() -> bytes:
            answered = await self._answer(session, request, body)
            return answered if isinstance(answered, bytes) else json.dumps(answered).encode()

        return Response(await self.replies.once(request_id, answer), media_type="application/json")

    def _note(self, session: Session, body: Json, request_id: str | None) -> None:
        sql = str(body.get("sqlText") or "")
        hidden = holds_secret(sql)
        bindings = {k: "****" if hidden else v.get("value") for k, v in (body.get("bindings") or {}).items()}
        self.trace.write(
            session=session.id, user=session.user, sql=masked(sql), bindings=bindings, request_id=request_id,
            describe_only=bool(body.get("describeOnly")), repeated=self.replies.seen(request_id),
        )  # fmt: skip

    async def _answer(self, session: Session, request: Request, body: Json) -> Json | bytes:
        try:
            return await self._run(session, request, body)
        except SqlError as error:
            return fail(error)
        except Exception as error:  # a 5xx would make the client retry for minutes
            sql = masked(str(body.get("sqlText")))
            log.exception("in: %s", sql)
            text = f"snowglobe failed: {type(error).__name__}: {error} in: {sql}"
            return fail(SqlError(370001, text, "XX000"))

    async def _run(self, session: Session, request: Request, body: Json) -> Json | bytes:
        sql = _COMMENT.sub(lambda m: " " if m[1] else m[0], str(body.get("sqlText") or "")).strip().rstrip(";").rstrip()
        context = Context(self.account, self.engine, self.jobs, session, sql, _bindings(body))
        found = statements.find(sql)
        if batch := loading.batch(sql, body):
            return self._reply(context, await loading.insert(context, batch, body))
        if found is None:
            raw = await self.engine.run(session, request, rewrite.rewrite(context, body))
            if raw.endswith(SUCCESS) and not body.get("describeOnly"):
                grants.note_owner(context, sql)
            return raw
        handler, match = found
        if inspect.iscoroutinefunction(handler):
            return self._reply(context, await handler(context, match))
        return self._reply(context, await run_in_threadpool(cast(Quick, handler), context, match))

    def _reply(self, context: Context, result: Reply) -> Json:
        if isinstance(result, Transfer):
            return succeed(result.data)
        rewrite.remember(result)
        connection = context.session.connection
        return rowset(result, connection.database, connection.schema)


def _bindings(body: Json) -> list[object]:
    bindings = body.get("bindings") or {}
    return [bindings[key]["value"] for key in sorted(bindings, key=int)] if all(k.isdigit() for k in bindings) else []


def _token(request: Request) -> str:
    match = re.search(r'Token="([^"]*)"', request.headers.get("Authorization", ""))
    return match[1] if match else ""


def _expired() -> Response:
    return JSONResponse(fail(SqlError(390104, "User must login again to access the service.", "08001")))


def _monitor(request: Request) -> Response:
    """Asked about a query sent with asyncExec, which was in fact run at once."""
    if rewrite.remembers(request.path_params["sfqid"]):
        return JSONResponse(succeed({"queries": [{"status": "SUCCESS"}]}))
    return fakesnow_server.monitoring_query(request)


async def _accept(_: Request) -> Response:
    return JSONResponse(succeed())
