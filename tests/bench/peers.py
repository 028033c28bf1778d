"""Other tools that are asked what has changed, on as many units and on the same machine.

Each is installed, as its index offers it today, into an environment of its own below the folder that is given.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import many
import scale
from scale import Measured

PACKAGES = {
    "dvc": ["dvc"],
    "dbt": ["dbt-core>=1.10,<1.11", "dbt-duckdb>=1.9,<2"],
    "check-jsonschema": ["check-jsonschema"],
}


def peers(directory: Path, environments: Path, units: int) -> None:
    print(f"Nothing changed since the last time, of {units:,} units: medians of {scale.TIMES}")
    ours = _piste(directory / "piste", units)
    print(f"{'':30} {'wall':>8} {'cpu':>8} {'ratio':>6}  units")
    _tell("piste plan --offline", ours, ours, "experiments of two YAML files")
    for name, measure in (("dvc", _dvc), ("dbt", _dbt), ("check-jsonschema", _check_jsonschema)):
        tool = _installed(environments, name)
        if tool is None:
            print(f"{name:30} could not be installed")
            continue
        said, of, seen = measure(tool, directory / name, units)
        _tell(f"{said} ({_version(tool.parent, name)})", seen, ours, of)
    if terraform := shutil.which("terraform"):
        _tell("terraform plan", _terraform(terraform, directory / "terraform", units), ours, "resources terraform_data")
    print()


def _tell(what: str, seen: Measured, ours: Measured, of: str) -> None:
    print(f"{what:30} {seen.wall:6.2f} s {seen.cpu:6.2f} s {seen.wall / ours.wall:6.1f}  {of}", flush=True)


def _installed(environments: Path, name: str) -> Path | None:
    tool = environments / name / "bin" / name
    if not tool.exists():
        subprocess.run([sys.executable, "-m", "venv", environments / name], check=True)
        pip = [environments / name / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *PACKAGES[name]], check=False)
    return tool if tool.exists() else None


def _version(bin_: Path, name: str) -> str:
    package = PACKAGES[name][0].partition(">")[0]
    told = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"
    done = subprocess.run([bin_ / "python", "-c", told, package], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _repeated(command: Sequence[str], cwd: Path, codes: Sequence[int] = (0,)) -> Measured:
    """After one run that fills what the tool remembers."""
    scale.measured(command, cwd=cwd, codes=codes)
    return scale.median(lambda: scale.measured(command, cwd=cwd, codes=codes))


def _piste(root: Path, units: int) -> Measured:
    many.write(root, units)
    environment = {"PISTE_CACHE": str(root.with_name("cache"))}
    command = scale.piste("--root", str(root), "plan", "--offline")
    scale.measured(command, environment)
    return scale.median(lambda: scale.measured(command, environment))


def _dvc(tool: Path, root: Path, units: int) -> tuple[str, str, Measured]:
    """Stages of two dependencies each, whose lock says that they were run."""
    many.write(root, units)
    names = [f"notes-{number:06}" for number in range(units - many.SUITES)]
    stages, locked = [], []
    for name in names:
        files = [f"experiments/{name}/{file}" for file in ("experiment.yaml", "recipe.yaml")]
        stages += [f"  {name}:", f"    cmd: train {name}", "    deps:", *(f"    - {file}" for file in files)]
        locked += [f"  {name}:", f"    cmd: train {name}", "    deps:"]
        for file in files:
            content = (root / file).read_bytes()
            digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
            locked += [f"    - path: {file}", "      hash: md5", f"      md5: {digest}", f"      size: {len(content)}"]
    (root / "dvc.yaml").write_text("\n".join(["stages:", *stages, ""]))
    (root / "dvc.lock").write_text("\n".join(["schema: '2.0'", "stages:", *locked, ""]))
    subprocess.run([tool, "init", "--no-scm", "--quiet"], cwd=root, check=True)
    subprocess.run([tool, "config", "core.analytics", "false"], cwd=root, check=True)
    return "dvc status", "stages of two files", _repeated([str(tool), "status"], root)


def _dbt(tool: Path, root: Path, units: int) -> tuple[str, str, Measured]:
    """Models of an SQL and a YAML file each, beside the manifest of the same."""
    models = root / "models"
    models.mkdir(parents=True)
    flags = "flags: {send_anonymous_usage_stats: false}"
    (root / "dbt_project.yml").write_text(f"name: many\nversion: '1.0.0'\nprofile: many\n{flags}\n")
    (root / "profiles.yml").write_text("many: {target: dev, outputs: {dev: {type: duckdb, path: ':memory:'}}}\n")
    for number in range(units):
        (models / f"notes_{number:06}.sql").write_text(f"select {number} as id, 'note' as note\n")
        described = f"version: 2\nmodels:\n- name: notes_{number:06}\n  description: Notes {number}\n"
        (models / f"notes_{number:06}.yml").write_text(described)
    subprocess.run([tool, "parse", "--quiet"], cwd=root, check=True)
    shutil.copytree(root / "target", root / "state")
    command = [str(tool), "ls", "--select", "state:modified", "--state", "state"]
    return "dbt ls state:modified", "models of two files", _repeated(command, root)


def _check_jsonschema(tool: Path, root: Path, units: int) -> tuple[str, str, Measured]:
    many.write(root, units)
    files = sorted(str(file.relative_to(root)) for file in root.glob("experiments/notes-*/experiment.yaml"))
    schema = str(many.HOME / "schemas/experiment.schema.json")
    return "check-jsonschema", "files of one schema", _repeated([str(tool), "--schemafile", schema, *files], root)


def _terraform(tool: str, root: Path, units: int) -> Measured:
    """Resources that need no cloud and no plug-in, all of them there."""
    root.mkdir(parents=True)
    resources = [f'resource "terraform_data" "notes_{number:06}" {{\n  input = {number}\n}}' for number in range(units)]
    (root / "main.tf").write_text("\n".join([*resources, ""]))
    for words in (["init", "-no-color"], ["apply", "-auto-approve", "-no-color"]):
        subprocess.run([tool, *words], cwd=root, check=True, capture_output=True)
    return _repeated([tool, "plan", "-no-color"], root)
