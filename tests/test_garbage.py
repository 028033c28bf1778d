"""What may be deleted, and above all what never may."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from builders import baseline, digests, experiment, run, variant
from piste.experiment import Variant
from piste.garbage import Candidate, Part, as_json, candidates, size, text
from piste.plan import Action, Verb, plan
from piste.run import Run, Status
from piste.variants import variants

NOW = "2026-11-22T10:00:00.000+00:00"
ENDED = "2026-11-20T12:00:00.000+00:00"
STATES = {"recipe.checkpoint": [{"type": "deepspeed", "save_every_n_steps": 50}]}
LORA, OTHER, SAVING = variant(), variant("other", **{"train.gpus": 2}), variant("saving", **STATES)
BASE = variants(baseline())[0]
FAILED, LIVE = Status.FAILED, Status.RUNNING


def trained(of: Variant, attempt: int = 1, *status: Status, **changes: Any) -> Run:
    name = f"RUN_{of.digests.training[:12].upper()}_{attempt}"
    return run(of, *status, **{"name": name, "attempt": attempt, "ended_at": ENDED} | changes)


def evaluated(of: Variant, attempt: int = 1, status: Status = Status.DONE, **changes: Any) -> Run:
    name = f"RUN_{of.digests.training[:12].upper()}_{of.digests.suite[:12].upper()}_{attempt}"
    made = trained(of, attempt, Status.DONE, status, name=name, steps=("generate", "score"))
    return replace(made, **{"training": None} | changes)


def scored(of: Variant, status: Status = Status.DONE, **changes: Any) -> Run:
    return evaluated(of, 1, status, steps=("score",), **changes)


def suite(of: Variant, number: int, generation: str | None = None) -> Variant:
    """The same training, to be evaluated in another way."""
    return replace(of, digests=digests(of, suite=str(number) * 64, generation=generation or str(number) * 64))


FIRST, SECOND = trained(LORA, 1, FAILED, FAILED), trained(LORA, 2)
NOTHING_ASKS = "nothing in git asks for it"


@dataclass(frozen=True)
class Case:
    name: str
    runs: Sequence[Run]
    expected: Sequence[tuple[Run, str]] = ()
    desired: Sequence[Variant] = (LORA,)
    reported: Sequence[str] = ()


CASES = [
    Case("no runs", []),
    Case("what git asks for", [SECOND]),
    Case("what git asks for under another name", [SECOND], desired=[variant("renamed")]),
    Case("what git asks for again", [replace(SECOND, archived=NOW)]),
    Case("a baseline that git asks for", [evaluated(BASE)], desired=[BASE]),
    Case("another suite's evaluation of a training that git asks for", [SECOND, evaluated(suite(LORA, 5))]),
    Case("an orphan", [trained(OTHER)], [(trained(OTHER), NOTHING_ASKS)]),
    Case("everything, when git is empty", [SECOND, evaluated(BASE)], desired=[], expected=[
        (evaluated(BASE), NOTHING_ASKS), (SECOND, NOTHING_ASKS)]),
    Case("an orphan that failed", [trained(OTHER, 1, FAILED, FAILED)], [(trained(OTHER), NOTHING_ASKS)]),
    Case("an archived one", [replace(trained(OTHER), archived="2026-11-21T09:00:00.000+00:00")],
         [(trained(OTHER), "nothing in git asks for it since 2026-11-21")]),
    Case("one that was deleted", [replace(trained(OTHER), deleted=NOW)]),
    Case("one that goes on", [trained(OTHER, 1, LIVE, Status.PENDING, collected=False)]),
    Case("one that goes on, whatever else is said of it", [trained(OTHER, 1, LIVE, Status.PENDING)]),
    Case("one that is evaluated", [trained(OTHER, 1, Status.DONE, LIVE, collected=False)]),
    Case("one whose end is not in the ledger", [trained(OTHER, collected=False)]),
    Case("a claim that nobody came back to",
         [trained(OTHER, 1, Status.LOST, Status.LOST, job=None, job_status="", collected=False)],
         [(trained(OTHER), NOTHING_ASKS)]),
    Case("one that was tried from a branch", [trained(OTHER, provenance={"tried": True})]),
    Case("one that was promoted", [trained(OTHER, provenance={"promoted": "PISTE.MODELS.NOTES/V1"})]),
    Case("one in a report", [trained(OTHER)], reported=[trained(OTHER).name]),
    Case("one in another report", [trained(OTHER)], [(trained(OTHER), NOTHING_ASKS)], reported=[SECOND.name]),
    Case("a failed attempt, then one that is done", [FIRST, SECOND], [(FIRST, f"superseded by {SECOND.name}")]),
    Case("a failed attempt, then none", [FIRST]),
    Case("a failed attempt, then one that goes on", [FIRST, replace(SECOND, training=LIVE, collected=False)]),
    Case("a failed attempt, then one that failed too", [FIRST, replace(SECOND, training=FAILED)]),
    Case("a failed attempt, then one that is done and deleted", [FIRST, replace(SECOND, deleted=NOW)]),
    Case("a failed attempt after one that is done", [trained(LORA), trained(LORA, 2, FAILED, FAILED)]),
    Case("a training without its evaluation is no failed attempt", [trained(LORA, 1, Status.DONE, FAILED), SECOND]),
    Case("a failed attempt in a report", [FIRST, SECOND], reported=[FIRST.name]),
    Case("a failed attempt that was tried", [replace(FIRST, provenance={"tried": True}), SECOND]),
    Case("attempts of an evaluation", [SECOND, evaluated(LORA, 1, FAILED), evaluated(LORA, 2)],
         [(evaluated(LORA), f"superseded by {evaluated(LORA, 2).name}")]),
    Case("attempts of different evaluations", [SECOND, evaluated(LORA, 1, FAILED), evaluated(suite(LORA, 5), 2)]),
    Case("attempts of different trainings", [FIRST, trained(OTHER, 2)], desired=[LORA, OTHER]),
    Case("weights that an evaluation reads now", [trained(OTHER), evaluated(OTHER, 1, LIVE, collected=False)]),
    Case("weights of an evaluation that was tried", [trained(OTHER), evaluated(OTHER, provenance={"tried": True})]),
    Case("weights of an evaluation in a report", [trained(OTHER), evaluated(OTHER)], reported=[evaluated(OTHER).name]),
    Case("predictions that are scored now",
         [trained(OTHER), evaluated(suite(OTHER, 5, "g")), scored(suite(OTHER, 6, "g"), LIVE, collected=False)]),
    Case("other predictions",
         [trained(OTHER), evaluated(suite(OTHER, 5, "h")), scored(suite(OTHER, 6, "g"), LIVE, collected=False)],
         [(evaluated(suite(OTHER, 5, "h")), NOTHING_ASKS)]),
    Case("scores are no predictions",
         [trained(OTHER), scored(suite(OTHER, 5, "g")), scored(suite(OTHER, 6, "g"), LIVE, collected=False)],
         [(scored(suite(OTHER, 5, "g")), NOTHING_ASKS)]),
    Case("predictions that were never finished",
         [trained(OTHER), evaluated(suite(OTHER, 5, "g"), 1, FAILED),
          scored(suite(OTHER, 6, "g"), LIVE, collected=False)],
         [(evaluated(suite(OTHER, 5, "g")), NOTHING_ASKS)]),
    Case("a failed evaluation beside one in a report", [trained(OTHER), evaluated(OTHER, 1, FAILED),
         evaluated(suite(OTHER, 5))], [(evaluated(OTHER), NOTHING_ASKS)], reported=[evaluated(suite(OTHER, 5)).name]),
    Case("weights that another experiment starts from", [trained(OTHER)],
         desired=[variant(**{"train.inputs": {"base-model": f"@piste.dev.{trained(OTHER).name.lower()}/checkpoint"}})]),
    Case("weights that a run started from which goes on", [trained(OTHER), trained(variant("third", **{
         "train.inputs": {"base-model": f"@{trained(OTHER).name}/checkpoint"}}), 1, LIVE, LIVE, collected=False)]),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_stages(case: Case) -> None:
    for runs in (case.runs, case.runs[::-1]):
        found = candidates(runs, case.desired, case.reported, NOW, 14)
        assert {(one.run, one.part, one.why) for one in found} == {
            (run.name, "stage", why) for run, why in case.expected
        }
        assert len(found) == len(case.expected)


def after(days: int) -> str:
    return f"2026-{11 if days <= 10 else 12}-{(20 + days - 1) % 30 + 1:02}T12:00:00.000+00:00"


def saved(checkpoint: Any) -> Run:
    return trained(variant("saving", **{"recipe.checkpoint": checkpoint}))


SAVED = trained(SAVING)


@pytest.mark.parametrize(
    ("name", "run", "now", "expected"),
    [
        ("young", SAVED, after(13), []),
        ("old", SAVED, after(14), ["resume"]),
        ("evaluation failed", replace(SAVED, evaluation=FAILED), after(14), ["resume"]),
        ("training failed", replace(SAVED, training=FAILED), after(14), []),
        ("training goes on", replace(SAVED, training=LIVE, collected=False), after(14), []),
        ("evaluation goes on", replace(SAVED, evaluation=LIVE, collected=False), after(14), []),
        ("tried and promoted", replace(SAVED, provenance={"tried": True, "promoted": 1}), after(14), ["resume"]),
        ("deleted", replace(SAVED, deleted=NOW), after(14), []),
        ("its recipe saves weights only", saved([{"type": "huggingface"}]), after(14), []),
        ("its recipe saves nothing", replace(SAVED, spec=LORA.spec), after(14), []),
        ("its recipe is not known", replace(SAVED, spec={}), after(14), ["resume"]),
        ("one engine, of the default type", saved({"auto_resume": True}), after(14), ["resume"]),
        ("an evaluation", evaluated(SAVING), after(14), []),
    ],
)  # fmt: skip
def test_states_to_resume_from(name: str, run: Run, now: str, expected: list[str]) -> None:
    desired = [replace(SAVING, digests=run.digests)]
    assert [one.part for one in candidates([run], desired, [], now, 14)] == expected, name
    gone = candidates([run], [], [], now, 14)
    assert len(gone) <= 1, "a stage goes with all that is in it"


def test_what_is_said_of_a_candidate() -> None:
    orphan = trained(OTHER, archived="2026-11-21T09:00:00.000+00:00")
    assert candidates([orphan, FIRST, SECOND, SAVED], [LORA, SAVING], [], after(14), 14) == (
        Candidate(FIRST.name, "stage", f"superseded by {SECOND.name}", "@ana", "notes-lora", ENDED),
        Candidate(orphan.name, "stage", f"{NOTHING_ASKS} since 2026-11-21", "@ana", "other", orphan.archived),
        Candidate(SAVED.name, "resume", "its training was done on 2026-11-20", "@ana", "saving", ENDED),
    )


def test_whose_it_is() -> None:
    runs = [
        trained(variant("a", owner="@ben", **{"train.gpus": 3})),
        trained(variant("b", owner=None, **{"train.gpus": 4}), provenance={"actor": "@eve"}),
        trained(variant("c", **{"train.gpus": 5}), spec={}, provenance={}),
    ]
    assert [(one.owner, one.experiment) for one in candidates(runs, [], [], NOW, 14)] == [
        ("", "c"),
        ("@ben", "a"),
        ("@eve", "b"),
    ]


def found(run: str, part: Part, why: str, owner: str, title: str, count: int | None) -> Candidate:
    return Candidate(run, part, why, owner, title, ENDED, count)


FOUND = (
    found("RUN_0A1B2C3D4E5F_1", "stage", "superseded by RUN_0A1B2C3D4E5F_2", "@ana", "notes-lora", 1_234_567_890),
    found("RUN_1A1B2C3D4E5F_1", "resume", "its training was done on 2026-11-20", "@ana", "notes/seed=1", 56_000_000),
    found("RUN_2A1B2C3D4E5F_12", "stage", NOTHING_ASKS, "@ben", "old", None),
    found("RUN_3A1B2C3D4E5F_1", "stage", NOTHING_ASKS, "", "old\x1b[31m", 0),
)


def test_text() -> None:
    assert text(FOUND) == (
        "  run                  part       size  since       experiment    why\n"
        "nobody: 0 B in 1 stage\n"
        "  RUN_3A1B2C3D4E5F_1   stage       0 B  2026-11-20  old?[31m      nothing in git asks for it\n"
        "@ana: 1.3 GB in 1 stage and 1 resume state\n"
        "  RUN_0A1B2C3D4E5F_1   stage    1.2 GB  2026-11-20  notes-lora    superseded by RUN_0A1B2C3D4E5F_2\n"
        "  RUN_1A1B2C3D4E5F_1   resume  56.0 MB  2026-11-20  notes/seed=1  its training was done on 2026-11-20\n"
        "@ben: – in 1 stage\n"
        "  RUN_2A1B2C3D4E5F_12  stage         –  2026-11-20  old           nothing in git asks for it\n"
        "all: 1.3 GB in 3 stages and 1 resume state, 1 of unknown size\n"
        "\n"
        "To delete all of it:\n"
        "  piste gc --delete RUN_0A1B2C3D4E5F_1 \\\n"
        "    --delete RUN_1A1B2C3D4E5F_1/resume \\\n"
        "    --delete RUN_2A1B2C3D4E5F_12 \\\n"
        "    --delete RUN_3A1B2C3D4E5F_1\n"
    )
    assert text(()) == "nothing to delete\n"


def test_json() -> None:
    assert json.loads(as_json(FOUND))[2] == {
        "run": "RUN_2A1B2C3D4E5F_12",
        "part": "stage",
        "why": NOTHING_ASKS,
        "owner": "@ben",
        "experiment": "old",
        "since": ENDED,
        "bytes": None,
    }
    assert as_json(()) == "[]\n"


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (None, "–"), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (99_949, "99.9 kB"), (99_950, "100 kB"),
        (999_499, "999 kB"), (999_500, "1.0 MB"), (1_234_567_890, "1.2 GB"), (140 * 10**9, "140 GB"),
        (10**12, "1.0 TB"), (25 * 10**15, "25000.0 TB"),
    ],
)  # fmt: skip
def test_sizes(count: int | None, said: str) -> None:
    assert size(count) == said


def somebody_s_runs(chance: random.Random) -> tuple[list[Variant], list[Run]]:
    """Whatever may have happened to some trainings, each with some suites."""
    known = [
        suite(one, number) for one in (*variants(experiment(**{"train.seeds": [1, 2, 3]})), BASE) for number in (1, 2)
    ]
    ended = [Status.DONE, Status.FAILED, Status.CANCELLED]
    runs = []
    for one in known:
        for attempt in range(1, chance.randrange(1, 4)):
            made = trained(one, attempt, chance.choice(ended), chance.choice(ended)) if one.trains else None
            if made is None or chance.random() < 0.5:
                made = evaluated(
                    one, attempt, chance.choice(ended), steps=chance.choice([("generate", "score"), ("score",)])
                )
            goes = {"collected": False, "evaluation": LIVE} if chance.random() < 0.2 else {}
            runs.append(replace(made, claimed_at=f"2026-11-{attempt:02}T10:00:00.000+00:00", **goes))
    unique = list({one.name: one for one in runs}.values())
    return chance.sample(known, chance.randrange(0, len(known))), chance.sample(unique, len(unique))


@pytest.mark.parametrize("seed", range(150))
def test_what_a_variant_needs_is_never_a_candidate(seed: int) -> None:
    """When all of it is deleted the plan stays: the same work, from the same run that is still there."""
    desired, runs = somebody_s_runs(random.Random(seed))
    gone = {one.run for one in candidates(runs, desired, [], NOW, 14) if one.part == "stage"}
    assert not gone & {one.name for one in runs if one.live}
    left = [replace(one, deleted=NOW) if one.name in gone else one for one in runs]
    for action, now in zip(plan(desired, runs).actions, plan(desired, left).actions, strict=True):
        assert work(action) == work(now)
        assert action.run is None or action.run.name not in gone or action.verb is Verb.BLOCKED
        assert "train" not in action.steps or not gone & {*action.earlier}, "states to resume from"


def work(action: Action) -> tuple[Any, ...]:
    return action.verb, action.steps, action.attempt, action.earlier, action.run and action.run.name


def test_such_runs_leave_something_to_delete() -> None:
    found = [candidates(*reversed(somebody_s_runs(random.Random(seed))), [], NOW, 14) for seed in range(150)]
    reasons = [one.why.split(" RUN_")[0] for of_seed in found for one in of_seed]
    assert min(reasons.count(why) for why in (NOTHING_ASKS, "superseded by")) > 20
