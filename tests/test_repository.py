"""experiments/ on disk: every folder of examples, and what reading and writing must never do."""

from __future__ import annotations

import os
import resource
import runpy
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from piste import repository
from piste.errors import PisteError
from piste.problems import to_text

EXAMPLES = Path(__file__).parent / "examples"
INVALID = sorted(path for path in (EXAMPLES / "invalid").iterdir() if path.is_dir())
VALID = sorted(path for path in (EXAMPLES / "valid").iterdir() if path.is_dir())


def built(example: Path, root: Path) -> Path:
    """A copy of an example, with what its make.py adds: links, broken bytes, large files."""
    shutil.copytree(example, root, dirs_exist_ok=True, ignore=shutil.ignore_patterns("make.py", "expected.txt"))
    if (example / "make.py").exists():
        runpy.run_path(str(example / "make.py"))["make"](root)
    return root


def test_there_are_enough_examples() -> None:
    assert len(INVALID) >= 40
    assert len(VALID) >= 10


@pytest.mark.parametrize("example", INVALID, ids=lambda path: path.name)
def test_invalid(example: Path, tmp_path: Path, update: bool) -> None:
    found = to_text(repository.read(built(example, tmp_path)).problems)
    if update:
        (example / "expected.txt").write_text(found)
    assert found == (example / "expected.txt").read_text()
    assert found != ""


@pytest.mark.parametrize("example", VALID, ids=lambda path: path.name)
def test_valid(example: Path, tmp_path: Path) -> None:
    read = repository.read(built(example, tmp_path))
    assert to_text(read.problems) == ""
    assert len(read.experiments) == read.count > 0


def test_only_experiments_without_a_problem_are_given(tmp_path: Path) -> None:
    root = built(EXAMPLES / "invalid" / "compare-with-unknown", tmp_path)
    read = repository.read(root)
    assert (read.count, [experiment.name for experiment in read.experiments]) == (2, ["notes-base"])


def test_a_suite_with_a_problem_takes_its_experiments_with_it(tmp_path: Path) -> None:
    assert repository.read(built(EXAMPLES / "invalid" / "unknown-score", tmp_path)).experiments == ()


@pytest.mark.parametrize("name", ["alias-bomb", "ten-megabytes", "matrix-of-a-million", "nested-too-deep"])
def test_exhausting_files_cost_little(name: str, tmp_path: Path) -> None:
    root = built(EXAMPLES / "invalid" / name, tmp_path)
    code = "import sys; from pathlib import Path; from piste import repository; repository.read(Path(sys.argv[1]))"
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    # VmHWM is of this program alone; ru_maxrss has the peak of whoever forked it too.
    measured = f"{code}; print(Path('/proc/self/status').read_text())"
    done = subprocess.run([sys.executable, "-c", measured, root], capture_output=True, text=True, check=True)
    peak = next(line for line in done.stdout.splitlines() if line.startswith("VmHWM:"))
    assert int(peak.split()[1]) < 100 * 1024, "KiB of memory"
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 1, "seconds"


def test_messages_never_repeat_much_of_a_value(tmp_path: Path) -> None:
    root = built(EXAMPLES / "valid" / "smallest", tmp_path)
    secret = "patient " * 40
    file = root / "experiments/notes-base/experiment.yaml"
    file.write_text(file.read_text().replace("suite: notes", f"suite: {secret}") + f"compare: {secret}\n{secret}: 1\n")
    problems = repository.read(root).problems
    assert len(problems) == 3
    assert all(f"{problem.path}{problem.message}{problem.hint}".count("patient") < 20 for problem in problems)


def test_declared_files_are_the_bytes_that_were_hashed(tmp_path: Path) -> None:
    root = built(EXAMPLES / "valid" / "declared-code", tmp_path)
    (experiment,) = repository.read(root).experiments
    assert repository.declared_files(root, experiment)["project/model.py"] == b"LAYERS = 2\n"
    (root / "experiments/notes-lora/train.py").write_text("print('changed')\n")
    with pytest.raises(PisteError, match="changed"):
        repository.declared_files(root, experiment)


def test_a_declared_folder_stands_for_its_files(tmp_path: Path) -> None:
    (experiment,) = repository.read(built(EXAMPLES / "valid" / "declared-folder", tmp_path)).experiments
    assert sorted(experiment.files) == ["project/deep/model.py", "project/train.py"]


