"""AI_COMPLETE, answered by a Python function of this machine. The default is no language model, and says so."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable
from typing import Any

import sqlglot
from sqlglot import exp

from snowglobe import completion
from snowglobe.wire import Json, SqlError

# (model, prompt, model_parameters, response_format) -> text, or the object that response_format asks for
Scorer = Callable[[str, str, Json, Json], Any]
FUNCTION = "SNOWGLOBE_AI_COMPLETE"
MODEL = "snowglobe-echo (not an LLM)"
_POSITIONS = ("model", "prompt", "model_parameters", "response_format", "show_details", "return_error_details")
_WORDS = re.compile(r"\w+")


def transparent(model: str, prompt: str, parameters: Json, response_format: Json) -> Any:
    """Completes the prompt, or fills the asked-for object with values derived from it."""
    schema = response_format.get("schema")
    if schema:
        return _fill(schema, prompt)
    return completion.complete(model, prompt, parameters, MODEL)


def load(path: str) -> Scorer:
    """`package.module:function`."""
    module, _, function = path.partition(":")
    scorer: Scorer = getattr(importlib.import_module(module), function)
    return scorer


def caller(scorer: Scorer) -> Callable[..., str | None]:
    def call(model: str, prompt: str | None, parameters: str, response_format: str, details: str) -> str | None:
        if prompt is None:
            return None
        given, asked = json.loads(parameters or "{}"), json.loads(response_format or "{}")
        try:
            answer, problem = scorer(model, prompt, given or {}, asked or {}), None
        except Exception as error:
            answer, problem = None, f"{type(error).__name__}: {error}"
        if details == "error":
            return json.dumps({"value": answer, "error": problem})
        if details == "show" and problem is None:
            return json.dumps(_detailed(model, prompt, answer))
        return answer if answer is None or isinstance(answer, str) else json.dumps(answer)

    return call


def rewrite(sql: str) -> str:
    tree = sqlglot.parse_one(sql, read="snowflake")
    for call in [node for node in tree.walk() if _is_complete(node)]:
        call.replace(_call(_arguments(call)))
    return tree.sql(dialect="snowflake")


def python_value(node: Any) -> Any:
    """The value of a constant SQL expression."""
    if isinstance(node, exp.Null) or node is None:
        return None
    if isinstance(node, exp.Boolean):
        return bool(node.this)
    if isinstance(node, exp.Neg):
        return -python_value(node.this)
    if isinstance(node, exp.Literal):
        return node.this if node.is_string else float(node.this) if "." in node.this else int(node.this)
    if isinstance(node, exp.Struct):
        return {item.this.name: python_value(item.expression) for item in node.expressions}
    if isinstance(node, exp.Array):
        return [python_value(item) for item in node.expressions]
    if isinstance(node, exp.Paren | exp.Cast):
        return python_value(node.this)
    if isinstance(node, exp.ParseJSON):
        return json.loads(node.this.this)
    raise SqlError(1003, f"snowglobe needs a constant here: {node.sql(dialect='snowflake')}", "0A000")


def _is_complete(node: exp.Expr) -> bool:
    name = node.name if isinstance(node, exp.Anonymous) else node.key if isinstance(node, exp.Func) else ""
    return name.upper().replace("_", "") == "AICOMPLETE"


def _arguments(call: exp.Expr) -> dict[str, exp.Expr]:
    given, position = {}, 0
    nodes = call.expressions or [node for node in call.args.values() if isinstance(node, exp.Expr)]
    for node in nodes:
        if isinstance(node, exp.Kwarg):
            given[node.this.name.lower()] = node.expression
        else:
            given[_POSITIONS[position]] = node
            position += 1
    return given


def _call(given: dict[str, exp.Expr]) -> exp.Anonymous:
    asked = python_value(given.get("response_format"))
    details = "show" if python_value(given.get("show_details")) else ""
    details = "error" if python_value(given.get("return_error_details")) else details
    constants = [json.dumps(python_value(given.get("model_parameters")) or {}), json.dumps(asked or {}), details]
    arguments = [given["model"], given["prompt"], *(exp.Literal.string(text) for text in constants)]
    return exp.Anonymous(this=FUNCTION, expressions=arguments)


def _fill(schema: Json, prompt: str) -> Any:
    kind = schema.get("type")
    if "enum" in schema:
        return schema["enum"][len(prompt) % len(schema["enum"])]
    if kind == "object":
        return {name: _fill(inner, prompt) for name, inner in (schema.get("properties") or {}).items()}
    if kind == "array":
        return [_fill(schema.get("items") or {"type": "string"}, prompt)]
    if kind in ("integer", "number"):
        return len(_WORDS.findall(prompt))
    return len(prompt) % 2 == 0 if kind == "boolean" else f"[{MODEL}]"


def _detailed(model: str, prompt: str, answer: Any) -> Json:
    tokens, text = len(_WORDS.findall(prompt)), answer if isinstance(answer, str) else json.dumps(answer)
    given = len(_WORDS.findall(text))
    usage = {"prompt_tokens": tokens, "completion_tokens": given, "total_tokens": tokens + given}
    key = "messages" if isinstance(answer, str) else "structured_output"
    value = text if isinstance(answer, str) else [{"raw_message": answer, "type": "json"}]
    return {"choices": [{key: value}], "model": f"{model}: {MODEL}", "usage": usage}
