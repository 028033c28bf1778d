"""What a pull request tries to get by what it changes: nothing."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from workflows.hub import REQUEST_TOKEN
from workflows.rehearsal import Rehearsal


def spoken(repository: Rehearsal) -> Iterator[tuple[Path, str]]:
    """All that a workflow printed, summarized, uploaded or committed, and all that was said on GitHub."""
    for path in repository.directory.glob("run-*/log"):
        yield path, path.read_text()
    for path in repository.directory.glob("run-*/artifacts/**/*"):
        if path.is_file():
            yield path, path.read_text()
    for number in repository.hub.pulls:
        for said in repository.hub.said(number):
            yield Path(f"comments of {number}"), said
    yield Path("git"), repository.git("log", "--all", "-p", place=repository.origin)


def statements(repository: Rehearsal) -> list[str]:
    trace = repository.stack.directory / "globe/trace.jsonl"
    return trace.read_text().splitlines()


def test_tooling_of_a_pull_request_gets_no_credential(repository: Rehearsal) -> None:
    """It prints what a job's environment holds, in every place that a plan might run."""
    repository.on_branch("thief")
    greedy = "import os\nprint('STOLEN', sorted(os.environ.items()))\n"
    for path in ("tooling/piste/cli/__init__.py", "tooling/piste/journeys/__init__.py", "tooling/payload/__init__.py"):
        file = repository.clone / path
        file.write_text(greedy + file.read_text().replace("from __future__ import annotations\n", ""))
    makefile = repository.clone / "Makefile"
    makefile.write_text(makefile.read_text().replace("light: $(LIGHT)", "light: $(LIGHT)\n\t@echo STOLEN; env\nother:"))
    setup = repository.clone / ".github/actions/setup/action.yml"
    setup.write_text(setup.read_text().replace("make light", "echo STOLEN; env; make light"))
    repository.add("thief", 4001)
    repository.push("Improve the tooling")
    pull = repository.open("Improve the tooling")
    ran = repository.pull_request(pull, "opened")
    assert ran["plan"].jobs["live"] == "success"
    assert "STOLEN" not in ran["plan"].log
    label = repository.pull_request(pull, "labeled", "piste:smoke")["plan"]
    assert label.jobs["try"] == "success"
    assert "STOLEN" not in label.log
    check = ran["check"].log
    assert "STOLEN" in check, "its own checks run its own code"
    assert REQUEST_TOKEN not in check
    assert "SNOWFLAKE_CONNECTIONS" not in check
    assert "GITHUB_TOKEN" not in check


def test_a_foreign_table_is_named_and_not_read(repository: Rehearsal) -> None:
    repository.on_branch("curious")
    repository.add("curious", 4002)
    recipe = repository.clone / "experiments/curious/recipe.yaml"
    recipe.write_text(recipe.read_text().replace("FROM SOAP_NOTES", "FROM HR.PUBLIC.SALARIES"))
    repository.push("Add curious")
    pull = repository.open("Add curious")
    before = len(statements(repository))
    assert repository.pull_request(pull, "opened")["plan"].well
    (said,) = repository.hub.said(pull.number)
    assert "**Reads** `HR.PUBLIC.SALARIES`" in said
    asked = statements(repository)[before:]
    assert asked
    assert not [one for one in asked if "SALARIES" in one]


@pytest.mark.parametrize("allowed", [False, True])
def test_the_policy_is_that_of_the_base(repository: Rehearsal, allowed: bool) -> None:
    """Three experiments where the base allows two at once, and the pull request says that three are fine."""
    repository.on_branch(f"bold-{allowed}")
    if allowed:
        _policy(repository, "max_submissions = 3")
        repository.push("Allow three", "main")
        repository.on_branch(f"bold-{allowed}")
    else:
        _policy(repository, "max_submissions = 2")
        repository.push("Allow two", "main")
        repository.on_branch(f"bold-{allowed}")
        _policy(repository, "max_submissions = 100")
    for number in range(3):
        repository.add(f"bold-{number}", 4100 + number)
    repository.push("Add three")
    pull = repository.open("Add three")
    jobs = len(repository.stack.jobs())
    ran = repository.pull_request(pull, "opened")["plan"]
    (said,) = repository.hub.said(pull.number)
    assert ("> * 3 jobs would be submitted at once; max\\_submissions is 2\n" in said) == (not allowed)
    assert ran.jobs["live"] == ("success" if allowed else "failure")
    if not allowed:
        tried = repository.pull_request(pull, "labeled", "piste:run")["plan"]
        assert tried.jobs["try"] == "failure"
        assert len(repository.stack.jobs()) == jobs


def _policy(repository: Rehearsal, line: str) -> None:
    file = repository.clone / "pyproject.toml"
    text = file.read_text().partition("\n[tool.piste.policy]")[0]
    file.write_text(f"{text}\n[tool.piste.policy]\n{line}\n")
    assert tomllib.loads(file.read_text())["tool"]["piste"]["policy"]


def test_each_job_was_who_it_should_be_and_the_looking_one_only_looked(repository: Rehearsal) -> None:
    """Over all that this module did."""
    asked = [json.loads(line) for line in statements(repository)]
    by = {user: [one["sql"] for one in asked if one["user"] == user] for user in ("PISTE_LOOK", "PISTE_TRY")}
    assert all(by.values())
    assert not [sql for sql in by["PISTE_LOOK"] if not re.match(r"(?i)(SELECT|SHOW)\s", sql)]
    assert [sql for sql in by["PISTE_TRY"] if "EXECUTE_ML_JOB" in sql]


def test_no_secret_was_seen_anywhere(repository: Rehearsal) -> None:
    """Over all that this module did: tokens of jobs, of identities, and of sessions."""
    secrets = [*repository.hub.tokens, REQUEST_TOKEN, *repository.hub.identities]
    assert len(secrets) > 5
    looked = 0
    for where, text in spoken(repository):
        looked += 1
        for secret in secrets:
            assert secret not in text, where
    assert looked > 10
    trace = "\n".join(statements(repository))
    assert not [secret for secret in secrets if secret in trace]
