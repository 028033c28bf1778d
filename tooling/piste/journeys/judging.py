"""Ask the judge what it has not been asked yet, and let the ledger know what it said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from piste import judge_sql, judged, measures, observed, statistics
from piste.cost import PRICED, TOKEN_CREDITS, of_tokens
from piste.errors import PolicyRefused, SnowflakeRefused, SnowflakeUnreachable
from piste.experiment import JUDGE, PAIRWISE, Variant
from piste.judge import (
    CHARACTERS_PER_TOKEN,
    PAIR,
    TRIES,
    Judge,
    judge_of,
    prompt_hash,
    relatives,
)
from piste.judge_sql import Questions
from piste.judged import Case
from piste.policy import too_dear
from piste.run import Run

if TYPE_CHECKING:
    from piste.journeys.reading import Desired
    from piste.snowflake import Account

Samples = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Judging:
    """All runs as they are known now, how many questions were put, and why some could not be: by the run's label."""

    runs: tuple[Run, ...]
    asked: int = 0
    refusals: tuple[tuple[str, str], ...] = ()


def judge(desired: Desired, account: Account, runs: Sequence[Run]) -> Judging:
    """Have every answer judged that git asks about, compare the verdicts, and record both.

    A judge that Snowflake refuses leaves its run without verdicts, and the others with theirs.
    """
    due = [case for case in judged.cases(desired.variants, runs) if judged.is_due(case)]
    asked, refusals = 0, []
    if due:
        account.prepare()
    for cases in _by_judge(due):
        for case in cases:
            try:
                asked += _judge(account, case, cases[0], desired.settings.token_credits)
            except SnowflakeUnreachable:
                raise
            except PolicyRefused as error:
                refusals.append((case.run.label, error.message))
            except SnowflakeRefused as error:
                refusals.append((case.run.label, f"Snowflake refused a statement of the judge (error {error.code})."))
    known = observed.runs(account.observe()) if due else tuple(runs)
    if _compare(desired.variants, account, known):
        known = observed.runs(account.observe())
    return Judging(tuple(known), asked, tuple(refusals))


def samples(account: Account, wanted: Mapping[str, str], desired: Iterable[Variant]) -> Samples:
    """Of runs by name, their scores sample by sample, with those of the judge whose digest `wanted` names."""
    found = account.sample_scores(list(wanted))
    judges = {one.digest: one for one in filter(None, (_judge_of(variant) for variant in desired))}
    for digest in {*wanted.values()} & judges.keys():
        runs = [run for run, judge in wanted.items() if judge == digest]
        for row in account.numbers(judge_sql.verdicts(judges[digest], runs)):
            found.setdefault(row["RUN"], {}).setdefault(JUDGE, {})[row["SAMPLE_ID"]] = float(row["VALUE"])
    return found


def _judge_of(variant: Variant) -> Judge | None:
    return judge_of(variant.spec["suite"], variant.digests.judge)


def _by_judge(cases: Iterable[Case]) -> list[list[Case]]:
    found: dict[str, list[Case]] = defaultdict(list)
    for case in sorted(cases, key=lambda case: case.run.name):
        found[case.judge.digest].append(case)
    return list(found.values())


def _judge(account: Account, case: Case, first: Case, prices: Mapping[str, Any]) -> int:
    """How many questions were put. The canaries are judged once for all runs of one judge, with the first."""
    kinds = ["answer", *(PAIR[:2] if case.rival else ())]
    about = [
        Questions(case.judge, case.suite, case.run.name, kind, case.other if kind in PAIR else "") for kind in kinds
    ]
    estimated = (0.0, 0.0) if case.judge.on_pool else _estimated(account, about, case.judge)
    if refused := too_dear(case.variant, of_tokens(case.judge.model, estimated, prices)):
        raise PolicyRefused(refused)
    asked = sum(_ask_all(account, one) for one in about)
    gold, canaries = _gold(case), _canaries(first)
    if gold:
        asked += _put(account, gold, judge_sql.gold(gold))
    if canaries:
        asked += _put(account, canaries, judge_sql.canaries(canaries))
    for statement in judge_sql.keep_scores(case.judge, case.run.name, case.other):
        account.change(statement)
    account.record(case.run.name, "judged", _body(account, case, first, about, estimated, prices))
    return asked


