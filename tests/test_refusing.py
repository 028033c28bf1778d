"""What people see of a refusal: at a desk, on a pull request and its check; whose settings count; what is submitted."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from world import World

from faults.memory import Memory, MemoryAccount
from faults.sequences import account, memory, recipe, repository
from piste import journeys, models, review, settings
from piste.cli import main
from piste.errors import PolicyRefused
from piste.github import PullRequest
from piste.journeys import refusing
from piste.observed import runs

PULL = PullRequest(7, "branch", "4be1c0ffee", "0ba5e")


@pytest.fixture
def base(tmp_path: Path) -> World:
    """The branch that pull requests are for."""
    made = repository(tmp_path / "base")
    made.add("known", recipe(train_iters=1))
    made.commit("known")
    return made


@pytest.fixture
def proposed(base: World, tmp_path: Path) -> World:
    """A pull request that adds two experiments, and a policy of its own that allows all."""
    root = tmp_path / "proposed"
    shutil.copytree(base.root, root)
    made = replace(base, root=root)
    made.add("one", recipe(train_iters=2))
    made.add("two", recipe(train_iters=3), owner="@bob", **{"compute.timeout": "5h"})
    policy(made, max_credits_per_action=1000, max_submissions=1000)
    return made


def policy(world: World, **bounds: Any) -> None:
    text = (world.root / "pyproject.toml").read_text()
    lines = "".join(f"{key} = {json.dumps(value)}\n" for key, value in bounds.items())
    world.write("pyproject.toml", text.replace("[tool.piste.policy]\n", f"[tool.piste.policy]\n{lines}"))


def reviewed(proposed: World, base: World, on: MemoryAccount | None = None) -> review.Review:
    desired = journeys.read(proposed.root, settings_root=base.root)
    return journeys.review(desired, journeys.read(base.root), PULL, on)


def test_on_a_pull_request_the_base_s_policy_counts(proposed: World, base: World) -> None:
    assert reviewed(proposed, base, account(memory())).refused == ()
    policy(base, max_credits_per_action=0.1, allowed_owners=["@ana"], max_submissions=1, reviewed_plan=True)
    found = reviewed(proposed, base, account(memory()))
    assert [str(one) for one in found.refused] == [
        "max-submissions: 2 jobs would be submitted at once; max_submissions is 1",
        "max-credits-per-action: two: may cost 0.55 credits; max_credits_per_action is 0.1",
        "allowed-owners: two: the owner @bob is not one of @ana (allowed_owners)",
    ]
    said = review.comment(found)
    assert said.count("**Refused** by `") == 3
    assert "> * two: may cost 0.55 credits; max\\_credits\\_per\\_action is 0.1\n" in said


def test_an_exception_counts_once_it_is_on_the_base(proposed: World, base: World) -> None:
    policy(base, allowed_owners=["@ana"])
    excepted = (
        '[[tool.piste.policy.exceptions]]\nrule = "allowed-owners"\nexperiment = "tw*"\nowner = "@maria"\n'
        'until = "2999-12-31"\nreason = "He is new."\n'
    )
    (proposed.root / "pyproject.toml").write_text((proposed.root / "pyproject.toml").read_text() + excepted)
    assert [one.rule for one in reviewed(proposed, base, account(memory())).refused] == ["allowed-owners"]
    (base.root / "pyproject.toml").write_text((base.root / "pyproject.toml").read_text() + excepted)
    assert reviewed(proposed, base, account(memory())).refused == ()


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_the_check_of_a_fork_s_pull_request_fails(
    proposed: World, base: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = {"pull_request": {"number": 7, "head": {"ref": "x", "sha": "4be1"}, "base": {"ref": "main", "sha": "0ba5"}}}
    (tmp_path / "event.json").write_text(json.dumps(event))
    for key, value in (
        ("GITHUB_EVENT_PATH", str(tmp_path / "event.json")),
        ("GITHUB_REPOSITORY", "acme/training"),
        ("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md")),
    ):
        monkeypatch.setenv(key, value)
    command = ("--root", str(proposed.root), "--settings", str(base.root), "github", "plan", "--offline")
    artifact = ("--artifact", str(tmp_path / "plan.json"))
    assert invoke(*command, *artifact).exit_code == 0
    assert json.loads((tmp_path / "plan.json").read_text())["refused"] == []
    policy(base, allowed_owners=["@ana"])
    assert invoke(*command, *artifact).exit_code == 4
    assert "**Refused** by `allowed-owners`." in (tmp_path / "summary.md").read_text()
    assert [one["title"] for one in json.loads((tmp_path / "plan.json").read_text())["refused"]] == ["two"]


def test_no_document_is_read_where_no_rule_needs_it(proposed: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan of 10,000 new experiments may not read them all for a policy that says nothing."""
    read = []
    monkeypatch.setattr(refusing, "asked", lambda variant, *_: read.append(variant.title))
    assert invoke("--root", str(proposed.root), "plan", "--offline").exit_code == 0
    assert read == []


