"""What judges here where a prompt asks to: no language model, but words in common, and mistakes as often as it is told.

It knows a judge's prompt by its tags: `<answer>` (or `<answer_1>` and `<answer_2>`) beside `<reference>`. Verdicts are
filled in where the asked-for object has an `enum` of the ones below. All else is answered by `cortex.transparent`.
The same question gets the same answer, mistakes included, until `seed` is another: as if the model had been replaced.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections import Counter
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from snowglobe import cortex
from snowglobe.store import write_json
from snowglobe.wire import Json

MODEL = "snowglobe-words-in-common (not an LLM)"
SCALES = (("fail", "pass"), ("1", "2", "3", "4", "5"))
"""From the worst to the best."""
PAIR = ("first", "second", "tie")
_WORDS = re.compile(r"\w+")


@dataclass(frozen=True)
class Habits:
    """Shares from 0 to 1, of verdicts.

    `accuracy` are right; of two answers the first is better whatever they say in `position_bias`; `unparsable` are a
    sentence instead of the object; `refused` are errors, which become NULL. `seconds` is how long each takes.
    """

    accuracy: float = 1.0
    position_bias: float = 0.0
    unparsable: float = 0.0
    refused: float = 0.0
    seconds: float = 0.0
    seed: int = 0


class Judge:
    """`asked` counts what it was asked since the server began."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.habits = Habits(**json.loads(path.read_text())) if path.exists() else Habits()
        self.asked = 0

    def change(self, told: Json) -> None:
        known = {item.name: type(getattr(self.habits, item.name)) for item in fields(Habits)}
        self.habits = replace(self.habits, **{name: known[name](value) for name, value in told.items()})
        write_json(self._path, asdict(self.habits))

    def answer(self, model: str, prompt: str, parameters: Json, response_format: Json) -> Any:
        schema = response_format.get("schema") or {}
        texts = {name: _inside(prompt, name) for name in ("answer", "answer_1", "answer_2", "reference")}
        if not schema or texts["reference"] is None or (texts["answer"] is None and texts["answer_1"] is None):
            return cortex.transparent(model, prompt, parameters, response_format)
        with self._lock:
            self.asked += 1
        time.sleep(self.habits.seconds)
        if self._happens("refused", prompt, self.habits.refused):
            raise ValueError(f"{MODEL} was told to refuse this")
        if self._happens("unparsable", prompt, self.habits.unparsable):
            return f"[{MODEL}] It depends."
        return self._fill(schema, prompt, texts, "")

    def _fill(self, schema: Json, prompt: str, texts: dict[str, str | None], path: str) -> Any:
        if schema.get("type") == "object":
            inner = (schema.get("properties") or {}).items()
            return {name: self._fill(child, prompt, texts, f"{path}.{name}") for name, child in inner}
        known = tuple(schema.get("enum") or ())
        if known == PAIR:
            return self._better(prompt, texts)
        if known in SCALES:
            return self._verdict(known, _common(texts["answer"], texts["reference"]), prompt, path)
        return f"[{MODEL}] words in common: {_common(texts['answer'] or texts['answer_1'], texts['reference']):.2f}"

    def _verdict(self, scale: tuple[str, ...], common: float, prompt: str, path: str) -> str:
        right = round(common * (len(scale) - 1) + 1e-9)
        if not self._happens(f"wrong{path}", prompt, 1 - self.habits.accuracy):
            return scale[right]
        wrong = len(scale) - 1 - right
        return scale[wrong if wrong != right else 0]

    def _better(self, prompt: str, texts: dict[str, str | None]) -> str:
        if self._happens("bias", prompt, self.habits.position_bias):
            return PAIR[0]
        first, second = (_common(texts[name], texts["reference"]) for name in ("answer_1", "answer_2"))
        right = PAIR[2] if first == second else PAIR[0] if first > second else PAIR[1]
        if not self._happens("wrong", prompt, 1 - self.habits.accuracy):
            return right
        return PAIR[1] if right == PAIR[0] else PAIR[0]

    def _happens(self, what: str, prompt: str, share: float) -> bool:
        digest = hashlib.sha256(f"{self.habits.seed} {what} {prompt}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64 < share


def _inside(prompt: str, tag: str) -> str | None:
    """Between the tags; of several the last pair, since an instruction may speak of them."""
    found = re.findall(rf"<{tag}>\n?(.*?)\n?</{tag}>", prompt, re.DOTALL)
    return found[-1] if found else None


def _common(text: str | None, other: str | None) -> float:
    """The F-measure of the words that both have."""
    ours, theirs = (Counter(_WORDS.findall((one or "").casefold())) for one in (text, other))
    total = ours.total() + theirs.total()
    return 2 * (ours & theirs).total() / total if total else 1.0
