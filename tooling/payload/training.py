"""ArcticTraining as a child process, and whether it really trained."""

from __future__ import annotations

import builtins
import json
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from payload import child, weights
from payload.failure import LOGS_HINT, MISSING, Failure, RunError, fault_of_query, killed_by
from payload.progress import Lines, Reporter, finite, lines, training_state
from payload.resume import Resumed
from payload.spec import Spec
from payload.watch import Guard, lost, not_a_number

RECIPE = "recipe.resolved.yaml"
HOOKS = "payload_hooks.py"
FINISHED = "*** Training finished normally."
_EARLY = re.compile(r"\*\*\* Exiting training early because training (.*)")
_EXCEPTION = re.compile(r"^(?:\[rank\d+\]: )?(?:[a-z_][\w]*\.)*([A-Z]\w*(?:Error|Exception))\b", re.M)
_KNOWN_EXCEPTIONS = {
    *(name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, Exception)),
    *("ValidationError", "DataError", "SnowparkSQLException", "ProgrammingError", "DatabaseError", "OperationalError"),
    *("OutOfMemoryError", "AcceleratorError", "DistBackendError", "DistNetworkError", "DistStoreError"),
    *("ChildFailedError", "CalledProcessError", "JSONDecodeError", "TemplateError", "UndefinedError"),
    *("SafetensorError", "HFValidationError", "LocalEntryNotFoundError", "UnpicklingError", "RayActorError"),
}
"""A log may print rows, and a row may look like the name of an exception: only these are taken from it."""
_MISSING_OBJECT = re.compile(r"\b002003\b")

_CPU_ONLY = {"DS_ACCELERATOR": "cpu", "GOMP_SPINCOUNT": "100000"}
"""Threads that spin long while they wait make everything several times slower as soon as a core is shared; threads that
never do lose a fifth on idle cores (50 answers of SmolLM2-135M in batches of 25 on 2 cores: 99 s and 70 s)."""


@dataclass(frozen=True)
class Training:
    """What the files of a training say; `seconds` is wall time with start-up, `stopped` why it was not let go on."""

    folder: Path
    log: Path
    seconds: float
    resumed: Resumed | None = None
    stopped: Failure | None = None

    @property
    def output(self) -> Path:
        return self.folder / "output"

    @property
    def steps(self) -> list[dict[str, Any]]:
        return list(lines(self.output / "steps.jsonl"))

    @property
    def checkpoint(self) -> Path | None:
        folders = [path for path in (self.output / "checkpoint").glob("global_step_*") if path.is_dir()]
        return max(folders, key=lambda path: int(path.name.rpartition("_")[2]), default=None)

    def curve(self) -> list[list[Any]]:
        """[step, loss], over all ranks as ArcticTraining writes it; rank 0's where it is told not to write."""
        own = [[line["iter"], line["loss"]] for line in lines(self.metrics) if "loss" in line]
        return own or [[line["step"], line["loss"]] for line in self.steps if line["loss"] is not None]

    def evaluations(self) -> list[list[Any]]:
        return [[line["step"], line["loss"]] for line in lines(self.output / "eval.jsonl")]

    @property
    def metrics(self) -> Path:
        return self.output / "train-log-metrics.jsonl"

    def ending(self) -> str:
        """The last words of a training that came to its end; "" if it did not."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        if FINISHED in text:
            return "finished"
        early = _EARLY.findall(text)
        return _reason(early[-1]) if early else ""


def _reason(words: str) -> str:
    """Why it stopped early, without paths or words of the user's own code."""
    for reason in ("training_horizon", "exit_iteration_this_run", "exit_iteration"):
        if f"reached {reason}" in words:
            return "finished" if reason == "training_horizon" else reason
    return "kill_switch" if "kill switch" in words else "user_code"


def train(
    spec: Spec, app: Path, folder: Path, log: Path, reporter: Reporter, guard: Guard, resumed: Resumed | None
) -> tuple[Training, int]:
    """Run the recipe in `folder`; the exit code alone does not tell whether it went well, see `verify`."""
    shutil.copyfile(app / "payload" / "hooks.py", folder / HOOKS)
    drop_stale_locks(Path(os.environ.get("TORCH_EXTENSIONS_DIR", "~/.cache/torch_extensions")).expanduser())
    started = time.monotonic()
    steps = Lines(folder / "output" / "steps.jsonl")

    def look() -> None:
        reporter.show(training_state(steps.update()))
        guard.look(steps.all)

    code, stopped, port = 0, None, _free_port()
    try:
        code = child.run(
            command(spec, port), cwd=folder, log=log, environment=environment(spec, app, folder), watch=look
        )
    except RunError as error:
        stopped = error.failure
    finally:
        drop_buffers(port)
        reporter.last(training_state(steps.update()))
    return Training(folder, log, round(time.monotonic() - started, 1), resumed, stopped), code


def drop_stale_locks(extensions: Path, seconds: float = 600.0) -> None:
    """A process killed while DeepSpeed compiles leaves its lock, and every later one would wait for it for ever."""
    for lock in extensions.rglob("lock"):
        if time.time() - lock.stat().st_mtime > seconds:
            lock.unlink(missing_ok=True)


