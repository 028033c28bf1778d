"""The job from top to bottom: fence, fetch, train, verify, generate, score, upload, track."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from payload import (
    child,
    environment,
    evaluation,
    examples,
    inputs,
    judge,
    resume,
    scores,
    snowflake_session,
    spec,
    templates,
    tracking,
    training,
    weights,
)
from payload.evaluation import Evaluation
from payload.failure import Cancelled, Failure, RunError, unexpected
from payload.keep import Growing, Keeper, upload_as
from payload.progress import Reporter
from payload.snowflake_session import Store
from payload.spec import Spec
from payload.training import RECIPE, Training
from payload.watch import Deadline, Guard, Watch


@dataclass
class Job:
    """A run on its way. `phase` is where it is, `training` and `evaluation` the parts of results.json so far."""

    spec: Spec
    store: Store
    app: Path
    folder: Path
    deadline: Deadline
    watch: Watch
    phase: str = "fetch"
    resumed: resume.Resumed | None = None
    training: dict[str, Any] | None = None
    evaluation: dict[str, Any] | None = None
    failure: Failure | None = None
    reporter: Reporter = field(init=False)

    def __post_init__(self) -> None:
        self.reporter = Reporter(self.store, self.spec.heartbeat_seconds)

    def enter(self, phase: str) -> None:
        self.phase = phase
        self.reporter.phase(phase)

    def log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    @property
    def growing(self) -> tuple[tuple[Path, str, str], ...]:
        """What is written as the run goes on: the file, and its name and folder on the stage."""
        output = self.folder / "output"
        return (
            (self.log("train"), "train.log", "logs"),
            (self.log("generate"), "generate.log", "logs"),
            (self.log("score"), "score.log", "logs"),
            (output / "train-log-metrics.jsonl", "train.jsonl", "metrics"),
            (output / "eval.jsonl", "eval.jsonl", "metrics"),
        )

    def keeper(self) -> Keeper:
        """Uploads logs, metrics and states to resume from while it is entered."""
        tasks = [Growing(self.store, self.growing, self.folder / "keep").upload]
        if self.spec.nodes == 1:  # the states of several lie on as many disks
            tasks.append(resume.StateUploads(self.store, self.folder).upload)
        return Keeper(tasks)


def run(app: Path | None = None, watch: Watch | None = None) -> dict[str, Any]:
    """Do what run.json says; raises, without data in its words, when that did not work out."""
    watch = watch or Watch()
    app = app or Path(__file__).resolve().parents[1]
    task = spec.read(app / "run.json")
    deadline = Deadline(task.timeout_seconds, watch.clock)
    store = Store(snowflake_session.open_session(), task.run)
    if not store.fence(snowflake_session.service_name()):
        _say("another job has started this run already: this one ends and changes nothing")
        return {"run": task.run, "duplicate": True}
    folder = Path(tempfile.mkdtemp(prefix="piste-"))
    try:
        return _run(Job(task, store, app, folder, deadline, watch))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(job: Job) -> dict[str, Any]:
    with _sigterm_raises():
        try:
            job.store.event("started", {"job": snowflake_session.service_name()})
            _work(job)
        except (Exception, Cancelled) as error:
            _note(job, error)
    results = _finish(job)
    if job.failure:
        raise _ended_badly(job.failure) from None
    return {"run": job.spec.run, "training": results["training"], "evaluation": results["evaluation"]}


def _work(job: Job) -> None:
    job.enter("fetch")
    inputs.prepare(job.spec, job.app, job.folder)
    inputs.fetch(job.spec, job.store, job.folder)
    trained = _train(job) if job.spec.trains else None
    if trained is None:
        _say("trains nothing")
    if job.spec.evaluates:
        _evaluate(job, trained.checkpoint if trained else None)


def _train(job: Job) -> Training:
    job.enter("train")
    job.resumed = _resume(job)
    guard = Guard(job.watch, job.deadline, job.folder, job.resumed.step if job.resumed else 0)
    with job.keeper():
        trained, code = training.train(
            job.spec, job.app, job.folder, job.log("train"), job.reporter, guard, job.resumed
        )
    job.training = training.summary(trained, "failed")
    if guard.switched and _timed_out(trained, code):
        raise RunError(_out_of_time(job, trained))
    training.verify(trained, code)
    job.enter("upload")
    assert trained.checkpoint is not None
    job.store.upload_folder(trained.checkpoint, "checkpoint")
    job.training = training.summary(trained, "done")
    job.store.event("trained", job.training)
    return trained


def _resume(job: Job) -> resume.Resumed | None:
    """Training on several nodes begins at its start: no one of them has a whole state."""
    if job.spec.nodes > 1 or not training.resumes(job.folder):
        return None
    return resume.restore(job.store, job.spec.resume_from, job.folder)


def _timed_out(trained: Training, code: int) -> bool:
    """Not if it reached its end just then, or something else ended it."""
    if trained.stopped:
        return trained.stopped.kind == "timeout"
    return code == 0 and trained.ending() == "kill_switch"


def _out_of_time(job: Job, trained: Training) -> Failure:
    """A training that came to its end when it was told to has left a whole checkpoint, which is kept, not evaluated."""
    kept = trained.stopped is None and not weights.doubt(trained.checkpoint) and _keep(job, trained)
    last = trained.steps[-1] if trained.steps else None
    where = f"at step {last['step']} of {last['steps']}" if last else "before the first step"
    there = "; the checkpoint is on the stage" if kept else ""
    return job.deadline.failure(f"{where}{there}", job.spec.title)


def _keep(job: Job, trained: Training) -> bool:
    """Where it can't be uploaded, the run still ended for its time."""
    try:
        assert trained.checkpoint is not None
        job.store.upload_folder(trained.checkpoint, "checkpoint")
    except Exception as error:
        _say(f"the checkpoint could not be uploaded: {type(error).__name__}")
        return False
    return True


