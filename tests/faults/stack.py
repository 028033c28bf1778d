"""The whole real stack with quick jobs: the command line, the unmodified client, the proxy, snowglobe, the payload.

Only the two programs that would compute are exchanged, at the very edge: `arctic_training` and the payload's generation
write what a run of theirs would leave, and the former notes that it trained. All else of a job is the real thing: its
launcher, its fence, its uploads and its rows.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import world as worlds
from commands import Command, Done
from world import RECIPE, World

import forked
import snowglobe
from faults.proxy import Proxy

GRACE_SECONDS = 16 * 60.0
"""A little more than `piste.observed.GRACE`."""

ENDLESS = 90_000
"""Trainings with this number or a higher one go on until something ends them."""

TRAINER = """#!{python}
import json, os, pathlib, re, struct, time
recipe = pathlib.Path("recipe.resolved.yaml").read_text()
identity = int(re.search(r"^train_iters: (\\d+)", recipe, re.M)[1])
with open({noted!r}, "a") as file:
    file.write(f"{{identity}}\\n")
output = pathlib.Path(os.environ["PISTE_OUTPUT"])
folder = output / "checkpoint" / f"global_step_{{identity}}"
folder.mkdir(parents=True)
step = {{"step": identity, "steps": identity, "loss": 1.5, "tokens": 64, "seconds": 0.1}}
if identity >= {endless}:  # as long as nobody ends it
    (output / "steps.jsonl").write_text(json.dumps(step | {{"step": 1}}) + "\\n")
    time.sleep(3600)
