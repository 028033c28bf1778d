"""All files that git keeps of runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from piste.cost import TokenPrices
from piste.experiment import Experiment, Variant
from piste.report.groups import Group, groups
from piste.report.index import entry, index
from piste.report.markdown import page
from piste.report.model import report_json
from piste.report.overview import lines, lines_title, overview, rows, rows_title
from piste.report.plots import Dot, differences_plot, lines_plot, loss_plot, scores_plot
from piste.report.result import Result, results
from piste.report.sections import differences, differences_title, scores_title
from piste.report.selection import History
from piste.report.words import score_name
from piste.run import Run
from piste.scores import bounded


def render(
    experiments: Sequence[Experiment],
    variants: Sequence[Variant],
    runs: Sequence[Run],
    credits: Mapping[str, float],
    repository_url: str | None = None,
    tokens: TokenPrices | None = None,
) -> dict[str, bytes]:
    """Files by path from the root: the reports of all variants with an ended run, and the index of all experiments.

    `credits` are the list prices, per node-hour, of instance families, `tokens` those of hosted models.
    `repository_url` is where commits can be seen.
    """
    found = results(experiments, variants, runs, credits, tokens)
    history = History(runs)
    files: dict[str, bytes] = {}
    entries = []
    for experiment in experiments:
        mine = [variant for variant in variants if variant.experiment == experiment.name]
        wanted = [variant for variant in mine if not variant.aside]
        ranked, chosen = _ranked(found[experiment.name])
        files |= _overview(ranked, chosen, wanted)
        for result in found[experiment.name]:
            files |= _report(result, repository_url)
        entries.append(entry(experiment, wanted, ranked, chosen, history.latest(experiment.name)))
    files["experiments/README.md"] = index([item for item in entries if item]).encode()
    return dict(sorted(files.items()))


def _ranked(found: Sequence[Result]) -> tuple[list[Group], Group | None]:
    """Of what the experiment is scored on first the groups, best first; and the winner of a matrix, on test."""
    chosen = groups([result for result in found if result.variant.chosen_from])
    return groups([result for result in found if not result.variant.aside]), next(iter(chosen), None)


def _overview(ranked: Sequence[Group], chosen: Group | None, wanted: Sequence[Variant]) -> dict[str, bytes]:
    """The page of several variants; none for a single one."""
    if not ranked or (len(wanted) == 1 and not wanted[0].name):
        return {}
    place = f"experiments/{wanted[0].experiment}/report"
    files = {f"{place}/README.md": overview(ranked, chosen, wanted).encode()}
    if lines(ranked):
        files[f"{place}/loss.svg"] = lines_plot(lines_title(ranked), lines(ranked))
    if rows(ranked):
        files[f"{place}/differences.svg"] = differences_plot(rows_title(ranked), rows(ranked), ranked[0].minimum)
    return files


def _report(result: Result, repository_url: str | None) -> dict[str, bytes]:
    inside = result.variant.place
    place, up = f"experiments/{result.variant.experiment}/report/{inside}", "../" * (2 + inside.count("/"))
    files = {
        f"{place}README.md": page(result, up, repository_url).encode(),
        f"{place}report.json": report_json(result),
    }
    if result.loss:
        files[f"{place}loss.svg"] = loss_plot("Training loss", result.loss, result.eval_loss)
    if _dots(result):
        files[f"{place}scores.svg"] = scores_plot(scores_title(result), _dots(result), *_names(result))
    if found := differences(result):
        files[f"{place}differences.svg"] = differences_plot(differences_title(result), found)
    return files


def _names(result: Result) -> tuple[str, str | None]:
    return result.variant.title, result.comparison.title if result.comparison else None


def _dots(result: Result) -> list[Dot]:
    """A row per score with the interval of this run's mean, then a row per field."""
    dots = []
    for name, score in result.scores.items():
        if not bounded(result.suite, name):
            continue
        found = (result.comparison.scores.get(name) if result.comparison else None) or {}
        others = result.comparison.fields.get(name, {}) if result.comparison else {}
        dots.append((score_name(name), score["mean"], found.get("mean"), score["low"], score["high"], False))
        fields = (score.get("per_field") or {}).items()
        dots += [(field, mean, others.get(field), None, None, True) for field, mean in fields]
    return [Dot(*dot) for dot in dots if dot[1] is not None]
