"""The parts of a variant's page below its first line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from piste.experiment import VALIDATION
from piste.report import words
from piste.report.faults import fault_table
from piste.report.plain import plain
from piste.report.plots import Difference
from piste.report.provenance import provenance
from piste.report.result import Result
from piste.statistics import SMALL


def interval(found: Mapping[str, Any]) -> str:
    """`95% interval +0.896 to +0.944`, and what follows from it."""
    if found["low"] is None or found["high"] is None:
        return f"{found['method']}: {verdict(found)}"
    return f"95% interval {words.signed(found['low'])} to {words.signed(found['high'])}: {verdict(found)}"


def comparison_link(result: Result, up: str) -> str:
    other = result.comparison
    assert other is not None
    return words.link(words.prose(other.title), f"{up}{other.experiment}/report/{other.place}README.md")


def score_table(result: Result, up: str) -> list[str]:
    if not result.scores:
        return []
    if result.comparison is None:
        rows = [[bold(result, name), _mean(score), str(score["n"])] for name, score in result.scores.items()]
        table = words.table(("score", "mean (95% interval)", "n"), rows, 2)
        return [*table, *not_compared(result), *beside(result)]
    head = ("score", "this (95% interval)", comparison_link(result, up), "difference (95% interval)", "verdict")
    return [*words.table(head, [compared_row(result, name) for name in result.scores], 4), *beside(result)]


def beside(result: Result) -> list[str]:
    """What scores are to be read with: how long answers are, and what they cost."""
    said = " ".join(filter(None, (_length(result), _per_thousand(result))))
    return ["", said] if said else []


def _per_thousand(result: Result) -> str:
    if result.per_thousand is None:
        return ""
    other = result.comparison.per_thousand if result.comparison else None
    theirs = "" if other is None else f" (the comparison's {words.credit_text(other)})"
    return f"1,000 answers cost {words.about(result.per_thousand)}{theirs} at list price."


def _length(result: Result) -> str:
    """What is longer may score otherwise for no other reason."""
    if not result.length:
        return ""
    said = f"Answers have {result.length['mean']:,.0f} characters on average"
    found = result.comparison.length if result.comparison else None
    if not found:
        return f"{said}."
    amount = f"{abs(found['difference']):,.0f} {'more' if found['difference'] > 0 else 'fewer'} than"
    liked = " Judges tend to like length." if result.judge and found["difference"] else ""
    spread = "" if found["low"] is None else f" (95% interval {_whole(found['low'])} to {_whole(found['high'])})"
    return f"{said}, {amount} the comparison's{spread}: {found['verdict']}.{liked}"


def _whole(value: float) -> str:
    return f"{round(value) + 0:+,}".replace("-", words.MINUS)


def not_compared(result: Result) -> list[str]:
    asked = words.code(result.experiment.document.get("compare"))
    return ["", f"Not compared with {asked}: {result.no_comparison}."] if result.no_comparison else []


def bold(result: Result, name: str) -> str:
    return f"**{words.score_name(name)}**" if name == result.primary else words.score_name(name)


def compared_row(result: Result, name: str) -> list[str]:
    mean = _mean(result.scores[name])
    found = result.comparison.scores.get(name) if result.comparison else None
    if found is None:
        return [bold(result, name), mean, words.UNKNOWN, words.UNKNOWN, words.UNKNOWN]
    gain = words.with_interval(found["difference"], found, words.signed)
    return [bold(result, name), mean, words.number(found["mean"]), gain, str(found["verdict"])]


def field_table(result: Result, up: str) -> list[str]:
    """The parts of the scores that have parts, this and the comparison."""
    lines: list[str] = []
    for name, score in result.scores.items():
        if score.get("per_field"):
            others = result.comparison.fields.get(name, {}) if result.comparison else {}
            lines += [*([""] if lines else []), f"### {words.score_name(name).capitalize()} by field", ""]
            lines += _fields(score["per_field"], others, comparison_link(result, up) if others else "")
    return lines


def _fields(this: Mapping[str, float], other: Mapping[str, float], name: str) -> list[str]:
    if not other:
        return words.table(("field", "mean"), [[words.code(field), words.number(this[field])] for field in this], 1)
    rows = [[words.code(field), words.number(this[field]), words.number(other.get(field))] for field in this]
    return words.table(("field", "this", name), rows, 2)


def failures(result: Result, up: str) -> list[str]:
    if not result.scores:
        return []
    n = int(result.evaluation.get("samples") or next(iter(result.scores.values()))["n"])
    if result.comparison is None:
        return fault_table(result.faults, None, n, "")
    return fault_table(result.faults, result.comparison.faults, n, comparison_link(result, up))


def plots(result: Result) -> list[str]:
    lines = []
    if result.scores:
        lines.append(f"![{scores_title(result)}](scores.svg)")
    if differences(result):
        lines.append(f"![{differences_title(result)}](differences.svg)")
    if result.loss:
        lines.append(f"![{loss_title(result)}](loss.svg)")
    return ["\n\n".join(lines)] if lines else []


def scores_title(result: Result) -> str:
    return f"Scores, {result.scores[next(iter(result.scores))]['n']} samples"


def differences(result: Result) -> list[Difference]:
    """A row per score that is compared."""
    found = result.comparison.scores if result.comparison else {}
    return [
        Difference(words.score_name(name), one["difference"], one["low"], one["high"], str(one["verdict"]))
        for name, one in ((name, found[name]) for name in result.scores if name in found)
    ]


def differences_title(result: Result) -> str:
    assert result.comparison is not None
    return f"Difference to {result.comparison.title}, 95% intervals"


def loss_title(result: Result) -> str:
    """What the plot shows, for those who don't see it."""
    first, last = result.loss[0], result.loss[-1]
    return (
        f"Training loss: {words.loss_value(first[1])} at step {first[0]}, {words.loss_value(last[1])} at step {last[0]}"
    )


