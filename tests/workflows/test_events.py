"""What each event leads to, and what it must not lead to."""

from __future__ import annotations

import json
import subprocess
import sys

from workflows.hub import REPOSITORY
from workflows.rehearsal import Rehearsal, surroundings


def test_a_fork_gets_its_plan_without_credentials(repository: Rehearsal) -> None:
    repository.on_branch("from-a-fork")
    repository.add("forked", 2001)
    repository.commit("Add forked")
    pull = repository.open("Add forked", fork=True)
    ran = repository.pull_request(pull, "opened")
    assert ran["plan"].jobs == {"selected": "skipped", "offline": "success", "live": "skipped", "try": "skipped"}
    assert ran["plan"].summary.startswith("### piste plan: 1 to train")
    assert "runs in progress can't be seen" in ran["plan"].summary
    assert "piste:smoke" not in ran["plan"].summary
    assert ran["check"].well
    assert repository.hub.said(pull.number) == []
    label = repository.pull_request(pull, "labeled", "piste:run")["plan"]
    assert set(label.jobs.values()) == {"skipped"}


def test_without_an_account_the_plan_is_in_the_summary(repository: Rehearsal) -> None:
    repository.on_branch("no-account")
    repository.add("offline", 2002)
    repository.push("Add offline")
    pull = repository.open("Add offline")
    repository.environment = ""
    try:
        ran = repository.pull_request(pull, "opened")["plan"]
        assert ran.jobs == {"selected": "skipped", "offline": "success", "live": "skipped", "try": "skipped"}
        assert set(repository.pushed().jobs.values()) == {"skipped"}
    finally:
        repository.environment = "dev"


def test_a_broken_experiment_is_annotated_where_it_is_broken(repository: Rehearsal) -> None:
    repository.on_branch("broken")
    repository.add("broken", 2003, ownr="@ana")
    repository.push("Add broken")
    pull = repository.open("Add broken")
    ran = repository.pull_request(pull, "opened")
    assert ran["plan"].jobs["live"] == "failure"
    assert ran["check"].jobs == {"experiments": "failure", "tooling": "skipped", "checked": "failure"}
    (said,) = repository.hub.said(pull.number)
    assert "### piste plan: 1 problem to mend first" in said
    for one in ran.values():
        assert any("file=experiments/broken/experiment.yaml,line=" in found for found in one.annotations), one.log
    jobs = len(repository.stack.jobs())
    repository.merge(pull)  # as somebody may who can bypass the rules
    pushed = repository.pushed()
    assert pushed.jobs["submit"] == "failure"
    assert any("experiments/broken/experiment.yaml" in found for found in pushed.annotations)
    assert len(repository.stack.jobs()) == jobs
    repository.on_branch("main")
    repository.git("rm", "-rq", "experiments/broken")
    repository.push("Remove it again", "main")


def test_a_merge_queue_is_answered(repository: Rehearsal) -> None:
    repository.on_branch("queued")
    repository.add("queued", 2004)
    repository.push("Add queued")
    ran = repository.queued(repository.open("Add queued"))
    assert ran.jobs == {"experiments": "success", "tooling": "success", "checked": "success"}


def test_the_tests_of_the_tooling_run_where_it_changes(repository: Rehearsal) -> None:
    repository.on_branch("tooling")
    (repository.clone / "tooling/piste/snowflake.py").write_text("raise SystemExit(9)\n")
    repository.push("Break the account")
    ran = repository.pull_request(repository.open("Break the account"), "opened")
    assert ran["check"].jobs == {"experiments": "success", "tooling": "success", "checked": "success"}
    assert "make test: rehearsed" in ran["check"].log
    assert ran["plan"].well, "the plan is made by the base's tooling"


def test_report_commits_start_nothing(repository: Rehearsal) -> None:
    repository.on_branch("main")
    (repository.clone / "experiments/README.md").write_text("# Experiments\n")
    repository.push("report: index", "main")
    assert set(repository.pushed().jobs.values()) == {"skipped"}