def drop_buffers(port: int, memory: Path = Path("/dev/shm")) -> None:
    """DeepSpeed's operators for CPUs leave 66 MB for each training in shared memory, under its port (measured, 0.19.8).
    A job's container takes them along; on a machine that goes on they add up."""
    for buffer in memory.glob(f"deepspeed_allreduce_buffer_*_{port}_*"):
        buffer.unlink(missing_ok=True)


def resumes(folder: Path) -> bool:
    """Whether the recipe saves states that ArcticTraining goes on from."""
    engines = yaml.safe_load((folder / RECIPE).read_text()).get("checkpoint") or []
    return any(engine.get("auto_resume") for engine in ([engines] if isinstance(engines, Mapping) else engines))


def command(spec: Spec, port: int) -> list[str]:
    program = shutil.which("arctic_training") or str(Path(sys.executable).with_name("arctic_training"))
    if spec.nodes > 1:
        return [program, RECIPE, "--launcher", "ray"]
    return [program, RECIPE, "--num_gpus", str(spec.gpus), "--master_port", str(port)]


def environment(spec: Spec, app: Path, folder: Path) -> dict[str, str]:
    """`TMPDIR` keeps the links that ArcticTraining makes for `code:` in the run's own folder."""
    (folder / "tmp").mkdir(exist_ok=True)
    python = [str(app), str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    programs = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    return {
        "PYTHONPATH": os.pathsep.join(python),
        "PATH": os.pathsep.join(programs),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TMPDIR": str(folder / "tmp"),
        "PISTE_OUTPUT": str(folder / "output"),
        "PISTE_USER_CODE": spec.user_code or "",
        **({} if shutil.which("nvidia-smi") else _CPU_ONLY),
    }


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def verify(training: Training, code: int) -> None:
    """Raise what went wrong; ArcticTraining ends with 0 also when it stopped early or its launcher was killed."""
    if training.stopped:
        raise RunError(training.stopped)
    if code != 0:
        raise RunError(_failure(training, code))
    if step := lost([{"step": step, "loss": loss} for step, loss in training.curve()]):
        raise RunError(not_a_number(step))
    problem = next(filter(None, _doubts(training)), "")
    if problem:
        raise RunError(Failure("training", problem, "", LOGS_HINT, code))


def _doubts(training: Training) -> Sequence[str]:
    steps, ending = training.steps, training.ending()
    if not ending:
        return ["ArcticTraining ended without saying that the training finished."]
    if not steps:
        return ["ArcticTraining ended without a single step."]
    last = steps[-1]
    short = ending == "finished" and last["step"] < last["steps"]
    return [
        f"ArcticTraining stopped at step {last['step']} of {last['steps']}." if short else "",
        weights.doubt(training.checkpoint),
    ]


def _failure(training: Training, code: int) -> Failure:
    if name := killed_by(code):
        hint = "Most often memory ran out: a smaller micro_batch_size or max_length, or a bigger pool."
        return Failure("killed", f"The training was killed by {name}.", name, hint, code)
    error = _error(training)
    if error["snowflake"] and (fault := fault_of_query(error["snowflake"])):
        return fault
    kind, message = _classify(error)
    return Failure(kind, message, error["type"], LOGS_HINT, code)


def _error(training: Training) -> Mapping[str, Any]:
    """What the hooks noted, else the exception's name at the end of the log."""
    noted = training.output / "error.json"
    if noted.exists():
        return dict(json.loads(noted.read_text()))
    text = training.log.read_text(errors="replace") if training.log.exists() else ""
    names = [name for name in _EXCEPTION.findall(text) if name in _KNOWN_EXCEPTIONS]
    missing = MISSING if _MISSING_OBJECT.search(text) else None
    return {"type": names[-1] if names else "", "snowflake": missing, "message": ""}


def _classify(error: Mapping[str, Any]) -> tuple[str, str]:
    name, told = error["type"], error["message"]
    if name == "DataError":
        return "data", told or "The rows can't be used."
    if name == "ValidationError":
        return "recipe", f"ArcticTraining rejects the recipe{f': {told}' if told else ''}."
    if error["snowflake"]:
        return "platform", f"Snowflake error {error['snowflake']:06d} while the training read its data."
    return "training", f"ArcticTraining ended with {name or 'an error'}."


def summary(training: Training, status: str) -> dict[str, Any]:
    """The `training` part of results.json."""
    steps, checkpoint = training.steps, training.checkpoint
    tokens, seconds = sum(step["tokens"] for step in steps), sum(step["seconds"] for step in steps)
    return {
        "status": status,
        "steps": steps[-1]["step"] if steps else 0,
        "loss": finite(training.curve()),
        "eval_loss": finite(training.evaluations()),
        "seconds": training.seconds,
        "tokens_per_second": round(tokens / seconds, 1) if seconds else None,
        "tokens": tokens,
        "final_line": bool(training.ending()),
        "early_exit": None if training.ending() in ("", "finished") else training.ending(),
        "checkpoint": weights.describe(checkpoint) if checkpoint else None,
        "resumed": asdict(training.resumed) if training.resumed else None,
    }
