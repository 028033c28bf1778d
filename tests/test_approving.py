"""The reviewed plan: what merged pull requests asked for is submitted, and nothing that is wider."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from world import World

from faults.memory import Memory
from faults.sequences import Trouble, account, memory, recipe, repository
from piste import approvals, journeys
from piste.errors import GitRefused, PolicyRefused, SnowflakeRefused, SnowflakeUnreachable
from piste.github import GitHub
from piste.observed import Event, runs
from workflows import hub as hubs
from workflows.hub import REPOSITORY, Hub, Pull

OTHER_SUITE = "other-notes"


@dataclass
class Place:
    """A repository on GitHub, whose working copy is a person's and then the workflow's, beside an account."""

    world: World
    hub: Hub
    on: Memory
    heads: dict[int, str] = field(default_factory=dict)

    def git(self, *arguments: str) -> str:
        return self.world.git(*arguments)

    def add(self, name: str, number: int, **changes: Any) -> None:
        self.world.add(name, recipe(train_iters=number), **changes)

    def pull(self, change: Callable[[], None], base: str = "main") -> Pull:
        """A pull request from a new branch off main."""
        branch = f"branch-{len(self.hub.pulls) + 1}"
        self.git("checkout", "-q", "-b", branch, base)
        change()
        self.world.commit(f"Change on {branch}")
        made = self.hub.open(branch, f"From {branch}")
        self.heads[made.number] = self.git("rev-parse", "HEAD")
        self.git("push", "-q", "origin", f"HEAD:refs/heads/{branch}", f"HEAD:refs/pull/{made.number}/head")
        self.git("checkout", "-q", "main")
        return made

    def merge(self, pull: Pull, how: str = "merge") -> None:
        before = self.git("rev-parse", "HEAD")
        if how == "merge":
            self.git("merge", "-q", "--no-ff", "-m", f"Merge #{pull.number}", pull.branch)
        elif how == "squash":
            self.git("merge", "-q", "--squash", pull.branch)
            self.world.commit(f"{pull.title} (#{pull.number})")
        else:
            self.git("cherry-pick", f"main..{pull.branch}")
            self.git("commit", "-q", "--amend", "--no-edit", "--reset-author", "--date", "2026-11-28T10:00:00Z")
        pull.commits = self.git("rev-list", f"{before}..HEAD").split()
        pull.state, pull.merged_at = "closed", "2026-11-28T10:00:00Z"
        self.git("push", "-q", "origin", "main")
        self.git("branch", "-qD", pull.branch)

    def push(self, change: Callable[[], None]) -> None:
        """Straight to main."""
        change()
        self.world.commit("Pushed")
        self.git("push", "-q", "origin", "main")

    def submit(self, trouble: Trouble | None = None) -> tuple[list[str], list[str]]:
        """As the workflow does: what was submitted, and what was refused."""
        to = account(self.on, trouble) if trouble else account(self.on)
        desired = journeys.read(self.world.root)
        due = journeys.plan_live(desired, to)
        github = GitHub(self.hub.url, REPOSITORY, self.hub.job("submit", "contents:read", "pull-requests:read"))
        approved = journeys.approve(desired, to, due, github, "main")
        return self._apply(journeys.apply(desired, to, due, approved=approved))

    def at_a_desk(self) -> tuple[list[str], list[str]]:
        desired, to = journeys.read(self.world.root), account(self.on)
        return self._apply(journeys.apply(desired, to, journeys.plan_live(desired, to)))

    def _apply(self, submissions: Iterator[Any]) -> tuple[list[str], list[str]]:
        done: list[str] = []
        try:
            for one in submissions:
                done.append(one.action.variant.label)
        except PolicyRefused as error:
            refused = error
        else:
            return done, []
        assert (refused.exit_code, {one.rule for one in refused.refusals}) == (4, {"reviewed-plan"})
        return done, [f"{one.title}: {one.message}" for one in refused.refusals]

    def provenance(self) -> dict[str, Any]:
        return {run.experiment: run.provenance for run in runs(account(self.on).observe())}

    @property
    def rows(self) -> list[Event]:
        return [event for event in account(self.on).observe().events if event.run == approvals.APPROVED]


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    world = repository(tmp_path / "repository")
    text = (world.root / "pyproject.toml").read_text()
    world.write("pyproject.toml", text.replace("[tool.piste.policy]\n", "[tool.piste.policy]\nreviewed_plan = true\n"))
    suite = (world.root / "experiments/_suites/tiny-notes/suite.yaml").read_text()
    world.write(f"experiments/_suites/{OTHER_SUITE}/suite.yaml", suite)
    world.commit("Reviewed from now on")
    origin = tmp_path / "origin.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(origin)], check=True)
    world.git("remote", "add", "origin", str(origin))
    world.git("push", "-q", "origin", "main")
    with hubs.serve(origin) as hub:
        yield Place(world, hub, memory())


@pytest.mark.parametrize("how", ["merge", "squash", "rebase"])
def test_what_was_merged_is_submitted_and_kept(place: Place, how: str) -> None:
    pull = place.pull(lambda: place.add("a", 1))
    place.push(lambda: place.world.write("notes.md", "Meanwhile."))
    place.merge(pull, how)
    assert place.submit() == (["a"], [])
    (row,) = place.rows
    assert (row.body["other"], row.body["head"], row.body["actor"]) == ("1", place.heads[1], "@maria")
    assert row.body["credits"] == pytest.approx(0.11 / 6)
    assert [set(one) for one in row.body["actions"]] == [{"training", "suite", "credits"}]
    told = place.provenance()["a"]
    assert (told["approved"], told["spender"]) == (1, "@maria")
    assert place.submit() == ([], [])
    assert len(place.rows) == 1


def test_a_failed_submit_and_three_merges_later_exactly_what_was_approved_is_submitted(place: Place) -> None:
    place.merge(place.pull(lambda: (place.add("a", 1), place.add("b", 2))), "squash")
    with pytest.raises(SnowflakeRefused):
        place.submit(Trouble("refused", 1, "CREATE STAGE"))
    place.push(lambda: place.add("pushed", 3))
    place.merge(place.pull(lambda: place.add("c", 4)))
    place.merge(place.pull(lambda: place.world.write("notes.md", "Nothing to train.")), "squash")
    place.merge(place.pull(lambda: place.world.edit("experiments/a/experiment.yaml", title="Another title")), "rebase")
    submitted, refused = place.submit()
    assert submitted == ["a", "b", "c"]
    (only,) = refused
    assert only.startswith("pushed: no merged pull request asked for training ")
    assert {name: one["approved"] for name, one in place.provenance().items()} == {"a": 1, "b": 1, "c": 2}
    again, still = place.submit()
    assert (again, still) == ([], refused)


def test_an_exception_lets_pass_what_nobody_reviewed(place: Place) -> None:
    place.push(lambda: place.add("pushed", 3))
    assert place.submit()[0] == []
    excepted = 'rule = "reviewed-plan"\nexperiment = "pushed"\nowner = "@maria"\nuntil = 2999-12-31\nreason = "Seen."\n'

    def write() -> None:
        with (place.world.root / "pyproject.toml").open("a") as settings:
            settings.write(f"[[tool.piste.policy.exceptions]]\n{excepted}")

    place.merge(place.pull(write))
    assert place.submit() == (["pushed"], [])
    assert place.rows == []


def test_main_moved_between_the_review_and_the_merge(place: Place) -> None:
    reviewed = place.pull(lambda: (place.add("a", 1), place.add("b", 2, **{"evaluate.suite": OTHER_SUITE})))
    path = "experiments/_suites/tiny-notes/suite.yaml"
    place.merge(place.pull(lambda: place.world.edit(path, **{"generate.max_new_tokens": 9})))
    place.merge(reviewed)
    submitted, refused = place.submit()
    assert submitted == ["b"]
    (only,) = refused
    assert only.startswith("a: #1 approved this training with another suite; nobody reviewed suite ")
    place.merge(place.pull(lambda: place.world.edit(path, **{"generate.max_new_tokens": 10})))
    assert place.submit() == (["a"], []), "whoever changed the suite now has seen it"


def test_a_higher_price_is_wider(place: Place) -> None:
    path = "experiments/a/experiment.yaml"
    place.merge(place.pull(lambda: place.add("a", 1)))
    place.push(lambda: place.world.edit(path, **{"compute.timeout": "5h"}))
    submitted, refused = place.submit()
    assert (submitted, refused) == ([], ["a: it may cost 0.55 credits; #1 approved 0.02"])
    place.push(lambda: place.world.edit(path, **{"compute.timeout": "20m"}))
    place.merge(place.pull(lambda: place.world.edit(path, **{"compute.timeout": "6h"})))
    assert place.submit() == (["a"], [])
    assert place.provenance()["a"]["approved"] == 2


def test_what_was_pushed_before_a_branch_began_is_not_approved_by_its_merge(place: Place) -> None:
    place.push(lambda: place.add("pushed", 3))
    place.merge(place.pull(lambda: place.add("a", 1)))
    submitted, refused = place.submit()
    assert submitted == ["a"]
    assert [one.partition(":")[0] for one in refused] == ["pushed"]


def test_what_was_merged_elsewhere_is_not_approved_here(place: Place) -> None:
    pull = place.pull(lambda: place.add("a", 1))
    pull.base = "feature"
    place.merge(pull)
    submitted, refused = place.submit()
    assert submitted == []
    assert [one.partition(":")[0] for one in refused] == ["a"]
    assert place.rows == []


def test_neither_a_row_nor_a_pull_request_that_is_open_approves(place: Place) -> None:
    unmerged = place.pull(lambda: place.add("a", 1))
    place.merge(place.pull(lambda: place.add("b", 2)))
    place.git("merge", "-q", "--no-ff", "-m", "By hand", "branch-1")
    place.git("push", "-q", "origin", "main")
    unmerged.commits = [place.heads[1]]
    (pair,) = ({"training": one.digests.training, "suite": one.digests.suite} for one in _variants(place, "a"))
    forged = {"other": "2", "head": place.heads[2], "actor": "@ana", "actions": [{**pair, "credits": None}]}
    place.on.tables |= {"LEDGER", "LEDGER_LATEST"}
    row = {**forged, "identity": approvals.body(approvals.Approval(2, "", "", {}))["identity"]}
    account(place.on).record(approvals.APPROVED, "approved", row)
    submitted, refused = place.submit()
    assert submitted == ["b"]
    assert [one.partition(":")[0] for one in refused] == ["a"]


def _variants(place: Place, name: str) -> list[Any]:
    return [one for one in journeys.read(place.world.root).variants if one.experiment == name]


def test_a_renamed_folder_is_what_was_approved(place: Place) -> None:
    place.merge(place.pull(lambda: place.add("a", 1)))
    with pytest.raises(SnowflakeUnreachable):
        place.submit(Trouble("no connection", 1, "CREATE STAGE"))
    place.merge(place.pull(lambda: place.git("mv", "experiments/a", "experiments/renamed") and None))
    assert place.submit() == (["renamed"], [])


def test_a_desk_goes_by_the_ledger(place: Place) -> None:
    place.merge(place.pull(lambda: place.add("a", 1)))
    assert place.at_a_desk()[0] == []
    with pytest.raises(SnowflakeUnreachable):
        place.submit(Trouble("no connection", 1, "CREATE STAGE"))
    place.merge(place.pull(lambda: place.add("b", 2)))
    submitted, refused = place.at_a_desk()
    assert submitted == ["a"]
    assert [one.partition(":")[0] for one in refused] == ["b"]


def test_a_branch_without_a_common_past_approves_nothing(place: Place) -> None:
    place.git("checkout", "-q", "--orphan", "stranger")
    place.add("a", 1)
    place.world.commit("Out of nowhere")
    pull = place.hub.open("stranger", "Out of nowhere")
    place.git("push", "-q", "origin", "HEAD:refs/heads/stranger", f"HEAD:refs/pull/{pull.number}/head")
    place.git("checkout", "-q", "main")
    place.push(lambda: place.add("a", 1))
    pull.commits, pull.merged_at = [place.git("rev-parse", "HEAD")], "2026-11-28T10:00:00Z"
    submitted, refused = place.submit()
    assert (submitted, [one.partition(":")[0] for one in refused]) == ([], ["a"])


def test_it_needs_history(place: Place, tmp_path: Path) -> None:
    place.merge(place.pull(lambda: place.add("a", 1)))
    shallow = tmp_path / "shallow"
    subprocess.run(
        ["git", "clone", "-q", "--depth", "1", f"file://{tmp_path / 'origin.git'}", str(shallow)], check=True
    )
    with pytest.raises(GitRefused) as raised:
        replace(place, world=replace(place.world, root=shallow)).submit()
    assert "fetch-depth: 0" in raised.value.hint


def test_nothing_is_asked_where_nothing_is_due(place: Place) -> None:
    place.merge(place.pull(lambda: place.add("a", 1)))
    place.submit()
    place.on.run_jobs()
    asked = len(place.hub.asked)
    place.submit()
    assert len(place.hub.asked) == asked
    assert json.dumps(place.rows[0].body)