def _evaluate(job: Job, checkpoint: Path | None) -> None:
    job.enter("generate" if job.spec.generates else "score")
    _mind_time(job)
    suite = job.spec.suite
    rows = evaluation.samples(suite, job.store.rows(suite["data"]["sql"]))
    found = _generate(job, rows, checkpoint) if job.spec.generates else _reuse(job, rows)
    job.enter("score")
    _mind_time(job)
    scored = evaluation.score(found, suite, rows, _similarities(job, found, rows))
    job.store.replace_rows("SAMPLE_SCORES", ["SAMPLE_ID", "SCORE", "FIELD", "VALUE"], scored.score_rows())
    _judge(job)
    job.evaluation = {**scored.summary("done", suite), "rows_sha256": evaluation.fingerprint(rows)}


def _judge(job: Job) -> None:
    told = job.spec.judge
    if told is None:
        return
    _mind_time(job)
    folder = job.folder / "judge"
    inputs.fetch_input(job.store, told["model"], folder / "model")
    count = judge.judge(told, job.store, folder / "model", folder, lambda command: _run_to_score(job, command))
    _say(f"judged {count} answers")


def _similarities(
    job: Job, found: Evaluation, rows: Mapping[str, Mapping[str, Any]]
) -> Mapping[str, Mapping[str, float]]:
    wanted = {scores.label(one): one["model"] for one in job.spec.suite["scores"] if one["name"] == "similarity"}
    folder = job.folder / "score"
    places = {model: folder / "models" / str(place) for place, model in enumerate(dict.fromkeys(wanted.values()))}
    for model, place in places.items():
        inputs.fetch_input(job.store, model, place)
    models = {label: places[model] for label, model in wanted.items()}
    return evaluation.similarities(
        found, job.spec.suite, rows, models, lambda command: _run_to_score(job, command), folder
    )


def _run_to_score(job: Job, command: list[str]) -> int:
    variables = training.environment(job.spec, job.app, job.folder)
    log = job.log("score")
    return child.run(command, cwd=job.folder, log=log, environment=variables, watch=lambda: _mind_time(job))


def _mind_time(job: Job) -> None:
    if job.deadline.up:
        raise RunError(job.deadline.failure(f"before the run could {job.phase}", job.spec.title))


