"""A variant's page: the answer in the first line, then the question, the scores and the plots; the rest folded."""

from __future__ import annotations

from piste.judged import awaits
from piste.report import gate_words, words
from piste.report.failure import failure_lines
from piste.report.judge import judge_lines
from piste.report.model import failure_body
from piste.report.result import Result
from piste.report.samples import sample_lines
from piste.report.sections import (
    comparison_link,
    documents,
    failures,
    field_table,
    interval,
    plots,
    provenance_list,
    repeat,
    score_table,
    statistics,
    training,
)
from piste.run import Status

WRITTEN = "<!-- Written by `piste collect`; what you edit here is overwritten. -->"


def page(result: Result, up: str, repository_url: str | None) -> str:
    """`up` leads from the page's folder to experiments/."""
    parts = [
        [WRITTEN, f"# {title(result)}"],
        [answer(result, up)],
        other_split(result),
        gate_words.lines(result.gates),
        *question(result),
        failure_lines(result),
        score_table(result, up),
        plots(result),
        field_table(result, up),
        failures(result, up),
        words.folded("Samples", lines) if (lines := sample_lines(result)) else [],
        words.folded("Training", training(result)) if result.training else [],
        words.folded("Statistics", statistics(result)) if result.scores else [],
        words.folded("Judge", judge_lines(result)) if result.judge else [],
        words.folded("Provenance", provenance_list(result, repository_url)),
        words.folded("What was run", documents(result)),
        words.folded("How to repeat it", repeat(result)),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines) + "\n"


def title(result: Result) -> str:
    name = words.prose(result.experiment.document.get("title") or result.experiment.name)
    return f"{name}: {words.prose(result.variant.name.replace(',', ', '))}" if result.variant.name else name


def question(result: Result) -> list[list[str]]:
    asked, concluded = (words.prose(result.experiment.document.get(key) or "") for key in ("question", "conclusion"))
    return [
        lines
        for lines in ([f"> {asked}"] if asked else [], [f"**Conclusion.** {concluded}"] if concluded else [])
        if lines
    ]


def answer(result: Result, up: str) -> str:
    if result.status is not Status.DONE:
        return failed_answer(result)
    if result.mean is None and awaits(result.variant, result.run):
        return "Evaluated, not judged yet: `piste collect` asks the judge."
    if result.mean is None:
        return "Trained, not evaluated." if result.training_status else "Not evaluated."
    n = words.samples(result.scores[result.primary]["n"], result.variant.split)
    found = f"**{words.number(result.mean)} {words.headline_name(result.primary)}** on {n} of {suite_link(result, up)}"
    return f"{found}{versus(result, up)}, {seeds(result)}{price(result)}."


def failed_answer(result: Result) -> str:
    part = "Training" if result.training_status not in (None, Status.DONE) else "Evaluation"
    failure = failure_body(result) or {}
    why = ", ".join(
        words.code(failure[key]) for key in ("kind", "type") if failure.get(key) not in (None, "", result.status)
    )
    verb = {Status.CANCELLED: "was cancelled", Status.LOST: "was lost"}.get(result.status, "failed")
    after = "; the trained model is kept" if part == "Evaluation" and result.training_status else ""
    return f"**{part} {verb}**{f' ({why})' if why else ''}{after}{price(result)}."


def other_split(result: Result) -> list[str]:
    """Of what is scored on both splits, what this one is for."""
    variant = result.variant
    if not variant.aside:
        return []
    back = f"{'../' * variant.place.count('/')}README.md"
    if variant.chosen_from:
        return [f"It was chosen as {words.link(f'the best of {variant.chosen_from} on validation', back)}."]
    counts = words.link("the test", back)
    return [f"It is scored here for what is chosen on validation to be compared with; what counts is {counts}."]


def suite_link(result: Result, up: str) -> str:
    suite = result.experiment.suite
    return words.link(words.prose(suite.document.get("title") or suite.name), f"{up}_suites/{suite.name}/suite.yaml")


def versus(result: Result, up: str) -> str:
    found = result.difference
    if found is None or result.comparison is None:
        return ""
    return f": {against(result, up, found['difference'])}, {interval(found)}"


def against(result: Result, up: str, gain: float) -> str:
    """A difference to the comparison, and the comparison's own mean."""
    assert result.comparison is not None
    mean = words.number(result.comparison.scores[result.primary]["mean"])
    return f"{words.signed(gain)} {'over' if gain > 0 else 'against'} {comparison_link(result, up)} ({mean})"


def seeds(result: Result) -> str:
    if result.variant.trains:
        return "one seed"
    hosted = result.variant.spec["experiment"]["train"].get("hosted")
    model = f"{words.code(hosted)} through Cortex" if hosted else "the model as it is"
    examples = result.variant.spec["experiment"].get("evaluate", {}).get("examples")
    return f"{model}, shown {words.count(examples['count'], 'example')}" if examples else model


def price(result: Result) -> str:
    if result.cost is None:
        return ""
    own = f", {words.about(result.cost['credits'])} at list price"
    before = result.training_cost
    return f"{own} (and {words.credit_text(before['credits'])} for the training, earlier)" if before else own
