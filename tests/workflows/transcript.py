"""Rehearse the whole loop with a model that really trains, and write down what happened.

python -m workflows.transcript docs/rehearsal.md (make rehearsal)
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from world import ROOT

from workflows.hub import REQUEST_TOKEN, Pull
from workflows.rehearsal import Ran, Rehearsal, rehearsal

HEAD = """# The loop, rehearsed

Written by `make rehearsal`, which runs the unmodified files of `.github/` with
[act](https://github.com/nektos/act) against a bare git origin, a stand-in for GitHub's API on this machine, and the
embedded Snowflake. The actions of others (checkout, setup-python, cache, upload-artifact) are stand-ins; `permissions`,
environments and concurrency, which act does not know, are given by the rehearsal. The model is tiny and really trains.
Seconds are those of two cores; a cache is restored at once here, and takes GitHub some ten seconds.
"""
SAID = re.compile(r"^\[\w+\] ((?:\d+ runs? |nothing to |\S+: submitted |#\d+).*)", re.MULTILINE)
"""What of a log is worth a place in the transcript."""

LOADED = """
import pathlib, sys
from showcase import loader, soap_notes, tiny_model
from snowflake.snowpark import Session
with Session.builder.configs(dict(connection_name="globe", database="PISTE", schema="DEV")).create() as session:
    session.sql("DROP TABLE SOAP_NOTES").collect()
    loader.load_rows(session, list(soap_notes.visits({"train": 12, "test": 6})))
    loader.load_model(session, tiny_model.build(pathlib.Path(sys.argv[1]) / "tiny"), "tiny")
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, rehearsal(Path(directory), quick=False) as repository:
        world = repository.stack.world
        done = world.shell(sys.executable, "-c", LOADED, str(directory))
        assert done.code == 0, done.err
        parts = [HEAD, *(clean(part, repository) for part in story(repository))]
        text = "\n".join(parts)
        secrets = [REQUEST_TOKEN, *repository.hub.tokens, *repository.hub.identities]
        assert not [one for one in (directory, str(ROOT), "127.0.0.1", *secrets) if one in text]
        Path(sys.argv[1]).write_text(text)


def story(repository: Rehearsal) -> Iterator[str]:
    repository.on_branch("shorter-steps")
    repository.add("tiny-notes", 3, question="Does a tiny model learn anything in three steps?")
    repository.push("Add tiny-notes")
    pull = repository.open("Add tiny-notes")
    yield from told(
        "A pull request adds an experiment", "pull_request: opened", repository.pull_request(pull, "opened")
    )
    yield from comments(repository, pull)
    edit(repository, "learning_rate: 3.0e-06", "learning_rate: 0.001")
    repository.push("Learn faster")
    yield from told("A second push", "pull_request: synchronize", repository.pull_request(pull))
    yield from comments(repository, pull)
    ran = repository.pull_request(pull, "labeled", "piste:smoke")
    yield from told("The label piste:smoke", "pull_request: labeled", ran)
    repository.stack.until_jobs_ended()
    ended = repository.scheduled()
    assert "**done**" in repository.hub.said(pull.number)[0]
    yield from told("Its job has ended", "schedule", {"report": ended})
    yield from comments(repository, pull)
    repository.merge(pull)
    repository.stack.globe.set_nodes("PISTE_CPU", 0)
    yield from told("The merge", "push to main", {"submit": repository.pushed()})
    yield from told("Before the job ends", "schedule", {"report": repository.scheduled()})
    repository.stack.globe.set_nodes("PISTE_CPU", 1)
    until_ended(repository)
    yield from told("After it has ended", "schedule", {"report": repository.scheduled()})
    (reports,) = [one for one in repository.hub.pulls.values() if one.branch == "piste/reports"]
    yield f"Pull request #{reports.number}, from `piste/reports`: **{reports.title}**\n"
    yield from comments(repository, pull, last=True)
    repository.merge(reports)
    yield from told("The reports are merged", "push to main", {"submit": repository.pushed()})
    yield from told("Again", "schedule", {"report": repository.scheduled()})
    log = repository.git("log", "--no-merges", "--format=%s (%an)", "-4", "main", place=repository.origin)
    yield f"## main\n\n```\n$ git log --no-merges\n{log}\n```\n"


def until_ended(repository: Rehearsal) -> None:
    time.sleep(2)
    repository.stack.until_jobs_ended()


def edit(repository: Rehearsal, old: str, new: str) -> None:
    recipe = repository.clone / "experiments/tiny-notes/recipe.yaml"
    text = recipe.read_text()
    assert old in text, text
    recipe.write_text(text.replace(old, new))


def told(title: str, event: str, ran: dict[str, Ran]) -> Iterator[str]:
    yield f"## {title}\n"
    for name, one in ran.items():
        assert one.well, one.log
        jobs = ", ".join(f"{job} {state}" for job, state in one.jobs.items() if state != "skipped") or "nothing runs"
        yield f"`{event}` → **{name}**: {jobs}, {one.seconds:.0f} s\n"
        if said := SAID.findall(one.log):
            yield "```\n" + "\n".join(said) + "\n```\n"


def comments(repository: Rehearsal, pull: Pull, last: bool = False) -> Iterator[str]:
    said = repository.hub.said(pull.number)
    yield f"Comments on #{pull.number} now: {len(said)}. {'The latest' if last else 'The first'}:\n"
    shown = [line for line in said[-1 if last else 0].splitlines() if not line.startswith("<!-- ")]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(shown))
    yield "\n".join(f"> {line}".rstrip() for line in text.splitlines()) + "\n"


def clean(text: str, repository: Rehearsal) -> str:
    return text.replace(repository.hub.url, "https://github.com").replace("@\u200b", "@")


if __name__ == "__main__":
    main()
