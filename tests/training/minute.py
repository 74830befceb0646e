"""A recipe of a model that is trained in seconds, as the YAML file says it."""

from typing import Any

MINUTE: dict[str, Any] = {
    "num_steps": 4,
    "rows_per_step": 1,
    "row_tokens": 160,
    "checkpoint_steps": 1,
    "warmup_steps": 1,
    "shape": {
        "num_layers": 2,
        "hidden_size": 32,
        "num_heads": 2,
        "head_dim": 16,
        "intermediate_size": 32,
        "max_positions": 1024,
    },
    "stages": [
        {
            "name": "all",
            "layouts": {"single": 1.0},
            "kinds": {"look_up": 1.0},
            "min_facts": 3,
            "max_facts": 5,
        }
    ],
}
