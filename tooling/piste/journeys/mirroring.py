"""Models come onto the environment's stage: from the hub by a job inside Snowflake, or from a folder here."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from piste import git, models, observed, resources
from piste.environment import Environment, Pool, Settings, choices
from piste.errors import PisteError, SnowflakeRefused, SnowflakeUnreachable
from piste.journeys.ledger import prepare
from piste.journeys.planning import cheapest_pool
from piste.journeys.submitting import runtime_of
from piste.journeys.watching import OUTAGE_SECONDS
from piste.models import FILE, STAGE, Model, Wish
from piste.payload import Payload, job_name

if TYPE_CHECKING:
    from piste.snowflake import Account

TOKEN = "HF_TOKEN"
"""The variable from which the hub's client reads its token, and the secret that is used where none is named."""

ENDPOINT = "HF_ENDPOINT"
"""The variable that names a mirror of the hub; jobs get this machine's."""

LAST_LINES = 12


@dataclass(frozen=True)
class Mirroring:
    """A job that mirrors a model. `rate` is credits per hour, None where it is not known; `ours` if we submitted it."""

    wish: Wish
    attempt: str
    job: str
    pool: str = ""
    rate: float | None = None
    ours: bool = True


@dataclass(frozen=True)
class Look:
    """The job's status as Snowflake says it ("" if it is not listed), and its last word.

    `silence` is how long, in seconds, Snowflake has not answered.
    """

    status: str
    said: str = ""
    silence: float = 0.0


def find_model(account: Account, wish: Wish) -> Model | None:
    """The model that is asked for, if it is there.

    Raises:
        PisteError: the name stands for something else, or its folder has files that no `model add` put there.
    """
    there = _model(account, wish.name)
    pin = _pin(account, wish.name)
    if pin is None and there is not None:
        pin = models.Pin(there.repository, there.revision)
    if pin is None:
        _refuse_foreign(account, wish)
        return None
    if models.stands(pin, wish) is False:
        raise PisteError(*_other(pin, wish, there is not None, account.environment))
    return there if models.stands(pin, wish) else None


def _other(pin: models.Pin, wish: Wish, whole: bool, environment: Environment) -> tuple[str, str]:
    held = Wish(wish.name, pin.repository, pin.revision).title
    said = f"{wish.name} stands for {held}, not for {wish.title}."
    if whole:
        return said, models.NEVER_CHANGES
    schema = f"{environment.database}.{environment.schema}"
    give_up = f"DROP STAGE {schema}.{models.pin_name(wish.name)}; REMOVE @{schema}.{STAGE}/{wish.name}/;"
    return f"{said} It is not complete.", f"Choose another name, complete it, or give it up:  {give_up}"


def _refuse_foreign(account: Account, wish: Wish) -> None:
    if account.files(STAGE, wish.name):
        raise PisteError(
            f"{models.place(wish.name)} has files that no `piste model add` put there.",
            "Choose another name; experiments may use that folder as it is.",
        )


def begin_mirroring(
    account: Account, settings: Settings, root: Path, wish: Wish, pool: str = "", secret: str = ""
) -> Mirroring:
    """The job that mirrors the model: one that is at it already, else one that is submitted now.

    `pool` and `secret` are aliases of the environment's; without them the cheapest pool, and HF_TOKEN where it is.

    Raises:
        PisteError: there is no such pool or secret, no runtime with the hub's client, or somebody mirrors another
            model under this name.
    """
    if going := _going(account, wish):
        return going
    found = _chosen_pool(account, settings, pool)
    secrets = _chosen_secret(account.environment, secret)
    runtime = runtime_of(settings, "")
    attempt = models.attempt_name(wish.name, uuid.uuid4().hex)
    made = Payload(
        attempt,
        job_name(attempt, wish.name),
        _files(_task(account, wish, attempt, root), (root / runtime.lock).read_text("utf-8"), runtime.name),
        secrets,
        _endpoint(),
        (account.environment.model_access,) if account.environment.model_access else (),
    )
    account.ensure_stage(STAGE)
    account.claim(attempt, {**asdict(wish), "model": wish.name})
    try:
        job = account.submit(made, found.name, 1, runtime.image or None, f"piste model {wish.name} {attempt}")
    except SnowflakeUnreachable:
        raise  # the job may be there
    except SnowflakeRefused:
        account.remove(attempt)
        raise
    return Mirroring(wish, attempt, job, found.name, settings.rates.get(found.family))


def _going(account: Account, wish: Wish) -> Mirroring | None:
    """A job of this name that lives: its `add` may have been interrupted."""
    stages = {stage.name: stage.comment for stage in account.stages(models.pin_name(wish.name))}
    for job in account.jobs(models.pin_name(wish.name)):
        attempt = models.attempt_of(job.name)
        if job.status in observed.ENDED_JOBS or attempt not in stages:
            continue
        told = json.loads(stages[attempt])
        asked = Wish(wish.name, told["repository"], told["revision"], told["licence"])
        if (asked.repository, asked.revision) != (wish.repository, wish.revision):
            raise PisteError(f"{wish.name} is being added from {asked.title}.", models.NEVER_CHANGES)
        return Mirroring(asked, attempt, job.name, ours=False)
    return None


