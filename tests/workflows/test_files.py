"""The workflow files as text: what nothing but GitHub itself would otherwise tell."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from piste.cli import main

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
NAMES = [path.stem for path in WORKFLOWS]


def parsed(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(path.read_text(), yaml.BaseLoader)  # `on` is a word here
    return found


def jobs() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for name, job in parsed(path)["jobs"].items():
            yield f"{path.stem}/{name}", job


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, job in jobs():
        yield from ((name, step) for step in job.get("steps", ()))


def test_there_are_four() -> None:
    assert NAMES == ["check", "plan", "report", "submit"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=NAMES)
def test_nothing_is_permitted_but_what_a_job_asks_for(path: Path) -> None:
    assert parsed(path)["permissions"] == {}


ALLOWED = {
    "check/experiments": {"contents": "read"},
    "check/tooling": {"contents": "read"},
    "check/checked": {},
    "plan/offline": {"contents": "read"},
    "plan/live": {"contents": "read", "id-token": "write", "pull-requests": "write"},
    "plan/selected": {"contents": "read", "id-token": "write"},
    "plan/try": {"contents": "read", "id-token": "write", "issues": "write", "pull-requests": "write"},
    "report/report": {"contents": "write", "id-token": "write", "pull-requests": "write"},
    "submit/submit": {"contents": "read", "id-token": "write", "pull-requests": "read"},
    "submit/report": {"contents": "write", "id-token": "write", "pull-requests": "write"},
}


def test_what_each_job_may() -> None:
    assert {name: job.get("permissions", {}) for name, job in jobs()} == ALLOWED


def test_who_may_log_in_runs_in_a_protected_environment() -> None:
    environments = {name: job.get("environment") for name, job in jobs() if "steps" in job}
    with_identity = {name for name, allowed in ALLOWED.items() if "id-token" in allowed and name in environments}
    assert {name: environments[name] for name in with_identity} == {
        "plan/live": "piste-look",
        "plan/selected": "piste-look",
        "plan/try": "piste-try",
        "report/report": "piste-submit",
        "submit/submit": "piste-submit",
    }
    assert {name for name, environment in environments.items() if environment} == with_identity


def test_secrets_are_only_where_there_is_an_environment() -> None:
    for name, job in jobs():
        if "${{ secrets." in str(job) and "uses" not in job:
            assert "environment" in job, name


def test_a_job_with_credentials_on_a_pull_request_runs_the_base() -> None:
    for name in ("live", "try", "offline"):
        base, merged, setup, command, *_ = parsed(ROOT / ".github/workflows/plan.yml")["jobs"][name]["steps"]
        assert base["with"]["ref"] == "${{ github.event.pull_request.base.sha }}"
        assert "path" not in base["with"]
        assert merged["with"] == {"path": "pull-request", "persist-credentials": "false"}
        assert setup == {"uses": "./.github/actions/setup"}
        assert command["run"].startswith(".venv/bin/piste --root pull-request --settings . github ")


def test_a_plan_by_hand_is_of_the_default_branch() -> None:
    job = parsed(ROOT / ".github/workflows/plan.yml")["jobs"]["selected"]
    assert "github.ref_name == github.event.repository.default_branch" in job["if"]


def test_no_workflow_runs_what_a_stranger_wrote_with_credentials() -> None:
    for path in WORKFLOWS:
        assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(parsed(path)["on"])


def test_every_action_is_pinned_and_says_its_version() -> None:
    files = [*WORKFLOWS, ROOT / ".github/actions/setup/action.yml"]
    used = [line for path in files for line in path.read_text().splitlines() if re.search(r"\buses: (?!\./)", line)]
    assert len(used) > 8
    for line in used:
        assert re.search(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), line


def test_checkouts_keep_no_token() -> None:
    found = [step for _, step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert len(found) > 6
    assert all(step["with"]["persist-credentials"] == "false" for step in found)


def test_every_job_has_an_end() -> None:
    for name, job in jobs():
        assert "uses" in job or int(job["timeout-minutes"]) <= 60, name


def test_steps_only_call_make_and_piste() -> None:
    commands = [step["run"] for _, step in steps() if "run" in step]
    setup = yaml.safe_load((ROOT / ".github/actions/setup/action.yml").read_text())
    commands += [step["run"] for step in setup["runs"]["steps"] if "run" in step]
    assert len(commands) > 6
    assert all(re.match(r"(make|\.venv/bin/piste) |exit 1$", command) for command in commands), commands


def test_no_untrusted_text_reaches_a_shell() -> None:
    assert not [step["run"] for _, step in steps() if "${{" in step.get("run", "")]


def test_a_required_check_is_never_skipped_for_its_paths() -> None:
    events = parsed(ROOT / ".github/workflows/check.yml")["on"]
    assert set(events) == {"pull_request", "push", "merge_group"}
    assert "paths" not in str(events)
    last = parsed(ROOT / ".github/workflows/check.yml")["jobs"]["checked"]
    assert last["if"] == "${{ always() }}"
    others = set(parsed(ROOT / ".github/workflows/check.yml")["jobs"]) - {"checked"}
    assert set(last["needs"]) == others


def test_report_commits_start_nothing_by_two_guards() -> None:
    submit = parsed(ROOT / ".github/workflows/submit.yml")
    assert submit["on"]["push"]["paths-ignore"] == ["experiments/README.md", "experiments/*/report/**"]
    assert "!startsWith(github.event.head_commit.message, 'report: ')" in submit["jobs"]["submit"]["if"]


DOCUMENTED = [*WORKFLOWS, ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
TYPED = re.compile(r"(?:- run: |run: |\$ )?(?:\.venv/bin/)?(piste .*)")


def documented() -> Iterator[str]:
    """Each `piste …` of a workflow, of a code block, or in backticks."""
    for path in DOCUMENTED:
        text = path.read_text()
        prose = path.suffix == ".md"
        blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S) if prose else [text]
        lines = [line.strip() for block in blocks for line in block.splitlines()]
        typed = [match[1] for line in lines if (match := TYPED.match(line))]
        yield from (*(re.findall(r"`(piste [^`]+)`", text) if prose else ()), *typed)


COMMANDS = sorted({command.partition("#")[0].strip() for command in documented()})


def test_commands_are_documented() -> None:
    assert len(COMMANDS) > 25


@pytest.mark.parametrize("command", COMMANDS)
def test_every_documented_command_is_one(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("pull-request", "experiments", "DIR", "our-base"):
        Path(folder).mkdir()
    words = shlex.split(command.partition(" > ")[0].replace("…", "X").replace("[--follow]", "--follow"))[1:]
    group: click.Command = main
    context: click.Context | None = None
    while True:
        if context is not None and not words and not isinstance(group, click.Group):
            return  # prose that only names a command
        try:
            context = group.make_context(group.name or "piste", words, parent=context)
        except click.exceptions.Exit:  # --help
            return
        if not isinstance(group, click.Group):
            return
        rest = [*context._protected_args, *context.args]
        assert rest, "a group without a command"
        _, found, words = group.resolve_command(context, rest)
        assert found is not None
        group = found
