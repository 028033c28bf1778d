"""What piste knows of ArcticTraining 0.8.0's recipes: their keys, which of them can't change the weights, and checks.

Sources: arctic_training/config/{trainer,data,checkpoint,logger,wandb}.py and where each key is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, Final

from piste.documents import Parsed
from piste.errors import Problem
from piste.problems import Path, listed, quoted, sentences, suggestion
from piste.templates import unknown_columns

TRAINERS: Final = ("sft", "causal", "dpo")

KEYS: Final = frozenset(
    {
        "type", "code", "skip_validation", "model", "tokenizer", "data", "logger", "wandb", "scheduler",
        "optimizer", "deepspeed", "epochs", "loss_log_interval", "train_log_iter_interval",
        "train_log_metrics_path", "gradient_accumulation_steps", "micro_batch_size", "sequence_parallel_size",
        "activation_checkpoint_cpu_offload", "tiled_mlp_compute", "seed", "checkpoint", "train_iters",
        "eval_interval", "eval_log_iter_interval", "exit_iteration", "exit_iteration_this_run",
        "min_iterations", "overfit_first_batch", "mem_profiler", "mem_profiler_dir", "mem_profiler_max_entries",
        "kill_switch_path",
    }
)  # fmt: skip
DPO_KEYS: Final = frozenset({"ref_model", "beta", "ignore_label_index", "label_smoothing", "reference_model_deepspeed"})

SOURCE_KEYS: Final = (
    "type", "sql", "table_name", "dataset_uri", "key", "messages", "column_mapping", "limit", "batch_size",
    "split", "sample_ratio", "sample_count", "sample_seed", "process",
)  # fmt: skip
"""Of piste's own source type snowflake_messages."""

SECTIONS: Final[Mapping[str, frozenset[str]]] = {
    "model": frozenset(
        {
            "type", "name_or_path", "dtype", "save_name", "attn_implementation", "disable_activation_checkpoint",
            "peft_config", "hf_config_kwargs",
        }
    ),
    "optimizer": frozenset({"type", "weight_decay", "betas", "learning_rate", "lr"}),
    "scheduler": frozenset({"type", "name", "warmup_ratio", "scheduler_specific_kwargs"}),
    "data": frozenset(
        {
            "type", "sources", "eval_sources", "train_eval_split", "max_length", "num_proc", "dl_num_workers", "seed",
            "use_data_cache", "cache_processed_data", "cache_dir", "cache_fs_type", "fail_on_missing_cache",
        }
    ),
}  # fmt: skip
"""Keys of the sections that every trainer has, where they are of the trainer's own type."""
DATA_KEYS: Final[Mapping[str, frozenset[str]]] = {
    "sft": frozenset(
        {
            "div_length", "mask_inputs", "always_max_length", "pad_to", "filter_samples", "pack_samples", "drop_last",
            "ignore_empty_think", "repeat_to_pack_max_length", "fuse_positions_prob",
        }
    ),
    "causal": frozenset(),
    "dpo": frozenset({"max_prompt_length", "dpo_prompt_truncation_mode"}),
}  # fmt: skip

PLACEMENT: Final[frozenset[Path]] = frozenset(
    {
        ("wandb",),
        ("logger",),
        ("train_log_metrics_path",),
        ("train_log_iter_interval",),
        ("loss_log_interval",),
        ("eval_log_iter_interval",),
        ("mem_profiler",),
        ("mem_profiler_dir",),
        ("mem_profiler_max_entries",),
        ("kill_switch_path",),
        ("data", "cache_dir"),
        ("data", "cache_fs_type"),
        ("data", "use_data_cache"),
        ("data", "cache_processed_data"),
        ("data", "dl_num_workers"),
        ("checkpoint", "output_dir"),
        ("deepspeed", "steps_per_print"),
        ("deepspeed", "wall_clock_breakdown"),
        ("deepspeed", "dump_state"),
    }
)
"""Keys that can't change the weights, without list indices; a key covers all below it.

Not here though they look it: eval_interval and eval data (an evaluation draws from the random state that dropout
uses), checkpoint types and intervals (they decide what is kept of a run), fail_on_missing_cache.
"""


def rule_alone(path: Path) -> str:
    """`placement` or `train`; "" where `rule_beside_others` decides."""
    keys = tuple(part for part in path if isinstance(part, str))
    if keys[:2] == ("data", "num_proc"):
        return ""
    return "placement" if keys[:1] in PLACEMENT or keys[:2] in PLACEMENT else "train"


def rule_beside_others(recipe: Mapping[str, Any] | None) -> str:
    """Of data.num_proc in this recipe."""
    return "train" if recipe is None or _packs(recipe) else "placement"