def _chosen_pool(account: Account, settings: Settings, alias: str) -> Pool:
    environment = account.environment
    if alias and alias not in environment.pools:
        hint = choices(alias, environment.pools, f"environments.{environment.name}.pools")
        raise PisteError(f"The environment {environment.name} has no pool {alias!r}.", hint)
    named = account.pools().get(environment.pools[alias].upper()) if alias else None
    pool = named if alias else cheapest_pool(account, settings.rates)
    if pool is None:
        raise PisteError("There is no compute pool for it.", "Run `piste doctor` for the SQL that makes one.")
    return pool


def _chosen_secret(environment: Environment, alias: str) -> dict[str, str]:
    """The token's variable, and the secret that it holds."""
    if alias and alias not in environment.secrets:
        hint = choices(alias, environment.secrets, f"environments.{environment.name}.secrets")
        raise PisteError(f"The environment {environment.name} has no secret {alias!r}.", hint)
    name = environment.secrets.get(alias or TOKEN)
    return {TOKEN: name} if name else {}


def _endpoint() -> dict[str, str]:
    """A mirror of the hub by its address, which everybody may read in the job's specification."""
    address = os.environ.get(ENDPOINT, "")
    if "@" in urlsplit(address).netloc:
        raise PisteError(
            f"{ENDPOINT} has a password in it, which would be seen.",
            "Take it out: a token goes to the job as a secret.",
        )
    return {ENDPOINT: address} if address else {}


def _task(account: Account, wish: Wish, attempt: str, root: Path) -> dict[str, Any]:
    environment = account.environment
    return {
        "run": attempt,
        "stage": STAGE,
        "pin": models.pin_name(wish.name),
        "schema": models.SCHEMA,
        **asdict(wish),
        "actor": git.provenance(root)["actor"],
        "weights": models.WEIGHTS,
        "beside": models.BESIDE,
        "secret": f"{environment.database}.{environment.schema}.{TOKEN}",
        "access": environment.model_access,
    }


def _files(task: Mapping[str, Any], lock: str, runtime: str) -> dict[str, bytes]:
    """The payload of runs, with another thing to do and little to install."""
    packages = models.requirements(lock)
    if packages is None:
        hint = 'runtime = "…" in [tool.piste] names the runtime whose lock is used.'
        raise PisteError(f"The runtime {runtime} has no huggingface-hub.", hint)
    files = resources.payload_files()
    main = files["main.py"].replace(b"payload.job", b"payload.mirror")
    made = {"main.py": main, "mirror.json": json.dumps(task).encode(), **packages}
    return made | {f"payload/{path}": content for path, content in files.items()}


def follow_mirroring(
    account: Account,
    job: str,
    pause: Callable[[float], None] = time.sleep,
    patience: int = 20,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Look]:
    """What the job does, until it has ended or has not been listed for `patience` looks.

    Raises:
        SnowflakeUnreachable: nothing was answered for OUTAGE_SECONDS.
    """
    heard, unlisted, wait = clock(), 0, 0.5
    while True:
        try:
            status = next((one.status for one in account.jobs(job) if one.name == job), "")
            look, heard = Look(status, _last_word(account.logs(job)) if status == "RUNNING" else ""), clock()
        except SnowflakeUnreachable:
            if clock() - heard > OUTAGE_SECONDS:
                raise
            look = Look("", silence=clock() - heard)
        yield look
        unlisted = unlisted + 1 if not look.status and not look.silence else 0
        if look.status in observed.ENDED_JOBS or unlisted >= patience:
            return
        pause(wait)
        wait = min(1.3 * wait, 5.0)


def _last_word(log: str) -> str:
    said = [line.removeprefix("piste | ") for line in log.splitlines() if line.startswith("piste | ")]
    return said[-1] if said else ""


def finish_mirroring(account: Account, going: Mirroring, status: str) -> tuple[Model, bool]:
    """The model that a job has left, and whether it was there before; the job's own stage goes.

    Raises:
        PisteError: there is none, with the job's reason and what to do.
    """
    results = json.loads(account.read(going.attempt, "results.json") or b"{}")
    model = _model(account, going.wish.name)
    failure = results.get("failure") or ({} if model else _without_a_word(account, going, status))
    if results or status in observed.ENDED_JOBS:
        _clear(account, going)
    if model is None or failure:
        raise PisteError(failure["message"], failure["hint"])
    return model, bool(results.get("already"))


