"""What is remembered of experiments never changes a plan: whatever happened to the files, the cache or piste itself."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from piste import documents, journeys, rendering, repository, resources
from piste.errors import PisteError
from piste.problems import to_json
from piste.repository import entries
from piste.repository.cache import _FORMAT, MOST_ENTRIES, MOST_PAGES, Cache, Page, Row
from piste.repository.reading import Repository
from piste.repository.recalling import _pages
from piste.repository.scanning import Folder
from piste.variants import all_variants
from test_repository import INVALID, VALID, built

HOME = Path(__file__).parents[1]
FILE = f"experiments-{_FORMAT}.sqlite"
RUNTIMES = '[tool.piste.runtimes."cpu-2026.11"]\nlock = "lock.txt"\n'
POOLS = '[tool.piste.environments.dev]\ndatabase = "P"\nschema = "S"\npools = {cpu = "POOL"}\n'


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PISTE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("piste.repository.recalling.PAGE", 2)  # as of thousands of experiments
    return tmp_path / "cache"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The repository's own experiments and a few like them."""
    made = tmp_path / "root"
    shutil.copytree(HOME / "experiments", made / "experiments", ignore=shutil.ignore_patterns("report"))
    (made / "lock.txt").write_text("torch==2.13.0\n")
    (made / "pyproject.toml").write_text(RUNTIMES + POOLS)
    for number in range(4):
        folder = made / f"experiments/notes-{number}"
        shutil.copytree(made / "experiments/soap-smollm2-lora", folder)
        (folder / "code").mkdir()
        (folder / "code/model.py").write_text(f"LAYERS = {number}\n")
        edit(folder / "experiment.yaml", "  gpus: 1\n", "  gpus: 1\n  files: [code]\n")
        edit(folder / "recipe.yaml", "type: sft\n", "type: sft\ncode: code/model.py\n")
    return made


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def told(read: Repository, root: Path) -> tuple[str, ...]:
    """All that can be seen of it: problems, and the plan as text and as JSON, and every document."""
    problems = to_json(read.count, read.problems)
    variants = all_variants(read.experiments)
    desired = journeys.Desired(root, root, read.settings, read.experiments, variants, read.reports)
    due, _ = journeys.plan_offline(desired)
    specs = "".join(repr((one.label, one.digests, one.spec)) for one in desired.trying().variants)
    return problems, rendering.plan_text(due), rendering.plan_json(due, "reports"), specs


