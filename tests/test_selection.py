"""Selecting experiments: by name, glob, tag, owner, and by what changed since a commit of a real repository."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from world import World

from builders import DOCUMENT, RECIPE, SUITE, experiment, run, variant
from piste import journeys
from piste.cli import main
from piste.errors import GitRefused, PisteError
from piste.experiment import Variant
from piste.selection import select
from piste.variants import variants

SOAP = variant("soap-lora", tags=["soap", "lora"], owner="@ana")
FULL = variant("soap-full", tags=["soap"], owner="@ben")
CODE = variant("code-lora", tags=["code", "lora"], owner="team-code")
GRID = variants(experiment("grid", **{"train.matrix": {"optimizer.learning_rate": [0.001, 0.01]}}))
ALL = (SOAP, FULL, CODE, *GRID)


def titles(*words: str, among: tuple[Variant, ...] = ALL) -> list[str]:
    return [one.title for one in select(words, among)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["soap-lora"], ["soap-lora"]),
        (["soap-*"], ["soap-lora", "soap-full"]),
        (["*-lora", "soap-full"], ["soap-lora", "soap-full", "code-lora"]),
        (["tag:soap"], ["soap-lora", "soap-full"]),
        (["tag:lo*"], ["soap-lora", "code-lora"]),
        (["owner:@ana"], ["soap-lora", *(one.title for one in GRID)]),
        (["owner:ben"], ["soap-full"]),
        (["owner:team-*"], ["code-lora"]),
        (["grid"], [one.title for one in GRID]),
        (["grid/learning_rate=0.01"], ["grid/learning_rate=0.01"]),
        (["grid/*=0.001"], ["grid/learning_rate=0.001"]),
        (["*/learning_rate=0.001"], ["grid/learning_rate=0.001"]),
        (["tag:code", "grid/learning_rate=0.01"], ["code-lora", "grid/learning_rate=0.01"]),
    ],
)
def test_words(words: list[str], expected: list[str]) -> None:
    assert titles(*words) == expected


def test_without_a_word_it_is_everything() -> None:
    assert select([], ALL) == ALL


def test_runs_are_selected_as_variants_are() -> None:
    assert select(["tag:code"], [run(one) for one in ALL]) == (run(CODE),)


@pytest.mark.parametrize(
    ("word", "message", "hint"),
    [
        ("soap-lra", "There is no experiment 'soap-lra'.", 'Did you mean "soap-lora"? There are: code-lora'),
        ("tag:sop", '"tag:sop" selects no experiment.', 'Did you mean "soap"? The tags are: code, lora, soap.'),
        ("owner:@anna", '"owner:@anna" selects no experiment.', 'Did you mean "@ana"? The owners are: @ana'),
        ("chat-*", '"chat-*" selects no experiment.', "There are: code-lora"),
    ],
)
def test_a_word_that_means_nothing_is_refused_beside_one_that_does(word: str, message: str, hint: str) -> None:
    with pytest.raises(PisteError) as raised:
        select(["soap-lora", word], ALL)
    assert raised.value.message == message
    assert raised.value.hint.startswith(hint)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path, tmp_path, "none")
    made.write("pyproject.toml", SETTINGS)
    made.write("cpu.txt", "torch==2.13.0\n")
    made.write("gpu.txt", "torch==2.13.0\n")
    for suite in ("notes", "code"):
        made.write(f"experiments/_suites/{suite}/suite.yaml", SUITE)
    for name, suite, runtime in (("a", "notes", "cpu"), ("b", "notes", "gpu"), ("c", "code", "gpu")):
        train = {**DOCUMENT["train"], "runtime": runtime, "files": []}
        document = {**DOCUMENT, "train": train, "evaluate": {"suite": suite}, "tags": [suite]}
        made.write(f"experiments/{name}/experiment.yaml", document)
        made.write(f"experiments/{name}/recipe.yaml", RECIPE)
    made.write("experiments/base/experiment.yaml", {**DOCUMENT, "train": {"inputs": {"base-model": "@MODELS/small"}}})
    made.git("init", "-q", "-b", "main")
    made.git("config", "user.name", "ana")
    made.git("config", "user.email", "ana@localhost")
    made.commit("begin")
    return made


SETTINGS = """
[tool.piste]
runtime = "cpu"
[tool.piste.environments.dev]
database = "A"
schema = "B"
pools = {cpu = "PISTE_CPU"}
[tool.piste.runtimes.cpu]
lock = "cpu.txt"
[tool.piste.runtimes.gpu]
lock = "gpu.txt"
"""


def rates_changed(world: World) -> None:
    world.write("pyproject.toml", SETTINGS + "[tool.piste.credits]\nGPU_NV_S = 1.0\n")


def image_changed(world: World) -> None:
    world.write("pyproject.toml", SETTINGS + 'image = "1.7.1"\n')


def default_changed(world: World) -> None:
    world.write("pyproject.toml", SETTINGS.replace('runtime = "cpu"', 'runtime = "gpu"'))


def renamed(world: World) -> None:
    world.git("mv", "experiments/a", "experiments/z")


def committed(world: World) -> None:
    world.edit("experiments/a/experiment.yaml", title="Another")
    world.commit("later")


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (lambda world: None, set()),
        (lambda world: world.edit("experiments/a/recipe.yaml", micro_batch_size=2), {"a"}),
        (lambda world: world.write("experiments/b/README.md", "Why.\n"), {"b"}),
        (lambda world: world.write("experiments/b/report/README.md", "Written by piste.\n"), set()),
        (lambda world: world.edit("experiments/_suites/notes/suite.yaml", title="Other"), {"a", "b", "base"}),
        (lambda world: world.write("cpu.txt", "torch==2.13.1\n"), {"a", "base"}),
        (image_changed, {"b", "c"}),
        (default_changed, {"base"}),
        (rates_changed, set()),
        (renamed, {"z"}),
        (committed, {"a"}),
        (lambda world: world.write("docs/other.md", "No experiment.\n"), set()),
    ],
)  # fmt: skip
def test_changed_since(world: World, edit: Callable[[World], None], expected: set[str]) -> None:
    first = world.git("rev-parse", "HEAD")
    edit(world)
    desired = journeys.read(world.root, since=first)
    assert {one.experiment for one in desired.only([])} == expected


def test_tags_and_owners_are_known_without_the_documents(world: World) -> None:
    journeys.read(world.root)
    desired = journeys.read(world.root, since="main")
    assert desired.only(["owner:@ana"]) == ()
    assert selected(journeys.read(world.root), "tag:notes") == ["a", "b"]
    everything = journeys.read(world.root)
    everything.only(["tag:notes", "owner:@ana"])
    assert all(one.documents._make is not None for one in everything.variants), "no spec was made"


def selected(desired: journeys.Desired, *words: str) -> list[str]:
    return [one.experiment for one in desired.only(words)]


def test_a_workflow_hands_over_all_words_as_one(world: World) -> None:
    apart, together = world.piste("plan", "--offline", "a", "tag:n*"), world.piste("plan", "--offline", " a  tag:n* ")
    assert (apart.code, together.code) == (0, 0), together.err
    assert apart.out == together.out
    assert world.piste("plan", "--offline", "").out == world.piste("plan", "--offline").out


def test_changed_since_narrows_what_words_select(world: World) -> None:
    for name in "ac":
        world.edit(f"experiments/{name}/recipe.yaml", micro_batch_size=2)
    desired = journeys.read(world.root, since="main")
    assert [one.experiment for one in desired.only(["tag:notes"])] == ["a"]
    assert desired.only(["b"]) == ()


def test_a_commit_that_is_not_here(world: World) -> None:
    for revision in ("origin/main", "--output=x"):
        with pytest.raises(GitRefused, match="There is no commit"):
            journeys.read(world.root, since=revision)
    assert not (world.root / "x").exists()


def piste(world: World, *arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["--root", str(world.root), *arguments])
    return done.exit_code, done.stdout, done.stderr


def planned(world: World, *arguments: str) -> list[str]:
    code, out, err = piste(world, "plan", "--offline", "--format", "json", *arguments)
    assert code == 0, err
    return [one["experiment"] for one in json.loads(out)["actions"]]


def test_the_command_line(world: World) -> None:
    world.edit("experiments/c/recipe.yaml", micro_batch_size=2)
    assert planned(world, "tag:notes") == ["a", "b"]
    assert planned(world, "--changed-since", "main") == ["c"]
    assert planned(world, "tag:notes", "--changed-since", "main") == []
    code, _, err = piste(world, "plan", "--offline", "tag:nots")
    assert (code, err.splitlines()[-2:]) == (
        1,
        ['"tag:nots" selects no experiment.', 'Did you mean "notes"? The tags are: code, notes.'],
    )
    assert piste(world, "run")[0] == 2
    assert piste(world, "collect", "--changed-since", "main")[0] == 2


def test_validate_tells_of_what_is_selected_and_of_what_belongs_to_nobody(world: World) -> None:
    for name in "ab":
        world.edit(f"experiments/{name}/experiment.yaml", titl="A typing error")
    world.commit("broken")
    world.edit("experiments/c/recipe.yaml", micro_batch_size=2)

    def told(*arguments: str) -> tuple[int, list[str]]:
        _, out, _ = piste(world, "validate", "--format", "json", *arguments)
        found = json.loads(out)
        return found["experiments"], [one["file"].split("/")[1] for one in found["problems"]]

    assert told("a") == (1, ["a"])
    assert told("c") == (1, [])
    assert told("tag:code") == (3, ["a", "b"]), "whose tags can't be read counts"
    assert told("--changed-since", "main") == (1, [])
    assert told("--changed-since", "main~1") == (3, ["a", "b"])
    assert piste(world, "validate", "d")[0] == 1


def test_the_page_of_all_runs_can_be_of_some(world: World) -> None:
    assert piste(world, "report", "--html", str(world.root / "site"), "tag:notes")[0] == 0
    assert piste(world, "report", "--html", str(world.root / "site"), "tag:none")[0] == 1
