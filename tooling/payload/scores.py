"""Scores of one prediction against its reference, and their means. Pure.

`json_valid` asks for the form: the whole text, blanks around it aside, must be one JSON value; a Markdown fence or a
sentence around it fails. `json_fields` asks for the facts: it reads the first JSON object in the text, whatever stands
around it, so that a chatty model is not told to know nothing. Text without a whole object has no fields.
Changing what a score means needs a new name; results under one name stay comparable.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer

Values = dict[str, float]
"""Field -> value; the field "" is the score as a whole."""


def json_valid(prediction: str, reference: str, options: Mapping[str, Any]) -> Values:
    return {"": float(parse(prediction) is not Nothing)}


def json_fields(prediction: str, reference: str, options: Mapping[str, Any]) -> Values:
    """How many of the fields are equal, with their types: "5" is not 5. Dots in a field's name lead inwards."""
    answer, truth = first_object(prediction), parse(reference)
    fields = options.get("fields") or list(leaves(truth))
    values = {field: float(same(at(answer, field), at(truth, field))) for field in fields}
    return {"": sum(values.values()) / len(values) if values else 0.0, **values}


def exact_match(prediction: str, reference: str, options: Mapping[str, Any]) -> Values:
    """Equal as text, blanks around it aside; two JSON values are equal whatever their spacing and key order."""
    if prediction.strip() == reference.strip():
        return {"": 1.0}
    truth = parse(reference)
    return {"": float(same(parse(prediction), truth))}


def rouge_l(prediction: str, reference: str, options: Mapping[str, Any]) -> Values:
    """The F-measure of ROUGE-L as the package rouge-score computes it, with stemming."""
    return {"": float(_rouge().score(reference, prediction)["rougeL"].fmeasure)}


@cache
def _rouge() -> RougeScorer:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rougeL"], use_stemmer=True)


SCORES: Mapping[str, Callable[[str, str, Mapping[str, Any]], Values]] = {
    "json_valid": json_valid,
    "json_fields": json_fields,
    "exact_match": exact_match,
    "rouge_l": rouge_l,
}
VERSIONS: Mapping[str, int] = {"json_valid": 1, "json_fields": 1, "exact_match": 1, "rouge_l": 1}
"""Part of the suite digest: a score that gives other values than before gets the next number, here and in piste."""


def score(prediction: str, reference: str, wanted: Sequence[Mapping[str, Any]]) -> dict[str, Values]:
    return {options["name"]: SCORES[options["name"]](prediction, reference, options) for options in wanted}


def summary(samples: Sequence[Mapping[str, Values]]) -> dict[str, dict[str, Any]]:
    """Score -> mean, n and, where there are fields, the mean of each."""
    return {name: _mean([sample[name] for sample in samples]) for name in (samples[0] if samples else ())}


def _mean(values: Sequence[Values]) -> dict[str, Any]:
    fields = list(dict.fromkeys(field for value in values for field in value))
    means = {field: _average(value[field] for value in values if field in value) for field in fields}
    whole = {"mean": means.pop(""), "n": len(values)}
    return {**whole, "per_field": means} if means else whole


def _average(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / len(found)


class Nothing:
    """What there is where a field is missing or a text is no JSON; equal to nothing, not even to itself."""


def parse(text: str) -> Any:
    """The JSON value that the whole text is, or Nothing. NaN, Infinity and repeated keys are not JSON here."""
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        return Nothing


def first_object(text: str) -> Any:
    start = text.find("{")
    while start >= 0:
        try:
            return _DECODER.raw_decode(text, start)[0]
        except (ValueError, RecursionError):
            start = text.find("{", start + 1)
    return Nothing


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise ValueError("repeated key")
    return keys


_DECODER = json.JSONDecoder(parse_constant=_refuse, object_pairs_hook=_unique)


def at(value: Any, field: str) -> Any:
    for key in field.split("."):
        if not isinstance(value, dict) or key not in value:
            return Nothing
        value = value[key]
    return value


def leaves(value: Any, prefix: str = "") -> Iterable[str]:
    if not isinstance(value, dict):
        return [prefix] if prefix else []
    return [leaf for key in value for leaf in leaves(value[key], f"{prefix}.{key}" if prefix else key)]


def same(left: Any, right: Any) -> bool:
    """Equal by JSON's rules: True is not 1, and 1 is 1.0."""
    if left is Nothing or right is Nothing or isinstance(left, bool) != isinstance(right, bool):
        return False
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)
