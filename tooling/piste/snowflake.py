"""The account: a handful of verbs in our words. The only module that imports snowflake."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from snowflake.connector import errors
from snowflake.connector.config_manager import CONFIG_MANAGER
from snowflake.connector.errors import Error as ConnectorError
from snowflake.connector.vendored.requests.exceptions import RequestException
from snowflake.ml import jobs
from snowflake.snowpark import Row, Session
from snowflake.snowpark.exceptions import SnowparkClientException, SnowparkSessionException, SnowparkSQLException

from piste import identity
from piste.environment import Environment, Pool
from piste.errors import SnowflakeRefused, SnowflakeUnreachable
from piste.experiment import JUDGE, PAIRWISE
from piste.observed import CLAIM, FENCE, Event, Job, Observation, Stage, is_closed, read_event
from piste.payload import Payload
from piste.tables import TABLES, view_statements

T = TypeVar("T")

EXISTS, MISSING = 2002, 2003
"""Error numbers: an object of that name exists already; it does not exist, or this role may not see it."""

OBSERVE = (
    "SELECT RUN, AT, EVENT, BODY, CURRENT_TIMESTAMP() AS NOW FROM LEDGER_LATEST",
    r"SHOW STAGES LIKE 'RUN\\_%' IN SCHEMA {schema}",
    r"SHOW JOB SERVICES LIKE 'RUN\\_%' IN SCHEMA {schema}",
)

LOGIN_ENDED = range(390110, 390116)
"""Error numbers: the tokens of a session, and of its renewal, have expired or are not known any more."""

UNANSWERED = (
    errors.OperationalError,
    errors.HttpError,
    errors.InternalServerError,
    errors.BadGatewayError,
    errors.ServiceUnavailableError,
    errors.GatewayTimeoutError,
    errors.RequestTimeoutError,
    errors.RequestExceedMaxRetryError,
    errors.TooManyRequests,
    errors.OtherHTTPRetryableError,
    RequestException,  # a connection that is reset within the reply: the connector lets it through
)
FAILURES = (SnowparkSQLException, SnowparkClientException, ConnectorError, RequestException)

NETWORK_SECONDS = 60
"""How long the client repeats a request that gets no answer; `journeys.follow` outlasts longer outages."""


@dataclass(frozen=True)
class Answer:
    """What a statement was answered: rows as plain data, or the number of the error and its words."""

    rows: tuple[dict[str, Any], ...] = ()
    error: int | None = None
    message: str = ""


@contextlib.contextmanager
def connect(
    environment: Environment, connection: str | None = None, who: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[Account]:
    """Open an account by a connection of connections.toml, or of the variable SNOWFLAKE_CONNECTIONS.

    Every statement carries, as its QUERY_TAG, that piste asks, for which environment, and `who`.

    Raises:
        SnowflakeRefused: no such connection, login refused, or a statement failed within the block.
    """
    logging.getLogger("snowflake.snowpark").setLevel(logging.ERROR)
    _keep_quiet_in_threads()
    name = connection or environment.connection or os.environ.get("SNOWFLAKE_DEFAULT_CONNECTION_NAME") or "default"
    with _refusals(f"The connection {name!r} could not be used."):
        by_identity = identity.is_ours_to_get(_configured(name))
        account = Account(_logins(name, environment, who), environment, by_identity)
    try:
        yield account
    finally:
        account.leave()


def _logins(name: str, environment: Environment, who: Mapping[str, Any]) -> Callable[[], Session]:
    """What opens a session of a connection, and another one when that has ended; each with a token of its own."""
    connection = _configured(name)
    wanted = {key: getattr(environment, key) for key in ("role", "warehouse", "database", "schema")}
    if str(connection.get("role", "")).upper() == environment.roles.look:
        del wanted["role"]  # whoever may only look can't take the role that submits
    tag = json.dumps({"app": "piste", "environment": environment.name, **who})
    parameters = {"QUERY_TAG": tag, **connection.get("session_parameters", {})}
    options: dict[str, Any] = {"connection_name": name, "network_timeout": NETWORK_SECONDS}
    options["session_parameters"] = parameters
    options |= {key: value for key, value in wanted.items() if value}
    if not identity.is_ours_to_get(connection):
        return lambda: Session.builder.configs(options).create()
    return lambda: _open_with(identity.new_token(), options)


def _configured(name: str) -> Mapping[str, Any]:
    """A connection as the client reads it, which says what is wrong with it when it logs in; {} without one."""
    try:
        found: Any = CONFIG_MANAGER["connections"]
    except ValueError as error:  # of a parser that quotes what it read, which may be a key
        place = f"line {error.line}, column {error.col}" if hasattr(error, "line") and hasattr(error, "col") else ""
        raise SnowflakeRefused(f"The variable SNOWFLAKE_CONNECTIONS is not TOML. {place}".rstrip(), _AS_TOML) from None
    connection = found.get(name, {})
    if not isinstance(connection, Mapping):
        raise SnowflakeRefused(f"The connection {name!r} is no table.", _AS_TOML)
    return connection


_AS_TOML = 'Write  [default]  on a line, and below it lines such as  account = "myorg-myaccount"'


def _open_with(token: str, options: Mapping[str, Any]) -> Session:
    session: Session
    try:
        session = Session.builder.configs({**options, "token": token}).create()
    except FAILURES as error:
        if _unanswered(error):
            raise
        said = _sentence(error, hidden=token)
        raise SnowflakeRefused(f"The login was refused.\n  {said}", identity.refused(token), _code(error)) from None
    return session


def _keep_quiet_in_threads() -> None:
    """The connector's own threads print a traceback where Snowflake does not answer; the statement's error says it."""

    def only_of_others(told: threading.ExceptHookArgs) -> None:
        if not isinstance(told.exc_value, ConnectorError | RequestException):
            threading.__excepthook__(told)

    threading.excepthook = only_of_others


@contextlib.contextmanager
def _refusals(what: str = "Snowflake refused a statement.") -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        if _unanswered(error):
            hint = "Nothing is lost: run the same command again."
            raise SnowflakeUnreachable(f"Snowflake does not answer.\n  {_sentence(error)}", hint) from error
        raise SnowflakeRefused(f"{what}\n  {_sentence(error)}", _hint(error), _code(error)) from error


def _unanswered(error: Exception) -> bool:
    """The network's fault, or that of something between: the connector has given up repeating the request."""
    return isinstance(error, UNANSWERED)


