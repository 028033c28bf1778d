"""The floors of tooling/piste, and the rules that keep the outside in few places (docs/concepts.md)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TOOLING = Path(__file__).parents[1] / "tooling"
PACKAGES = ("piste", "payload", "snowglobe", "showcase")

VALUES = {"environment", "errors", "experiment", "problems", "run", "resources"}
"""`resources` reads the package's own schemas: constants that happen to be files."""
OUTSIDE = {"repository", "settings", "git", "github", "identity", "snowflake"}
JOURNEYS = {"journeys", "demo", "probe"}
OUTSIDE_WORLD = {"os", "random", "secrets", "shutil", "socket", "subprocess", "sys", "tempfile", "time", "uuid"}
"""A pure module has no clock, randomness, environment or I/O; `pathlib.Path` may be named but not opened."""


def modules(package: str) -> list[Path]:
    found = sorted((TOOLING / package).rglob("*.py"))
    assert found, f"no modules in {package}"
    return found


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def calls(file: Path) -> set[str]:
    nodes = (node.func for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call))
    return {node.id for node in nodes if isinstance(node, ast.Name)}


def floor(name: str) -> int:
    if name in VALUES:
        return 0
    return 4 if name in ("cli", "__main__") else 3 if name in JOURNEYS else 2 if name in OUTSIDE else 1


def piste_modules() -> list[tuple[str, Path]]:
    named = ((file.relative_to(TOOLING / "piste").parts[0].removesuffix(".py"), file) for file in modules("piste"))
    return [(name, file) for name, file in named if name != "__init__"]


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_never_import_each_other(package: str) -> None:
    others = set(PACKAGES) - {package}
    found = {(file.name, name) for file in modules(package) for name in imports(file) if name.split(".")[0] in others}
    assert found == set()


def test_imports_go_down() -> None:
    upward = {
        (name, target)
        for name, file in piste_modules()
        for imported in imports(file)
        if imported.startswith("piste.")
        for target in [imported.split(".")[1]]
        if floor(target) > floor(name) and not _type_checking_only(file, imported)
    }
    assert upward == set()


def _type_checking_only(file: Path, imported: str) -> bool:
    guarded = [
        node
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    ]
    return any(
        isinstance(inner, ast.ImportFrom) and inner.module and imported.startswith(inner.module)
        for block in guarded
        for inner in ast.walk(block)
    )


def test_only_snowflake_py_imports_snowflake() -> None:
    found = {name for name, file in piste_modules() if any(one.split(".")[0] == "snowflake" for one in imports(file))}
    assert found == {"snowflake"}


def test_only_the_command_line_imports_click_or_prints() -> None:
    importers = {name for name, file in piste_modules() if "click" in imports(file)}
    printers = {name for name, file in piste_modules() if "print" in calls(file)}
    assert importers == {"cli"}
    assert printers <= {"cli"}


def test_pure_modules_touch_nothing() -> None:
    pure = [(name, file) for name, file in piste_modules() if floor(name) <= 1 and name != "resources"]
    assert len(pure) > 10
    found = {(name, one) for name, file in pure for one in imports(file) if one.split(".")[0] in OUTSIDE_WORLD}
    opened = {
        (name, call)
        for name, file in pure
        for call in ("open(", ".read_text(", ".read_bytes(", ".write_text(", ".write_bytes(", "datetime.now(")
        if call in file.read_text()
    }
    assert (found, opened) == (set(), set())


def test_nothing_asks_whether_snowflake_is_embedded() -> None:
    found = [
        file.name for package in ("piste", "payload") for file in modules(package) if "snowglobe" in file.read_text()
    ]
    assert found == ["demo.py"]
