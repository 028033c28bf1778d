"""Loaded by ArcticTraining as the recipe's `code:` in every rank; it then loads the user's own code.

Adds the data source `snowflake_messages`, and on disk what ArcticTraining does not write: a line per optimizer step,
the evaluation loss, and the reason of an error without its text. Written against ArcticTraining 0.8.0.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Optional

from arctic_training.config.trainer import load_user_module_from_path
from arctic_training.data.snowflake_source import SnowflakeDataSource, SnowflakeSourceConfig
from arctic_training.metrics import gather_object
from arctic_training.trainer.trainer import Trainer
from datasets import Dataset
from pydantic import BaseModel, ConfigDict, ValidationError

from payload import failure, snowflake_session, templates

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


def freeze_garbage(self: Trainer) -> None:
    """ArcticTraining collects garbage at each step: 0.4 s per step with all its modules loaded."""
    gc.collect()
    gc.freeze()
    self.piste_started = time.monotonic()
    self.piste_tokens, self.piste_losses, self.piste_step = 0, [], self.global_step


def count_tokens(self: Trainer, batch: Any) -> Any:
    self.piste_tokens += batch["input_ids"].numel() if "input_ids" in batch else 0
    return batch


def write_step(self: Trainer) -> None:
    """After each micro-step; a line for each that moved the weights. Tokens count padding, over all ranks."""
    self.piste_losses.append(getattr(self.metrics, "values", {}).get("loss"))
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


def _expected_steps(trainer: Trainer) -> int:
    """ArcticTraining's own horizon forgets gradient accumulation unless `train_iters` is set."""
    if trainer.config.train_iters:
        return int(trainer.config.train_iters)
    return int(trainer.config.epochs * len(trainer.train_dataloader) // trainer.config.gradient_accumulation_steps)


def write_evaluation(self: Trainer) -> None:
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


CALLBACKS = (
    ("pre-train", freeze_garbage),
    ("pre-step", count_tokens),
    ("post-step", write_step),
    ("post-evaluate", write_evaluation),
)


def _trainers(parent: type[Trainer]) -> Iterator[type[Trainer]]:
    """Each class has its own list of callbacks, copied from its parent when it was defined."""
    yield parent
    for child in parent.__subclasses__():
        yield from _trainers(child)


def note_error(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """Before Python prints the traceback to the log: what may be told outside of it."""
    if not issubclass(kind, KeyboardInterrupt):
        with (OUTPUT / ERROR).open("w") as file:
            json.dump(describe(error), file)
    sys.__excepthook__(kind, error, traceback)


def describe(error: BaseException) -> dict[str, Any]:
    """The type, and a message only where it can't hold a row: our own, and the names of a recipe's wrong keys."""
    found: dict[str, Any] = {"type": type(error).__name__, "snowflake": failure.snowflake_code(error), "message": ""}
    if isinstance(error, templates.DataError):
        found["message"] = str(error)
    elif isinstance(error, ValidationError):
        wrong = [f"{'.'.join(map(str, item['loc'])) or 'recipe'} ({item['type']})" for item in error.errors()]
        found["message"] = ", ".join(dict.fromkeys(wrong))
    return found


def _load_user_code() -> None:
    """What the recipe names as `code:`, else a train.py beside it, as ArcticTraining does."""
    path = Path(os.environ.get("PISTE_USER_CODE") or "train.py")
    if path.exists():
        load_user_module_from_path(path.resolve())


sys.excepthook = note_error
for trainer in _trainers(Trainer):
    trainer._class_callbacks += [callback for callback in CALLBACKS if callback not in trainer._class_callbacks]
_load_user_code()