def test_at_a_desk(proposed: World) -> None:
    plan = ("--root", str(proposed.root), "plan", "--offline")
    assert invoke(*plan, "--check").exit_code == 3
    policy(proposed, allowed_runtimes=["gpu-*"])
    said = "the runtime is cpu-2026.11, not one of gpu-* (allowed_runtimes)"
    text = invoke(*plan)
    assert (text.exit_code, text.output.count(f"allowed-runtimes: {said}")) == (0, 3)
    assert invoke(*plan, "--check").exit_code == 4
    found = json.loads(invoke(*plan, "--format", "json").stdout)["refused"]
    assert {(one["rule"], one["message"]) for one in found} == {("allowed-runtimes", said)}
    assert "> **Refused** by `allowed-runtimes`." in invoke(*plan, "--format", "markdown").output


def submit(world: World, on: MemoryAccount) -> tuple[list[str], str]:
    desired = journeys.read(world.root)
    done = journeys.apply(desired, on, journeys.plan_live(desired, on))
    submitted: list[str] = []
    try:
        submitted += [one.action.variant.label for one in done]
    except PolicyRefused as error:
        return submitted, f"{error.message}\n{error.hint}"
    return submitted, ""


def test_what_is_refused_keeps_all_from_being_submitted(proposed: World) -> None:
    on = account(memory())
    policy(proposed, allowed_owners=["@ana"])
    assert submit(proposed, on) == (
        [],
        "allowed-owners: two: the owner @bob is not one of @ana (allowed_owners)\n"
        "allowed-owners: Write  owner: …  in experiment.yaml.\nNothing was submitted.",
    )
    assert runs(on.observe()) == ()


def rules(world: World, on: MemoryAccount) -> list[str]:
    """Of what `apply` would refuse."""
    desired = journeys.read(world.root)
    return [one.rule for one in journeys.refusals(desired, on, journeys.plan_live(desired, on))]


def test_what_waits_for_a_place_counts_for_the_plan_and_not_as_submitted(proposed: World) -> None:
    on = account(memory(nodes=1))
    policy(proposed, max_submissions=1)
    text = (proposed.root / "pyproject.toml").read_text()
    proposed.write(
        "pyproject.toml", text.replace("max_submissions = 1000\n", "").replace("backlog = 1000", "backlog = 0")
    )
    due = journeys.plan_live(journeys.read(proposed.root), on)
    assert (len(due.submissions), len(due.wanted)) == (1, 3)
    assert rules(proposed, on) == []
    policy(proposed, max_credits_per_plan=0.5)
    assert rules(proposed, on) == ["max-credits-per-plan"]


def test_a_month_is_of_whoever_snowflake_names_and_what_was_tried_counts(
    proposed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    on: MemoryAccount = account(memory())
    policy(proposed, max_credits_per_month=0.56)
    monkeypatch.setenv("GITHUB_ACTOR", "somebody-typed-this")
    monkeypatch.setattr(on, "spender", lambda: "MARIA")
    desired = journeys.read(proposed.root)
    due = journeys.plan_live(desired, on, names=["two"], tried=True)
    assert [one.action.variant.label for one in journeys.apply(desired, on, due, tried=True)] == ["two"]
    assert {run.provenance["spender"] for run in runs(on.observe())} == {"MARIA"}
    submitted, said = submit(proposed, on)
    assert submitted == []
    assert "MARIA has spent, or may spend with live runs, 0.55 credits in 2026-11" in said
    monkeypatch.setattr(on, "spender", lambda: "BOB")
    assert submit(proposed, on)[0] == ["known", "one"]


def test_licences_are_what_the_ledger_tells(proposed: World) -> None:
    of = Memory({"PISTE_CPU": (9, "CPU_X64_S")})
    on = account(of)
    policy(proposed, allowed_licences=["mit"])
    assert rules(proposed, on) == ["allowed-licences"] * 3
    document = models.document(models.Wish("tiny"), "f" * 64, "mit", {}, "2026-11-28T10:00:00+00:00", "ana")
    made = models.read_model(json.dumps(document).encode())
    assert made is not None
    journeys.remember(on, made)
    rows = len(of.events)
    journeys.remember(on, made)
    assert len(of.events) == rows
    assert rules(proposed, on) == []


def test_inputs_are_pinned_where_the_environment_says_so(proposed: World) -> None:
    proposed.edit("experiments/one/experiment.yaml", **{"train.inputs.rows": "@DATA/rows"})
    text = (proposed.root / "pyproject.toml").read_text()
    pinned = text.replace('schema = "DEV"\n', 'schema = "DEV"\npinned_inputs = true\n')
    proposed.write("pyproject.toml", pinned)
    found = settings.read(proposed.root)
    on = account(memory())
    on.environment = found.chosen()
    assert on.environment.pinned_inputs
    assert submit(proposed, on)[1].startswith(
        "pinned-inputs: one: @DATA/rows may change under this name (pinned_inputs of the environment)\n"
    )
