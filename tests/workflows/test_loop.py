"""The whole loop: a branch, its plan, a try, the merge, a job, a report that comes back."""

from __future__ import annotations

import json

from workflows.rehearsal import Rehearsal


def test_from_a_branch_to_the_report_on_main(repository: Rehearsal) -> None:
    hub, stack = repository.hub, repository.stack

    # A branch adds an experiment: one comment, and the second push changes it.
    repository.on_branch("notes")
    repository.add("notes-a", 1001)
    repository.push("Add notes-a")
    pull = repository.open("Add notes-a")
    ran = repository.pull_request(pull, "opened")
    assert {name: one.jobs for name, one in ran.items()} == {
        "plan": {"selected": "skipped", "offline": "skipped", "live": "success", "try": "skipped"},
        "check": {"experiments": "success", "tooling": "skipped", "checked": "success"},
    }
    (first,) = hub.said(pull.number)
    assert first.startswith("<!-- piste:plan -->\n### piste plan: 1 to train\n")
    assert ran["plan"].summary.strip() == first.partition("\n")[2].strip()
    (artifact,) = repository.directory.glob("run-*/artifacts/piste-plan/plan.json")
    assert json.loads(artifact.read_text())["summary"]["train"] == 1
    repository.add("notes-b", 1002)
    repository.push("Add another")
    assert repository.pull_request(pull)["plan"].well
    (second,) = hub.said(pull.number)
    assert "### piste plan: 2 to train" in second

    # The label tries it, cut down; the result lands in the same comment.
    tried = repository.pull_request(pull, "labeled", "piste:smoke")["plan"]
    assert tried.jobs == {"selected": "skipped", "offline": "skipped", "live": "skipped", "try": "success"}
    assert pull.labels == []
    stack.until_jobs_ended()
    assert repository.scheduled().well
    (third,) = hub.said(pull.number)
    assert third.count("/smoke<br>") == 2
    assert third.count("**done**") == 2
    assert stack.trainings == {3: 2}

    # One of them is run as a whole from the branch; the merge then submits the other alone.
    repository.git("rm", "-rq", "experiments/notes-b")
    repository.push("Not yet")
    assert repository.pull_request(pull, "labeled", "piste:run")["plan"].well
    repository.add("notes-b", 1002)
    repository.push("Now")
    stack.until_jobs_ended()
    assert stack.trainings == {3: 2, 1001: 1}
    repository.merge(pull)
    stack.globe.set_nodes("PISTE_CPU", 0)
    pushed = repository.pushed()
    assert pushed.jobs == {"submit": "success", "report": "success"}
    assert "notes-b: submitted RUN_" in pushed.log
    assert "1 run submitted" in pushed.log

    # What has ended by now is brought as a pull request; before the other ends, another run changes nothing.
    (reports,) = [one for one in hub.pulls.values() if one.branch == "piste/reports"]
    assert reports.title == "report: notes-a valid JSON 1.00"
    before = hub.sha("refs/heads/main"), hub.sha("refs/heads/piste/reports")
    assert repository.scheduled().well
    assert (hub.sha("refs/heads/main"), hub.sha("refs/heads/piste/reports")) == before
    stack.globe.set_nodes("PISTE_CPU", 3)
    stack.until_jobs_ended()
    assert stack.trainings == {3: 2, 1001: 1, 1002: 1}
    assert repository.scheduled().well
    assert reports.title == "report: notes-a, notes-b"
    changed = repository.git("diff", "--name-only", "main", "piste/reports", place=repository.origin).split()
    assert {path.rpartition("/")[0] for path in changed} == {
        "experiments",
        "experiments/notes-a/report",
        "experiments/notes-b/report",
    }
    results = [said for said in hub.said(pull.number) if said.startswith("<!-- piste:result ")]
    assert sorted(said.splitlines()[1] for said in results) == [
        "**notes-a: valid JSON 1.00**",
        "**notes-b: valid JSON 1.00**",
    ]

    # Merged, it starts nothing, and the next run finds nothing to do.
    before = len(stack.jobs())
    repository.merge(reports)
    assert repository.pushed().well
    done = repository.scheduled()
    assert "nothing to submit" in done.log
    assert 0 < sum(seconds for _, seconds in done.steps) < 60
    assert "* nothing to do" in done.summary
    assert len(stack.jobs()) == before
    assert len(hub.said(pull.number)) == 3
