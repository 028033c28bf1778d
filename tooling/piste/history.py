"""What differs: between two experiments or runs, and from one run of an experiment to the next. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from piste.change_rules import RULES
from piste.changes import Change, changes
from piste.experiment import Variant
from piste.plan import shown
from piste.problems import listed
from piste.report.provenance import normalised
from piste.report.result import cost_of
from piste.review import cell
from piste.run import Run
from piste.run_words import status_of

LEADS_TO: Final = {
    "train": "trains, generates and scores",
    "generate": "generates and scores with the checkpoint there is",
    "score": "scores the predictions there are",
    "judge": "asks the judge",
    "report": "writes the report anew",
    "placement": "runs nothing",
    "prose": "runs nothing",
}
"""What a change of a key does, by the key's rule; of several rules the first of RULES counts."""


@dataclass(frozen=True)
class Difference:
    """Of two named things; `changes` lead from the first to the second."""

    a: str
    b: str
    changes: tuple[Change, ...]

    @property
    def rule(self) -> str:
        """The rule that counts; "" where nothing differs."""
        return next((rule for rule in RULES if any(change.rule == rule for change in self.changes)), "")


def difference(a: Variant | Run, b: Variant | Run) -> Difference:
    found = sorted(changes(a.spec, b.spec), key=lambda change: RULES.index(change.rule))
    return Difference(_name(a), _name(b), tuple(found))


def _name(one: Variant | Run) -> str:
    return one.name if isinstance(one, Run) else one.label


class Value(NamedTuple):
    """What a run was found to have, in the run before and in this one; None where it is not known."""

    name: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Entry:
    """A run with what changed since the one before it, of the same variant and split; `before` is None for the first.

    `data` is what its job recorded of rows, `scores` are means; those of another suite digest are not comparable,
    and only the new ones are told. `credits` is what its nodes cost, None where that is not known.
    """

    run: Run
    before: Run | None
    changes: tuple[Change, ...]
    packages: tuple[Value, ...]
    data: tuple[Value, ...]
    scores: tuple[Value, ...]
    credits: float | None


def entries(runs: Iterable[Run], rates: Mapping[str, float]) -> tuple[Entry, ...]:
    """The latest first; `rates` are credits per node-hour by instance family."""
    latest: dict[tuple[str, str], Run] = {}
    found = []
    for run in sorted(runs, key=lambda run: (run.claimed_at, run.name)):
        place = (run.title, run.split)
        found.append(_entry(run, latest.get(place), rates))
        latest[place] = run
    return tuple(reversed(found))


def _entry(run: Run, before: Run | None, rates: Mapping[str, float]) -> Entry:
    cost = cost_of(run, rates)
    return Entry(
        run,
        before,
        changes(before.spec, run.spec) if before else (),
        _differing(_packages(before), _packages(run)) if before and _packages(before) and _packages(run) else (),
        _differing(_data(before), _data(run)) if before and _data(before) and _data(run) else (),
        _scores(before, run),
        cost["credits"] if cost else None,
    )


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[Value, ...]:
    pairs = (Value(name, old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys()))
    return tuple(value for value in pairs if value.old != value.new)


def _packages(run: Run | None) -> Mapping[str, str]:
    found = ((run.results if run else None) or {}).get("environment") or {}
    return normalised(found.get("packages") or {})


_DATA: Final = {"training": ("tokens",), "evaluation": ("samples", "rows_sha256")}


def _data(run: Run) -> dict[str, Any]:
    found = {part: (run.results or {}).get(part) or {} for part in _DATA}
    return {f"{part}.{key}": found[part][key] for part, keys in _DATA.items() for key in keys if key in found[part]}


def _scores(before: Run | None, run: Run) -> tuple[Value, ...]:
    comparable = before is not None and before.digests.evaluation == run.digests.evaluation
    old = before.scores if before and comparable else {}
    means = {name: score.get("mean") for name, score in run.scores.items()}
    return tuple(Value(name, (old.get(name) or {}).get("mean"), mean) for name, mean in sorted(means.items()))


