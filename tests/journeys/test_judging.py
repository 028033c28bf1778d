"""The judge by itself, through the real client, on answers that no job had to make: killed anywhere, and lying."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from snowflake.snowpark import Session

import snowglobe
from builders import baseline, experiment, run
from payload import judge as in_job
from payload.snowflake_session import Store
from piste import judge_sql, observed
from piste.environment import Environment, Settings
from piste.experiment import JUDGE, PAIRWISE, Variant
from piste.journeys import Desired, judging
from piste.journeys.ledger import claim_of
from piste.journeys.sampling import keep_samples
from piste.judge import judge_of
from piste.judged import seen_by
from piste.report.files import render
from piste.run import Run
from piste.snowflake import Account
from piste.variants import all_variants, variants
from snowglobe import Globe

ROWS = 6
TOLD = {"model": "llama3.3-70b", "rubric": "Every finding of {NOTE}.", "scale": "pass_fail", "batch_size": 2}


class Killed(BaseException):
    """What stops a process can't be caught by it."""


class Mortal(Account):
    """Dies before or after the statement that is counted down to."""

    left: int | None = None

    def change(self, statement: str) -> int:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed
        return super().change(statement)


@dataclass(frozen=True)
class Place:
    globe: Globe
    account: Mortal

    def fill(self, name: str, answers: list[str], failing: int = 0) -> None:
        """The answers of a run to NOTES; the first `failing` are no JSON."""
        said = [f"('{name}', '{key}', '{answer}', 4, 0.1)" for key, answer in enumerate(answers)]
        valid = [f"('{name}', '{key}', 'json_valid', '', {int(key >= failing)})" for key in range(len(answers))]
        for table, rows in (("PREDICTIONS", said), ("SAMPLE_SCORES", valid)):
            self.account.change(f"INSERT INTO {table} SELECT * FROM (VALUES {', '.join(rows)})")

    def known(self, *of: Variant) -> list[Run]:
        """The variants' runs, evaluated, in the ledger."""
        scores = {"json_valid": {"mean": 1.0, "n": ROWS}}
        results = {"evaluation": {"status": "done", "samples": ROWS, "tokens": 24, "scores": scores}}
        made = [run(one) for one in of]
        for one in made:
            self.account.record(one.name, "claimed", claim_of(one, one.spec, one.provenance))
            self.account.record(one.name, "ended", {"training": one.training, "evaluation": "done", "results": results})
        names = {one.name for one in made}
        return [one for one in observed.runs(self.account.observe()) if one.name in names]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with snowglobe.serve(tmp_path_factory.mktemp("globe"), schemas=["PISTE.DEV"]) as globe:
        options = {**globe.connection, "database": "PISTE", "schema": "DEV"}
        account = Mortal(lambda: Session.builder.configs(options).create(), Environment("dev", "PISTE", "DEV"))
        account.prepare()
        account.numbers("CREATE TABLE NOTES (ID NUMBER, DIALOGUE VARCHAR, NOTE VARCHAR)")
        notes = ", ".join(f"({number}, 'd{number}', 'a{number} b c d')" for number in range(400))
        account.change(f"INSERT INTO NOTES SELECT * FROM (VALUES {notes})")
        yield Place(globe, account)
        account.leave()


def desired(*of: Variant) -> Desired:
    return Desired(Path("/"), Path("/"), Settings(), (), of, {})


def judged_variant(rate: float, **told: Any) -> Variant:
    rows = f"SELECT ID, DIALOGUE, NOTE FROM NOTES WHERE ID < {ROWS};"
    suite = {"suite.judge": {**TOLD, **told}, "suite.data.sql": rows}
    return variants(experiment(**{"recipe.optimizer.learning_rate": rate, **suite}))[0]


