"""Races and failures: what was not done is done by the next run, and nothing is done twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from workflows.hub import Pull
from workflows.rehearsal import Ran, Rehearsal


def ended(repository: Rehearsal, name: str, number: int) -> Pull:
    """An experiment that was merged, ran, and has no report yet; its pull request."""
    pull = repository.add_by_pull_request(name, number)
    repository.stack.globe.set_nodes("PISTE_CPU", 0)  # so that the report that submit asks for comes too early
    assert f"{name}: submitted" in repository.pushed().log
    repository.stack.globe.set_nodes("PISTE_CPU", 3)
    repository.stack.until_jobs_ended()
    return pull


def reports(repository: Rehearsal) -> list[Pull]:
    return [one for one in repository.hub.pulls.values() if one.branch == "piste/reports" and one.state == "open"]


def at_once(*work: Callable[[], Any]) -> list[Any]:
    results: list[Any] = [None] * len(work)

    def run(index: int) -> None:
        results[index] = work[index]()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def message(repository: Rehearsal, branch: str = "main") -> str:
    return repository.git("log", "-1", "--format=%s", branch, place=repository.origin)


def moved(repository: Rehearsal, number: int) -> Callable[[], None]:
    """Somebody else's commit comes to main."""

    def move() -> None:
        with repository._at("origin/main") as tree:
            (tree / f"notes-{number}.md").write_text("Meanwhile.\n")
            repository.git("add", "-A", place=tree)
            repository.git("commit", "-q", "-m", f"Meanwhile {number}", place=tree)
            repository.git("push", "-q", "origin", "HEAD:refs/heads/main", place=tree)

    return move


def setting(repository: Rehearsal, reports_by: str) -> None:
    repository.on_branch("main")
    file = repository.clone / "pyproject.toml"
    text = file.read_text().partition("\n[tool.piste.github]")[0]
    file.write_text(f'{text}\n[tool.piste.github]\nreports = "{reports_by}"\n')
    repository.push(f"Reports by {reports_by}", "main")


def test_two_report_jobs_at_once_leave_one_pull_request_and_one_comment(repository: Rehearsal) -> None:
    pull = ended(repository, "twice", 3001)
    ran: list[Ran] = at_once(repository.scheduled, repository.scheduled)
    assert [one.well for one in ran] == [True, True], [one.log[-3000:] for one in ran]
    assert [one.title for one in reports(repository)] == ["report: twice valid JSON 1.00"]
    results = [said for said in repository.hub.said(pull.number) if said.startswith("<!-- piste:result ")]
    assert len(results) == 1
    assert repository.stack.trainings[3001] == 1


def test_what_a_person_put_on_the_reports_branch_stays(repository: Rehearsal) -> None:
    with repository._at("origin/piste/reports") as tree:
        (tree / "mine.md").write_text("Mine.\n")
        repository.git("add", "-A", place=tree)
        repository.git("commit", "-q", "-m", "My own work", place=tree)
        repository.git("push", "-q", "origin", "HEAD:refs/heads/piste/reports", place=tree)
    mine = repository.hub.sha("refs/heads/piste/reports")
    ended(repository, "more", 3002)
    ran = repository.scheduled()
    assert ran.jobs["report"] == "failure"
    assert any("has a commit of ana" in found and "My own work" in found for found in ran.annotations)
    assert repository.hub.sha("refs/heads/piste/reports") == mine
    (opened,) = reports(repository)
    repository.merge(opened)
    assert repository.scheduled().well
    assert [one.title for one in reports(repository)] == ["report: more valid JSON 1.00"]
    repository.merge(reports(repository)[0])


def test_main_that_moves_meanwhile_is_no_trouble(repository: Rehearsal) -> None:
    setting(repository, "push")
    ended(repository, "chased", 3003)
    repository.hub.before_push = [moved(repository, 1), moved(repository, 2), moved(repository, 3)]
    pushes = len(repository.hub.pushes)
    ran = repository.scheduled()
    assert ran.well, ran.log[-3000:]
    assert len(repository.hub.pushes) == pushes + 4
    assert message(repository) == "report: chased valid JSON 1.00"
    subjects = repository.git("log", "--format=%s", "main", place=repository.origin)
    assert all(f"Meanwhile {number}" in subjects for number in (1, 2, 3))
    assert reports(repository) == []


def test_a_push_that_a_rule_forbids_says_what_to_do(repository: Rehearsal) -> None:
    ended(repository, "forbidden", 3004)
    hook = repository.origin / "hooks/pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'error: GH006: Protected branch update failed for refs/heads/main.' >&2\nexit 1\n")
    hook.chmod(0o755)
    ran = repository.scheduled()
    hook.unlink()
    assert ran.jobs["report"] == "failure"
    assert any('reports = "pull-request"' in found for found in ran.annotations)
    assert repository.scheduled().well
    assert message(repository) == "report: forbidden valid JSON 1.00"


def test_a_push_never_goes_over_what_a_person_wrote(repository: Rehearsal) -> None:
    repository.on_branch("main")
    page = "experiments/chased/report/README.md"
    (repository.clone / page).write_text("# What I think of it\n")
    repository.push("Say what I think", "main")
    ran = repository.scheduled()
    assert ran.well
    assert "experiments/chased/report/README.md was last written by ana" in ran.summary
    assert message(repository) == "Say what I think"
    (opened,) = reports(repository)
    repository.merge(opened)
    assert "What I think" not in repository.git("show", f"main:{page}", place=repository.origin)


def test_reports_that_were_overtaken_are_withdrawn(repository: Rehearsal) -> None:
    setting(repository, "pull-request")
    ended(repository, "overtaken", 3005)
    assert repository.scheduled().well
    (opened,) = reports(repository)
    repository.on_branch("main")
    repository.git("fetch", "-q", "origin", "piste/reports")
    repository.git("checkout", "-q", "FETCH_HEAD", "--", "experiments")
    repository.push("Take the reports over by hand", "main")
    assert repository.scheduled().well
    assert reports(repository) == []
    assert opened.state == "closed"
    assert repository.hub.sha("refs/heads/piste/reports") == ""


def test_a_snowflake_that_is_down_is_said_and_the_next_run_converges(repository: Rehearsal) -> None:
    repository.on_branch("main")
    repository.add("patient", 3006)
    repository.push("Add patient", "main")
    repository.connection = "proxied"
    repository.stack.proxy.reset()
    repository.stack.proxy.down = True
    ran = repository.pushed()
    repository.stack.proxy.down = False
    assert ran.jobs == {"submit": "failure", "report": "skipped"}
    assert any("could not be used" in found or "does not answer" in found for found in ran.annotations)
    repository.connection = "globe"
    assert "patient: submitted RUN_" in repository.scheduled().log
    repository.stack.until_jobs_ended()
    assert repository.stack.trainings[3006] == 1


def test_a_github_that_stumbles_is_asked_again(repository: Rehearsal) -> None:
    repository.hub.failing = [502, 503]
    assert repository.scheduled().well
    assert [one.title for one in reports(repository)] == ["report: patient valid JSON 1.00"]


def test_nothing_was_trained_twice(repository: Rehearsal) -> None:
    assert {*repository.stack.trainings.values()} == {1}
    assert len(repository.stack.trainings) == 6


def test_a_folder_of_this_machine_is_in_no_log(repository: Rehearsal) -> None:
    """Of reports and messages at least: paths of a runner say nothing to anybody."""
    for path in Path(repository.directory).glob("run-*/log"):
        for line in path.read_text().splitlines():
            if '"command":"error"' in line:
                assert str(repository.directory) not in line
