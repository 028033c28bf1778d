"""How long a plan takes and what it needs, at 1,000, 10,000 and 100,000 experiments.

python tests/bench/scale.py                   no change, one change, cold; --help: a minute or two
python tests/bench/scale.py --growth          each phase from 1,000 to 100,000 experiments: some minutes
python tests/bench/scale.py --ledger          with 20,000 runs in the embedded Snowflake: some minutes
python tests/bench/scale.py --peers FOLDER    beside DVC, dbt, check-jsonschema and Terraform, which are installed
                                              into environments in FOLDER (Terraform: where it is on PATH)
python tests/bench/scale.py --all FOLDER

Times are medians of five: on the wall, and of the processors (with those of child processes). Memory is the largest
proportional share of the process and its children together. Measure on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

BENCH = Path(__file__).parent
sys.path[:0] = [str(BENCH), str(BENCH.parent), str(BENCH.parents[1] / "tooling")]

import many  # noqa: E402

TIMES = 5
BOUNDS = {
    ("no change", 1_000): 0.5,
    ("no change", 10_000): 1.2,
    ("cold", 10_000): 8.0,
    ("--help", 0): 0.2,
}


class Measured(NamedTuple):
    """Seconds, and MiB."""

    wall: float
    cpu: float
    memory: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--ledger", action="store_true")
    parser.add_argument("--peers", type=Path, metavar="FOLDER")
    parser.add_argument("--all", type=Path, metavar="FOLDER")
    parser.add_argument("--most", type=int, default=100_000, help="experiments of --growth")
    parser.add_argument("--runs", type=int, default=20_000, help="of --ledger")
    parser.add_argument("--units", type=int, default=1_000, help="experiments, stages, models and files of --peers")
    asked = parser.parse_args()
    peers = asked.peers or asked.all
    print(f"{platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores, ", end="")
    print(f"Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}\n")
    with tempfile.TemporaryDirectory() as directory:
        if asked.all or not (asked.growth or asked.ledger or peers):
            plans(Path(directory))
        if asked.growth or asked.all:
            import growth

            growth.growth(Path(directory, "growth"), asked.most)
        if asked.ledger or asked.all:
            home = Path(directory, "home")
            home.mkdir()
            os.environ["SNOWFLAKE_HOME"] = str(home)  # the client looks for it when it is imported
            import ledger

            ledger.ledger(Path(directory, "ledger"), home, asked.runs)
        if peers:
            import peers as beside

            beside.peers(Path(directory, "peers"), peers.resolve(), asked.units)


def plans(directory: Path) -> None:
    print(f"{'':12} {'experiments':>11} {'wall':>8} {'cpu':>8} {'memory':>8}  bound")
    tell("--help", 0, median(lambda: measured(piste("--help"))))
    for count in (1_000, 10_000):
        root, cache = directory / str(count), directory / f"cache-{count}"
        many.write(root, count)
        environment = {"PISTE_CACHE": str(cache)}
        command = piste("--root", str(root), "plan", "--offline")

        def cold(
            command: Sequence[str] = command, where: dict[str, str] = environment, cache: Path = cache
        ) -> Measured:
            for file in cache.glob("*"):
                file.unlink()
            return measured(command, where)

        def changed(
            command: Sequence[str] = command, where: dict[str, str] = environment, root: Path = root
        ) -> Measured:
            change(root / "experiments/notes-000007/recipe.yaml")
            return measured(command, where)

        tell("cold", count, median(cold))
        same = median(lambda command=command, where=environment: measured(command, where))  # type: ignore[misc]
        tell("no change", count, same)
        one = median(changed)
        tell("one change", count, one, 1.15 * same.wall)
    print()


def change(recipe: Path) -> None:
    """Another learning rate, one that was never there before."""
    lines = recipe.read_text().splitlines()
    at = next(index for index, line in enumerate(lines) if "learning_rate" in line)
    lines[at] = f"  learning_rate: {time.time_ns() / 1e22:.22f}"
    recipe.write_text("\n".join(lines) + "\n")


def tell(what: str, count: int, seen: Measured, bound: float = 0) -> None:
    bound = bound or BOUNDS.get((what, count), 0)
    mark = f"{'≤' if seen.wall <= bound else '>'} {bound:.2f} s" if bound else ""
    print(f"{what:12} {count:11,} {seen.wall:6.2f} s {seen.cpu:6.2f} s {seen.memory:4.0f} MiB  {mark}", flush=True)


def piste(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("piste")), *arguments]


def median(measure: Callable[[], Measured], times: int = TIMES) -> Measured:
    """Of each figure by itself."""
    seen = [measure() for _ in range(times)]
    return Measured(*(statistics.median(figures) for figures in zip(*seen, strict=True)))


def measured(
    command: Sequence[str],
    environment: dict[str, str] | None = None,
    cwd: Path | None = None,
    codes: Sequence[int] = (0,),
) -> Measured:
    surroundings = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=surroundings | (environment or {}), cwd=cwd
    )
    peaks: list[float] = [0.0]
    watcher = threading.Thread(target=_watch, args=(process.pid, peaks), daemon=True)
    watcher.start()
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode in codes, f"{command}: {process.returncode}: {said.decode()[-2000:]}"
    return Measured(wall, used.ru_utime + used.ru_stime, peaks[0])


def _watch(pid: int, peaks: list[float]) -> None:
    """Its highest so far; with child processes the sum of proportional shares at a time.

    Not `ru_maxrss`: that counts what the measuring process had when it forked.
    """
    while Path(f"/proc/{pid}").exists():
        family = [pid, *_children(pid)]
        shares = sum(_kib(one, "smaps_rollup", "Pss:") for one in family) if len(family) > 1 else 0
        peaks[0] = max(peaks[0], _kib(pid, "status", "VmHWM:") / 1024, shares / 1024)
        time.sleep(0.02)


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return [*found, *(more for child in found for more in _children(child))]
    return []


def _kib(pid: int, file: str, key: str) -> int:
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(key))
    return 0


if __name__ == "__main__":
    main()