def test_samples_that_a_suite_shows_are_read_once_and_no_others(place: Place) -> None:
    rows = {"sql": "SELECT ID, DIALOGUE, NOTE FROM NOTES WHERE ID < 20", "key": "ID"}
    wanted = {"columns": ["NOTE"], "count": 2}
    one = experiment("notes-shown", **{"suite.data": rows, "suite.samples": wanted})
    asked = variants(one)
    (known,) = place.known(*asked)
    place.fill(known.name, [f"answer {number}" for number in range(20)], failing=5)
    for _ in range(2):
        runs = keep_samples(desired(*asked), place.account, [known])
        (known,) = [found for found in runs if found.name == known.name]
    kept = [event for event in place.account.observe().events if (event.run, event.kind) == (known.name, "shown")]
    assert [event.body["samples"] for event in kept] == [
        [
            {"value": 0.0, "columns": ["a0 b c d"], "answer": "answer 0"},
            {"value": 1.0, "columns": ["a9 b c d"], "answer": "answer 9"},
        ]
    ]
    page = render([one], asked, [known], {})["experiments/notes-shown/report/README.md"].decode()
    assert "```text\nanswer 9\n```" in page


def test_killed_at_any_statement_it_asks_for_what_is_missing_alone(place: Place) -> None:
    kills = 0
    for after in range(100):
        one = judged_variant(0.1 + after)
        (known,) = place.known(one)
        place.fill(known.name, [f"a{number} b x{after}" for number in range(ROWS)])
        before = place.globe.judge()
        place.account.left = after
        try:
            judging.judge(desired(one), place.account, [known])
        except Killed:
            kills += 1
        died, place.account.left = place.account.left < 0, None
        (again,) = [one for one in observed.runs(place.account.observe()) if one.name == known.name]
        found = judging.judge(desired(one), place.account, [again]).runs
        assert place.globe.judge() - before == ROWS, after
        (scored,) = [one for one in found if one.name == known.name]
        assert scored.judged[one.digests.judge]["scores"][JUDGE]["n"] == ROWS
        if not died:
            break
    assert kills > 6


def test_a_judge_that_errs_is_named_in_each_way_and_its_bias_decides_nothing(place: Place) -> None:
    n = 400
    gold = {
        "sql": "SELECT ID, DIALOGUE, NOTE, CASE WHEN MOD(ID, 2) = 0 THEN NOTE ELSE 'x y' END AS ANSWER,"
        " CASE WHEN MOD(ID, 2) = 0 THEN 'Pass' ELSE 'fail' END AS VERDICT FROM NOTES",
        "answer": "ANSWER",
        "verdict": "VERDICT",
    }
    told = {**TOLD, "pairwise": True, "gold": gold, "require": ["json_valid"], "batch_size": 500}
    sql = {"sql": "SELECT ID, DIALOGUE, NOTE FROM NOTES", "key": "ID"}
    base, lora = baseline(), experiment(compare="notes-base", **{"suite.judge": told, "suite.data": sql})
    base.suite.document.update(judge=told, data=sql)  # type: ignore[attr-defined]
    asked = all_variants([base, lora])
    ours, theirs = sorted(place.known(*asked), key=lambda one: one.experiment != "notes-lora")
    place.fill(theirs.name, [f"a{number} b c y" for number in range(n)])
    place.fill(ours.name, [f"a{number} b c z" for number in range(n)], failing=20)
    place.globe.judge(accuracy=0.85, position_bias=0.5, unparsable=0.1)
    found = judging.judge(desired(*asked), place.account, [theirs, ours]).runs
    place.globe.judge(accuracy=1, position_bias=0, unparsable=0)
    mine = next(one for one in found if one.name == ours.name)
    work = mine.judged[asked[0].digests.judge]["judge"]
    assert work["required"] == 20
    assert work["unparsed"] / (n - 20) == pytest.approx(0.1, abs=0.05)
    assert work["consistency"]["first"] / (2 * work["consistency"]["pairs"]) > 0.6
    assert work["gold"]["observed"] == pytest.approx(0.85, abs=0.06)
    assert 0.5 < work["gold"]["kappa"] < 0.85
    seen = seen_by(mine, asked[0].digests.judge)
    pairs = seen.comparisons[theirs.name + "@" + asked[0].digests.judge]["scores"][PAIRWISE]
    assert pairs["verdict"] != "improved"
    text = render([base, lora], asked, found, {})["experiments/notes-lora/report/README.md"].decode()
    for said in ("failed to judge", "the first answer wins", "Cohen's kappa", "depends on which answer comes first"):
        assert said in text


