"""`python -m piste`, as `piste`."""

from __future__ import annotations

from piste.cli import main

main(prog_name="piste")