def same(root: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """Read with the cache as it is, without one, and with what the first has left; all have to be the same."""
    first = repository.read(root)
    seen = told(first, root)
    again = told(repository.read(root), root)
    with monkeypatch.context() as without:
        without.setenv("PISTE_CACHE", "off")
        assert told(repository.read(root), root) == seen == again
    return first


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of experiments whose files were parsed."""
    names: list[str] = []
    make = entries.Maker.entry

    def counted(self: entries.Maker, found: Folder) -> entries.Entry:
        names.append(found.name)
        return make(self, found)

    monkeypatch.setattr(entries.Maker, "entry", counted)
    return names


def test_what_is_unchanged_is_not_parsed_again(root: Path, cache: Path, parsed: list[str]) -> None:
    first = repository.read(root)
    assert sorted(parsed) == [one.name for one in first.experiments]
    parsed.clear()
    second = repository.read(root)
    assert [one.document for one in second.experiments] == [one.document for one in first.experiments]
    assert parsed == []
    edit(root / "experiments/notes-2/recipe.yaml", "1.0e-3", "2.0e-3")
    repository.read(root)
    assert parsed == ["notes-2"]


def test_a_checkout_elsewhere_and_a_rename_parse_nothing(root: Path, cache: Path, parsed: list[str]) -> None:
    repository.read(root)
    other = root.rename(root.with_name("other"))
    (other / "experiments/notes-0").rename(other / "experiments/notes-9")
    parsed.clear()
    assert "notes-9" in [one.name for one in repository.read(other).experiments]
    assert parsed == []


def same_size(root: Path, chance: random.Random) -> None:
    """The same size and the same time as before."""
    file = some(root, chance, "recipe.yaml")
    before, text = file.stat(), file.read_text()
    at = chance.choice([index for index, one in enumerate(text) if one.isdigit()])
    file.write_text(f"{text[:at]}{chance.randrange(10)}{text[at + 1 :]}")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_size == before.st_size


def renamed(root: Path, chance: random.Random) -> None:
    folder = some(root, chance, "experiment.yaml").parent
    target = folder.with_name(chance.choice(("notes-7", "Bad_Name", "a-b", f"x{chance.randrange(99)}")))
    if not target.exists():
        folder.rename(target)


def renamed_file(root: Path, chance: random.Random) -> None:
    file = some(root, chance, "*")
    file.rename(file.with_name(chance.choice(("recipe.yaml", "other.yaml", ".hidden.yaml", "recipe.yaml~", "x.py"))))


def mode(root: Path, chance: random.Random) -> None:
    some(root, chance, "*").chmod(chance.choice((0o000, 0o644, 0o755)))


def link(root: Path, chance: random.Random) -> None:
    file = some(root, chance, "*")
    to = chance.choice((some(root, chance, "*"), Path("recipe.yaml"), Path("/etc/hostname"), Path("nowhere")))
    file.unlink()
    file.symlink_to(to)


def folder_link(root: Path, chance: random.Random) -> None:
    folder, other = (some(root, chance, "experiment.yaml").parent for _ in range(2))
    if folder != other and not folder.is_symlink():
        shutil.rmtree(folder)
        folder.symlink_to(other.name)


def line(root: Path, chance: random.Random) -> None:
    """A line goes, comes twice, or moves."""
    file = some(root, chance, "*.yaml")
    lines = file.read_text().splitlines(keepends=True)
    at = chance.randrange(len(lines))
    lines[at : at + 1] = chance.choice(([], [lines[at]] * 2, ["# nothing\n", lines[at]]))
    file.write_text("".join(lines))


def value(root: Path, chance: random.Random) -> None:
    file = some(root, chance, "experiment.yaml")
    key, given = chance.choice(
        (
            ("compare", "notes-1"),
            ("compare", "soap-smollm2-base"),
            ("compare", "notes-2/seed=1"),
            ("owner", '"@ben"'),
            ("waivers", "[{gate: x, reason: y, until: 2026-12-31}]"),
            ("gates", "[{score: rouge_l, no_worse_than: {experiment: notes-3, by: 0.1}}]"),
            ("gates", "[{score: rouge_l, at_least: 0.1}]"),
        )
    )
    kept = [one for one in file.read_text().splitlines() if not one.startswith(f"{key}:")]
    file.write_text("\n".join([*kept, f"{key}: {given}", ""]))


def matrix(root: Path, chance: random.Random) -> None:
    file = some(root, chance, "experiment.yaml")
    text = file.read_text()
    told = "  seeds: [1, 2]\n" if chance.random() < 0.5 else "  matrix: {optimizer.learning_rate: [1.0e-3, 1.0e-4]}\n"
    if told not in text:
        file.write_text(text.replace("train:\n", f"train:\n{told}", 1))


def suite(root: Path, chance: random.Random) -> None:
    file = root / "experiments/_suites/soap-notes/suite.yaml"
    text = file.read_text()
    old, new = chance.choice((("90", "91"), ("rouge_l", "rouge_1"), ("{NOTE}", "{NOTES}"), ("soap", "soup"), ("#", "")))
    file.write_text(
        text.replace(old, new) if chance.random() < 0.5 else text.replace(new, old) if new else text + "#\n"
    )


def settings(root: Path, chance: random.Random) -> None:
    (root / "pyproject.toml").write_text(chance.choice((RUNTIMES + POOLS, RUNTIMES, POOLS.replace("cpu", "gpu"), "x")))


def added(root: Path, chance: random.Random) -> None:
    folder = some(root, chance, "experiment.yaml").parent
    name = chance.choice(("train.py", "code/more.py", ".env", "notes.txt", "report/report.json", "deep/er/x.yaml"))
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{chance.random()}\n")


def gone(root: Path, chance: random.Random) -> None:
    file = some(root, chance, "*")
    whole = chance.random() < 0.3 and not file.parent.is_symlink()
    shutil.rmtree(file.parent) if whole else file.unlink()


def copied(root: Path, chance: random.Random) -> None:
    folder = some(root, chance, "experiment.yaml").parent
    target = folder.with_name(f"c{chance.randrange(20)}")
    if not target.exists() and not folder.is_symlink():
        shutil.copytree(folder, target, symlinks=True)


def some(root: Path, chance: random.Random, pattern: str) -> Path:
    found = [file for file in sorted((root / "experiments").glob(f"[a-zA-Z]*/{pattern}")) if _readable(file)]
    return chance.choice(found)


def _readable(file: Path) -> bool:
    return file.is_file() and not file.is_symlink() and os.access(file, os.R_OK)


FILES: tuple[Callable[[Path, random.Random], None], ...] = (
    *(same_size, renamed, renamed_file, mode, link, folder_link, line, value, value, matrix, suite, settings, added),
    *(gone, copied),
)


def cut_off(place: Path, chance: random.Random) -> None:
    """As a disk that was full, or a restored cache that is not whole, would leave it."""
    for file in place.glob("*.sqlite"):
        os.truncate(file, chance.randrange(file.stat().st_size + 1))


def flipped(place: Path, chance: random.Random) -> None:
    for file in place.glob("*.sqlite"):
        content = bytearray(file.read_bytes())
        for _ in range(chance.choice((1, 20, 2000))):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        file.write_bytes(content)


def altered(place: Path, chance: random.Random) -> None:
    """A value that SQLite finds nothing wrong with; the file may be damaged already."""
    for file in place.glob("*.sqlite"):
        with contextlib.suppress(sqlite3.DatabaseError, UnicodeError), sqlite3.connect(file) as opened:
            column = chance.choice(("facts", "documents", "key", "suite", "sum"))
            odd = chance.choice((None, b"\xff", "{}", "[]", 1, '{"head":{},"trainings":[],"problems":[]}'))
            opened.execute(f"UPDATE OR IGNORE entries SET {column} = ? WHERE rowid % 3 = 0", (odd,))
            if column in ("facts", "key", "sum"):
                opened.execute(f"UPDATE OR IGNORE pages SET {column} = ? WHERE rowid % 3 = 0", (odd,))
        opened.close()


def plausible(place: Path, chance: random.Random) -> None:
    """What looks like an entry and is not what was written."""
    for file in place.glob("*.sqlite"):
        with contextlib.suppress(sqlite3.DatabaseError, UnicodeError), sqlite3.connect(file) as opened:
            column, odd = chance.choice((("facts", 3), ("facts", 7), ("documents", 1), ("documents", 3)))
            opened.execute(f"UPDATE entries SET {column} = replace({column}, {odd}, 4)")
            opened.execute(f"UPDATE pages SET facts = replace(facts, {odd}, 4)")
        opened.close()


def deleted(place: Path, chance: random.Random) -> None:
    shutil.rmtree(place, ignore_errors=True)


def another(place: Path, chance: random.Random) -> None:
    """A file, or a folder, in its place."""
    deleted(place, chance)
    if chance.random() < 0.5:
        place.write_text("no folder")
    else:
        (place / FILE).mkdir(parents=True)


CACHE: tuple[Callable[[Path, random.Random], None], ...] = (cut_off, flipped, altered, plausible, deleted, another)


def edits(seed: int, count: int, root: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many random edits, one after the other; every few the experiments are as they were."""
    chance, fresh = random.Random(seed), root.with_name("fresh")
    shutil.copytree(root, fresh, symlinks=True)
    repository.read(root)
    for number in range(count):
        if number % 8 == 7:
            shutil.rmtree(root)
            shutil.copytree(fresh, root, symlinks=True)
        chance.choice(FILES)(root, chance)
        if not [*(root / "experiments").glob("[a-zA-Z]*/experiment.yaml")]:
            shutil.rmtree(root)
            shutil.copytree(fresh, root, symlinks=True)
        if number % 5 == 4:
            if place.is_file() or (place / FILE).is_dir():
                place.unlink() if place.is_file() else shutil.rmtree(place)
            chance.choice(CACHE)(place, chance)
        same(root, monkeypatch)


@pytest.mark.parametrize("seed", range(4))
def test_random_edits(
    seed: int, root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """With --soak a thousand of them."""
    edits(seed, 250 if request.config.getoption("--soak") else 25, root, cache, monkeypatch)


@pytest.mark.parametrize("example", [*INVALID, *VALID], ids=lambda path: path.name)
def test_every_example(example: Path, tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it was right before: then the cache has what is wrong now."""
    root = tmp_path / "example"
    root.mkdir()
    for before in VALID[:3]:
        built(before, root)
        repository.read(root)
        shutil.rmtree(root)
        root.mkdir()
    built(example, root)
    read = repository.read(root)
    with monkeypatch.context() as without:
        without.setenv("PISTE_CACHE", "off")
        assert repository.read(root).problems == read.problems == repository.read(root, cache=cache).problems


def test_a_broken_reference_is_said_with_its_place(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although the experiment that refers is unchanged, and so not parsed."""
    repository.read(root)
    shutil.rmtree(root / "experiments/soap-smollm2-base")
    problems = [one for one in same(root, monkeypatch).problems if one.path == "compare"]
    assert len(problems) >= 5
    assert all(problem.line > 1 and "soap-smollm2-base" in problem.message for problem in problems)


def test_a_suite_that_is_unchanged_is_not_parsed_again_but_its_gates_are_judged(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = root / "experiments/_suites/soap-notes/suite.yaml"
    file.write_text(f"{file.read_text()}gates:\n- {{score: rouge_l, better_than: {{experiment: notes-3}}}}\n")
    assert repository.read(root).problems == ()
    shutil.rmtree(root / "experiments/notes-3")
    with monkeypatch.context() as blind:
        blind.setattr(documents, "parse", lambda *_, **__: pytest.fail("a document was parsed"))
        (problem,) = repository.read(root).problems
    lines = file.read_text().splitlines()
    assert (problem.path, "better_than" in lines[problem.line - 1]) == ("gates[0].better_than.experiment", True)
    same(root, monkeypatch)


def test_a_suite_is_remembered_by_its_name_too(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings allow samples of one suite alone, and its folder's name says which it is."""
    home = root / "experiments/_suites"
    (root / "pyproject.toml").write_text(RUNTIMES + POOLS + '[tool.piste.policy]\nsamples = ["soap-notes"]\n')
    edit(home / "soap-notes/suite.yaml", "scores:", "samples: {count: 2, columns: [NOTE]}\nscores:")
    shutil.copytree(home / "soap-notes", home / "other-notes")
    said = [one.file for one in same(root, monkeypatch).problems]
    assert said == ["experiments/_suites/other-notes/suite.yaml"]


def test_a_suite_decides_with_its_experiments(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The examples that a baseline is shown are made with the suite's reference."""
    before = {one.name: one.trainings for one in repository.read(root).experiments}
    edit(root / "experiments/_suites/soap-notes/suite.yaml", 'reference: "{NOTE}"', 'reference: "{NOTE}."')
    after = {one.name: one.trainings for one in same(root, monkeypatch).experiments}
    assert [name for name in before if before[name] != after[name]] == ["soap-smollm2-few-shot"]


@pytest.mark.parametrize("damage", [altered, plausible, flipped, cut_off], ids=lambda one: one.__name__)
def test_what_is_damaged_is_not_believed(
    damage: Callable[[Path, random.Random], None], root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(8):
        repository.read(root)
        damage(cache, random.Random(seed))
        same(root, monkeypatch)


@pytest.mark.parametrize("changed", ["piste", "schema"])
def test_another_piste_parses_anew(
    changed: str, root: Path, cache: Path, parsed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "package"
    shutil.copytree(HOME / "tooling/piste", package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(HOME / "schemas", package / "schemas")
    monkeypatch.setattr(resources, "_PACKAGE", package)
    monkeypatch.setattr(resources, "_SCHEMAS", (package / "schemas",))
    resources.fingerprint.cache_clear()
    repository.read(root)
    file = package / ("recipe.py" if changed == "piste" else "schemas/experiment.schema.json")
    file.write_text(file.read_text().replace("weights", "Weights", 1) + "\n")
    parsed.clear()
    repository.read(root)
    assert parsed == []
    resources.fingerprint.cache_clear()
    repository.read(root)
    assert len(parsed) == 8
    monkeypatch.undo()
    resources.fingerprint.cache_clear()


def test_a_file_that_changes_while_it_is_read_is_not_kept(
    root: Path, cache: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even one that is afterwards as it was before: what was parsed may have been something else."""
    file = root / "experiments/notes-1/recipe.yaml"
    check = entries.validation.check_alone

    def touched(source: Any, known: Any) -> Any:
        if source.name == "notes-1":
            content = file.read_bytes()
            file.write_bytes(b"")
            file.write_bytes(content)
        return check(source, known)

    monkeypatch.setattr(entries.validation, "check_alone", touched)
    repository.read(root)
    parsed.clear()
    repository.read(root)
    assert parsed == ["notes-1"]


READ = """
import sys
from pathlib import Path
from piste import repository
read = repository.read(Path(sys.argv[1]))
print(len(read.experiments), hash(tuple(repr(one.document) for one in read.experiments)))
"""


def test_processes_at_once(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-c", READ, str(root)]
    for _ in range(3):
        shutil.rmtree(cache, ignore_errors=True)
        running = [subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) for _ in range(3)]
        assert len({one.communicate()[0] for one in running}) == 1
        assert [one.returncode for one in running] == [0, 0, 0]
    same(root, monkeypatch)


def test_a_writer_that_is_killed_leaves_what_can_be_read(
    root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = READ.replace("print", "pass; print").replace(
        "from piste import repository",
        "from piste import repository\nimport os\nfrom piste.repository import cache\n"
        "kept = cache._sum\nlast = []\n"
        "class Dying(cache.sqlite3.Connection):\n"
        "    def executemany(self, statement, rows):\n"
        "        super().executemany(statement, list(rows)[:3]); os.kill(os.getpid(), 9)\n"
        "connect = cache.sqlite3.connect\n"
        "cache.sqlite3.connect = lambda *a, **k: connect(*a, **k, factory=Dying)",
    )
    done = subprocess.run([sys.executable, "-c", killed, str(root)], env={**os.environ}, check=False)
    assert done.returncode == -9
    assert [*cache.glob("*.sqlite")]
    same(root, monkeypatch)


def test_many_are_parsed_in_processes(
    root: Path, cache: Path, parsed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entries, "MANY", 2)
    monkeypatch.setattr(entries, "_AT_ONCE", 1)
    shutil.copytree(root / "experiments/notes-1", root / "experiments/wrong")
    edit(root / "experiments/wrong/experiment.yaml", "runtime: cpu-2026.11", "runtime: none")
    read = same(root, monkeypatch)
    assert {*parsed} == {"wrong"}  # by the second read; the first parsed elsewhere
    assert "wrong" not in [one.name for one in read.experiments]
    assert [one.path for one in read.problems if one.severity == "error"] == ["train.runtime"]


def test_what_is_right_for_one_is_looked_at_again_for_what_others_compare_with(root: Path, cache: Path) -> None:
    shared, other = (root / f"experiments/{name}/experiment.yaml" for name in ("soap-smollm2-lora", "notes-3"))
    for number in range(3):
        edit(root / f"experiments/notes-{number}/experiment.yaml", "compare: soap-smollm2-base", "compare: notes-3")
    edit(other, "compare: soap-smollm2-base", "compare: soap-smollm2-lora")
    assert repository.read(root).problems == ()
    edit(shared, "compare: soap-smollm2-base", "compare: notes-3")
    wrong = {one.file.split("/")[1] for one in repository.read(root).problems if "circle" in one.message}
    assert wrong == {"soap-smollm2-lora", "notes-3"}


def test_documents_that_the_cache_has_lost_are_read_again(root: Path, cache: Path) -> None:
    repository.read(root)
    first, *_, last = repository.read(root).experiments
    shutil.rmtree(cache)
    assert first.document["schema"] == "experiment/v1"
    edit(root / f"experiments/{last.name}/recipe.yaml", "cosine", "linear")
    with pytest.raises(PisteError, match="changed while it was read"):
        assert last.recipe


def test_a_cache_that_can_not_be_written_is_none(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "place"
    place.write_text("a file")
    monkeypatch.setenv("PISTE_CACHE", str(place))
    assert len(same(root, monkeypatch).experiments) == 8
    assert place.read_text() == "a file"


def test_nothing_of_the_cache_is_in_the_repository(root: Path, cache: Path) -> None:
    """Or a commit could plant in it what is believed later."""
    before = sorted(root.rglob("*"))
    repository.read(root)
    assert sorted(root.rglob("*")) == before


def test_a_change_touches_one_page(root: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What shares a page with it is looked for one by one, the others are not."""
    asked: list[int] = []
    facts = Cache.facts
    monkeypatch.setattr(Cache, "facts", lambda self, keys: (asked.append(len(keys)), facts(self, keys))[1])
    count = len(repository.read(root).experiments)
    suites, every = asked
    assert every == count
    asked.clear()
    repository.read(root)
    assert set(asked) == {suites, 0}
    edit(root / "experiments/notes-2/recipe.yaml", "1.0e-3", "2.0e-3")
    asked.clear()
    repository.read(root)
    assert 0 < asked[1] < count
    asked.clear()
    repository.read(root)
    assert set(asked) == {suites, 0}


def test_a_new_experiment_moves_no_other_to_another_page() -> None:
    names = [f"notes-{number}" for number in range(2_000)]
    before = list(_pages(names))
    after = list(_pages([*names, "notes-new"]))
    assert sorted(name for page in before for name in page) == sorted(names)
    assert 8 <= len(before) <= 64
    assert sum(page not in before for page in after) == 1


def test_it_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_ENTRIES > 100_000
    monkeypatch.setattr("piste.repository.cache.MOST_ENTRIES", 10)
    cache = Cache(tmp_path)
    for number in range(30):
        assert cache.keep([Row(number.to_bytes(4, "big"), b"s", "{}", "[]")])
    known = [int.from_bytes(key, "big") for key, _, _ in cache.facts([n.to_bytes(4, "big") for n in range(30)])]
    assert 5 <= len(known) <= 10
    assert max(known) == 29


def test_its_pages_do_not_grow_for_ever_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_PAGES > 1_000
    monkeypatch.setattr("piste.repository.cache.MOST_PAGES", 10)
    cache = Cache(tmp_path)
    keys = [number.to_bytes(4, "big") for number in range(30)]
    for key in keys:
        assert cache.keep([], [Page(key, ["1", "2"])])
    known = dict(cache.pages(keys))
    assert 5 <= len(known) <= 10
    assert known[keys[29]] == [1, 2]
