from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from payload import generate

SCHEMA = Path(__file__).parents[2] / "schemas" / "suite.schema.json"


def test_a_suite_that_leaves_the_options_out_gets_the_schemas_defaults() -> None:
    options = json.loads(SCHEMA.read_text())["properties"]["generate"]["properties"]
    defaults = {name: option["default"] for name, option in options.items()}
    tokenizer: Any = SimpleNamespace(eos_token_id=1)
    assert generate.settings({}, tokenizer) == generate.settings(defaults, tokenizer)
    assert defaults["batch_size"] == generate.BATCH_SIZE
    assert set(defaults) == {"max_new_tokens", "temperature", "batch_size"}