def _generate(job: Job, rows: Mapping[str, Mapping[str, Any]], checkpoint: Path | None) -> Evaluation:
    shown, model = _shown(job, rows), job.spec.hosted
    if model is not None:
        found = evaluation.ask_hosted(job.spec, model, rows, job.store, job.reporter, job.deadline, shown)
    else:
        found = _predict(job, rows, checkpoint, shown)
    job.store.replace_rows("PREDICTIONS", ["SAMPLE_ID", "PREDICTION", "TOKENS", "SECONDS"], found.prediction_rows())
    return found


def _predict(
    job: Job, rows: Mapping[str, Mapping[str, Any]], checkpoint: Path | None, shown: list[Mapping[str, Any]]
) -> Evaluation:
    source = inputs.model_source(job.spec, job.folder, checkpoint)
    with job.keeper():
        return evaluation.predict(
            job.spec, rows, source, job.app, job.folder, job.log("generate"), job.reporter, job.deadline, shown
        )


def _shown(job: Job, rows: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    asked = job.spec.examples
    if asked is None:
        return []
    return examples.chosen(asked, job.spec.suite, job.store.rows(asked["sql"]), rows.keys())


def _reuse(job: Job, rows: Mapping[str, Any]) -> Evaluation:
    run = job.spec.predicted_run
    if run is None:
        raise RunError(Failure("platform", "run.json names no run whose predictions are to be scored."))
    _say(f"generates nothing: scores the predictions of {run}")
    names = {"LOSS": evaluation.LOSS} if evaluation.needs_loss(job.spec.suite) else {}
    names |= {"READ": evaluation.READ} if job.spec.hosted else {}
    beside = {name: job.store.sample_scores(run, score) for name, score in names.items()}
    return evaluation.reuse(rows, job.store.predictions(run), beside)


def _note(job: Job, error: BaseException) -> None:
    if isinstance(error, templates.DataError):
        error = RunError(Failure("data", str(error), "DataError"))
    job.failure = unexpected(error, job.phase)
    _mark_undone(job, "cancelled" if isinstance(error, Cancelled) else "failed")
    _say(f"failed in phase {job.failure.phase}: {job.failure.message}")


def _mark_undone(job: Job, status: str) -> None:
    """Every part that this run was to do and did not finish, begun or not."""
    if job.spec.trains and (job.training is None or job.training["status"] != "done"):
        files = Training(job.folder, job.log("train"), 0.0, job.resumed)
        found = job.training or training.summary(files, status)
        job.training = {**found, "status": status}
    if job.spec.evaluates and job.evaluation is None:
        job.evaluation = Evaluation({}, generated=False).summary(status)


def _ended_badly(failure: Failure) -> RuntimeError:
    """A built-in type: the job's launcher pickles it for a client that does not have this package."""
    return RuntimeError(f"{failure.phase}: {failure.message}")


def _finish(job: Job) -> dict[str, Any]:
    """Leave everything on the stage; a failure to do so is the run's failure if it had none."""
    if job.failure is None:
        job.enter("upload")
    results = _results(job)
    try:
        _upload(job, results)
    except Exception as error:
        job.store.try_event("finished", results)  # all numbers are in it: nothing has to be done again
        raise _ended_badly(job.failure or unexpected(error, "upload")) from None
    job.store.try_event("finished", results)
    tracking.track(job.store, job.spec.tracking, results)
    return results


def _results(job: Job) -> dict[str, Any]:
    return {
        "schema": "results/v1",
        "run": job.spec.run,
        "job": snowflake_session.service_name(),
        "training": job.training,
        "evaluation": job.evaluation,
        "environment": environment.describe(),
        "failure": job.failure.as_dict() if job.failure else None,
    }


def _upload(job: Job, results: Mapping[str, Any]) -> None:
    """results.json comes last: where it is, all else is."""
    (job.folder / "results.json").write_text(json.dumps(results, indent=2, allow_nan=False) + "\n")
    for source, name, target in (
        *job.growing,
        (job.folder / RECIPE, RECIPE, ""),
        (job.folder / "results.json", "results.json", ""),
    ):
        if source.exists():
            upload_as(job.store, source, name, target, job.folder / "upload")


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Once: while the results of a cancelled run are written, a second signal is let pass."""

    def cancel(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Cancelled

    previous = signal.signal(signal.SIGTERM, cancel)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) is cancel:
            signal.signal(signal.SIGTERM, previous)


def _say(words: str) -> None:
    print(f"piste | {words}", flush=True)