def training(result: Result) -> list[str]:
    found, loss = result.training, result.loss
    rows = [
        ("steps", f"{found['steps']:,}" if found.get("steps") is not None else ""),
        ("loss, first to last", f"{words.loss_value(loss[0][1])} to {words.loss_value(loss[-1][1])}" if loss else ""),
        ("evaluation loss, last", words.loss_value(result.eval_loss[-1][1]) if result.eval_loss else ""),
        ("time", words.duration(found["seconds"]) if found.get("seconds") is not None else ""),
        ("speed", f"{found['tokens_per_second']:,.0f} tokens/s" if found.get("tokens_per_second") else ""),
        ("trained by", words.code(result.trainer.name) if result.trainer and result.trainer is not result.run else ""),
    ]
    return words.listed(rows)


def statistics(result: Result) -> list[str]:
    n, groups = (next(iter(result.scores.values()))[key] for key in ("n", "groups"))
    together = f" in {groups} groups, which are resampled as wholes" if groups else ""
    lines = [f"Means over {n} samples of the suite{together}. By score:", ""]
    lines += words.table(
        ("score", "interval of the mean"),
        [[words.score_name(name), words.prose(one["method"] or words.UNKNOWN)] for name, one in result.scores.items()],
    )
    if (groups or n) < SMALL:
        lines += ["", f"n is small: below {SMALL} intervals of skewed scores cover a little less than they say."]
    if result.comparison:
        lines += ["", "Differences are paired: the same sample, this run minus the other.", ""]
        rows = [_method(result, name) for name in result.comparison.scores]
        lines += words.table(("score", "pairs", "interval", "test", "p"), rows, 1)
        lines += ["", *_looked_at(result)]
    if result.variant.split != VALIDATION:
        lines += ["", _looks(result)]
    if result.variant.trains and not result.seeds:
        lines += ["", "The numbers come from one seed: they tell about this checkpoint, not about the recipe."]
    return lines


def _looks(result: Result) -> str:
    """The more that are scored on the same rows, the better the best of them looks without being so."""
    which = "the test split" if result.variant.split else "these samples"
    if result.looks == 1:
        return f"It is the first model that was scored on {which}."
    return f"{result.looks:,} models, this one among them, had been scored on {which} by then."


def _method(result: Result, name: str) -> list[str]:
    assert result.comparison is not None
    found = result.comparison.scores[name]
    p_value = found["adjusted"] if found.get("adjusted") is not None else found["p_value"]
    shown = words.UNKNOWN if p_value is None else f"{p_value:.2g}" if p_value >= 0.001 else "under 0.001"
    test = words.prose(found["test"] or words.UNKNOWN)
    return [words.score_name(name), str(found["n"]), words.prose(found["method"]), test, shown]


