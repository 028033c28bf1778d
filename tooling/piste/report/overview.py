"""The page of an experiment with several variants: a row each, best first, seeds of one setting together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from piste.experiment import VALIDATION, Variant
from piste.problems import listed
from piste.report import gate_words, words
from piste.report.groups import Group, seed_of
from piste.report.markdown import WRITTEN, against, question, suite_link
from piste.report.plots import Difference
from piste.report.result import Curve, Result, curve
from piste.report.sections import comparison_link, interval
from piste.run import Status

MOST_LINES = 12
LINE_POINTS = 60
UP = "../../"


def overview(groups: Sequence[Group], chosen: Group | None, wanted: Sequence[Variant]) -> str:
    first = groups[0].results[0]
    missing = len(wanted) - sum(len(group.results) for group in groups)
    parts = [
        [WRITTEN, f"# {words.prose(first.experiment.document.get('title') or first.experiment.name)}"],
        [answer(groups, chosen)],
        gate_words.lines(next((result.gates for group in groups for result in group.results if result.gates), ())),
        *question(first),
        table(groups),
        [f"{words.count(missing, 'variant')} without a result yet."] if missing else [],
        [f"![{rows_title(groups)}](differences.svg)"] if rows(groups) else [],
        [f"![{lines_title(groups)}](loss.svg)"] if lines(groups) else [],
        notes(groups, chosen),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def answer(groups: Sequence[Group], chosen: Group | None) -> str:
    """What was chosen on validation speaks by its result on test."""
    best = chosen if chosen and chosen.mean is not None else groups[0]
    if best.mean is None:
        return "**No variant is evaluated.**"
    first = next(result for result in best.results if result.mean is not None)
    n = words.samples(first.scores[first.primary]["n"], first.variant.split)
    headline = f"**{words.number(best.mean)} {words.headline_name(first.primary)}**{_which(best, len(groups))}"
    found = f"{headline} on {n} of {suite_link(first, UP)}"
    return f"{found}{versus(best)}, {seeds(best)}{price(groups)}."


def _which(best: Group, of: int) -> str:
    if not best.name or of == 1:
        return ""
    how = "chosen as the best" if best.results[0].variant.chosen_from else "the best"
    split = " on validation" if best.results[0].variant.chosen_from else ""
    return f" with {words.code(best.name)}, {how} of {of}{split},"


def versus(group: Group) -> str:
    compared = [result for result in group.results if result.difference]
    if not compared:
        return ""
    found, gains = group.compared, group.differences
    gain = found["difference"] if found else sum(gains) / len(gains)
    said = f": {against(compared[0], UP, gain)}"
    return f"{said}, {interval(found)}" if found else said


def seeds(group: Group) -> str:
    means = group.means
    if len(means) == 1:
        return "one seed"
    return f"{len(means)} seeds from {words.number(min(means))} to {words.number(max(means))}"


def price(groups: Sequence[Group]) -> str:
    costs = [result.cost["credits"] for group in groups for result in group.results if result.cost]
    return f", {words.about(sum(costs))} at list price for all" if costs else ""


def table(groups: Sequence[Group]) -> list[str]:
    first = groups[0].results[0]
    compared = next((result for group in groups for result in group.results if result.comparison), None)
    score = words.score_name(first.primary) + (f" on {first.variant.split}" if first.variant.split else "")
    if compared is None:
        return words.table(
            ("variant", score, "last loss"), [[_name(group), group.mean_text(), _loss(group)] for group in groups], 2
        )
    head = ("variant", score, f"difference to {comparison_link(compared, UP)}", "last loss")
    return words.table(
        head, [[_name(group), group.mean_text(), group.difference_text(), _loss(group)] for group in groups], 3
    )


def _name(group: Group) -> str:
    """Linked to the variant's page; of several seeds, each seed to its own."""
    if len(group.results) == 1:
        result = group.results[0]
        return words.link(words.prose(result.variant.name), _page(result)) + _ended(result)
    each = ", ".join(words.link(str(seed_of(result)), _page(result)) + _ended(result) for result in group.results)
    return f"{words.prose(group.name)}<br>seeds {each}" if group.name else f"seeds {each}"


def _page(result: Result) -> str:
    return f"{result.variant.place}README.md"


def _ended(result: Result) -> str:
    return "" if result.status is Status.DONE else f" ({result.status})"


def _loss(group: Group) -> str:
    ends = [result.loss[-1][1] for result in group.results if result.loss]
    return words.loss_value(sum(ends) / len(ends)) if ends else words.UNKNOWN


def rows(groups: Sequence[Group]) -> list[Difference]:
    """A row per recipe that is compared, best first."""
    found = [(group, group.compared) for group in groups]
    return [
        Difference(group.name or "all seeds", one["difference"], one["low"], one["high"], str(one["verdict"]))
        for group, one in found[:MOST_LINES]
        if one
    ]


def rows_title(groups: Sequence[Group]) -> str:
    other = next((group.other for group in groups if group.other), "")
    return f"Difference to {other}, 95% intervals"


def lines(groups: Sequence[Group]) -> Mapping[str, Curve]:
    """A curve for each variant, best first."""
    found = [result for group in groups for result in group.results if result.loss]
    return {result.variant.name: curve(result.loss, LINE_POINTS) for result in found[:MOST_LINES]}


def lines_title(groups: Sequence[Group]) -> str:
    drawn = len(lines(groups))
    found = sum(bool(result.loss) for group in groups for result in group.results)
    return "Training loss" if drawn == found else f"Training loss, the best {drawn} of {found} variants"


def notes(groups: Sequence[Group], chosen: Group | None) -> list[str]:
    said = ["Each row is one seed: it tells about a checkpoint, not about the setting."]
    if any(len(group.means) > 1 for group in groups):
        said = [
            "In brackets: the lowest and the highest seed of a mean; of a difference, the 95% interval over samples"
        ]
        said.append("and seeds.")
    if len(groups) > 1:
        said.append("The best row was chosen on the samples it is scored on, so it is a little too good;")
        said.append("verdicts pay for looking at several (Holm).")
    return [" ".join(said), *_on_test(groups, chosen)]


def _on_test(groups: Sequence[Group], chosen: Group | None) -> list[str]:
    if groups[0].results[0].variant.split != VALIDATION:
        return []
    if chosen is None:
        return ["", "When all are done, the best is scored on the test split, which none has seen yet."]
    pages = listed(words.link(words.prose(one.variant.title), _page(one)) for one in chosen.results)
    return ["", f"On the test split, which nothing was chosen by: {pages}."]
