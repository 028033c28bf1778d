"""Loaded by ArcticTraining as the recipe's `code:` in every rank; it then loads the user's own code.

Adds the data source `snowflake_messages`, and on disk what ArcticTraining does not write: a line per optimizer step,
the evaluation loss, a pulse, which states to resume from are complete, and the reason of an error without its text.
Written against ArcticTraining 0.8.0.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Optional

from arctic_training.checkpoint.ds_engine import DSCheckpointEngine
from arctic_training.config.base import BaseConfig
from arctic_training.config.trainer import load_user_module_from_path
from arctic_training.data.snowflake_source import SnowflakeDataSource, SnowflakeSourceConfig
from arctic_training.metrics import gather_object
from arctic_training.trainer.trainer import Trainer
from datasets import Dataset
from pydantic import BaseModel, ConfigDict, ValidationError

from payload import failure, snowflake_session, templates
from payload.resume import COMPLETE, CURVE
from payload.watch import PULSE

OUTPUT = Path(os.environ.get("PISTE_OUTPUT", "output"))
STEPS, EVALUATIONS, ERROR = "steps.jsonl", "eval.jsonl", "error.json"


class MessageTemplates(BaseModel):
    """`{COLUMN}` in a text is replaced by the row's value."""

    model_config = ConfigDict(extra="forbid")

    system: Optional[str] = None  # noqa: UP045 (as the classes it is used in write it)
    user: str
    assistant: str


class SnowflakeMessagesConfig(SnowflakeSourceConfig):
    key: str
    messages: MessageTemplates


class SnowflakeMessages(SnowflakeDataSource):
    """Rows of a query or table as chats, sorted by key: a query's result arrives in no fixed order."""

    name = "snowflake_messages"
    config: SnowflakeMessagesConfig

    def load(self, config: SnowflakeMessagesConfig, split: str) -> Dataset:
        self.session = self.session or snowflake_session.open_session()
        rows = super().load(config.model_copy(update={"limit": None}), split)
        if not len(rows):
            raise templates.DataError("The data source gives no rows.")
        prompt = config.messages.model_dump(exclude_none=True)
        templates.require([*prompt.values(), f"{{{config.key}}}"], rows.column_names)
        order = templates.order(rows[templates.spelled(config.key, rows.column_names)])[: config.limit]
        return rows.select(order).map(lambda row: _sample(prompt, row), remove_columns=rows.column_names)


def _sample(prompt: dict[str, str], row: dict[str, Any]) -> dict[str, Any]:
    messages = templates.chat(prompt, row)
    answer = messages[-1]["content"]
    if not answer:
        raise templates.DataError("A row's assistant text is empty: there is nothing to learn from it.")
    if any(answer in message["content"] for message in messages[:-1]):
        # ArcticTraining looks for the answer from the start of the chat and would learn from nothing
        raise templates.DataError("A row's assistant text stands in its own prompt, so ArcticTraining would mask it.")
    return {"messages": messages}


def begin(self: Trainer) -> None:
    """ArcticTraining collects garbage at each step: 0.4 s per step with all its modules loaded."""
    gc.collect()
    gc.freeze()
    self.piste_started = time.monotonic()
    self.piste_tokens, self.piste_losses, self.piste_step = 0, [], self.global_step
    self.piste_loss = None
    if self.is_resume:
        leave_out_learned_batches(self)


def leave_out_learned_batches(trainer: Trainer) -> None:
    """ArcticTraining leaves out as many batches as there were steps, and so repeats some where gradients accumulate.

    With `global_step_this_run` at 0, a training that has no step left would not save its end either.
    """
    learned = trainer.global_step * trainer.config.gradient_accumulation_steps
    trainer.epoch_idx, of_epoch = divmod(learned, len(trainer.train_dataloader))
    trainer.train_dataloader = Rest(trainer.train_dataloader, of_epoch)
    trainer.global_step_this_run = -1
    trainer.is_resume = False


class Rest:
    """A data loader that leaves out its first batches, once."""

    def __init__(self, loader: Any, batches: int) -> None:
        self._loader, self._batches = loader, batches

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        first, self._batches = self._batches, 0
        return itertools.islice(iter(self._loader), first, None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)


def begin_step(self: Trainer, batch: Any) -> Any:
    """Tokens count padding. What belongs to the step before is written by now."""
    publish_state(self)
    pulse(self, "step")
    self.piste_tokens += batch["input_ids"].numel() if "input_ids" in batch else 0
    return batch


def note_loss(self: Trainer, loss: Any) -> Any:
    """For recipes that switch ArcticTraining's own metrics off."""
    self.piste_loss = loss
    return loss


def write_step(self: Trainer) -> None:
    """After each micro-step; a line for each that moved the weights. Tokens are of all ranks."""
    pulse(self, "step")
    self.piste_losses.append(_loss(self))
    if self.global_step == self.piste_step:
        return
    losses = [loss for loss in self.piste_losses if loss is not None]
    now = time.monotonic()
    _append(
        self,
        STEPS,
        {
            "step": self.global_step,
            "steps": _expected_steps(self),
            "loss": sum(losses) / len(losses) if losses else None,
            "tokens": self.piste_tokens * self.world_size,
            "seconds": round(now - self.piste_started, 3),
        },
    )
    self.piste_started, self.piste_tokens, self.piste_losses, self.piste_step = now, 0, [], self.global_step


def _loss(trainer: Trainer) -> float | None:
    recorded = getattr(trainer.metrics, "values", {}).get("loss")
    if recorded is None and trainer.piste_loss is not None:
        return float(trainer.piste_loss)
    return recorded


