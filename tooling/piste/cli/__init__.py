"""The command line: parse, call a journey, render, exit. The only package that prints."""

from __future__ import annotations

from pathlib import Path

import click

from piste.cli import github, keeping, looking, models, reconciling
from piste.cli.common import Place


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="piste")
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The repository; default: here, or the nearest folder above with experiments/.",
)
@click.option(
    "--environment",
    metavar="NAME",
    envvar="PISTE_ENVIRONMENT",
    help="One of [tool.piste.environments]; default: $PISTE_ENVIRONMENT, or the settings'.",
)
@click.option("--connection", metavar="NAME", help="One of Snowflake's connections.toml; default: the environment's.")
@click.option(
    "--settings",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="A repository whose [tool.piste] counts, as that of a pull request's base; default: the root.",
)
@click.pass_context
def main(
    context: click.Context,
    root: Path | None,
    environment: str | None,
    connection: str | None,
    settings: Path | None,
) -> None:
    """Fine-tune language models inside Snowflake from experiments in git.

    \b
    Every day:  new, run, plan, status, compare, diff, log, report
    Operating:  validate, apply, collect, cancel, logs, model, ledger, gc, doctor, demo
    Workflows:  github

    \b
    Exit codes:
      0    done, or nothing to do
      1    the input, a run or Snowflake is at fault
      2    wrong usage
      3    plan --check: there is something to do; collect --check: a gate is not decided
      4    a policy refuses; collect --check: a gate has failed
      130  interrupted
    """
    context.obj = Place(root or _nearest(Path()), environment, connection, settings)


def _nearest(here: Path) -> Path:
    above = (folder for folder in (here, *here.resolve().parents) if (folder / "experiments").is_dir())
    return next(above, here)


for _command in (
    *(reconciling.validate, reconciling.plan, reconciling.apply, reconciling.run, reconciling.collect),
    *(looking.status, looking.compare, looking.diff, looking.log, looking.report, looking.cancel, looking.logs),
    *(keeping.ledger, keeping.gc, keeping.new, keeping.doctor, keeping.demo),
    models.model,
    github.github,
):
    main.add_command(_command)