def test_what_snowflake_answers_with_null_is_asked_again_by_the_next_collect(place: Place) -> None:
    one = judged_variant(777.0)
    (known,) = place.known(one)
    place.fill(known.name, [f"a{number} b nulled" for number in range(ROWS)])
    before = place.globe.judge(refused=1)
    counts = []
    for _ in range(4):
        runs = judging.judge(desired(one), place.account, [known]).runs
        (known,) = [found for found in runs if found.name == known.name]
        counts.append((place.globe.judge() - before, known.judged[one.digests.judge]["judge"]["refused"]))
    place.globe.judge(refused=0)
    assert counts == [(ROWS, ROWS), (2 * ROWS, ROWS), (3 * ROWS, ROWS), (3 * ROWS, ROWS)]


def test_a_judge_that_may_cost_too_much_is_not_asked(place: Place) -> None:
    one = judged_variant(778.0)
    one.spec["experiment"]["compute"]["max_credits"] = 0.000001
    (known,) = place.known(one)
    place.fill(known.name, [f"a{number} b dear" for number in range(ROWS)])
    before = place.globe.judge()
    found = judging.judge(desired(one), place.account, [known])
    assert place.globe.judge() == before
    assert "may cost" in found.refusals[0][1]


def test_what_a_judge_on_a_stage_said_in_the_job_is_read_and_nobody_else_is_asked(place: Place) -> None:
    """The model's process is exchanged for one that passes two answers of three, and says nothing of the last."""
    one = judged_variant(781.0, model="@MODELS/judge")
    (known,) = place.known(one)
    place.fill(known.name, [f"a{number} b staged" for number in range(ROWS)])
    judge = judge_of(one.spec["suite"], one.digests.judge)
    assert judge
    told = judge_sql.in_job(judge, one.spec["suite"], known.name)
    verdicts = ["{'verdict': 'pass', 'reason': 'r'}", "{'verdict': 'Fail', 'reason': 'r'}"] * 3
    verdicts[-1] = "I can't say."

    def answer(command: list[str]) -> int:
        folder = Path(command[-1])
        asked = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
        assert all(line["messages"][0]["content"].endswith(told["form"]) for line in asked)
        said = [
            {"sample": line["sample"], "prediction": text.replace("'", '"') if "{" in text else text, "tokens": 9}
            for line, text in zip(asked, verdicts, strict=True)
        ]
        (folder / "predictions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in said))
        return 0

    options = {**place.globe.connection, "database": "PISTE", "schema": "DEV"}
    with Session.builder.configs(options).create() as session, tempfile.TemporaryDirectory() as folder:
        store = Store(session, known.name)
        assert in_job.judge(told, store, Path("model"), Path(folder, "a"), answer) == ROWS
        assert in_job.judge(told, store, Path("model"), Path(folder, "b"), answer) == 0
    before = place.globe.judge()
    found = judging.judge(desired(one), place.account, [known])
    assert (place.globe.judge(), found.asked) == (before, 0)
    (scored,) = [run for run in found.runs if run.name == known.name]
    body = scored.judged[judge.digest]
    assert (body["scores"][JUDGE]["mean"], body["scores"][JUDGE]["n"]) == (0.6, 5)
    assert (body["judge"]["judged"], body["judge"]["unparsed"]) == (5, 1)


def test_another_run_with_the_same_answers_costs_nothing(place: Place) -> None:
    first, second = judged_variant(779.0), judged_variant(780.0)
    runs = place.known(first, second)
    for one in runs:
        place.fill(one.name, [f"a{number} b same" for number in range(ROWS)])
    before = place.globe.judge()
    found = judging.judge(desired(first, second), place.account, runs).runs
    assert place.globe.judge() - before == ROWS
    work = [one.judged[first.digests.judge]["judge"] for one in found if one.name in {known.name for known in runs}]
    assert sorted(one["reused"] for one in work) == [0, ROWS]
