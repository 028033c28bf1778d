"""A GitHub job logs in without a key: a token for each session, never printed, and errors that say what to do."""

from __future__ import annotations

import base64
import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from snowflake.snowpark import Session

import snowglobe
from faults.proxy import Fault, Proxy
from issuer import BEARER, ISSUER, PLANTED, Issuer
from piste import identity
from piste.environment import Environment
from piste.errors import PisteError, SnowflakeRefused, SnowflakeUnreachable
from piste.snowflake import Account, connect
from snowglobe import Globe

SUBJECT = "repo:me/it:environment:piste-look"
OIDC = {"authenticator": "WORKLOAD_IDENTITY", "workload_identity_provider": "OIDC"}
ENVIRONMENT = Environment("dev", "DB", "S")
WHO = "SELECT CURRENT_USER() AS WHO, CURRENT_ROLE() AS ROLE"
ASK = """
import logging, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, force=True)
from piste.environment import Environment
from piste.errors import PisteError
from piste.snowflake import connect
try:
    with connect(Environment("dev", "DB", "S")) as account:
        logging.getLogger("snowflake.snowpark").setLevel(logging.DEBUG)
        print("WHO", account.ask("SELECT CURRENT_USER() AS WHO"))
except PisteError as error:
    print("REFUSED", error.message, error.hint)
"""


@pytest.fixture(scope="module")
def globe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Globe]:
    with snowglobe.serve(tmp_path_factory.mktemp("globe"), schemas=["DB.S"]) as running:
        with Session.builder.configs(running.connection).create() as session:
            for statement in (
                "CREATE ROLE PISTE_LOOK",
                f"CREATE USER LOOKER TYPE = SERVICE DEFAULT_ROLE = PISTE_LOOK"
                f" WORKLOAD_IDENTITY = (TYPE = OIDC ISSUER = '{ISSUER}' SUBJECT = '{SUBJECT}')",
                "GRANT ROLE PISTE_LOOK TO USER LOOKER",
            ):
                session.sql(statement).collect()
        yield running


@pytest.fixture
def issuer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    """Within a job that may have tokens."""
    with Issuer(SUBJECT) as running:
        for name, value in running.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("SNOWFLAKE_WIF_ALLOWED_HOST_SUFFIXES", "127.0.0.1")
        monkeypatch.setattr(identity, "AGAIN", identity.AGAIN.new(backoff_factor=0))
        yield running


def connections(parameters: dict[str, Any], **more: str) -> str:
    """A TOML document for SNOWFLAKE_CONNECTIONS, as a workflow writes it."""
    place = {key: parameters[key] for key in ("account", "host", "port", "protocol")}
    lines = [f"{key} = {json.dumps(value)}" for key, value in {**place, **more}.items()]
    return "\n".join(["[default]", *lines])


