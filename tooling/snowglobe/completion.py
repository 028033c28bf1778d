"""What AI_COMPLETE says to plain text here: no language model, and nothing that could be taken for one.

A prompt with answered examples gets the last example's answer, so that one who was shown how answers look gives one of
that form. Any other prompt is echoed, and the answer says by whom.
"""

from __future__ import annotations

from snowglobe.wire import Json

USER, ASSISTANT = "User:", "Assistant:"
"""How a conversation is written into one text: a line of its own begins with who speaks."""


def complete(model: str, prompt: str, parameters: Json, name: str) -> str:
    """At most `max_tokens` words; `name` is what the answer calls its maker."""
    answer = _of_the_last_example(prompt) or f"[{name}, asked as {model}] {prompt}"
    most = parameters.get("max_tokens")
    words = answer.split(" ")
    return answer if most is None or len(words) <= most else " ".join(words[: int(most)])


def _of_the_last_example(prompt: str) -> str:
    turns = f"\n{prompt}".split(f"\n{ASSISTANT}")
    return turns[-2].split(f"\n{USER}")[0].strip() if len(turns) > 2 else ""
