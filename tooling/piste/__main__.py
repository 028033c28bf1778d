"""The console script, and `python -m piste`."""

from __future__ import annotations

import gc


def main() -> None:
    gc.set_threshold(500_000)  # thousands of small values that stay: looking through them again and again is vain
    from piste.cli import main as piste

    try:
        piste(prog_name="piste")
    finally:
        gc.freeze()  # what is left ends with the process


if __name__ == "__main__":
    main()