(output / "steps.jsonl").write_text(json.dumps(step) + "\\n")
(output / "train-log-metrics.jsonl").write_text(json.dumps({{"iter": identity, "loss": 1.5}}) + "\\n")
header = json.dumps({{"w": {{"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}}}).encode()
(folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<f", 1.0))
(folder / "config.json").write_text("{{}}")
print("*** Training finished normally.")
"""
GENERATION = """
import json, os, pathlib, sys
exec(compile(open({image!r}).read(), {image!r}, "exec"))
if "payload.generate" in sys.orig_argv:
    folder = pathlib.Path(sys.orig_argv[-1])
    samples = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    lines = [{{"sample": one["sample"], "prediction": "{{}}", "tokens": 1, "seconds": 0.1}} for one in samples]
    (folder / "predictions.jsonl").write_text("".join(json.dumps(line) + "\\n" for line in lines))
    os._exit(0)
"""
PYTHON = """#!/bin/sh
export PYTHONPATH={stubs}${{PYTHONPATH:+:$PYTHONPATH}}
exec {python} "$@"
"""
DATA = """
import sys
from snowflake.snowpark import Session
with Session.builder.configs(dict(connection_name=sys.argv[1], database="PISTE", schema="DEV")).create() as session:
    for statement in sys.argv[2:]:
        session.sql(statement).collect()
"""


@dataclass
class Stack:
    """A repository beside an account. Commands go to the account, or through the proxy if `proxied`."""

    directory: Path
    globe: Any
    proxy: Proxy
    world: World

    def piste(self, *arguments: str, proxied: bool = False) -> Done:
        return self.start(*arguments, proxied=proxied).wait()

    def start(self, *arguments: str, proxied: bool = False) -> Command:
        assert self.world.commands is not None
        place = ["--root", str(self.world.root), "--connection", "proxied" if proxied else "globe"]
        return self.world.commands.start([*place, *arguments])

    def add(self, names: Sequence[str], first: int) -> dict[str, int]:
        """An experiment each; its number stands in its recipe, and so for its training digest."""
        numbers = {name: first + index for index, name in enumerate(names)}
        for name, number in numbers.items():
            self.world.add(name, {**RECIPE, "train_iters": number}, **{"compute.timeout": "5h"})
        self.world.commit(f"{len(names)} experiments")
        return numbers

    @property
    def trainings(self) -> Counter[int]:
        """How often each number was trained."""
        noted = self.directory / "trainings"
        return Counter(int(line) for line in noted.read_text().split()) if noted.exists() else Counter()

    def jobs(self) -> list[dict[str, Any]]:
        return [json.loads(file.read_text()) for file in (self.directory / "globe/jobs").glob("*/job.json")]

    def until_training(self, number: int, seconds: float = 240.0) -> str:
        """Until this training has begun; the name of its job."""
        end = time.monotonic() + seconds
        while not self.trainings[number]:
            assert time.monotonic() < end, "it does not begin"
            time.sleep(0.2)
        return str(max((job for job in self.jobs() if job["status"] == "RUNNING"), key=_created)["name"][-1])

    def until_jobs_ended(self, seconds: float = 900.0) -> None:
        """Each of them has so long, however many there are."""
        left, end = -1, 0.0
        while live := sum(job["status"] in ("PENDING", "RUNNING", "CANCELLING") for job in self.jobs()):
            left, end = (left, end) if live == left else (live, time.monotonic() + seconds)
            assert time.monotonic() < end, "jobs go on and on"
            time.sleep(0.3)

    def converge(self) -> str:
        """Reconcile until nothing is due, and collect; what the commands said."""
        said = ""
        for _ in range(30):
            done = self.piste("apply", "--allow", "max-submissions", "--allow", "max-vanished")
            assert done.code == 0, done.out + done.err
            assert "Traceback" not in done.err, done.err
            said += done.out + done.err
            self.until_jobs_ended()
            if re.match(r"nothing to do(?!.*to wait)", done.out):
                break
        done = self.piste("collect")
        assert done.code == 0, done.out + done.err
        return said + done.out

    def report(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.world.root / f"experiments/{name}/report/report.json").read_text())
        return found


def _created(job: dict[str, Any]) -> str:
    return str(job["created"])


@contextlib.contextmanager
def stack(directory: Path, nodes: int = 3, quick: bool = True, **options: Any) -> Iterator[Stack]:
    """`options` go to `snowglobe.serve`. Jobs that are not `quick` really train and generate."""
    pools = {"PISTE_CPU": (nodes, "CPU_X64_S")}
    with (
        snowglobe.serve(directory / "globe", pools=pools, schemas=["PISTE.DEV"], **options) as globe,
        Proxy(globe.connection) as proxy,
    ):
        if quick:
            _exchange(directory)
            forked.wrap(directory / "globe")
        home = directory / "home"
        home.mkdir()
        _connections(home, {"globe": globe.connection, "proxied": proxy.connection})
        made = worlds.found(directory / "repository", home, "globe", None)
        (directory / "model").mkdir()
        (directory / "model/config.json").write_text("{}")
        statements = (
            "CREATE TABLE SOAP_NOTES AS"
            " SELECT 'visit-1' AS ID, 'test' AS SPLIT, 'How are you?' AS DIALOGUE, 'Well.' AS NOTE",
            "CREATE STAGE MODELS ENCRYPTION = (TYPE = 'SNOWFLAKE_SSE')",
            f"PUT 'file://{directory}/model/config.json' '@MODELS/tiny' AUTO_COMPRESS = FALSE",
        )
        with worlds.forking(made, directory / "commands"):
            done = made.script(DATA, "globe", *statements)
            assert done.code == 0, done.err
            yield Stack(directory, globe, proxy, made)


def _connections(home: Path, connections: dict[str, dict[str, Any]]) -> None:
    file = home / "connections.toml"
    lines = []
    for name, parameters in connections.items():
        lines.append(f"[{name}]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in parameters.items() if not isinstance(value, dict)]
    file.write_text("\n".join(lines) + "\n")
    file.chmod(0o600)


def _exchange(directory: Path) -> None:
    """What a job finds first on its path."""
    commands, stubs = directory / "globe/bin", directory / "stubs"
    stubs.mkdir()
    image = Path(snowglobe.__file__).parent / "image/sitecustomize.py"
    (stubs / "sitecustomize.py").write_text(GENERATION.format(image=str(image)))
    python = PYTHON.format(stubs=stubs, python=sys.executable)
    programs = {
        "arctic_training": TRAINER.format(python=sys.executable, noted=str(directory / "trainings"), endless=ENDLESS),
        "pip": "#!/bin/sh\nexit 0\n",
        "python": python,
        "python3": python,
    }
    for name, text in programs.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
