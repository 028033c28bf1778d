from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from builders import experiment, run, variant
from piste import review
from piste.changes import Change
from piste.cost import Estimate
from piste.data_access import Access
from piste.errors import Problem, Refusal
from piste.experiment import Deferred, Variant
from piste.plan import plan
from piste.review import Review, comment, headline, with_tried
from piste.run import Progress, Status
from piste.variants import variants

GITHUBS_LIMIT = 65_536


def many(count: int) -> list[Variant]:
    """As many variants, each with a recipe of its own."""
    one = variant()
    digests = [replace(one.digests, training=f"{index:064x}") for index in range(count)]
    return [replace(one, experiment=f"notes-{index:05}", digests=of) for index, of in enumerate(digests)]


def reviewed(asked: Sequence[Variant], mine: int, kept: int = 0) -> Review:
    """Of `asked` the first `mine` are the pull request's; the last `kept` were trained before."""
    due = plan(asked, [run(one) for one in asked[len(asked) - kept :]])
    credits = {one.title: 0.01 * place for place, one in enumerate(asked)}
    titles = {one.title for one in asked[:mine]}
    return Review(due, titles, credits=credits, head="4be1c0ffee", triable=True)


def test_what_changes_is_told_apart_from_what_was_due_before() -> None:
    asked = many(6)
    found = reviewed(asked, mine=2, kept=3)
    assert headline(found) == "2 to train, 3 kept"
    said = comment(found)
    assert said.index("notes-00001") < said.index("notes-00000") < said.index("1 due without this pull request")
    assert "At most **0.01 credits** if all of it takes its timeout." in said
    assert "`piste:smoke`" in said
    assert said.rstrip().endswith("<sub>4be1c0f as it would be merged</sub>")


def test_a_change_is_shown_old_to_new() -> None:
    before = variant(**{"recipe.optimizer.learning_rate": 0.001})
    after = variant(**{"recipe.optimizer.learning_rate": 0.0003, "title": "Another title"})
    said = comment(Review(plan([after], [run(before)]), {after.title}, head="4be1c0ffee"))
    assert "`recipe.optimizer.learning_rate` 0.001 → 0.0003 (train) |" in said
    assert "Another title" not in said


def test_what_like_runs_took_stands_beside_the_bound() -> None:
    found = reviewed(many(2), mine=2)
    costs = [Estimate(2.68, 0.4, 0.5, "3 runs of it"), Estimate(2.68, unknown=("the judge's tokens",))]
    priced = [replace(one, cost=cost) for one, cost in zip(found.plan.actions, costs, strict=True)]
    said = comment(replace(found, plan=replace(found.plan, actions=tuple(priced))))
    assert "if all of it takes its timeout. Like runs took 0.4 to 0.5." in said
    assert "<br>0.4 to 0.5 by 3 runs of it |" in said
    assert "<br>not in it: the judge's tokens |" in said


def test_a_judge_that_was_never_asked_stands_beside_the_bound() -> None:
    found = reviewed(many(2), mine=2)
    priced = [replace(one, cost=Estimate(2.68, judge=0.2)) for one in found.plan.actions]
    said = comment(replace(found, plan=replace(found.plan, actions=tuple(priced))))
    assert "if all of it takes its timeout. The judge's tokens: about 0.4 more at most." in said
    assert "<br>the judge's tokens: about 0.2 more at most |" in said


def test_a_new_judge_of_what_is_kept_says_what_it_costs() -> None:
    after = variant(**{"suite.judge": {"model": "claude-4-5-sonnet", "rubric": "None invented.", "scale": "pass_fail"}})
    due = plan([after], [run(variant())])
    priced = replace(due, actions=tuple(replace(one, cost=Estimate(0.0, judge=0.31)) for one in due.actions))
    said = comment(Review(priced, {after.label}, head="4be1c0ffee"))
    assert "\nThe judge's tokens: about 0.31 at most.\n" in said
    assert "asks its judge; the judge's tokens: about 0.31 at most |" in said


@pytest.mark.parametrize("count", [1, 30, 10_000])
@pytest.mark.parametrize("kept", [False, True])
def test_it_fits_into_a_comment_whatever_it_says(count: int, kept: bool) -> None:
    found = reviewed(many(count), mine=0 if kept else count, kept=count if kept else 0)
    said = comment(found)
    assert len(said) <= review.LIMIT < GITHUBS_LIMIT
    assert f"{count:,} kept" in said if kept else f"{count:,} to train" in headline(found)
    shown = sum(line.startswith(("| **train**", "| notes-")) for line in said.splitlines())
    rest = count - shown
    assert (f"and {rest:,} more; the artifact `piste-plan`" in said) == bool(rest)
    assert shown == min(count, review.ROWS)
    assert said.count("<details>") == said.count("</details>")


def test_the_dearest_come_first() -> None:
    said = comment(reviewed(many(10_000), mine=10_000))
    assert "notes-09999" in said
    assert "notes-00000" not in said


def test_nothing_in_a_name_or_a_value_becomes_markup() -> None:
    hostile = variant(**{"recipe.optimizer.learning_rate": "<img src=x> | [a](b) @team `x` \x1b[31m\n# h"})
    said = comment(Review(plan([hostile], [run(variant())]), {hostile.title}))
    row = next(line for line in said.splitlines() if "learning" in line)
    for danger in ("<img", "| [", "](", "@team", "\x1b"):
        assert danger not in row.replace("\\|", "").replace("\\[", "").replace("\\]", "")
    assert "&lt;img" in row