def _login_ended(error: Exception) -> bool:
    return isinstance(error, SnowparkSessionException) or _code(error) in LOGIN_ENDED


def _code(error: Exception) -> int:
    number = getattr(error, "sql_error_code", None) or getattr(error, "errno", None)
    return int(number) if isinstance(number, int | str) and str(number).lstrip("-").isdigit() else 0


def _sentence(error: Exception, hidden: str = "") -> str:
    text = str(getattr(error, "message", None) or error)
    return " ".join((text.replace(hidden, "…") if hidden else text).split())[:300]


def _hint(error: Exception) -> str:
    text = str(error)
    if _login_ended(error):
        return "Log in again, or renew the token that the connection reads; then run the same command again."
    if "known ones are []" in text:
        return (
            "Snowflake's connections.toml names none (it is looked for in $SNOWFLAKE_HOME, then ~/.snowflake).\n"
            "Without an account: `piste plan --offline` and `piste demo`."
        )
    if "Invalid connection_name" in text:
        return "Name one of them with --connection, or in [tool.piste.environments] of pyproject.toml."
    return "Run `piste doctor`: it says which objects and privileges are missing."


class Account:
    """One environment of one Snowflake account, for as long as its session is open."""

    def __init__(
        self, open_session: Callable[[], Session], environment: Environment, by_identity: bool = False
    ) -> None:
        self._open_session, self._by_identity = open_session, by_identity
        self._session = open_session()
        self.environment = environment
        self._schema = f"{environment.database}.{environment.schema}"

    def leave(self) -> None:
        with contextlib.suppress(SnowparkClientException, ConnectorError):
            self._session.close()

    def prepare(self, views_again: bool = False) -> None:
        """Create the tables and views where they are missing; `views_again` makes those for people anew.

        A table of theirs that has a view's name stays as it is: nothing of ours reads these views.
        """
        for statement in TABLES:
            self._sql(statement)
        for statement in view_statements(views_again):
            try:
                self._sql(statement)
            except SnowflakeRefused as refused:
                if refused.code != EXISTS:
                    raise

    def observe(self) -> Observation:
        """All that is known of all runs: three statements, however many there are."""
        ledger, stages, services = OBSERVE
        events, now = self._events(ledger)
        return Observation(
            events=events,
            stages=[
                Stage(row["name"], row["comment"] or "", _iso(row["created_on"]))
                for row in self._unless_missing(stages.format(schema=self._schema))
            ],
            jobs=[
                Job(row["name"], row["status"])
                for row in self._unless_missing(services.format(schema=self._schema))
                if CLAIM.match(row["name"])
            ],
            at=now or _iso(self._sql("SELECT CURRENT_TIMESTAMP() AS NOW")[0]["NOW"]),
        )

    def claim(self, name: str, comment: Mapping[str, Any]) -> str | None:
        """Create the run's stage. None if it is ours now, else who has it.

        Exactly one creator wins. The client repeats a request whose reply was lost, so that the winner may hear that
        the stage exists already: the nonce in the comment tells.
        """
        nonce = uuid.uuid4().hex
        if self._create_stage(name, json.dumps({**comment, "nonce": nonce}, sort_keys=True)):
            return None
        try:
            owner = dict(json.loads(self._comment(name) or ""))
        except (ValueError, TypeError):
            owner = {}
        return None if owner.get("nonce") == nonce else str(owner.get("actor") or "somebody else")

    def close(self, run: str, by: str) -> str:
        """Shut a claim's fence, so that no job of it can begin to work any more. "" if it is shut, else who passed it.

        A job's first act is to create the same stage: exactly one of the two comes first.
        """
        if self._create_stage(run + FENCE, json.dumps({"closed_by": by})):
            return ""
        held = self.fence(run)
        return "" if held and is_closed(held) else held or "a job"

    def fence(self, run: str) -> str | None:
        """What is written on a claim's fence: a job's name, or who shut it (`observed.is_closed`); None without one."""
        return self._comment(run + FENCE)

    def _create_stage(self, name: str, comment: str) -> bool:
        """False if there is one of that name already."""
        try:
            self._sql(f"CREATE STAGE {name} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE') COMMENT = {_literal(comment)}")
        except SnowflakeRefused as error:
            if error.code != EXISTS:
                raise
            return False
        return True

    def record(self, run: str, event: str, body: Mapping[str, Any]) -> None:
        """Append one row to the ledger."""
        text = json.dumps(body, sort_keys=True, ensure_ascii=False)
        self._sql("INSERT INTO LEDGER SELECT ?, CURRENT_TIMESTAMP(), ?, PARSE_JSON(?)", [run, event, text])

    def spender(self) -> str:
        """Who asks, by the word of GitHub's token or of Snowflake: no name that anybody could have typed."""
        actor = identity.claims(identity.new_token()).get("actor") if self._by_identity else None
        return f"@{actor}" if actor else str(self._sql("SELECT CURRENT_USER() AS NAME")[0]["NAME"])

    def pools(self) -> dict[str, Pool]:
        """The compute pools that this role may see, by name."""
        rows = self._sql("SHOW COMPUTE POOLS")
        return {
            row["name"]: Pool(row["name"], row["instance_family"], int(row["max_nodes"]), row["state"]) for row in rows
        }

    def ensure_stage(self, name: str) -> None:
        """A stage that jobs can mount and fetch from; nothing happens if it is there."""
        self._sql(f"CREATE STAGE IF NOT EXISTS {name} ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')")

    def stages(self, prefix: str) -> list[Stage]:
        rows = self._sql(f"SHOW STAGES LIKE {_beginning(prefix)} IN SCHEMA {self._schema}")
        return [Stage(row["name"], row["comment"] or "", _iso(row["created_on"])) for row in rows]

    def jobs(self, prefix: str) -> list[Job]:
        rows = self._sql(f"SHOW JOB SERVICES LIKE {_beginning(prefix)} IN SCHEMA {self._schema}")
        return [Job(row["name"], row["status"]) for row in rows]

    def submit(self, payload: Payload, pool: str, nodes: int, image: str | None, comment: str) -> str:
        """Upload the payload into the claim's stage and start its job; returns the job's name."""
        with tempfile.TemporaryDirectory() as directory:
            for path, content in payload.files.items():
                file = Path(directory, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(content)
            access = list(dict.fromkeys([*self.environment.external_access, *payload.access]))
            job = self._do(
                lambda session: jobs.submit_directory(
                    directory,
                    pool,
                    entrypoint="main.py",
                    stage_name=payload.claim,
                    target_instances=nodes,
                    external_access_integrations=access or None,
                    session=session,
                    name=payload.job_name,
                    comment=comment,
                    **_options(payload, image),
                )
            )
        return str(job.name)

    def read(self, run: str, path: str) -> bytes | None:
        """A file of a run's stage, whole; None if it isn't there."""
        location = f"@{self._schema}.{run}/{path}"
        if not self._unless_missing(f"LIST {location}"):
            return None

        def whole(session: Session) -> bytes:
            with tempfile.TemporaryDirectory() as folder:  # `get_stream` shares one file with every other process
                session.file.get(location, folder)
                return (Path(folder) / location.rpartition("/")[2]).read_bytes()

        return self._do(whole)

    def files(self, stage: str, folder: str = "") -> dict[str, int]:
        """What lies on a stage, or in a folder of it: bytes by the path inside the stage."""
        rows = self._unless_missing(f"LIST @{self._schema}.{stage}/{folder + '/' if folder else ''}")
        return {str(row["name"]).partition("/")[2]: int(row["size"]) for row in rows}

    def put(self, source: Path, stage: str, folder: str) -> None:
        """Upload one file under its own name, in place of what is there."""
        target = f"@{self._schema}.{stage}/{folder}"
        self._do(lambda session: session.file.put(str(source), target, auto_compress=False, overwrite=True))

    def sizes(self, run: str, folder: str = "") -> int:
        """Bytes of a run's stage, or of a folder of it."""
        return sum(int(row["size"]) for row in self._unless_missing(f"LIST @{self._schema}.{run}/{folder}"))

    def remove(self, run: str, folder: str = "") -> None:
        """Delete a folder of a run's stage, or the stage with all that is in it. Its fence stays, and its rows."""
        if folder:
            self._unless_missing(f"REMOVE @{self._schema}.{run}/{folder}/")
        else:
            self._sql(f"DROP STAGE IF EXISTS {self._schema}.{run}")

    def logs(self, job: str, nodes: int = 1) -> str:
        """The logs of a job's nodes, the client's own lines left out; "" once Snowflake has dropped them."""
        try:
            found = self._do(lambda session: jobs.get_job(f"{self._schema}.{job}", session=session))
            if nodes == 1:
                return str(self._do(lambda _: found.get_logs()))
            of_nodes = self._do(lambda _: [str(found.get_logs(instance_id=node)) for node in range(nodes)])
            lines = ((node, line) for node, text in enumerate(of_nodes) for line in text.splitlines())
            return "\n".join(f"node {node} | {line}" for node, line in lines)
        except SnowflakeUnreachable:
            raise
        except (SnowflakeRefused, RuntimeError, ValueError):
            return ""

    def cancel(self, job: str) -> None:
        """A job that Snowflake does not know any more needs no cancelling."""
        try:
            found = self._do(lambda session: jobs.get_job(f"{self._schema}.{job}", session=session))
            self._do(lambda _: found.cancel())
        except SnowflakeRefused as error:
            if error.code != MISSING:
                raise
        except (RuntimeError, ValueError) as error:
            raise SnowflakeRefused(f"The job {job} could not be cancelled.\n  {_sentence(error)}") from error

    def sample_scores(self, runs: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
        """By run, score and sample, without the judge's (`judging.samples`): numbers only, no text leaves Snowflake."""
        marks = ", ".join("?" for _ in runs)
        rows = self._sql(
            "SELECT RUN, SCORE, SAMPLE_ID, VALUE FROM SAMPLE_SCORES"
            f" WHERE FIELD = '' AND SCORE NOT IN ('{JUDGE}', '{PAIRWISE}') AND RUN IN ({marks})",
            list(runs),
        )
        found: dict[str, dict[str, dict[str, float]]] = {}
        for row in rows:
            found.setdefault(row["RUN"], {}).setdefault(row["SCORE"], {})[row["SAMPLE_ID"]] = float(row["VALUE"])
        return found

    def change(self, statement: str) -> int:
        """Insert, update or delete rows without seeing them; how many there were."""
        return int(self._sql(statement)[0][0])

    def numbers(self, statement: str) -> list[dict[str, Any]]:
        """The rows of a question whose answer has no text of samples in it."""
        return [row.as_dict() for row in self._sql(statement)]

    def texts(self, statement: str) -> list[dict[str, Any]]:
        """The rows of the one question whose answer is text of samples: of those that a suite lets people see."""
        return [row.as_dict() for row in self._sql(statement)]

    def attempt(self, statement: str, values: Sequence[Any] | None = None) -> Answer:
        """A statement whose refusal is an answer too. Raises SnowflakeRefused only where nobody answers."""
        try:
            return Answer(tuple(row.as_dict() for row in self._sql(statement, values)))
        except SnowflakeUnreachable:
            raise
        except SnowflakeRefused as error:
            return Answer(error=error.code, message=error.message)

    def ask(self, statement: str) -> list[dict[str, Any]] | None:
        """The rows of a question that `doctor` puts, as plain data; None if it was refused."""
        try:
            return [row.as_dict() for row in self._sql(statement)]
        except SnowflakeRefused:
            return None

    def _events(self, statement: str) -> tuple[list[Event], str]:
        nothing: tuple[list[Event], str] = [], ""
        return _if_there(lambda: self._do(lambda session: _events(session, statement)), nothing)

    def _comment(self, stage: str) -> str | None:
        pattern = _literal(stage.replace("_", r"\_"))
        rows = self._sql(f"SHOW STAGES LIKE {pattern} IN SCHEMA {self._schema}")
        return next((row["comment"] or "" for row in rows if row["name"] == stage), None)

    def _sql(self, statement: str, values: Sequence[Any] | None = None) -> list[Row]:
        return self._do(lambda session: list(session.sql(statement, params=values).collect()))

    def _do(self, work: Callable[[Session], T]) -> T:
        """A login that ended in the middle is renewed once: what it met was not executed."""
        with _refusals():
            try:
                return work(self._session)
            except FAILURES as error:
                if not _login_ended(error):
                    raise
                self.leave()
                self._session = self._open_session()
                return work(self._session)

    def _unless_missing(self, statement: str) -> list[Row]:
        return _if_there(lambda: self._sql(statement), [])


def _options(payload: Payload, image: str | None) -> dict[str, Any]:
    """What not every submission has. Secrets go by name: Snowflake puts their strings into the container."""
    asked = [
        {"snowflakeSecret": {"objectName": secret}, "envVarName": variable, "secretKeyRef": "secret_string"}
        for variable, secret in payload.secrets.items()
    ]
    options = {
        "runtime_environment": image,
        "env_vars": dict(payload.variables),
        "spec_overrides": {"spec": {"containers": [{"name": "main", "secrets": asked}]}} if asked else None,
    }
    return {name: value for name, value in options.items() if value}


def _if_there(ask: Callable[[], T], otherwise: T) -> T:
    try:
        return ask()
    except SnowflakeRefused as error:
        if error.code == MISSING:
            return otherwise
        raise


def _events(session: Session, statement: str) -> tuple[list[Event], str]:
    """The ledger's rows and Snowflake's clock, which is "" without any. Each row is let go once it is read."""
    events: list[Event] = []
    now = ""
    with session.connection.cursor() as cursor:
        cursor.execute(statement)
        for run, at, kind, body, clock in cursor:
            now = now or _iso(clock)
            events.append(read_event(run, _iso(at), kind, body))
    return events, now


def _iso(moment: datetime | str) -> str:
    at = moment if isinstance(moment, datetime) else datetime.fromisoformat(str(moment))
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="milliseconds")


def _beginning(prefix: str) -> str:
    """A pattern of LIKE."""
    return _literal(prefix.replace("_", r"\_") + "%")


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
