"""`python -m showcase --connection NAME [--database D] [--schema S]`: loads the example into Snowflake."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from snowflake.connector.constants import CONNECTIONS_FILE
from snowflake.connector.errors import Error
from snowflake.snowpark import Session
from snowflake.snowpark.exceptions import SnowparkClientException

from showcase import loader

CACHE = Path.home() / ".cache" / "piste" / "models"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m showcase", description=__doc__)
    parser.add_argument("--connection", required=True, metavar="NAME", help="a connection of connections.toml")
    parser.add_argument("--database", metavar="D", help="instead of the connection's")
    parser.add_argument("--schema", metavar="S", help="instead of the connection's")
    parser.add_argument("--model-cache", type=Path, default=CACHE, metavar="DIR", help=f"default: {CACHE}")
    options = parser.parse_args(arguments)
    place = {key: value for key in ("database", "schema") if (value := getattr(options, key))}
    try:
        session = Session.builder.config("connection_name", options.connection).configs(place).create()
    except (Error, SnowparkClientException) as error:
        said = str(error.raw_msg if isinstance(error, Error) and error.raw_msg else error).splitlines()[0]
        print(f"The connection {options.connection!r} could not be used: {said}", file=sys.stderr)
        print(f"Name a connection of {CONNECTIONS_FILE} with --connection, or mend it there.", file=sys.stderr)
        sys.exit(1)
    with session:
        loader.load(session, options.model_cache, lambda words: print(f"showcase | {words}", flush=True))


if __name__ == "__main__":
    main()