def _packs(recipe: Mapping[str, Any]) -> bool:
    """Packing works in batches of `len(dataset) // num_proc + 1`: data/sft_factory.py and causal_factory.py."""
    data = recipe.get("data")
    if not isinstance(data, Mapping) or data.get("pack_samples"):
        return True
    return any(kind not in ("sft", "dpo") for kind in (recipe.get("type", "sft"), data.get("type", "sft")))


def check(recipe: Parsed, files: Sequence[str], inputs: Any) -> Iterator[Problem]:
    """`files` are those that the experiment declares, `inputs` its `train.inputs`."""
    if not isinstance(recipe.data, Mapping):
        return
    yield from _trainer(recipe)
    yield from _sections(recipe)
    yield from _essentials(recipe)
    yield from _checkpoint(recipe)
    yield from _code(recipe, files)
    yield from _inputs(recipe, inputs)
    yield from _model(recipe, files, inputs)
    data = recipe.data.get("data")
    for key in ("sources", "eval_sources"):
        for index, source in enumerate(_items(data.get(key)) if isinstance(data, Mapping) else ()):
            if isinstance(source, Mapping) and source.get("type") == "snowflake_messages":
                yield from _messages(recipe, source, ("data", key, index))


def _items(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _trainer(recipe: Parsed) -> Iterator[Problem]:
    trainer = recipe.data.get("type", "sft")
    if trainer not in TRAINERS:
        if not recipe.data.get("code"):
            hint = sentences(suggestion(trainer, TRAINERS), f"Choose one of {listed(TRAINERS)}, or name your  code: .")
            yield recipe.problem(("type",), f"{quoted(trainer)} is not a trainer of ArcticTraining 0.8.0.", hint)
        return
    known = KEYS | DPO_KEYS if trainer == "dpo" else KEYS
    for key in recipe.data:
        if key not in known:
            hint = suggestion(key, sorted(known), quote=False) or "Its documentation lists the keys there are."
            yield recipe.problem((key,), f"{quoted(key)} is not a key of ArcticTraining 0.8.0's recipes.", hint)


def _sections(recipe: Parsed) -> Iterator[Problem]:
    trainer = recipe.data.get("type", "sft")
    if recipe.data.get("code") or trainer not in TRAINERS:
        return
    for name, keys in SECTIONS.items():
        section = recipe.data.get(name)
        if not isinstance(section, Mapping) or (section.get("type") and name != "data"):
            continue
        if name == "data":
            kind = section.get("type") or trainer
            if kind not in TRAINERS:
                continue
            keys = keys | DATA_KEYS[kind]
        for key in section:
            if key not in keys:
                hint = sentences(suggestion(key, keys, quote=False), f"Keys here are {listed(sorted(keys), 30)}.")
                message = f"{quoted(key)} is not a key of {name} in ArcticTraining 0.8.0's recipes."
                yield recipe.problem((name, key), message, hint)


def _checkpoint(recipe: Parsed) -> Iterator[Problem]:
    checkpoint = recipe.data.get("checkpoint", [])
    each = checkpoint if isinstance(checkpoint, list) else [checkpoint]
    if not all(isinstance(one, Mapping) for one in each):
        message = f"This must be keys and values, or a list of them, not {quoted(checkpoint)}."
        hint = "Remove it, piste keeps the trained model, or write e.g.  checkpoint: [{type: huggingface, …}]"
        yield recipe.problem(("checkpoint",), message, hint)


def _essentials(recipe: Parsed) -> Iterator[Problem]:
    for section, key, example in (
        ("model", "name_or_path", "model: {name_or_path: ./inputs/base-model}"),
        ("data", "sources", "data: {sources: [{type: snowflake_messages, …}]}"),
    ):
        value = recipe.data.get(section)
        if value is not None and not isinstance(value, Mapping):
            message = f"This must be keys and values, not {quoted(value)}."
            yield recipe.problem((section,), message, f"Write e.g.  {example}")
        elif not (value or {}).get(key):
            yield recipe.problem((section, key), f"{quoted(f'{section}.{key}')} is missing.", f"Write e.g.  {example}")


def _code(recipe: Parsed, files: Sequence[str]) -> Iterator[Problem]:
    code = recipe.data.get("code")
    if code is None:
        if "train.py" in files:
            message = "ArcticTraining loads a train.py beside the recipe even when the recipe doesn't name it."
            yield recipe.problem(("code",), message, "Say so: write  code: train.py")
    elif not isinstance(code, str):
        yield recipe.problem(("code",), f"This must be a file name, not {quoted(code)}.", "Write e.g.  code: train.py")
    elif PurePosixPath(code).as_posix() not in files:
        hint = sentences(suggestion(code, files), "Add it to train.files in experiment.yaml.")
        yield recipe.problem(("code",), f"{quoted(code)} is not a declared file of this experiment.", hint)


def _inputs(recipe: Parsed, inputs: Any) -> Iterator[Problem]:
    known = [name for name in inputs if isinstance(name, str)] if isinstance(inputs, Mapping) else []
    for path, value in _paths_of_inputs(recipe.data, ()):
        parts = PurePosixPath(value).parts
        if len(parts) > 1 and parts[0] == "inputs" and parts[1] not in known:
            hint = sentences(suggestion(parts[1], known), "Add it to train.inputs in experiment.yaml.")
            yield recipe.problem(path, f"{quoted(parts[1])} is not an input of this experiment.", hint)


def _model(recipe: Parsed, files: Sequence[str], inputs: Any) -> Iterator[Problem]:
    """That an adapter's base model is there when it is evaluated, and that the model is one that piste can pin."""
    section = recipe.data.get("model")
    name = section.get("name_or_path") if isinstance(section, Mapping) else None
    if not isinstance(section, Mapping) or not isinstance(name, str) or not name:
        return
    path, known = PurePosixPath(name), list(inputs) if isinstance(inputs, Mapping) else []
    ours = len(path.parts) > 1 and path.parts[0] == "inputs"
    if ours and path.parts[1] not in known:
        return
    if section.get("peft_config") and "base-model" not in known and not (ours and len(known) == 1):
        message = "An adapter is evaluated on its base model; which input that is can't be told."
        hint = 'Name it base-model: in experiment.yaml  inputs: {base-model: "@MODELS/…"}\n'
        hint += "and here  name_or_path: ./inputs/base-model"
        yield recipe.problem(("model", "name_or_path"), message, hint)
    elif not ours and not any(file == path.as_posix() or path in PurePosixPath(file).parents for file in files):
        message = f"{quoted(name)} is fetched from Hugging Face in the job: what it holds may change."
        hint = "Put the model on a stage, name it in train.inputs, and write  name_or_path: ./inputs/NAME"
        yield replace(recipe.problem(("model", "name_or_path"), message, hint), severity="warning")


def _paths_of_inputs(value: Mapping[str, Any] | list[Any], path: Path) -> list[tuple[Path, str]]:
    """Texts that may name a file below ./inputs, and where they stand."""
    found: list[tuple[Path, str]] = []
    for key, item in enumerate(value) if isinstance(value, list) else value.items():
        if isinstance(item, str):
            if "inputs/" in item[:9]:
                found.append(((*path, key), item))
        elif isinstance(item, (dict, list)):
            found += _paths_of_inputs(item, (*path, key))
    return found


def _messages(recipe: Parsed, source: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    for key in source:
        if key not in SOURCE_KEYS:
            hint = sentences(suggestion(key, SOURCE_KEYS, quote=False), f"Keys here are {listed(SOURCE_KEYS, 20)}.")
            yield recipe.problem((*path, key), f"{quoted(key)} is not a key of snowflake_messages.", hint)
    origins = [key for key in ("sql", "table_name", "dataset_uri") if source.get(key)]
    if len(origins) != 1:
        found = f"it has {' and '.join(origins)}" if origins else "it has none"
        message = f"A snowflake_messages source needs one of sql, table_name and dataset_uri; {found}."
        yield recipe.problem(path, message, 'Write e.g.  sql: "SELECT ID, DIALOGUE, NOTE FROM NOTES"')
    if not isinstance(source.get("key"), str):
        yield recipe.problem((*path, "key"), "The rows need a key to be sorted by.", "Write e.g.  key: ID")
    yield from _templates(recipe, source, path)


def _templates(recipe: Parsed, source: Mapping[str, Any], path: Path) -> Iterator[Problem]:
    messages = source.get("messages")
    example = 'Write e.g.  messages: {user: "{DIALOGUE}", assistant: "{NOTE}"}'
    if not isinstance(messages, Mapping):
        yield recipe.problem((*path, "messages"), "A snowflake_messages source needs messages.", example)
        return
    for role, text in messages.items():
        if role not in ("system", "user", "assistant") or not isinstance(text, str):
            message = "Messages are texts of system, user and assistant."
            yield recipe.problem((*path, "messages", role), message, example)
    for role in ("user", "assistant"):
        if role not in messages:
            yield recipe.problem((*path, "messages", role), f"The message of the {role} is missing.", example)
    texts = {(*path, "messages", role): text for role, text in messages.items() if isinstance(text, str)}
    yield from unknown_columns(recipe, source.get("sql"), source.get("key"), (*path, "key"), texts)