def provenance_list(result: Result, repository_url: str | None) -> list[str]:
    run, digests = result.run, result.variant.digests
    found = provenance(run, result.trainer)
    rows = [
        ("commit", _commit(found, repository_url)),
        ("by", words.code(found["actor"]) if found["actor"] else ""),
        ("run", words.code(run.name)),
        ("job", words.code(found["job"]) if found["job"] else ""),
        ("pool", _joined(found["pool"], found["family"])),
        ("runtime", _joined(found["runtime"], found["python"] and f"Python {found['python']}")),
        ("GPU", _joined(*(found["gpu"] or ())) or ("none" if found["python"] else "")),
        ("packages", ", ".join(f"{name} {words.prose(version)}" for name, version in found["packages"].items())),
        ("all packages", _short(found["packages_sha256"])),
        ("time", words.period(run.started_at, run.ended_at)),
        ("cost", _cost(result)),
        ("training digest", _short(digests.training)),
        ("suite digest", _short(digests.suite)),
    ]
    return words.listed(rows)


def _cost(result: Result) -> str:
    found = result.cost
    if found is None:
        return ""
    nodes = words.count(found["nodes"], "node")
    actual = f"{words.credit_text(found['credits'])}: {nodes} at {found['rate']:g} credits an hour (list price)"
    return "; ".join(filter(None, (actual, _estimate(found))))


def _estimate(found: Mapping[str, Any]) -> str:
    """What was said of it before it ran."""
    bound = f"at most {words.credit_text(found['at_most'])}" if found.get("at_most") is not None else ""
    low, high = (words.credit_text(found[end]) if end in found else "" for end in ("low", "high"))
    like = f"{low if low == high else f'{low} to {high}'} by {words.prose(found['basis'])}" if low and high else ""
    said = ", ".join(filter(None, (like, bound)))
    return f"estimated {said}" if said else ""


def _commit(found: Mapping[str, Any], repository_url: str | None) -> str:
    commit = str(found["commit"] or "")
    shown = words.code(commit[:12])
    place = f"[{shown}]({repository_url}/commit/{commit})" if repository_url else shown
    branch = f" on {words.code(found['branch'])}" if found["branch"] else ""
    dirty = ", with changes that are not in it" if found["dirty"] else ""
    return f"{place}{branch}{dirty}" if commit else ""


def _joined(*parts: object) -> str:
    return ", ".join(words.prose(part) for part in parts if part)


def _short(digest: str | None) -> str:
    return words.code(digest[:12]) if digest else ""


def documents(result: Result) -> list[str]:
    """The recipe and the suite as the run had them, from the ledger."""
    spec = result.run.spec or result.variant.spec
    lines: list[str] = []
    for name, head in (("recipe", "Recipe"), ("suite", "Suite")):
        if spec.get(name):
            lines += [f"{head}:", "", *words.fence(_yaml(spec[name]), "yaml"), ""]
    return lines[:-1]


def _yaml(document: Mapping[str, Any]) -> str:
    import yaml

    return str(yaml.safe_dump(plain(document), sort_keys=True, allow_unicode=True, width=100))


def repeat(result: Result) -> list[str]:
    commit = result.run.provenance.get("commit")
    checkout = [f"git checkout {str(commit)[:12]}"] if commit else []
    command = f"piste run {result.variant.experiment}"
    return [
        *words.fence("\n".join([*checkout, command]), "sh"),
        "",
        "While nothing that decides the result changes, this finds it done and submits nothing.",
    ]


def verdict(found: Mapping[str, Any]) -> str:
    """`improved`; where nothing follows, how much more would tell."""
    said = str(found["verdict"])
    if found.get("seeds_needed"):
        return f"{said}, about {found['seeds_needed']:,} seeds would tell"
    if found.get("samples_needed"):
        return f"{said}, about {found['samples_needed']:,} samples would tell"
    return said


def _mean(score: Mapping[str, Any]) -> str:
    return words.with_interval(score["mean"], score, words.number)


def _looked_at(result: Result) -> list[str]:
    assert result.comparison is not None
    found = list(result.comparison.scores.values())
    least = {words.number(one["minimum"]) for one in found if one.get("minimum")}
    lines = [f"Differences within {', '.join(sorted(least))} are of no interest (`minimum`)."] if least else []
    if any(one.get("adjusted") is not None for one in found):
        lines.append("p is adjusted for the variants that were looked at (Holm), for each score by itself.")
    else:
        lines.append("Each score stands for itself; nothing is corrected for looking at several.")
    return [" ".join(lines)]
