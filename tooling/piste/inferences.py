"""All that piste takes for true of Snowflake's server without being able to read it there.

Documentation and the client's own code say much; what is left is listed here, with what piste does where it turns out
otherwise. `piste doctor --probe` (probe.py) tries each on an account.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Inference:
    """`where` names the function that builds on it, `closed_path` is what piste does if it does not hold, `probe` how
    it is tried ("" for what is only told). `relied` is False where piste works either way."""

    id: str
    says: str
    where: str
    closed_path: str
    probe: str
    relied: bool = True


@dataclass(frozen=True)
class Verdict:
    """`holds` is None where it is not known: what did not finish never holds."""

    holds: bool | None
    detail: str = ""


@dataclass(frozen=True)
class Tried:
    """An inference, what came of it, and the seconds that it took."""

    inference: Inference
    verdict: Verdict
    seconds: float = 0.0


@dataclass(frozen=True)
class Report:
    """`left` names what the probe made and could not remove."""

    tried: tuple[Tried, ...]
    left: tuple[str, ...] = ()

    @property
    def well(self) -> bool:
        """All that piste relies on is known to hold."""
        return all(one.verdict.holds for one in self.tried if one.inference.relied)


INFERENCES = (
    Inference(
        "exists-2002",
        "creating a stage whose name is taken fails with error 2002",
        "Account.claim, Account.close, payload Store.fence",
        "Any other number ends the submission before a job is made, or the job before it trains.",
        "CREATE STAGE with the name of a claim that was just made",
    ),
    Inference(
        "missing-2003",
        "reading an object that isn't there fails with error 2003",
        "Account._unless_missing",
        "The command ends with Snowflake's words; nothing is submitted.",
        "SELECT from a table and LIST of a stage that nobody made",
    ),
    Inference(
        "comment-whole",
        "SHOW STAGES gives a claim's comment back whole",
        "Account.claim, observed._from_comment",
        "The claim counts as somebody else's and is not submitted; later it is lost, and the next attempt shuts its"
        " fence first.",
        "a comment longer than any of ours, with quotes, backslashes and umlauts",
    ),
    Inference(
        "show-like",
        "in SHOW STAGES LIKE, \\_ means an underscore and nothing else",
        "Account.observe, Account._comment",
        "Claims without a row are not seen; creating their stage again is refused, so that nothing is submitted twice.",
        "a second stage whose name differs only where the underscore is",
    ),
    Inference(
        "one-clock",
        "a stage's created_on and CURRENT_TIMESTAMP() are of one clock",
        "observed._Seen.claimed_at",
        "A claim counts as lost too early or too late; whoever tries again shuts its fence first, and a job that passed"
        " the fence before is waited for.",
        "the age of a claim that was just made",
    ),
    Inference(
        "json-whole",
        "a document bound to INSERT … SELECT PARSE_JSON(?) comes back with equal values",
        "Account.record, observed.runs",
        "The plan may ask once more for what is done; the name of its claim is taken, so that nothing is submitted.",
        "numbers, floats, nulls, empty and nested values, quotes and umlauts in a ledger of its own",
    ),
    Inference(
        "latest-view",
        "the view LEDGER_LATEST shows one row per run and event, the latest, and one comparison per other run",
        "Account.observe",
        "An older row speaks for a run: it looks less far than it is, and its claim's name still refuses a second one.",
        "two rows of one event and two comparisons in a ledger of its own",
    ),
    Inference(
        "pool-described",
        "SHOW COMPUTE POOLS names a pool's instance family and how many nodes it may have",
        "Account.pool",
        "The submission ends: without a pool's description nothing is submitted.",
        "the environment's pools",
    ),
    Inference(
        "show-limit",
        "SHOW answers with at most 10,000 rows (documented)",
        "Account.observe",
        "Runs are known from the ledger; a claim that is not listed still refuses a second one of its name.",
        "",
        relied=False,
    ),
    Inference(
        "job-retention",
        "SHOW JOB SERVICES lists a job for 7 to 14 days after its end (documented)",
        "Account.observe",
        "The ledger remembers what a run came to; a run that nobody recorded in time is read from its stage.",
        "",
        relied=False,
    ),
    Inference(
        "login-ended",
        "a statement under a login that ended is refused and not executed",
        "Account._do, which logs in again and repeats it",
        "Had it been executed: the nonce says whose a claim is, the fence lets one of two jobs pass, the latest row"
        " counts.",
        "",
        relied=False,
    ),
    Inference(
        "stages-unseen",
        "SHOW STAGES leaves out what a role has no privilege on (documented)",
        "plans by the role that only looks",
        "Such a plan knows more than it needs to: comments of claims, no file.",
        "",
        relied=False,
    ),
    Inference(
        "future-services",
        "MONITOR on future services lists jobs that are submitted later",
        "plans by the role that only looks",
        "Jobs are not in its list: the rows of a run keep it alive, and one whose job never began to write counts as"
        " running for a day.",
        "",
        relied=False,
    ),
    Inference(
        "view-of-owner",
        "SELECT on LEDGER_LATEST is enough to read it (documented)",
        "plans by the role that only looks",
        "Its plans end with Snowflake's words: grant it SELECT on LEDGER.",
        "",
        relied=False,
    ),
    Inference(
        "identity-exact",
        "a token's issuer and subject must be those of a user to the letter (documented)",
        "the service users of `piste doctor --setup`",
        "The login is refused and says which subject GitHub names; with another audience than the default too.",
        "",
        relied=False,
    ),
    Inference(
        "history",
        "GET_JOB_HISTORY can be read",
        "nothing",
        "The ledger remembers; history is only a help for people.",
        "the latest row of it",
        relied=False,
    ),
    Inference(
        "job-name",
        "a job's name is the name we give, then a suffix",
        "observed._by_claim",
        "The list doesn't tell whose job it is: the run's rows in the ledger keep it alive, and its row `finished` or a"
        " day of silence ends it.",
        "the names of two jobs",
    ),
    Inference(
        "job-listed",
        "SHOW JOB SERVICES LIKE lists a job by its first letters from PENDING on",
        "Account.observe, observed._of_job",
        "Its rows in the ledger keep the run alive; without rows it is lost after 15 minutes, and the next attempt"
        " shuts its fence first.",
        "the list right after each submission",
    ),
    Inference(
        "job-comment",
        "a job's comment is in the list of jobs",
        "Account.submit",
        "Nothing reads it but people.",
        "the list of jobs",
        relied=False,
    ),
    Inference(
        "twice-submitted",
        "a second submission of one claim runs as a second job",
        "payload Store.fence",
        "If Snowflake refuses the second one, the fence has nothing to do.",
        "the same payload submitted twice",
        relied=False,
    ),
    Inference(
        "job-may-insert",
        "the job's role may insert rows into a table of the schema",
        "payload Store.event, Store.replace_rows",
        "The job ends before it trains; the run has failed as the platform's fault.",
        "rows from the job in a ledger of its own",
    ),
    Inference(
        "job-may-fence",
        "the job's role may create a stage in the schema, and SHOW STAGES gives it its own comment back",
        "payload Store.fence",
        "The job ends before it trains; the run has failed as the platform's fault.",
        "the job's first statements, and the same again as after a restart",
    ),
    Inference(
        "job-role",
        "a job's session has the role that submitted it",
        "the row access policy of `piste doctor --setup`",
        "The job can't read its own predictions again, and a run that only scores fails. Name the job's role in the"
        " policy, or leave analyst_role out of the settings.",
        "the role of the job's session",
        relied=False,
    ),
    Inference(
        "job-hears-2002",
        "the job's session gets 2002 too for a stage that a client made",
        "payload Store.fence, Account.close",
        "Any other number ends the job before it trains.",
        "CREATE STAGE in the job with the name of its claim",
    ),
    Inference(
        "mount-shows",
        "the job finds the files that were uploaded before it was submitted",
        "payload job.run",
        "The job ends before it trains.",
        "a file with a random word",
    ),
    Inference(
        "mount-refuses",
        "the mounted stage refuses appends",
        "payload job.run works in local scratch",
        "Nothing is lost: only whole files are ever written, and by PUT.",
        "an append to an uploaded file",
        relied=False,
    ),
    Inference(
        "stage-files",
        "the job can PUT files into its stage, LIST names them as stage/path, and GET brings them back",
        "payload Store.upload, Store.fetch",
        "The run fails in phase fetch or upload, and says so.",
        "one file there and back from within the job",
    ),
    Inference(
        "repeated-request",
        "a request that repeats a request id is answered from memory, not executed again",
        "Account.claim, payload Store.fence",
        "Either is well: the nonce says whose a claim is, the fence lets one of two jobs pass, the latest row counts.",
        "the job sends an INSERT twice under one request id (the client's statement parameter requestId)",
        relied=False,
    ),
    Inference(
        "python",
        "the image's Python is 3.11 or later",
        "payload, and the pins of the runtime's lock",
        "pip refuses the pins or the payload doesn't start: the run fails before it trains, and its log says so.",
        "the version that the job runs on",
    ),
    Inference(
        "one-winner",
        "of 8 sessions that create one stage at once exactly one succeeds, and the others get 2002",
        "Account.claim, Account.close, payload Store.fence",
        "None: two jobs of one claim could both train. Let one reconciler run at a time (the workflows' concurrency"
        " group does), and tell us.",
        "8 threads in the job, each with a session of its own",
    ),
    Inference(
        "child-session",
        "a process that the job starts can open a session of its own",
        "payload snowflake_session.open_session",
        "Data can't be read: the run fails in phase fetch or train, and says so.",
        "a process of the job that selects 1",
    ),
    Inference(
        "packages",
        "pip in a job reaches its packages through the environment's external access",
        "the runtime's lock, installed as the job begins",
        "The run fails before it trains, and its log says so. Pick an image that has them, or add external_access.",
        "one package of the lock, downloaded and thrown away",
        relied=False,
    ),
    Inference(
        "job-ended",
        "a job that ended well is still listed, as DONE",
        "observed.ENDED_JOBS, ending.has_ended",
        "Its row `finished` says how it ended; without that row the run counts as forgotten after a day of silence.",
        "the list after the job's end",
    ),
    Inference(
        "results",
        "the results.json that a job uploaded can be read once the job has ended",
        "Account.read, ending.record",
        "The row `finished`, which holds the same, speaks for the run.",
        "the results of the job",
    ),
    Inference(
        "remove-folder",
        "REMOVE of a folder on a stage leaves folders whose names only begin alike",
        "Account.remove",
        "`piste gc` could remove more of a run's stage than it says; what a run came to stays in the ledger.",
        "two folders of which one is removed",
    ),
    Inference(
        "logs",
        "the log of a job can be read after its end",
        "Account.logs",
        "`piste logs` shows the logs that the job left on its stage.",
        "a line that the job printed",
    ),
    Inference(
        "service-name",
        "SNOWFLAKE_SERVICE_NAME in the container is the name that the list of jobs shows, another one in each job",
        "payload snowflake_session.service_name",
        "If the names differ from the list, logs and cancel find no job. If two jobs had one name, both would pass the"
        " fence: see one-job-passes.",
        "what two jobs say of themselves",
    ),
    Inference(
        "one-job-passes",
        "of two jobs of one claim exactly one passes the fence",
        "payload Store.fence",
        "None: both would train. Their rows `started` name both jobs; cancel one, and tell us.",
        "the same payload submitted twice",
    ),
    Inference(
        "cancel",
        "cancelling a job that runs ends it as CANCELLED",
        "Account.cancel, ending.record",
        "Its run counts as failed, or as running until the job leaves the list; nothing is submitted in its place.",
        "the second job, which only sleeps",
    ),
    Inference(
        "sigterm",
        "a job that is cancelled gets SIGTERM and a moment to speak",
        "payload job.run",
        "The job leaves no results; the run is cancelled by its job's status.",
        "a row that the second job writes when it is cancelled",
        relied=False,
    ),
)
"""In the order in which they can be known: what a job must have said or done comes last."""


def text(report: Report) -> str:
    """One line each, then the way out of each that does not hold."""
    width = max((len(one.inference.id) for one in report.tried), default=0)
    lines = [_line(one, width) for one in report.tried]
    lines += [
        f"\n{one.inference.id}: {one.inference.closed_path}" for one in report.tried if one.verdict.holds is False
    ]
    if report.left:
        lines.append(f"\nleft behind, please drop: {', '.join(report.left)}")
    return "\n".join([*lines, "", _summary(report)]) + "\n"


def _line(one: Tried, width: int) -> str:
    inference, verdict = one.inference, one.verdict
    said = f"  ({verdict.detail})" if verdict.detail else ""
    told = "" if inference.relied else "  [not relied on]"
    return f"{_WORDS[verdict.holds]}  {inference.id:{width}}  {one.seconds:5.1f} s  {inference.says}{said}{told}"


def _summary(report: Report) -> str:
    if report.well:
        return "all that piste relies on holds"
    relied = [one for one in report.tried if one.inference.relied]
    wrong = sum(one.verdict.holds is False for one in relied)
    unknown = sum(one.verdict.holds is None for one in relied)
    return (
        f"of {len(relied)} that piste relies on, {wrong} {'does' if wrong == 1 else 'do'} not hold, {unknown} not known"
    )


_WORDS = {True: "holds        ", False: "DOES NOT HOLD", None: "not known    "}
_VERDICTS = {True: "holds", False: "does not hold", None: "not known"}


def as_json(report: Report) -> str:
    return json.dumps({"inferences": list(map(_plain, report.tried)), "left": list(report.left)}, indent=2) + "\n"


def _plain(one: Tried) -> Mapping[str, object]:
    verdict = {"verdict": _VERDICTS[one.verdict.holds], "detail": one.verdict.detail, "seconds": round(one.seconds, 1)}
    return {**vars(one.inference), **verdict}


RENDER: Mapping[str, Callable[[Report], str]] = {"text": text, "json": as_json}