def difference_text(found: Difference) -> str:
    lines = [_summary(found)]
    width = max((len(change.path) for change in found.changes), default=0)
    for one in found.changes:
        lines.append(f"  {one.rule:9}  {one.path:{width}}  {shown(one.old)} → {shown(one.new)}")
    if found.rule:
        lines.append(f"Changing the one into the other {LEADS_TO[found.rule]}.")
    return "\n".join(lines) + "\n"


def _summary(found: Difference) -> str:
    counts = {rule: sum(one.rule == rule for one in found.changes) for rule in RULES}
    told = listed(f"{count} {rule}" for rule, count in counts.items() if count)
    number = len(found.changes)
    fields = f"{number} field{'' if number == 1 else 's'}"
    return f"{found.a} → {found.b}: " + (f"{fields} ({told})" if found.changes else "no difference")


def difference_json(found: Difference) -> str:
    """`rule` is that of the change that triggers most, null where nothing differs."""
    differing = [vars(change) for change in found.changes]
    return _json({"a": found.a, "b": found.b, "rule": found.rule or None, "changes": differing})


def difference_markdown(found: Difference) -> str:
    rows = [f"| `{one.path}` | {cell(shown(one.old))} | {cell(shown(one.new))} | {one.rule} |" for one in found.changes]
    head = f"| field | {cell(found.a)} | {cell(found.b)} | rule |"
    said = [f"Changing the one into the other {LEADS_TO[found.rule]}."] if found.rule else []
    table = [head, "|---|---|---|---|", *rows, ""] if rows else []
    return "\n".join([cell(_summary(found)), "", *table, *said]).rstrip() + "\n"


def log_text(found: Sequence[Entry]) -> str:
    lines: list[str] = []
    for one in found:
        lines += [_headline(one), *(f"    {line}" for line in _body(one))]
    return "\n".join(lines) + "\n"


def _headline(one: Entry) -> str:
    run = one.run
    cost = "" if one.credits is None else f"{one.credits:.3g} credits"
    when = run.claimed_at[:16].replace("T", " ")
    return "  ".join(filter(None, (run.name, run.label, when, status_of(run), _who(run), cost)))


def _who(run: Run) -> str:
    commit, branch = str(run.provenance.get("commit") or "")[:7], run.provenance.get("branch")
    on = f" on {branch}" if branch else ""
    return f"{run.provenance.get('actor') or 'somebody'}{on}" + (f" ({commit})" if commit else "")


def _body(one: Entry) -> list[str]:
    lines = [" ".join(filter(None, (value.name, _score(value)))) for value in one.scores]
    lines += [f"{change.path}: {shown(change.old)} → {shown(change.new)}  [{change.rule}]" for change in one.changes]
    lines += [f"data {value.name}: {shown(value.old)} → {shown(value.new)}" for value in one.data]
    lines += [f"package {value.name}: {shown(value.old)} → {shown(value.new)}" for value in one.packages]
    return lines if lines or one.before is None else ["nothing differs from the run before"]


def _score(value: Value) -> str:
    if value.new is None:
        return "–"
    return f"{value.new:.3f}" + (f" ({value.new - value.old:+.3f})" if value.old is not None else "")


def log_json(found: Sequence[Entry]) -> str:
    return _json([_document(one) for one in found])


def _document(one: Entry) -> dict[str, Any]:
    run = one.run
    said = {key: run.provenance.get(key) for key in ("actor", "branch", "commit")}
    times = {"claimed_at": run.claimed_at, "ended_at": run.ended_at or None}
    return {
        "run": run.name,
        "experiment": run.experiment,
        "variant": run.variant,
        "split": run.split or None,
        "status": status_of(run),
        **said,
        **times,
        "credits": one.credits,
        "before": one.before.name if one.before else None,
        "changes": [vars(change) for change in one.changes],
        **{part: [value._asdict() for value in getattr(one, part)] for part in ("data", "packages", "scores")},
    }


def log_markdown(found: Sequence[Entry]) -> str:
    rows = [f"| {cell(_headline(one))} | {'<br>'.join(map(cell, _body(one)))} |" for one in found]
    return "\n".join(["| run | what changed since the run before |", "|---|---|", *rows]) + "\n"


def _json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


DIFFERENCE: Final = {"text": difference_text, "json": difference_json, "markdown": difference_markdown}
LOG: Final = {"text": log_text, "json": log_json, "markdown": log_markdown}
