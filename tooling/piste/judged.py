"""Runs as one judge sees them: its scores beside those that the job made, kept apart from every other judge's. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from piste import measures, statistics
from piste.experiment import JUDGE, PAIRWISE, Variant
from piste.judge import TRIES, Judge, judge_of
from piste.run import Run, Status
from piste.scores import label

EVEN = 0.5
"""What two equal answers have against each other."""


@dataclass(frozen=True)
class Case:
    """A run that a judge has to look at, for the sake of a variant; `rival` is the run that it is compared with."""

    judge: Judge
    variant: Variant
    run: Run
    rival: Run | None

    @property
    def suite(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.variant.spec["suite"]
        return found

    @property
    def other(self) -> str:
        """The rival's name; "" where no pairs are judged."""
        return self.rival.name if self.rival else ""


def key(name: str, judge: str) -> str:
    """Under which the ledger keeps a comparison of this judge's scores."""
    return f"{name}@{judge}"


def seen_by(run: Run, judge: str) -> Run:
    """The run with this judge's scores; as it is where there is no judge, or no verdict yet."""
    body = run.judged.get(judge)
    if not judge or not body or not run.results:
        return run
    evaluation = dict(run.results.get("evaluation") or {})
    told = {name: {part: score[part] for part in _MEANS if part in score} for name, score in body["scores"].items()}
    evaluation["scores"] = {**(evaluation.get("scores") or {}), **told}
    return replace(
        run,
        results={**run.results, "evaluation": evaluation},
        measured={**run.measured, "scores": {**(run.measured.get("scores") or {}), **body["scores"]}},
        comparisons=_merged(run.comparisons, judge),
        pooled=_merged(run.pooled, judge),
    )


_MEANS = ("mean", "n", "per_field")


def _merged(found: Mapping[str, Mapping[str, Any]], judge: str) -> dict[str, Mapping[str, Any]]:
    merged: dict[str, Mapping[str, Any]] = {}
    for name, body in found.items():
        more = found.get(key(name, judge), {}).get("scores", {})
        merged[name] = {**body, "scores": {**body.get("scores", {}), **more}}
    return merged


def alone(run: Run, judge: str) -> Run:
    """The run as if this judge's scores were the only ones: what of them the ledger has."""
    ending = key("", judge)
    comparisons, pooled = (
        {name.removesuffix(ending): body for name, body in found.items() if name.endswith(ending)}
        for found in (run.comparisons, run.pooled)
    )
    return replace(run, measured=run.judged.get(judge, {}), comparisons=comparisons, pooled=pooled)


def cases(desired: Iterable[Variant], runs: Iterable[Run]) -> list[Case]:
    """Each evaluated run of a variant with a judge, once for each judge. Imported runs have no answers here."""
    asked, evaluated = list(desired), measures.evaluated(runs)
    found: dict[tuple[str, str], Case] = {}
    for variant in asked:
        judge = judge_of(variant.spec["suite"], variant.digests.judge)
        run = evaluated.get(measures.identity(variant))
        if judge and run and not run.imported:
            found[judge.digest, run.name] = Case(judge, variant, run, _rival(judge, variant, run, asked, evaluated))
    return list(found.values())


def _rival(
    judge: Judge, variant: Variant, run: Run, desired: Iterable[Variant], evaluated: Mapping[tuple[str, str], Run]
) -> Run | None:
    """Of what `compare` names, the best by the first score that a job makes, as far as it is evaluated here."""
    if not judge.pairwise:
        return None
    same = [one for one in measures.compared(variant, desired) if one.digests.suite == variant.digests.suite]
    others = [other for one in same if (other := evaluated.get(measures.identity(one)))]
    known = [other for other in others if not other.imported and other.name != run.name]
    suite = variant.spec["suite"]
    first = label(suite["scores"][0])
    return max(known, key=lambda other: (measures.rank_of(other, suite, first), other.name), default=None)


def is_due(case: Case) -> bool:
    """What the ledger says of it is missing, of older statistics, about another rival, or can be completed."""
    body = case.run.judged.get(case.judge.digest)
    if not body or body.get("version", 0) < measures.VERSION or body.get("rival", "") != case.other:
        return True
    if case.judge.gold and not body["judge"].get("gold"):
        return True
    return int(body["judge"]["refused"]) > 0 and int(body["judge"]["tries"]) < TRIES


def awaits(variant: Variant, run: Run | None) -> bool:
    """Whether a score that decides is the judge's and is not known yet."""
    wanted = variant.spec["suite"].get("primary")
    return run is not None and wanted in (JUDGE, PAIRWISE) and variant.digests.judge not in run.judged


def scores(of_run: Mapping[str, Mapping[str, float]], parts: Mapping[str, float]) -> dict[str, Any]:
    """The judge's scores of a run, with intervals."""
    found: dict[str, Any] = measures.measured(of_run)["scores"]
    if JUDGE in found and parts:
        found[JUDGE] = {**found[JUDGE], "per_field": dict(parts)}
    return found


def comparisons(
    digest: str, due: measures.Missing, samples: measures.Samples, rivals: Mapping[str, str]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Ledger rows of the comparisons that lack this judge's scores. Pairs are compared with a tie."""
    answers = {
        run: {name: values for name, values in of_run.items() if name != PAIRWISE} for run, of_run in samples.items()
    }
    for run, kind, body in measures.records(replace(due, measured=()), answers):
        if kind == "compared" and rivals.get(run) == body["other"] and PAIRWISE in samples.get(run, {}):
            values = samples[run][PAIRWISE]
            groups = {sample: str(value) for sample, value in samples[run].get(measures.GROUP, {}).items()}
            pair = statistics.compare(values, dict.fromkeys(values, EVEN), groups=groups)
            body = {**body, "scores": {**body["scores"], PAIRWISE: pair}}
        yield run, kind, {**body, "other": key(body["other"], digest)}


def missing(digest: str, desired: Iterable[Variant], runs: Iterable[Run]) -> measures.Missing:
    """The comparisons that lack this judge's scores, of runs that it has judged."""
    mine = [variant for variant in desired if variant.digests.judge == digest]
    known = [alone(run, digest) for run in runs if digest in run.judged or run.evaluation is not Status.DONE]
    return measures.missing(mine, known)
