"""Secrets by name: settings say which, doctor which are missing. What jobs get is in journeys/test_secrets.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from piste import doctor, problems, settings
from piste.doctor.needs import HUB_HOSTS
from piste.environment import Environment
from piste.errors import InvalidInput

SETTINGS = """\
[tool.piste.environments.dev]
database = "PISTE"
schema = "DEV"
secrets = {HF_TOKEN = "PISTE.DEV.HF_TOKEN", WANDB_API_KEY = "VAULT.KEYS.WANDB"}
model_access = "PISTE_HUB"
"""


def read(tmp_path: Path, text: str) -> Environment:
    (tmp_path / "pyproject.toml").write_text(text)
    return settings.read(tmp_path).chosen()


def test_settings_name_them(tmp_path: Path) -> None:
    found = read(tmp_path, SETTINGS)
    assert found.secrets == {"HF_TOKEN": "PISTE.DEV.HF_TOKEN", "WANDB_API_KEY": "VAULT.KEYS.WANDB"}
    assert found.model_access == "PISTE_HUB"


@pytest.mark.parametrize("name", ["hf_token", "HF-TOKEN", "PATH", "PYTHONPATH", "LD_PRELOAD", "SNOWFLAKE_HOST", "1A"])
def test_a_variable_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as raised:
        read(tmp_path, SETTINGS.replace("HF_TOKEN =", f'"{name}" ='))
    (problem,) = raised.value.problems
    assert (problem.line, problem.path) == (4, f"tool.piste.environments.dev.secrets.{name}")
    assert "upper-case" in problem.message
    assert "HF_TOKEN" in problem.hint


@pytest.mark.parametrize("text", ["hf_QWERTYuiop1234567890", "HF_TOKEN", "DEV.HF_TOKEN", "A.B.C; DROP", "A.B.C.D"])
def test_a_secret_without_its_full_name_is_refused_and_not_repeated(text: str, tmp_path: Path) -> None:
    """Somebody may have written the secret itself."""
    with pytest.raises(InvalidInput) as raised:
        read(tmp_path, SETTINGS.replace('"PISTE.DEV.HF_TOKEN"', f'"{text}"'))
    (problem,) = raised.value.problems
    assert (problem.line, problem.path) == (4, "tool.piste.environments.dev.secrets.HF_TOKEN")
    assert "DATABASE.SCHEMA.NAME" in problem.message
    assert f'"{text}"' not in problems.to_text(raised.value.problems)
    assert "QWERTY" not in problems.to_text(raised.value.problems)


def examined(environment: Environment, answers: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, doctor.Finding]:
    """An account that answers these statements, by their beginning, and has nothing else."""

    def ask(statement: str) -> Sequence[Mapping[str, Any]] | None:
        session = {"SELECT CURRENT_ROLE()": [{"ROLE": "PISTE_SUBMIT", "LOGIN": "ANA", "WAREHOUSE": "WH"}]}
        told = {**session, **answers}
        return next((rows for start, rows in told.items() if statement.startswith(start)), [])

    return {one.what: one for one in doctor.examine(ask, environment, ()).findings}


HUB = "external access integration PISTE_HUB (the hub, for piste model add)"
SECRET, OTHER = "secret PISTE.DEV.HF_TOKEN (HF_TOKEN)", "secret VAULT.KEYS.WANDB (WANDB_API_KEY)"


def test_doctor_says_which_are_missing(tmp_path: Path) -> None:
    environment = read(tmp_path, SETTINGS)
    found = examined(environment, {})
    assert "TYPE = GENERIC_STRING SECRET_STRING = '<token>';" in found[SECRET].sql
    assert (
        found["READ on secret PISTE.DEV.HF_TOKEN"].sql
        == "GRANT READ ON SECRET PISTE.DEV.HF_TOKEN TO ROLE PISTE_SUBMIT;"
    )
    assert not found[SECRET].well
    assert not found[OTHER].well
    there = {"SHOW SECRETS LIKE 'HF_TOKEN' IN SCHEMA PISTE.DEV": [{"name": "HF_TOKEN"}]}
    assert examined(environment, there)[SECRET].well
    similar = {"SHOW SECRETS LIKE 'HF_TOKEN' IN SCHEMA PISTE.DEV": [{"name": "HFXTOKEN"}]}
    assert not examined(environment, similar)[SECRET].well


def test_doctor_says_how_the_hub_is_reached(tmp_path: Path) -> None:
    environment = read(tmp_path, SETTINGS)
    found = examined(environment, {})
    sql = found[HUB].sql
    assert all(f"'{host}'" in sql for host in HUB_HOSTS)
    assert "ALLOWED_NETWORK_RULES = (PISTE.DEV.PISTE_HUB_HOSTS)" in sql
    assert sql.index("CREATE NETWORK RULE") < sql.index("CREATE EXTERNAL ACCESS INTEGRATION IF NOT EXISTS PISTE_HUB")
    reached = examined(environment, {"SHOW EXTERNAL ACCESS INTEGRATIONS LIKE 'PISTE_HUB'": [{"name": "PISTE_HUB"}]})
    assert reached[HUB].well
    assert not any("hub" in what for what in examined(Environment("dev", "PISTE", "DEV"), {}))