def _without_a_word(account: Account, going: Mirroring, status: str) -> dict[str, str]:
    """Packages that can't be installed, a node that was lost: the end of the log says it, and holds nobody's data."""
    again = "Run the same command again: what is on the stage is not lost."
    if not status:
        return {"message": f"Snowflake does not list the job {going.job} any more.", "hint": again}
    log = "".join(f"\n  | {line}" for line in account.logs(going.job).splitlines()[-LAST_LINES:])
    return {"message": f"The job {going.job} ended as {status}, and did not say why.{log}", "hint": again}


def _clear(account: Account, going: Mirroring) -> None:
    """The stages of this job and of earlier ones that did not come so far. Whose job still lives keeps its own."""
    prefix = models.pin_name(going.wish.name)
    live = {models.attempt_of(job.name) for job in account.jobs(prefix) if job.status not in observed.ENDED_JOBS}
    whole = _model(account, going.wish.name) is not None
    for stage in account.stages(prefix):
        attempt = models.attempt_of(stage.name)
        if attempt == going.attempt or (whole and attempt == stage.name and attempt not in live):
            account.remove(stage.name)


def add_folder(
    account: Account, root: Path, wish: Wish, folder: Path, note: Callable[[str], None] = lambda _: None
) -> tuple[Model, bool]:
    """A model from a folder of this machine, and whether it was there already. `note` hears of each file.

    Raises:
        PisteError: it is no model, its licence is not known, or the name stands for something else.
    """
    paths = models.chosen(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    files = {path: _file(folder / path) for path in paths}
    revision = _content(files)
    asked = Wish(wish.name, "", revision, wish.licence)
    if there := find_model(account, asked):
        return there, True
    card = folder / "README.md"
    licence = models.licence(card.read_text("utf-8", "replace") if card.is_file() else "", wish.licence)
    account.ensure_stage(STAGE)
    _pin_to(account, asked)
    _upload(account, wish.name, folder, files, note)
    at = datetime.now(UTC).isoformat(timespec="seconds")
    made = models.document(asked, revision, licence, files, at, git.provenance(root)["actor"])
    return _complete(account, made), False


def _file(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest(), "bytes": path.stat().st_size}


def _content(files: Mapping[str, Mapping[str, Any]]) -> str:
    """What stands for a commit where there is none: the SHA-256 of all names and checksums."""
    lines = "".join(f"{file['sha256']}  {path}\n" for path, file in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def _pin_to(account: Account, wish: Wish) -> None:
    account.claim(models.pin_name(wish.name), models.pin_comment(wish, wish.revision))
    pin = _pin(account, wish.name)
    if pin is None or not models.stands(pin, wish):
        raise PisteError(f"{wish.name} was pinned to something else a moment ago.", models.NEVER_CHANGES)


def _upload(
    account: Account, name: str, folder: Path, files: Mapping[str, Mapping[str, Any]], note: Callable[[str], None]
) -> None:
    """All of them: what an interrupted upload left is not worth the trust."""
    for number, (path, file) in enumerate(sorted(files.items()), 1):
        note(f"{number} of {len(files)}  {path}  {file['bytes'] / 1e6:,.1f} MB")
        account.put(folder / path, STAGE, f"{name}/{path}".rpartition("/")[0])
    there = account.files(STAGE, name)
    lacking = [path for path, file in files.items() if there.get(f"{name}/{path}") != file["bytes"]]
    if lacking:
        raise PisteError(f"{lacking[0]} did not reach the stage whole.", "Run the same command again.")


def _complete(account: Account, document: Mapping[str, Any]) -> Model:
    content = (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, FILE).write_bytes(content)
        account.put(Path(directory, FILE), STAGE, document["name"])
    model = models.read_model(content)
    assert model is not None
    return model


def remember(account: Account, model: Model) -> None:
    """Let the ledger tell of a model, unless it does already."""
    seen = account.observe()
    name, said = models.pin_name(model.name), models.row(model)
    if not any(event.run == name and event.body == said for event in seen.events):
        prepare(account, seen.ledger)
        account.record(name, models.MIRRORED, said)


def all_models(account: Account) -> tuple[tuple[Model, ...], tuple[str, ...]]:
    """The models of the environment, by name, and the folders of the stage that have no MODEL.json."""
    there = account.files(STAGE)
    folders = {path.partition("/")[0] for path in there if "/" in path}
    found = (_model(account, name) for name in sorted(folders) if f"{name}/{FILE}" in there)
    known = tuple(model for model in found if model is not None)
    return known, tuple(sorted(folders - {model.name for model in known}))


def _model(account: Account, name: str) -> Model | None:
    content = account.read(STAGE, f"{name}/{FILE}")
    return models.read_model(content) if content else None


def _pin(account: Account, name: str) -> models.Pin | None:
    wanted = models.pin_name(name)
    comment = next((stage.comment for stage in account.stages(wanted) if stage.name == wanted), None)
    return None if comment is None else models.read_pin(comment)