def test_what_it_reads_and_runs_is_named_where_something_would_run() -> None:
    reach = Access(("HR.PUBLIC.SALARIES",), ("@MODELS/small",), ("org/rows",), ("notes-lora/train.py",))
    asked = many(1)
    said = comment(replace(reviewed(asked, mine=1), access=reach))
    assert "**Reads** `HR.PUBLIC.SALARIES`, `@MODELS/small`" in said
    assert "**Reads from outside Snowflake** `org/rows`" in said
    assert "**Runs code of this pull request** `notes-lora/train.py`" in said
    assert "HR.PUBLIC" not in comment(replace(reviewed(asked, mine=1, kept=1), access=reach))


def test_the_author_is_told_what_is_next() -> None:
    asked = many(1)
    assert "Merge it: what is listed is submitted then" in comment(reviewed(asked, mine=1))
    approving = comment(replace(reviewed(asked, mine=1), approves=True))
    assert "Merge it: that approves what is listed, at these prices; it is submitted then" in approving
    assert "piste:smoke" not in comment(replace(reviewed(asked, mine=1), triable=False))
    assert "Merging this trains and evaluates nothing." in comment(reviewed(asked, mine=1, kept=1))
    rule = Refusal("max-submissions", "", "30 jobs would be submitted at once", "If that is meant, say so.")
    refused = comment(replace(reviewed(asked, mine=1), refused=[rule]))
    assert (
        "> **Refused** by `max-submissions`. If that is meant, say so.\n>\n> * 30 jobs would be submitted at once\n"
    ) in refused
    assert "Change what is refused above" in refused
    failed = run(asked[0], Status.FAILED, None)
    blocked = comment(Review(plan(asked, [failed]), {asked[0].title}, head="4be1c0ffee"))
    assert "What is blocked stays so" in blocked


def test_orphans_are_there_for_whoever_looks() -> None:
    found = reviewed(many(1), mine=1)
    gone = run(variant("old-notes"))
    said = comment(replace(found, plan=replace(found.plan, orphans=(gone,))))
    assert "<summary>1 that nothing in git asks for any more; they stay</summary>" in said
    assert f"| {gone.name.replace('_', chr(92) + '_')} | old-notes: done |" in said
    assert "orphan" not in comment(found)


def test_what_was_removed_is_said() -> None:
    found = replace(reviewed(many(1), mine=0, kept=1), removed=["old-notes"])
    assert headline(found) == "nothing to do, 1 kept, 1 removed"
    assert "| old-notes | its runs and models stay |" in comment(found)


def test_offline_it_says_what_it_cannot_know() -> None:
    said = comment(Review(plan(many(1), []), {"notes-00000"}, offline=True, head="4be1c0ffee"))
    assert "runs in progress can't be seen" in said
    assert "credits" not in said


def test_what_was_tried_is_written_anew_and_the_rest_stays() -> None:
    one = variant()
    going = run(one, Status.RUNNING, Status.PENDING, progress=Progress("train", 2, 3, 1.5))
    first = comment(replace(reviewed([one], mine=1), tried=[going]))
    assert "**running**<br>train 2/3 loss 1.5000" in first
    scores = {"evaluation": {"scores": {"json_valid": {"mean": 0.5, "n": 6}}}}
    second = with_tried(first, [run(one, results=scores)])
    assert "**done**<br>json\\_valid 0.500" in second
    assert "train 2/3" not in second
    assert second.split(review.TRIED)[0] == first.split(review.TRIED)[0]
    assert second.split(review.TRIED_END)[1] == first.split(review.TRIED_END)[1]
    assert with_tried(second, [run(one, results=scores)]) == second
    assert with_tried("somebody else's comment", [going]) == "somebody else's comment"


def test_problems_take_the_place_of_a_plan() -> None:
    wrong = [Problem("experiments/a/experiment.yaml", line, 3, "train.runtime", "No.", "Yes.") for line in range(60)]
    said = review.invalid(wrong)
    assert said.startswith("### piste plan: 60 problems to mend first\n")
    assert "* `experiments/a/experiment.yaml:1` No. Yes." in said
    assert "* and 10 more" in said


def test_a_plan_that_stands_for_itself_has_everything() -> None:
    asked = variants(experiment(**{"train.seeds": [1, 2]}))
    said = comment(review.whole(plan(asked, [])))
    assert said.startswith("### piste plan: 2 to train\n")
    assert "Next." not in said
    assert review.TRIED not in said


def test_it_fits_however_long_its_rows_are() -> None:
    found = reviewed(many(300), mine=300)
    long = tuple(Change(f"recipe.{'x' * 80}{number}", "a" * 300, "b" * 300, "train") for number in range(9))
    actions = tuple(replace(action, differences=Deferred(lambda: long)) for action in found.plan.actions)
    said = comment(replace(found, plan=replace(found.plan, actions=actions)))
    assert review.LIMIT * 0.9 < len(said) <= review.LIMIT
    assert "and 3 more |" in said
