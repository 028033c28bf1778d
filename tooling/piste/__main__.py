"""The console script, and `python -m piste`."""

from __future__ import annotations

import gc
from typing import Final

COLLECTED_AFTER: Final = 500_000
"""Values: thousands of small ones stay until the end, and to look through them again and again is vain."""


def main() -> None:
    gc.set_threshold(COLLECTED_AFTER)
    from piste.cli import main as piste

    try:
        piste(prog_name="piste")
    finally:
        gc.freeze()  # what is left ends with the process


if __name__ == "__main__":
    main()
