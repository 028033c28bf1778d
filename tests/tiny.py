"""What a training of the tiny model is told, and how its answers are evaluated: seconds, most of them start-up."""

from __future__ import annotations

from typing import Any

SUITE: dict[str, Any] = {
    "data": {"sql": "SELECT ID, DIALOGUE, NOTE FROM SOAP_NOTES WHERE SPLIT = 'test' ORDER BY ID LIMIT 6", "key": "ID"},
    "prompt": {"user": "{DIALOGUE}"},
    "generate": {"max_new_tokens": 8},
    "reference": "{NOTE}",
    "scores": [{"name": "json_valid"}, {"name": "exact_match"}],
}
RECIPE: dict[str, Any] = {
    "type": "sft",
    "model": {
        "name_or_path": "./inputs/base-model",
        "dtype": "fp32",
        "disable_activation_checkpoint": True,
        "peft_config": {"peft_type": "Lora", "task_type": "CAUSAL_LM", "r": 4, "target_modules": ["q_proj", "v_proj"]},
    },
    "data": {
        "sources": [
            {
                "type": "snowflake_messages",
                "sql": "SELECT ID, DIALOGUE, NOTE FROM SOAP_NOTES WHERE SPLIT = 'train' ORDER BY ID LIMIT 12",
                "key": "ID",
                "messages": {"user": "{DIALOGUE}", "assistant": "{NOTE}"},
            }
        ],
        "max_length": 512,
        "div_length": 16,
        "num_proc": 1,
        "dl_num_workers": 1,
    },
    "micro_batch_size": 4,
    "train_iters": 3,
    "optimizer": {"learning_rate": 0.001},
}
