"""Scores of one prediction against its reference, and their means. Pure; docs/scores.md says what each is for.

Most are made from the two texts. A few are made from numbers that are known of a sample by then: how long the answer
is, and what a model said of it (`payload.generate` has the reference's loss, `payload.similarity` the similarity).

`json_valid` asks for the form: the whole text, blanks around it aside, must be one JSON value; a Markdown fence or a
sentence around it fails. `json_fields` asks for the facts: it reads the first JSON object in the text, whatever stands
around it, so that a chatty model is not told to know nothing. Text without a whole object has no fields.
Changing what a score means needs a new name; results under one name stay comparable.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rouge_score.rouge_scorer import RougeScorer

Values = dict[str, float]
"""Field -> value; the field "" is the score as a whole."""

CHARACTERS, WORDS, TOKENS, LOSS = "characters", "words", "tokens", "loss"
"""Numbers of a sample: of the answer its length, of the reference the loss under the model. A similarity is there
under its score's label."""


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


def contains(prediction: str, reference: str, options: Mapping[str, Any]) -> Values:
    """The share of the texts that are somewhere in the answer; the reference where none is named."""
    texts = options.get("texts") or [options.get("text", reference.strip())]
    fold = str.casefold if options.get("ignore_case") else str
    found = {text: float(fold(text) in fold(prediction)) for text in texts}
    return {"": sum(found.values()) / len(found), **(found if len(found) > 1 else {})}


def regex(prediction: str, reference: str, options: Mapping[str, Any]) -> Values:
    """Whether Python's `re` finds the pattern somewhere in the answer."""
    flags = re.IGNORECASE if options.get("ignore_case") else 0
    return {"": float(re.search(options["pattern"], prediction, flags) is not None)}


def length(numbers: Mapping[str, float], options: Mapping[str, Any]) -> Values:
    return {"": float(numbers[options.get("unit", CHARACTERS)])}


def similarity(numbers: Mapping[str, float], options: Mapping[str, Any]) -> Values:
    return {"": numbers[label(options)]}


def reference_loss(numbers: Mapping[str, float], options: Mapping[str, Any]) -> Values:
    """Nats per token."""
    return {"": numbers[LOSS]}


def perplexity(numbers: Mapping[str, float], options: Mapping[str, Any]) -> Values:
    """Of one sample; a model that is sure of something else would have one that no float holds."""
    return {"": math.exp(min(numbers[LOSS], LARGEST_EXPONENT))}


LARGEST_EXPONENT = 100.0

OF_TEXTS: Mapping[str, Callable[[str, str, Mapping[str, Any]], Values]] = {
    "json_valid": json_valid,
    "json_fields": json_fields,
    "exact_match": exact_match,
    "rouge_l": rouge_l,
    "contains": contains,
    "regex": regex,
}
OF_NUMBERS: Mapping[str, Callable[[Mapping[str, float], Mapping[str, Any]], Values]] = {
    "length": length,
    "similarity": similarity,
    "reference_loss": reference_loss,
    "perplexity": perplexity,
}
OF_THE_MODEL = ("reference_loss", "perplexity")
"""They need the reference's loss, which only the model itself can tell: it is made with the answers."""

VERSIONS: Mapping[str, int] = dict.fromkeys((*OF_TEXTS, *OF_NUMBERS), 1)
"""Part of the suite digest: a score that gives other values than before gets the next number, here and in piste."""


def label(options: Mapping[str, Any]) -> str:
    """The name that a score's values have: `as`, or that of the score."""
    return str(options.get("as") or options["name"])


def numbers_of(prediction: str, tokens: int) -> dict[str, float]:
    return {CHARACTERS: len(prediction), WORDS: len(prediction.split()), TOKENS: tokens}


def score(
    prediction: str, reference: str, wanted: Sequence[Mapping[str, Any]], numbers: Mapping[str, float] | None = None
) -> dict[str, Values]:
    """By label."""
    return {label(options): _score(prediction, reference, options, numbers or {}) for options in wanted}


def _score(prediction: str, reference: str, options: Mapping[str, Any], numbers: Mapping[str, float]) -> Values:
    name = options["name"]
    if name in OF_TEXTS:
        return OF_TEXTS[name](prediction, reference, options)
    return OF_NUMBERS[name](numbers, options)


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
