"""The command line as other tools and impatient people meet it; nothing here needs an account."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from world import World

from builders import DOCUMENT, RECIPE, SUITE

HEAVY = (
    "snowflake.connector",
    "snowflake.snowpark",
    "snowflake.ml",
    "torch",
    "arctic_training",
    "transformers",
    "matplotlib",
    "scipy",
    "numpy",
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Only experiments/: no settings, no git, no account."""
    made = World(tmp_path, tmp_path, "none")
    made.write("experiments/_suites/notes/suite.yaml", SUITE)
    made.write("experiments/notes-lora/experiment.yaml", DOCUMENT)
    made.write("experiments/notes-lora/recipe.yaml", {**RECIPE, "code": "train.py"})
    made.write("experiments/notes-lora/train.py", "")
    return made


@pytest.mark.parametrize("command", ["--help", "validate", "plan --offline --format json", "report --html site"])
def test_light_commands_import_nothing_heavy(world: World, command: str) -> None:
    assert loaded_by(world, *command.split()).isdisjoint(HEAVY)


def test_a_plan_of_what_has_not_changed_imports_what_it_needs(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most of the time that a plan of a thousand experiments takes would go into imports otherwise."""
    monkeypatch.setenv("PISTE_CACHE", str(tmp_path / "cache"))
    assert loaded_by(world, "plan", "--offline") >= {"yaml", "piste.plain_documents"}
    again = loaded_by(world, "plan", "--offline")
    assert again.isdisjoint(
        {"yaml", "piste.policy", "piste.estimate", "piste.judged", "piste.report.model", "piste.git", *HEAVY}
    )


def loaded_by(world: World, *arguments: str) -> set[str]:
    """The names of the modules."""
    told = ["--root", str(world.root), *arguments]
    code = f"import sys; from piste.cli import main; main({told!r}, standalone_mode=False)"
    probe = f"import atexit, sys; atexit.register(lambda: print('loaded', *sys.modules, file=sys.stderr)); {code}"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False, cwd=world.root)
    loaded = set(done.stderr.rpartition("loaded ")[2].split())
    assert "piste" in loaded, done.stderr
    return loaded


def test_validate_as_json(world: World) -> None:
    assert json.loads(world.piste("validate", "--format", "json").out) == {"experiments": 1, "problems": []}
    world.edit("experiments/notes-lora/experiment.yaml", ownr="@ana")
    done = world.piste("validate", "--format", "json")
    (problem,) = done.json()["problems"]
    assert done.code == 1
    assert set(problem) == {"file", "line", "column", "path", "message", "hint", "severity"}
    assert (problem["file"], problem["path"]) == ("experiments/notes-lora/experiment.yaml", "ownr")
    assert "owner" in problem["hint"]


def test_validate_as_annotations(world: World) -> None:
    world.edit("experiments/notes-lora/experiment.yaml", ownr="@ana")
    assert world.piste("validate", "--format", "github").out.startswith("::error file=experiments/notes-lora/")


def test_offline_plan_as_json_is_the_same_bytes_every_time(world: World) -> None:
    done = world.piste("plan", "--offline", "--format", "json")
    document = done.json()
    assert (document["schema"], document["observed"], document["summary"]["train"]) == ("plan/v1", "reports", 1)
    (action,) = document["actions"]
    assert (action["experiment"], action["variant"], action["action"], action["reason"]) == (
        "notes-lora",
        "",
        "train",
        "new",
    )
    assert (len(action["training_digest"]), action["changes"], document["orphans"]) == (64, [], [])
    assert world.piste("plan", "--offline", "--format", "json").out == done.out


def test_exit_codes(world: World) -> None:
    assert world.piste("plan", "--offline").code == 0
    assert world.piste("plan", "--offline", "--check").code == 3
    assert world.piste("plan", "--no-such-option").code == 2
    assert world.piste("plan", "--offline", "no-such-experiment").code == 1
    world.write("experiments/notes-lora/experiment.yaml", "a: [")
    assert world.piste("plan", "--offline").code == 1


def test_a_name_that_is_none_gets_the_names_there_are(world: World) -> None:
    done = world.piste("plan", "--offline", "notes-lor")
    assert done.err.splitlines()[-2:] == [
        "There is no experiment 'notes-lor'.",
        'Did you mean "notes-lora"? There are: notes-lora.',
    ]


def test_without_a_connection_it_says_what_to_do(world: World) -> None:
    world.write("pyproject.toml", '[tool.piste.environments.dev]\ndatabase = "A"\nschema = "B"\n')
    done = world.piste("plan")
    assert done.code == 1
    assert "Traceback" not in done.err
    assert "The connection 'none' could not be used." in done.err
    assert "connections.toml" in done.err


def test_the_repository_is_found_from_a_folder_below(world: World) -> None:
    below = world.root / "experiments/notes-lora"
    command = [sys.executable, "-m", "piste", "validate"]
    done = subprocess.run(command, cwd=below, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "1 experiment, 0 problems\n")


def test_validate_knows_its_environments(world: World) -> None:
    done = world.piste("--environment", "prod", "validate")
    assert (done.code, done.err.splitlines()[0]) == (1, 'There is no environment "prod".')


def test_new_copies_without_the_report(world: World) -> None:
    world.write("experiments/notes-lora/report/report.json", "{}")
    done = world.piste("new", "notes-wide", "--from", "notes-lora")
    assert done.out.splitlines() == [
        f"experiments/notes-wide/{name}" for name in ("experiment.yaml", "recipe.yaml", "train.py")
    ]
    assert world.piste("new", "notes-wide", "--from", "notes-lora").code == 1
    file = world.root / "experiments/notes-lora/experiment.yaml"
    file.write_text(f"{file.read_text()}conclusion: It learns the form.\nwaivers: []\n")
    said = world.piste("new", "notes-deep", "--from", "notes-lora").err
    assert said.startswith("Remove conclusion: what is said there is of notes-lora.\n")
    assert world.piste("new", "other", "--from", "notes-lor").err.startswith("There is no experiment")