def test_generated_files_are_refused_from_people(repository: Rehearsal) -> None:
    repository.on_branch("by-hand")
    (repository.clone / "experiments/README.md").write_text("# My own index\n")
    repository.push("Edit the index")
    ran = repository.pull_request(repository.open("Edit the index"), "opened")["check"]
    assert ran.jobs == {"experiments": "failure", "tooling": "skipped", "checked": "failure"}
    (said,) = [found for found in ran.annotations if "experiments/README.md" in found]
    assert "git checkout origin/main -- experiments/README.md" in said


def test_the_buttons_and_the_schedule_do_the_same(repository: Rehearsal) -> None:
    repository.on_branch("main")
    repository.add("pressed", 2005)
    repository.push("Add pressed", "main")
    assert "pressed: submitted RUN_" in repository.dispatched("submit").log
    repository.stack.until_jobs_ended()
    assert "report: pressed valid JSON 1.00" in repository.dispatched("report").summary
    reports = [one for one in repository.hub.pulls.values() if one.branch == "piste/reports" and one.state == "open"]
    assert [one.title for one in reports] == ["report: pressed valid JSON 1.00"]


def submit(repository: Rehearsal, connection: str = "globe") -> subprocess.CompletedProcess[str]:
    """What the step of the workflow does on what main is, without act around it."""
    repository.on_branch("main")
    event = repository.directory / "event.json"
    event.write_text(json.dumps({"ref": "refs/heads/main"}))
    told = {
        "GITHUB_EVENT_PATH": str(event),
        "GITHUB_EVENT_NAME": "push",
        "GITHUB_REF": "refs/heads/main",
        "GITHUB_REPOSITORY": REPOSITORY,
        "GITHUB_API_URL": repository.hub.url,
        "GITHUB_TOKEN": repository.hub.job("submit", "contents:read", "pull-requests:read"),
        "GITHUB_STEP_SUMMARY": str(repository.directory / "summary.md"),
        "SNOWFLAKE_HOME": str(repository.stack.world.home),
    }
    command = [sys.executable, "-m", "piste", "--root", str(repository.clone), "--connection", connection]
    return subprocess.run(
        [*command, "github", "submit"], env=surroundings() | told, capture_output=True, text=True, check=False
    )


def test_a_failed_submit_and_three_merges_later_exactly_what_was_approved_is_submitted(repository: Rehearsal) -> None:
    repository.on_branch("main")
    with (repository.clone / "pyproject.toml").open("a") as settings:
        settings.write("\n[tool.piste.policy]\nreviewed_plan = true\n")
    repository.push("Review what is submitted", "main")
    first = repository.add_by_pull_request("first", 5001)
    assert submit(repository, "nowhere").returncode == 1
    repository.on_branch("main")
    repository.add("pushed", 5009)
    repository.push("Past review", "main")
    second = repository.add_by_pull_request("second", 5002)
    for name in ("notes", "more-notes"):
        repository.on_branch(name)
        (repository.clone / f"{name}.md").write_text("Nothing to train.\n")
        repository.push(f"Add {name}")
        repository.merge(repository.open(f"Add {name}"))

    done = submit(repository)
    assert done.returncode == 4, done.stdout + done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines() if ": submitted" in line] == [
        "first",
        "second",
    ]
    assert "2 runs submitted" in done.stdout
    assert "reviewed-plan: pushed: no merged pull request asked for training" in done.stderr
    assert "The rest was submitted." in done.stderr
    assert "> **Refused** by `reviewed-plan`." in (repository.directory / "summary.md").read_text()
    repository.stack.until_jobs_ended()
    trained = repository.stack.trainings
    assert (trained[5001], trained[5002], trained[5009]) == (1, 1, 0)
    query = "SELECT BODY:other::VARCHAR FROM LEDGER WHERE EVENT = 'approved' ORDER BY BODY:other::INTEGER"
    approved = [one for (one,) in json.loads(repository.stack.world.rows(query))]
    assert approved == [str(first.number), str(second.number)]