def _gold(case: Case) -> Questions | None:
    return Questions(case.judge, case.suite, judge_sql.GOLD, "gold") if case.judge.gold else None


def _canaries(case: Case) -> Questions | None:
    return Questions(case.judge, case.suite, case.run.name, "canary", case.other) if case.judge.canaries else None


def _ask_all(account: Account, asked: Questions) -> int:
    account.change(judge_sql.read(asked.judge))  # what somebody asked who died before reading it
    if asked.judge.require:
        account.change(judge_sql.decide_by_format(asked))
    account.change(judge_sql.reuse(asked))
    return _put(account, asked, judge_sql.every(asked))


def _put(account: Account, asked: Questions, source: str) -> int:
    """Batch by batch, so that an interrupted judge goes on where it was. What is answered with NULL is put once more
    by the next `collect`, not now: a model that refuses refuses again."""
    if asked.judge.on_pool:  # the run's job has put its questions
        account.change(judge_sql.read(asked.judge))
        return 0
    tries = min(TRIES, int(account.numbers(judge_sql.tried(asked))[0]["N"]) + 1)
    count = 0
    while batch := account.change(judge_sql.ask(asked, source, tries)):
        count += batch
    account.change(judge_sql.read(asked.judge))
    return count


def _body(
    account: Account,
    case: Case,
    first: Case,
    about: Sequence[Questions],
    estimated: tuple[float, float],
    prices: Mapping[str, Any],
) -> dict[str, Any]:
    """The row `judged`: numbers and names, no text of a sample."""
    judge, run = case.judge, case.run.name
    fields = {row["FIELD"]: float(row["MEAN"]) for row in account.numbers(judge_sql.parts(run))}
    of_run = _of_run(account, case)
    tokens = _tokens(account, judge, run, case.other)
    told = {
        "model": judge.model,
        "prompt": prompt_hash(judge, case.suite),
        "parameters": judge.parameters,
        "require": list(judge.require),
        **_outcomes(account, judge, run, case.other),
        "tries": max(int(account.numbers(judge_sql.tried(one))[0]["N"]) for one in about),
        "family": relatives(judge, case.variant.spec),
        "tokens": list(tokens),
        "credits": of_tokens(judge.model, tokens, prices),
        "estimated_tokens": list(estimated),
        "estimated_credits": of_tokens(judge.model, estimated, prices),
        "priced": "settings" if judge.model in prices else PRICED if judge.model in TOKEN_CREDITS else "",
        "consistency": _consistency(account, case),
        "gold": _agreement(account, gold) if (gold := _gold(case)) else None,
        "canaries": _drift(account, canaries) if (canaries := _canaries(first)) else None,
    }
    scores = judged.scores(of_run, fields)
    return {
        "other": judge.digest, "version": measures.VERSION, "rival": case.other, "scores": scores, "judge": told,
    }  # fmt: skip


def _of_run(account: Account, case: Case) -> dict[str, dict[str, float]]:
    run = case.run.name
    groups = account.sample_scores([run]).get(run, {}).get(measures.GROUP)
    found = {measures.GROUP: groups} if groups else {}
    asked = {JUDGE: judge_sql.verdicts(case.judge, [run])}
    if case.rival:
        asked[PAIRWISE] = judge_sql.pairs(case.judge, run, case.other)
    for name, statement in asked.items():
        values = {row["SAMPLE_ID"]: float(row["VALUE"]) for row in account.numbers(statement)}
        found |= {name: values} if values else {}
    return found


