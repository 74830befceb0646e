"""What a model's own generation config asks for and no decoder does: named, never silently left out."""

from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedModel

_DRAWING: dict[str, Any] = {
    "temperature": 1.0,
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "top_h": None,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
}
"""Settings that change tokens where they are drawn, and the value with which they do not."""
_ALWAYS: dict[str, Any] = {
    "num_beams": 1,
    "penalty_alpha": None,
    "dola_layers": None,
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "bad_words_ids": None,
    "sequence_bias": None,
    "suppress_tokens": None,
    "begin_suppress_tokens": None,
    "forced_bos_token_id": None,
    "forced_eos_token_id": None,
    "exponential_decay_length_penalty": None,
    "guidance_scale": 1.0,
    "token_healing": False,
    "watermarking_config": None,
    "min_length": 0,
    "min_new_tokens": 0,
    "stop_strings": None,
}
"""Settings that change tokens wherever they are set, and the value with which they do not."""


def ignored_settings(model: PreTrainedModel) -> dict[str, Any]:
    """The settings of a model's generation config that would change tokens and are not followed, by name:
    a decoder goes by its own entry, for its numbers are to be those of every other decoder. What the
    config says of drawing counts only where it draws (`do_sample`). Its stop tokens are followed.
    """
    given: Mapping[str, Any] = model.generation_config.to_dict()
    draws = {"do_sample": False, **_DRAWING} if given.get("do_sample") else {}
    return {
        name: _plain(given[name])
        for name, neutral in (draws | _ALWAYS).items()
        if given.get(name) not in (None, neutral, [], {})
    }


def ignored_note(ignored: Mapping[str, Any]) -> tuple[str, ...]:
    """A sentence about `ignored_settings` for readers of results; none where there are none."""
    if not ignored:
        return ()
    said = ", ".join(f"{name} {value}" for name, value in ignored.items())
    return (
        f"the model's own generation config is not followed in {said}: the decoder's entry says how "
        "tokens are chosen",
    )


def _plain(value: Any) -> Any:
    """A setting as JSON data."""
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, str | int | float | bool) else str(value)
