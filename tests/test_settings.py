"""[tool.piste] in pyproject.toml."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from piste import settings
from piste.environment import PolicyException
from piste.errors import InvalidInput, PisteError
from piste.resources import schema
from piste.settings import Environment, Policy, Runtime, Settings

FULL = """\
[project]
name = "training"

[tool.piste]
environment = "dev"
runtime = "cpu-2026.11"

[tool.piste.environments.dev]
connection = "default"
database = "PISTE"
schema = "DEV"
pools = {cpu = "PISTE_CPU", gpu-small = "PISTE_GPU_S"}
external_access = ["PISTE_PYPI"]

[tool.piste.environments.prod]
role = "RUNNER"
database = "PISTE"
schema = "PROD"

[tool.piste.runtimes."cpu-2026.11"]
lock = "cpu.txt"

[tool.piste.credits]
CPU_X64_S = 0.11

[tool.piste.policy]
max_submissions = 5
max_vanished = 0.5
resume_days = 0
backlog = 0.5
allowed_pools = ["PISTE_*"]

[[tool.piste.policy.exceptions]]
rule = "allowed-pools"
experiment = "soap-*"
owner = "@ana"
until = 2026-12-31
reason = "The pilot."

[[tool.piste.policy.exceptions]]
rule = "reviewed-plan"
experiment = "notes"
owner = "@bob"
until = "2027-01-31"
reason = "Pushed."
"""


def root_with(tmp_path: Path, text: str) -> Path:
    (tmp_path / "cpu.txt").write_text("torch==2.13.0\n")
    (tmp_path / "pyproject.toml").write_text(text)
    return tmp_path


def test_everything(tmp_path: Path) -> None:
    pools = {"cpu": "PISTE_CPU", "gpu-small": "PISTE_GPU_S"}
    dev = Environment("dev", "PISTE", "DEV", "default", pools=pools, external_access=("PISTE_PYPI",))
    assert settings.read(root_with(tmp_path, FULL)) == Settings(
        "dev",
        "cpu-2026.11",
        {"dev": dev, "prod": Environment("prod", "PISTE", "PROD", role="RUNNER")},
        {"cpu-2026.11": Runtime("cpu-2026.11", "cpu.txt")},
        {"CPU_X64_S": 0.11},
        Policy(
            max_submissions=5,
            max_vanished=0.5,
            resume_days=0,
            backlog=0.5,
            allowed_pools=("PISTE_*",),
            exceptions=(
                PolicyException("allowed-pools", "soap-*", "@ana", "2026-12-31", "The pilot."),
                PolicyException("reviewed-plan", "notes", "@bob", "2027-01-31", "Pushed."),
            ),
        ),
    )


def test_nothing(tmp_path: Path) -> None:
    assert settings.read(tmp_path) == Settings()
    assert settings.read(root_with(tmp_path, '[project]\nname = "x"\n')) == Settings()


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('schema = "PROD"', "schema = 5", (18, "tool.piste.environments.prod.schema")),
        ('role = "RUNNER"', 'rol = "RUNNER"', (16, "tool.piste.environments.prod.rol")),
        ('schema = "PROD"', 'schema = "PROD; DROP"', (18, "tool.piste.environments.prod.schema")),
        ('environment = "dev"', 'environment = "live"', (5, "tool.piste.environment")),
        ('runtime = "cpu-2026.11"', 'runtime = "gpu"', (6, "tool.piste.runtime")),
        ('lock = "cpu.txt"', 'lock = "../cpu.txt"', (21, "tool.piste.runtimes.cpu-2026.11.lock")),
        ("CPU_X64_S = 0.11", "CPU_X64_S = -1", (24, "tool.piste.credits.CPU_X64_S")),
        ("[tool.piste.environments.prod]", "[tool.piste.environments.Prod]", (15, "tool.piste.environments.Prod")),
        ("CPU_X64_S = 0.11", "CPU_X64_S == 1", (24, "")),
        ("CPU_X64_S = 0.11", "CPU_X64_S = nan", (24, "tool.piste.credits.CPU_X64_S")),
        ("max_submissions = 5", "max_submissions = 0", (27, "tool.piste.policy.max_submissions")),
        ("max_submissions = 5", "max_submissions = true", (27, "tool.piste.policy.max_submissions")),
        ("max_submissions = 5", "max_submission = 5", (27, "tool.piste.policy.max_submission")),
        ("max_vanished = 0.5", "max_vanished = 50", (28, "tool.piste.policy.max_vanished")),
        ("max_vanished = 0.5", "max_vanished = nan", (28, "tool.piste.policy.max_vanished")),
        ("resume_days = 0", "resume_days = 1.5", (29, "tool.piste.policy.resume_days")),
        ("resume_days = 0", "resume_days = -1", (29, "tool.piste.policy.resume_days")),
        ("backlog = 0.5", "backlog = -1", (30, "tool.piste.policy.backlog")),
        ("backlog = 0.5", "backlog = inf", (30, "tool.piste.policy.backlog")),
        ('["PISTE_*"]', '"PISTE_*"', (31, "tool.piste.policy.allowed_pools")),
        ('"allowed-pools"', '"allowed-pool"', (34, "tool.piste.policy.exceptions[0].rule")),
        ('owner = "@ana"\n', "", (33, "tool.piste.policy.exceptions[0].owner")),
        ("until = 2026-12-31", "until = 2026", (37, "tool.piste.policy.exceptions[0].until")),
        ('"2027-01-31"', '"2027-02-31"', (44, "tool.piste.policy.exceptions[1].until")),
        ('"2027-01-31"', '"soon"', (44, "tool.piste.policy.exceptions[1].until")),
        ('reason = "Pushed."', 'reasons = "Pushed."', (45, "tool.piste.policy.exceptions[1].reasons")),
    ],
)
def test_problems_have_their_line(old: str, new: str, place: tuple[int, str], tmp_path: Path) -> None:
    assert old in FULL
    with pytest.raises(InvalidInput) as raised:
        settings.read(root_with(tmp_path, FULL.replace(old, new)))
    problems = raised.value.problems
    assert [(problem.file, problem.line, problem.path) for problem in problems] == [("pyproject.toml", *place)]


def test_the_policy_without_a_table_is_what_the_schema_says(tmp_path: Path) -> None:
    said = schema("settings")["properties"]["policy"]["properties"]
    written = json.loads(json.dumps(vars(settings.read(tmp_path).policy)))
    assert written == {key: node.get("default") for key, node in said.items()}
    some = settings.read(root_with(tmp_path, "[tool.piste.policy]\nmax_submissions = 3\n"))
    assert some.policy == Policy(max_submissions=3)


def test_the_environment_that_is_meant(tmp_path: Path) -> None:
    found = settings.read(root_with(tmp_path, FULL))
    assert (found.chosen().name, found.chosen("prod").schema) == ("dev", "PROD")
    with pytest.raises(PisteError) as raised:
        found.chosen("prd")
    assert 'Did you mean "prod"?' in raised.value.hint
    with pytest.raises(PisteError):
        Settings().chosen()
    alone = Settings(environments={"only": Environment("only", "D", "S")})
    assert alone.chosen().name == "only"


def test_the_repository_s_own_settings_are_right() -> None:
    assert settings.load(Path(__file__).parents[1])[1] == ()
