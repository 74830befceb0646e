"""What a model's own generation config asks for is named by both decoders, and followed by none."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from transformers import GenerationConfig

from branchwise import TreeDecoder
from branchwise.decoding.models.ignored import ignored_settings
from branchwise.decoding.reference import HFDecoder
from tests.architectures import model_of

QWEN = {
    "do_sample": True,
    "temperature": 0.7,
    "top_p": 0.8,
    "top_k": 20,
    "repetition_penalty": 1.05,
    "eos_token_id": [7, 8],
    "pad_token_id": 0,
}
"""As Qwen2.5-Instruct ships it."""


@contextmanager
def config(**settings) -> Iterator:
    model = model_of("qwen2")
    before = model.generation_config
    model.generation_config = GenerationConfig(**settings)
    try:
        yield model
    finally:
        model.generation_config = before


@pytest.mark.parametrize("decoder", [TreeDecoder, HFDecoder])
def test_both_decoders_name_what_they_ignore(decoder) -> None:
    with config(**QWEN) as model:
        made = decoder(model)
    asked = ("do_sample", "temperature", "top_k", "top_p", "repetition_penalty")
    assert made.facts()["ignored_generation_config"] == {name: QWEN[name] for name in asked}
    (note,) = made.notes
    assert "not followed in do_sample True, temperature 0.7, top_k 20, top_p 0.8, repetition_p" in note


@pytest.mark.parametrize("decoder", [TreeDecoder, HFDecoder])
def test_what_changes_no_token_is_not_named(decoder) -> None:
    with config(
        eos_token_id=7, repetition_penalty=1.0, do_sample=False, top_k=50, max_length=20
    ) as model:
        made = decoder(model)
    assert made.facts()["ignored_generation_config"] == {}
    assert made.notes == ()


def test_settings_that_count_without_drawing() -> None:
    settings = {
        "suppress_tokens": [3],
        "begin_suppress_tokens": [4],
        "forced_bos_token_id": 5,
        "forced_eos_token_id": [7],
        "no_repeat_ngram_size": 2,
        "num_beams": 4,
        "sequence_bias": [[[3], -1.0]],
    }
    with config(**settings, temperature=0.5) as model:
        assert ignored_settings(model) == settings