@pytest.fixture
def logged_in(globe: Globe, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    monkeypatch.setenv("SNOWFLAKE_CONNECTIONS", connections(globe.connection, **OIDC))
    with connect(ENVIRONMENT) as account:
        yield account


def test_a_connection_of_workload_identity_needs_no_token(logged_in: Account, issuer: Issuer) -> None:
    assert logged_in.ask(WHO) == [{"WHO": "LOOKER", "ROLE": "PISTE_LOOK"}]
    assert len(issuer.made) == 1
    ((path, authorization),) = issuer.asked
    assert path == "/idtoken/1?api-version=2.0&audience=snowflakecomputing.com"
    assert authorization == f"bearer {BEARER}"


def test_a_session_that_ended_is_opened_again_with_a_new_token(
    globe: Globe, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy(globe.connection) as proxy:
        monkeypatch.setenv("SNOWFLAKE_CONNECTIONS", connections(proxy.connection, **OIDC))
        with connect(ENVIRONMENT) as account:
            account.ask(WHO)
            proxy.plan([Fault("end-session", when=WHO.replace("(", r"\(").replace(")", r"\)"), most=1)])
            assert account.ask(WHO) == [{"WHO": "LOOKER", "ROLE": "PISTE_LOOK"}]
    assert len(set(issuer.made)) == 2


def test_github_s_silence_in_a_long_wait_is_waited_through(
    globe: Globe, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`journeys.follow` goes on after SnowflakeUnreachable; the session that is gone must then open again."""
    with Proxy(globe.connection) as proxy:
        monkeypatch.setenv("SNOWFLAKE_CONNECTIONS", connections(proxy.connection, **OIDC))
        with connect(ENVIRONMENT) as account:
            proxy.plan([Fault("end-session", when="CURRENT_USER", most=1)])
            issuer.answers = [(503, "")] * 5
            with pytest.raises(SnowflakeUnreachable, match="GitHub does not answer"):
                account.attempt(WHO)
            assert account.ask(WHO) == [{"WHO": "LOOKER", "ROLE": "PISTE_LOOK"}]


def test_a_token_of_one_s_own_is_left_alone(globe: Globe, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    given = json.loads(issuer.answer("/?audience=snowflakecomputing.com", "")[1])["value"]
    issuer.asked.clear()
    monkeypatch.setenv("SNOWFLAKE_CONNECTIONS", connections(globe.connection, **OIDC, token=given))
    with connect(ENVIRONMENT) as account:
        assert account.ask(WHO) == [{"WHO": "LOOKER", "ROLE": "PISTE_LOOK"}]
    assert issuer.asked == []


def test_whose_month_it_is_nobody_can_type(logged_in: Account, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """GitHub's token says it of a job; without one, or of a token that says nothing, Snowflake's user counts."""
    monkeypatch.setenv("GITHUB_ACTOR", "typed")
    assert logged_in.spender() == "LOOKER"
    issuer.claims["actor"] = "ana"
    assert logged_in.spender() == "@ana"


def test_statements_say_who_asks(globe: Globe, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parameters are those that the server's reply to the login tells back."""
    monkeypatch.setenv("SNOWFLAKE_CONNECTIONS", connections(globe.connection, **OIDC))
    with connect(ENVIRONMENT, who={"actor": "@ana", "commit": "3f2c9d1"}) as account:
        told = account._session.connection._session_parameters["QUERY_TAG"]
    assert json.loads(told) == {"app": "piste", "environment": "dev", "actor": "@ana", "commit": "3f2c9d1"}


def test_who_looks_keeps_the_looking_role(globe: Globe, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment's role is that of whoever submits: a connection that names the looking role is not given it."""
    names_it = connections(globe.connection, **OIDC, role="piste_look")
    monkeypatch.setenv("SNOWFLAKE_CONNECTIONS", names_it)
    with connect(Environment("dev", "DB", "S", role="PISTE_SUBMIT")) as account:
        assert account.ask(WHO) == [{"WHO": "LOOKER", "ROLE": "PISTE_LOOK"}]
    monkeypatch.setenv("SNOWFLAKE_CONNECTIONS", connections(globe.connection, **OIDC))
    with (
        pytest.raises(SnowflakeRefused, match="Role 'PISTE_SUBMIT'"),
        connect(Environment("dev", "DB", "S", role="PISTE_SUBMIT")),
    ):
        pass


def test_a_refused_login_says_what_github_says_of_the_job(
    globe: Globe, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer.subject = "repo:me@12/it@34:environment:piste-look"
    monkeypatch.setenv("SNOWFLAKE_CONNECTIONS", connections(globe.connection, **OIDC))
    with pytest.raises(SnowflakeRefused) as refused, connect(ENVIRONMENT):
        pass
    assert "JWT token is invalid" in refused.value.message
    assert f"issuer   {ISSUER}\n  subject  {issuer.subject}\n  audience snowflakecomputing.com\n" in refused.value.hint
    assert "piste doctor --setup" in refused.value.hint


@pytest.mark.parametrize("subject", [SUBJECT, "repo:somebody/else:ref:refs/heads/main"])
def test_no_log_of_any_library_holds_a_token(subject: str, globe: Globe, issuer: Issuer) -> None:
    issuer.subject = subject
    variables = {**os.environ, **issuer.environment, "SNOWFLAKE_CONNECTIONS": connections(globe.connection, **OIDC)}
    done = subprocess.run([sys.executable, "-c", ASK], env=variables, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    assert ("WHO [{'WHO': 'LOOKER'}]" in said) is (subject == SUBJECT)
    assert ("REFUSED" in said) is (subject != SUBJECT)
    assert "DEBUG:snowflake.connector" in said
    assert "DEBUG:urllib3" in said
    (made,) = issuer.made
    for secret in (PLANTED, BEARER, *made.split(".")):
        assert secret not in said
    for file in ("server.log", "trace.jsonl"):
        assert PLANTED not in (globe.directory / file).read_text()


def test_words_of_snowflake_that_repeat_the_token_are_not_passed_on(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Echo() as port:
        place = {"account": "echo", "host": "127.0.0.1", "port": port, "protocol": "http"}
        monkeypatch.setenv("SNOWFLAKE_CONNECTIONS", connections(place, **OIDC))
        with pytest.raises(SnowflakeRefused) as refused, connect(ENVIRONMENT):
            pass
    assert "I will not have …, whatever" in refused.value.message
    assert not any(part in str(vars(refused.value)) for part in issuer.made[0].split("."))


@pytest.mark.parametrize("answers", [[], [(503, "")], [(429, ""), (500, ""), (502, ""), (504, "")]])
def test_github_is_asked_again(answers: list[tuple[int, str]], issuer: Issuer) -> None:
    issuer.answers = [*answers]
    assert identity.claims(identity.new_token())["aud"] == identity.AUDIENCE
    assert len(issuer.asked) == len(answers) + 1


@pytest.mark.parametrize(
    ("answer", "words", "kind"),
    [
        ((401, f'{{"message": "{BEARER}"}}'), "no identity token (HTTP 401)", SnowflakeRefused),
        ((403, ""), "no identity token (HTTP 403)", SnowflakeRefused),
        ((302, ""), "no identity token (HTTP 302)", SnowflakeRefused),
        ((200, f"<html>{PLANTED}</html>"), "holds no identity token", SnowflakeRefused),
        ((200, '{"value": null}'), "holds no identity token", SnowflakeRefused),
        ((200, f'{{"value": "{PLANTED}"}}'), "holds no identity token", SnowflakeRefused),
        ((200, '["value"]'), "holds no identity token", SnowflakeRefused),
        (
            (503, PLANTED),
            "GitHub does not answer when asked for this job's identity token (HTTP 503)",
            SnowflakeUnreachable,
        ),
    ],
)
def test_what_github_says_otherwise_is_explained(
    answer: tuple[int, str], words: str, kind: type[PisteError], issuer: Issuer
) -> None:
    issuer.answers = [answer] * 9
    with pytest.raises(SnowflakeRefused) as refused:
        identity.new_token()
    assert type(refused.value) is kind
    said = f"{refused.value.message} {refused.value.hint}"
    assert words in said
    assert PLANTED not in said
    assert BEARER not in said


def test_nobody_there(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", "http://127.0.0.1:9/?x=1")
    with pytest.raises(SnowflakeUnreachable, match=r"identity token \(ConnectionError\)"):
        identity.new_token()


def test_no_netrc_takes_the_header_s_place(issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "netrc"
    file.write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(file))
    identity.new_token()
    assert issuer.asked[0][1] == f"bearer {BEARER}"


@pytest.mark.parametrize(
    ("on_github", "message", "hint"),
    [
        ("true", "This job has no `permissions: id-token: write`", "A pull request from a fork gets none"),
        ("", "only a GitHub job gets one by itself", "--connection NAME"),
    ],
)
def test_without_permission_or_elsewhere_it_says_what_to_do(
    on_github: str, message: str, hint: str, globe: Globe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", on_github)
    for name in ("URL", "TOKEN"):
        monkeypatch.delenv(f"ACTIONS_ID_TOKEN_REQUEST_{name}", raising=False)
    monkeypatch.setenv("SNOWFLAKE_CONNECTIONS", connections(globe.connection, **OIDC))
    with pytest.raises(SnowflakeRefused, match=message) as refused, connect(ENVIRONMENT):
        pass
    assert hint in refused.value.hint


def test_a_key_pair_works_from_the_variable_alone(globe: Globe, monkeypatch: pytest.MonkeyPatch) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pair = {"user": "keyed", "authenticator": "SNOWFLAKE_JWT", "private_key": base64.b64encode(key).decode()}
    monkeypatch.setenv("SNOWFLAKE_CONNECTIONS", connections(globe.connection, **pair))
    with connect(ENVIRONMENT) as account:
        assert account.ask(WHO) == [{"WHO": "KEYED", "ROLE": "ACCOUNTADMIN"}]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ('[default\nprivate_key = "SECRET"', "is not TOML. line 1, column 8"),
        ("SECRET in no form at all", "is not TOML."),
        ('default = "SECRET"', "The connection 'default' is no table."),
        ('[other]\nprivate_key = "SECRET"', "known ones are ['other']"),
    ],
)
def test_a_variable_that_can_t_be_read_keeps_its_secrets(
    document: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNOWFLAKE_CONNECTIONS", document)
    with pytest.raises(SnowflakeRefused) as refused, connect(ENVIRONMENT):
        pass
    assert words in refused.value.message
    assert "SECRET" not in refused.value.message + refused.value.hint


class Echo:
    """A server that refuses every login with the words of the login."""

    def __enter__(self) -> int:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                data = json.loads(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
                said = f"I will not have {data.get('data', {}).get('TOKEN')}, whatever"
                reply = json.dumps({"success": False, "code": "390144", "message": said, "data": {}}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self._server.server_port

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