def _outcomes(account: Account, judge: Judge, run: str, rival: str) -> dict[str, int]:
    """Of the answers by themselves; those that the judge failed at are not the judged model's failures."""
    rows = [row for row in account.numbers(judge_sql.counted(judge, run, rival)) if row["KIND"] == "answer"]

    def count(outcome: str, *how: str) -> int:
        return sum(int(row["N"]) for row in rows if row["OUTCOME"] == outcome and (not how or row["HOW"] in how))

    return {
        "judged": count("judged", "asked", "reused"),
        "required": count("judged", "required"),
        "reused": sum(int(row["N"]) for row in rows if row["HOW"] == "reused"),
        "unparsed": count("unparsed"),
        "refused": count("refused"),
    }


def _tokens(account: Account, judge: Judge, run: str, rival: str) -> tuple[float, float]:
    rows = account.numbers(judge_sql.counted(judge, run, rival))
    return sum(float(row["TOKENS_IN"]) for row in rows), sum(float(row["TOKENS_OUT"]) for row in rows)


def _estimated(account: Account, about: Sequence[Questions], judge: Judge) -> tuple[float, float]:
    """Before anything is asked, by the length of the questions: tokens read and written."""
    rows = [account.numbers(judge_sql.estimate(one, judge_sql.every(one)))[0] for one in about]
    read = sum(float(row["CHARACTERS"]) for row in rows) / CHARACTERS_PER_TOKEN
    return round(read), float(sum(int(row["N"]) for row in rows) * judge.words_of_a_reply)


def _consistency(account: Account, case: Case) -> dict[str, int] | None:
    if not case.rival:
        return None
    (row,) = account.numbers(judge_sql.consistency(case.judge, case.run.name, case.other))
    return {"pairs": int(row["PAIRS"]), "same": int(row["SAME"]), "first": int(row["FIRSTS"])}


def _agreement(account: Account, gold: Questions) -> dict[str, Any]:
    places = {verdict: place for place, verdict in enumerate(gold.judge.scale)}
    rows = account.numbers(judge_sql.agreement(gold))
    counts = {(places[row["HUMAN"]], places[row["VERDICT"]]): int(row["N"]) for row in rows}
    return statistics.agreement(counts, len(places))


def _drift(account: Account, canaries: Questions) -> dict[str, int]:
    (row,) = account.numbers(judge_sql.drift(canaries))
    return {"n": int(row["N"]), "flipped": int(row["FLIPPED"])}


def _compare(desired: Sequence[Variant], account: Account, runs: Sequence[Run]) -> bool:
    """Record the comparisons of verdicts that are missing; whether there were any."""
    found = False
    for digest in sorted({variant.digests.judge for variant in desired} - {""}):
        due = judged.missing(digest, desired, runs)
        if not due.runs:
            continue
        known = samples(account, dict.fromkeys(due.runs, digest), desired)
        rivals = {run.name: str(run.judged[digest].get("rival", "")) for run in runs if digest in run.judged}
        _add_pairs(account, digest, desired, {run: rivals[run] for run in due.runs if rivals.get(run)}, known)
        numbers = {run: {name: of_run[name] for name in _JUDGES if name in of_run} for run, of_run in known.items()}
        for run, kind, body in judged.comparisons(digest, due, numbers, rivals):
            account.record(run, kind, body)
            found = True
    return found


_JUDGES = (JUDGE, PAIRWISE, measures.GROUP)


def _add_pairs(
    account: Account, digest: str, desired: Sequence[Variant], rivals: Mapping[str, str], known: Samples
) -> None:
    judge = next(one for one in map(_judge_of, desired) if one and one.digest == digest)
    for run, rival in rivals.items():
        values = {row["SAMPLE_ID"]: float(row["VALUE"]) for row in account.numbers(judge_sql.pairs(judge, run, rival))}
        if values:
            known.setdefault(run, {})[PAIRWISE] = values