def _expected_steps(trainer: Trainer) -> int:
    """ArcticTraining's own horizon forgets gradient accumulation unless `train_iters` is set."""
    if trainer.config.train_iters:
        return int(trainer.config.train_iters)
    return int(trainer.config.epochs * len(trainer.train_dataloader) // trainer.config.gradient_accumulation_steps)


def write_evaluation(self: Trainer) -> None:
    pulse(self, "step")
    losses = getattr(self.metrics, "values", {}).get("loss/eval")
    if not losses:
        return
    if self.world_size > 1:
        losses = gather_object(losses, self.world_size)
    _append(self, EVALUATIONS, {"step": self.global_step, "loss": sum(losses) / len(losses)})


def _append(trainer: Trainer, name: str, line: dict[str, Any]) -> None:
    if trainer.global_rank == 0:
        with (OUTPUT / name).open("a") as file:
            file.write(json.dumps(line) + "\n")


def pulse(trainer: Trainer, phase: str) -> None:
    """A sign of life for whoever watches, who sees that it differs from the last one; no clock is compared."""
    trainer.piste_phase = phase
    if trainer.global_rank == 0:
        trainer.piste_beats = getattr(trainer, "piste_beats", 0) + 1
        _replace(OUTPUT / PULSE, {"phase": phase, "beat": trainer.piste_beats})


def beat(self: Trainer) -> None:
    """Before each batch, so that a long evaluation shows that it goes on."""
    pulse(self, getattr(self, "piste_phase", "step"))


def begin_evaluation(self: Trainer) -> None:
    pulse(self, "evaluate")


def begin_checkpoint(self: Trainer) -> None:
    pulse(self, "checkpoint")


def end_checkpoint(self: Trainer) -> None:
    pulse(self, "end" if self.training_finished else "step")


def end(self: Trainer) -> None:
    publish_state(self)
    pulse(self, "end")


def name_state_by_its_weights(self: DSCheckpointEngine) -> None:
    """ArcticTraining saves before it counts the step: what it names 5 has seen the sixth batch, and would again."""
    trainer = self.trainer
    trainer.piste_counted, trainer.global_step = trainer.global_step, trainer.model.global_steps
    trainer.piste_saved = self.checkpoint_dir / self.checkpoint_tag
    if trainer.global_rank == 0:
        (trainer.piste_saved / COMPLETE).unlink(missing_ok=True)


def restore_count(self: DSCheckpointEngine) -> None:
    self.trainer.global_step = self.trainer.piste_counted


def publish_state(trainer: Trainer) -> None:
    """All ranks have written their parts, and the lines of the state's last step are there: add them, and say so.

    The time makes a state that is written again under its name another one.
    """
    folder, trainer.piste_saved = getattr(trainer, "piste_saved", None), None
    if folder is None or trainer.global_rank != 0:
        return
    for name in CURVE:
        if (OUTPUT / name).exists():
            shutil.copyfile(OUTPUT / name, folder / name)
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    _replace(folder / COMPLETE, {"step": trainer.global_step, "at": time.time(), "files": sizes})


def _replace(path: Path, content: dict[str, Any]) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(content))
    new.replace(path)


CALLBACKS = (
    ("pre-train", begin),
    ("pre-step", begin_step),
    ("pre-loss", beat),
    ("pre-backward", note_loss),
    ("post-step", write_step),
    ("pre-evaluate", begin_evaluation),
    ("post-evaluate", write_evaluation),
    ("pre-checkpoint", begin_checkpoint),
    ("post-checkpoint", end_checkpoint),
    ("post-train", end),
)
STATE_CALLBACKS = (("pre-save", name_state_by_its_weights), ("post-save", restore_count))


def _below(owner: type[Any]) -> Iterator[type[Any]]:
    for child in owner.__subclasses__():
        yield child
        yield from _below(child)


def note_error(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Before Python prints the traceback to the log: what may be told outside of it."""
    if not issubclass(kind, KeyboardInterrupt):
        with (OUTPUT / ERROR).open("w") as file:
            json.dump(describe(error), file)
    sys.__excepthook__(kind, error, traceback)


def describe(error: BaseException) -> dict[str, Any]:
    """The type, and a message only where it can't hold a row: our own, and the names of a recipe's wrong keys.

    Other things that are validated may have rows for keys.
    """
    found: dict[str, Any] = {"type": type(error).__name__, "snowflake": failure.snowflake_code(error), "message": ""}
    if isinstance(error, templates.DataError):
        found["message"] = str(error)
    elif isinstance(error, ValidationError) and error.title in {config.__name__ for config in _below(BaseConfig)}:
        wrong = [f"{'.'.join(map(str, item['loc'])) or 'recipe'} ({item['type']})" for item in error.errors()]
        found["message"] = ", ".join(dict.fromkeys(wrong))
    return found


def _load_user_code() -> None:
    """What the recipe names as `code:`, else a train.py beside it, as ArcticTraining does."""
    path = Path(os.environ.get("PISTE_USER_CODE") or "train.py")
    if path.exists():
        load_user_module_from_path(path.resolve())


def _add(owner: type[Any], callbacks: Iterable[tuple[str, Callable[..., Any]]]) -> None:
    owner._class_callbacks += [callback for callback in callbacks if callback not in owner._class_callbacks]


sys.excepthook = note_error
for trainer in (Trainer, *_below(Trainer)):  # each has its own list of callbacks, copied when it was defined
    _add(trainer, CALLBACKS)
_add(DSCheckpointEngine, STATE_CALLBACKS)
_load_user_code()