def test_huge_and_odd_reports_are_not_read(tmp_path: Path) -> None:
    root = built(EXAMPLES / "valid" / "smallest", tmp_path)
    report = root / "experiments/notes-base/report"
    (report / "a").mkdir(parents=True)
    os.mkfifo(report / "report.json")
    with (report / "a/report.json").open("wb") as file:
        file.truncate(9 << 20)
    read = repository.read(root)
    assert read.reports == {}
    assert [problem.file for problem in read.problems] == ["experiments/notes-base/report/a/report.json"]


def test_committed_reports_are_given_by_path(tmp_path: Path) -> None:
    reports = repository.read(built(EXAMPLES / "valid" / "declared-code", tmp_path)).reports
    assert reports == {"experiments/notes-lora/report/report.json": b"{}\n"}


def test_writing_changes_only_what_differs(tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    files = {"experiments/a/report/README.md": b"one\n", "experiments/README.md": b"index\n"}
    assert repository.write_files(tmp_path, files) == sorted(files)
    stamps = {path: (tmp_path / path).stat().st_mtime_ns for path in files}
    assert repository.write_files(tmp_path, files) == []
    assert repository.write_files(tmp_path, files | {"experiments/README.md": b"new\n"}) == ["experiments/README.md"]
    assert (tmp_path / "experiments/README.md").read_bytes() == b"new\n"
    kept = "experiments/a/report/README.md"
    assert (tmp_path / kept).stat().st_mtime_ns == stamps[kept]
    assert sorted(path.name for path in (tmp_path / "experiments").rglob("*")) == [
        "README.md",
        "README.md",
        "a",
        "report",
    ]


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "../x",
        "experiments/../x",
        "/etc/x",
        "experiments/out/x",
        "experiments/link.md",
        "experiments",
        "experiments/in.md",
    ],
)
def test_writing_stays_inside_experiments(path: str, tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "experiments").mkdir(parents=True)
    outside.mkdir()
    (root / "experiments/out").symlink_to(outside)
    (root / "experiments/link.md").symlink_to(outside / "x")
    (root / "experiments/in.md").symlink_to("README.md")
    with pytest.raises(PisteError):
        repository.write_files(root, {"experiments/fine.md": b"", path: b"x"})
    assert list(outside.iterdir()) == []
    assert not (root / "experiments/fine.md").exists()


def test_a_copy_is_a_valid_experiment_without_a_report(tmp_path: Path) -> None:
    root = built(EXAMPLES / "valid" / "declared-code", tmp_path)
    written = repository.copy_experiment(root, "notes-lora", "notes-two")
    assert [path.removeprefix("experiments/notes-two/") for path in written] == [
        "README.md", "experiment.yaml", "project/model.py", "recipe.yaml", "train.py",
    ]  # fmt: skip
    assert [experiment.name for experiment in repository.read(root).experiments] == ["notes-lora", "notes-two"]


@pytest.mark.parametrize(
    ("source", "name", "said"),
    [("notes-lora", "notes-lora", "already"), ("notes-lore", "x", "no experiment"), ("notes-lora", "A b", "can't be")],
)
def test_copies_that_are_refused(source: str, name: str, said: str, tmp_path: Path) -> None:
    root = built(EXAMPLES / "valid" / "declared-code", tmp_path)
    with pytest.raises(PisteError, match=said):
        repository.copy_experiment(root, source, name)


def test_reading_imports_nothing_heavy() -> None:
    code = "import sys, piste.repository, piste.validation; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = ("snowflake.", "torch", "transformers", "arctic_training", "matplotlib", "scipy", "numpy", "jsonschema")
    assert "piste.repository" in loaded
    assert [name for name in loaded if name.startswith(heavy)] == []


def test_hundreds_of_experiments_take_milliseconds_each(tmp_path: Path) -> None:
    root, count = built(EXAMPLES / "valid" / "smallest", tmp_path), 200
    for number in range(count):
        shutil.copytree(root / "experiments/notes-base", root / f"experiments/notes-{number}")
    repository.read(root)
    began = time.process_time()
    assert repository.read(root).count == count + 1
    assert (time.process_time() - began) / count < 0.01
