"""Gates: judged on intervals, found in the ledger, waived for a while; what a check comes to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from builders import SUITE, baseline, experiment, run
from piste import measures
from piste.choosing import decided
from piste.experiment import Experiment, Suite, Variant
from piste.gates import Checked, Gate, Outcome, Rule, State, Waiver, check, exit_code, gates_of, judge
from piste.measures import missing, seeds_key
from piste.report.files import render
from piste.report.gate_words import check_text, lines, sentence
from piste.report.gating import all_outcomes
from piste.run import Run, Status
from piste.variants import TEST, all_variants

LEAST = Gate("json_valid", Rule.AT_LEAST, 0.9)
MOST = Gate("length", Rule.AT_MOST, 100)
NO_WORSE = Gate("json_valid", Rule.NO_WORSE_THAN, 0.05, "notes-base")
BETTER = Gate("json_valid", Rule.BETTER_THAN, 0, "notes-base")
LOWER = Gate("perplexity", Rule.BETTER_THAN, 0, "notes-base", lower=True)
NO_HIGHER = Gate("perplexity", Rule.NO_WORSE_THAN, 0.05, "notes-base", lower=True)


def mean(value: float, low: float | None, high: float | None, n: int = 100) -> dict[str, Any]:
    return {"mean": value, "low": low, "high": high, "n": n, "method": "Wilson" if low is not None else "no interval"}


def difference(value: float, low: float, high: float, **more: Any) -> dict[str, Any]:
    return {"difference": value, "low": low, "high": high, "n": 100, "spread": 0.5, "method": "bootstrap", **more}


@pytest.mark.parametrize(
    ("gate", "found", "state"),
    [
        (LEAST, mean(0.95, 0.91, 0.98), "passed"),
        (LEAST, mean(0.95, 0.9, 0.98), "passed"),
        (LEAST, mean(0.95, 0.89, 0.98), "undecided"),
        (LEAST, mean(0.85, 0.8, 0.9), "undecided"),
        (LEAST, mean(0.85, 0.8, 0.89), "failed"),
        (LEAST, mean(0.95, None, None), "undecided"),
        (MOST, mean(80, 70, 100), "passed"),
        (MOST, mean(80, 70, 101), "undecided"),
        (MOST, mean(120, 101, 130), "failed"),
        (NO_WORSE, difference(-0.01, -0.05, 0.03), "passed"),
        (NO_WORSE, difference(-0.01, -0.06, 0.03), "undecided"),
        (NO_WORSE, difference(-0.1, -0.2, -0.06), "failed"),
        (BETTER, difference(0.1, 0.01, 0.2), "passed"),
        (BETTER, difference(0.1, 0.0, 0.2), "undecided"),
        (BETTER, difference(-0.1, -0.2, 0.0), "failed"),
        (BETTER, difference(0.1, -0.01, 0.2), "undecided"),
        (LOWER, difference(-0.1, -0.2, -0.01), "passed"),
        (LOWER, difference(0.1, 0.01, 0.2), "failed"),
        (NO_HIGHER, difference(0.01, -0.03, 0.05), "passed"),
        (NO_HIGHER, difference(0.1, 0.06, 0.2), "failed"),
    ],
)
def test_the_whole_interval_counts(gate: Gate, found: dict[str, Any], state: str) -> None:
    assert judge(gate, [found]).state == state


def test_an_undecided_gate_says_what_would_settle_it() -> None:
    few = judge(BETTER, [difference(0.1, -0.01, 0.2)])
    assert few.needed == 197, "(2.8 x 0.5 / 0.1) squared: a paired test at 5% with a power of 80%"
    near = judge(NO_WORSE, [difference(-0.03, -0.1, 0.1)])
    assert near.needed is not None
    assert near.needed > 2000, "0.02 from the margin is nearer than 0.1"
    seeds = judge(BETTER, [difference(0.1, -0.01, 0.2, seeds=[3, 1], spread=0.2)])
    assert (seeds.needed, seeds.seeds) == (32, True)
    wider, narrower = (judge(LEAST, [mean(0.95, 0.95 - half, 0.95 + half)]).needed or 0 for half in (0.1, 0.06))
    assert wider > narrower > 100
    assert judge(LEAST, [mean(0.95, None, None)]).reason == "no interval"
    assert judge(LEAST, [mean(0.9, 0.8, 1.0)]).needed is None, "no number of samples tells what lies on the bound"


def test_of_several_seeds_the_worst_counts() -> None:
    good, better, bad = mean(0.95, 0.92, 0.98), mean(0.98, 0.96, 1.0), mean(0.8, 0.7, 0.85)
    assert judge(LEAST, [better, good]).value == 0.95
    assert judge(LEAST, [good, bad, better]).state is State.FAILED
    assert judge(MOST, [mean(80, 70, 90), mean(85, 80, 95)]).value == 85


WAIVER = Waiver(LEAST.name, "@ana", "2026-12-31", "The pilot reads every note.")


@pytest.mark.parametrize(
    ("state", "today", "becomes", "expired", "code"),
    [
        ("passed", "2026-12-31", "passed", False, 0),
        ("passed", "2027-01-01", "passed", False, 0),
        ("failed", "2026-12-31", "waived", False, 0),
        ("failed", "2027-01-01", "failed", True, 4),
        ("undecided", "2026-01-01", "waived", False, 0),
        ("undecided", "2027-01-01", "undecided", True, 3),
        ("missing", "2026-01-01", "waived", False, 0),
        ("missing", "2027-01-01", "missing", True, 3),
        ("incomparable", "2026-01-01", "incomparable", False, 3),
    ],
)
def test_a_waiver_counts_until_its_last_day(state: str, today: str, becomes: str, expired: bool, code: int) -> None:
    (found,) = check([Outcome(LEAST, State(state), 0.8, 0.7, 0.9, waiver=WAIVER)], today)
    assert (found.state, found.expired, exit_code([found])) == (becomes, expired, code)
    text = check_text({"notes-lora": [found]})
    assert text.startswith(f"notes-lora  {becomes} ")
    assert ("the waiver of @ana expired after 2026-12-31" in text) == expired
    assert ("waived by @ana until 2026-12-31: The pilot reads every note." in text) == (becomes == "waived")


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ("", 0),
        ("passed waived", 0),
        ("passed undecided", 3),
        ("missing", 3),
        ("incomparable", 3),
        ("missing failed", 4),
    ],
)
def test_what_a_check_exits_with(states: str, code: int) -> None:
    assert exit_code(Checked(Outcome(LEAST, State.PASSED), State(state), False) for state in states.split()) == code


# Found in the ledger.

ASKED = [
    {"score": "json_valid", "at_least": 0.9},
    {"score": "json_valid", "no_worse_than": {"experiment": "notes-base", "margin": 0.05}},
]


def gated(asked: Any = ASKED, suite: Any = (), **changes: Any) -> Experiment:
    made = experiment(**changes)
    document = {**made.document, "gates": list(asked)}
    return replace(made, document=document, suite=Suite("notes", {**made.suite.document, "gates": list(suite)}))


def evaluated(of: Variant, value: float = 0.95, **changes: Any) -> Run:
    scores = {"json_valid": {"mean": value, "n": 100}}
    measured = {"scores": {"json_valid": mean(value, value - 0.02, value + 0.02)}}
    return run(of, results={"evaluation": {"status": "done", "scores": scores}}, measured=measured, **changes)


def against(one: Run, *others: Run, value: float = 0.1) -> Run:
    body = {"scores": {"json_valid": difference(value, value - 0.02, value + 0.02)}}
    return replace(one, comparisons={other.name: body for other in others})


def states(experiments: list[Experiment], variants: Any, runs: list[Run], name: str = "notes-lora") -> list[str]:
    return [one.state for one in all_outcomes(experiments, variants, runs)[name]]


def reasons(experiments: list[Experiment], variants: Any, runs: list[Run]) -> list[str]:
    return [one.reason for one in all_outcomes(experiments, variants, runs)["notes-lora"]]


def test_from_no_result_to_passed() -> None:
    asked = [baseline(), gated()]
    variants = all_variants(asked)
    base, lora = (evaluated(one) for one in variants)
    assert states(asked, variants, []) == ["missing", "missing"]
    assert reasons(asked, variants, [run(variants[1], evaluation=Status.FAILED)])[0] == "no result, status failed"
    assert reasons(asked, variants, [lora]) == ["", "notes-base has no result yet"]
    assert "not computed yet" in reasons(asked, variants, [base, lora])[1]
    assert states(asked, variants, [base, against(lora, base)]) == ["passed", "passed"]
    assert states(asked, variants, [base, against(lora, base, value=-0.2)]) == ["passed", "failed"]
    unmeasured = replace(lora, measured={})
    assert states(asked, variants, [base, unmeasured])[0] == "undecided"


def test_what_gates_name_is_compared_too() -> None:
    asked = [baseline(), gated()]
    variants = all_variants(asked)
    base, lora = (evaluated(one) for one in variants)
    assert [(one.name, other.name) for one, other in missing(variants, [base, lora]).compared] == [
        (lora.name, base.name)
    ]
    in_suite = [replace(baseline(), suite=gated((), ASKED).suite), gated((), ASKED)]
    variants = all_variants(in_suite)
    base, lora = (evaluated(one) for one in variants)
    assert [one.name for one, _ in missing(variants, [base, lora]).compared] == [lora.name]


def test_a_suite_s_gate_is_not_for_the_experiment_that_it_names() -> None:
    base = replace(baseline(), suite=gated((), ASKED).suite)
    assert [gate.name for gate in gates_of(base)] == ["json_valid at_least"]
    assert [gate.name for gate in gates_of(gated((), ASKED))] == [
        "json_valid at_least",
        "json_valid no_worse_than notes-base",
    ]


def test_gates_and_waivers_change_no_digest() -> None:
    waivers = [{"gate": "json_valid at_least", "owner": "@ana", "until": "2026-12-31", "reason": "A pilot."}]
    plain, watched = experiment(), gated(suite=ASKED, waivers=waivers)
    assert all_variants([plain])[0].digests == all_variants([watched])[0].digests


def test_an_experiment_that_is_evaluated_in_another_way_is_incomparable() -> None:
    other = replace(baseline(), suite=Suite("short", {**SUITE, "generate": {"max_new_tokens": 80}}))
    asked = [other, gated()]
    variants = all_variants(asked)
    runs = [evaluated(one) for one in variants]
    assert states(asked, variants, runs) == ["passed", "incomparable"]
    assert reasons(asked, variants, runs)[1] == (
        "notes-base is evaluated in another way: generation differs: suite.generate.max_new_tokens 80 against 160"
    )


def test_so_is_a_result_from_before_the_suite_changed() -> None:
    before = replace(baseline(), suite=Suite("notes", {**SUITE, "reference": "{OTHER}"}))
    old = evaluated(all_variants([before])[0])
    asked = [baseline(), gated()]
    variants = all_variants(asked)
    assert states(asked, variants, [old, evaluated(variants[1])]) == ["passed", "incomparable"]
    said = reasons(asked, variants, [old, evaluated(variants[1])])[1]
    assert said.endswith("from before the suite changed: scoring differs: suite.reference {OTHER} against {NOTE}")


def test_the_same_run_is_no_worse_and_no_better() -> None:
    asked = [
        experiment("notes-base"),
        gated([*ASKED[1:], {"score": "json_valid", "better_than": {"experiment": "notes-base"}}]),
    ]
    variants = all_variants(asked)
    assert states(asked, variants, [evaluated(variants[0])]) == ["passed", "failed"]


SEEDS = {"train.seeds": [1, 2]}


def test_all_seeds_have_to_pass_and_over_seeds_if_the_ledger_knows() -> None:
    asked = [baseline(), gated(**SEEDS)]
    variants = all_variants(asked)
    base, *ours = (evaluated(one) for one in variants)
    assert reasons(asked, variants, [base, ours[0]])[0] == "1 of 2 seeds are evaluated"
    each = [against(ours[0], base), against(ours[1], base, value=-0.2)]
    assert states(asked, variants, [base, *each]) == ["passed", "failed"]
    first, second = sorted(each, key=lambda one: one.name)
    over = {"scores": {"json_valid": difference(0.1, 0.01, 0.2, seeds=[2, 1])}}
    known = [replace(first, pooled={seeds_key(each, [base]): over}), second]
    assert states(asked, variants, [base, *known]) == ["passed", "passed"]


MATRIX = {"train.matrix": {"optimizer.learning_rate": [0.001, 0.0003]}}


def test_of_a_matrix_the_best_recipe_counts() -> None:
    asked = [baseline(), gated(ASKED[:1], **MATRIX)]
    variants = all_variants(asked)
    runs = [evaluated(variants[1], 0.2), evaluated(variants[2], 0.95)]
    assert states(asked, variants, runs) == ["passed"]
    found = render(asked, variants, runs, {})
    pages = {path: "**Gates**" in content.decode() for path, content in found.items() if path.endswith(".md")}
    home = "experiments/notes-lora/report"
    assert pages[f"{home}/README.md"]
    assert pages[f"{home}/learning_rate=0.0003/README.md"]
    assert not pages[f"{home}/learning_rate=0.001/README.md"]


def test_with_splits_the_winner_counts_on_test_and_nothing_before_it_is_there() -> None:
    asked = [gated(ASKED[:1], **MATRIX, **{"suite.data.validation": "SELECT * FROM NOTES WHERE SPLIT = 'validation'"})]
    judged = all_variants(asked)
    assert {one.split for one in judged} == {"validation"}
    on_validation = [evaluated(judged[0], 0.99, claimed_at="1"), evaluated(judged[1], 0.95, claimed_at="1")]
    assert reasons(asked, judged, on_validation) == ["no recipe is chosen yet, so none is scored on the test split"]
    known = decided(asked, judged, on_validation)
    (winner,) = [one for one in known if one.split == TEST]
    assert reasons(asked, known, on_validation) == ["no result yet"]
    of_winner = evaluated(winner, 0.5, name="RUN_T_1")
    assert states(asked, known, [*on_validation, of_winner]) == ["failed"]


def test_how_a_gate_is_said() -> None:
    assert sentence(judge(LEAST, [mean(0.95, 0.91, 0.98)])) == "valid JSON at least 0.9: 0.950 (0.910 to 0.980)"
    assert sentence(judge(BETTER, [difference(0.1, -0.01, 0.2)])) == (
        "valid JSON better than notes-base: +0.100 (\N{MINUS SIGN}0.010 to +0.200); about 197 samples would tell"
    )
    assert sentence(Outcome(NO_WORSE, State.MISSING, reason="notes-base has no result yet")) == (
        "valid JSON no worse than notes-base by more than 0.05: notes-base has no result yet"
    )


def test_a_report_does_not_know_the_day() -> None:
    failed = Outcome(LEAST, State.FAILED, 0.8, 0.7, 0.85, waiver=replace(WAIVER, until="1999-12-31"))
    assert lines([failed])[2].startswith("- **failed, waived by @ana until 1999-12-31** valid JSON")


def test_measures_keep_their_version() -> None:
    """Rows of runs whose gates changed are made for what is new alone."""
    asked = [baseline(), gated()]
    variants = all_variants(asked)
    base, lora = (evaluated(one) for one in variants)
    done = {"version": measures.VERSION}
    lora = replace(lora, measured=done, comparisons={base.name: done})
    assert missing(variants, [replace(base, measured=done), lora]).runs == ()
