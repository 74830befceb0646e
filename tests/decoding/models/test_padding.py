"""What decoder hf asks one at a time, because a padded batch would answer something else."""

import asyncio

import pytest
import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from branchwise.decoding.loop import run
from branchwise.decoding.reference import HFDecoder
from branchwise.decoding.requests import Request, Rules
from branchwise.errors import UserError
from tests.architectures import BUILDERS, greedy, model_of
from tests.decoding.models.test_exactness import unknown

PROMPTS = [[9, 10, 11, 12] * 20, [9, 30], [9, 10, 40, 41, 42]]


def answers(decoder: HFDecoder, prompts=PROMPTS, listeners=None) -> list:
    async def ask() -> list:
        loop = asyncio.get_running_loop()
        requests = [Request(ids, Rules(5), "g", loop.create_future()) for ids in prompts]
        for request, hear in zip(requests, listeners or [None] * len(requests), strict=True):
            request.on_token = hear
            decoder.submit(request)
        return await asyncio.gather(*(request.future for request in requests), return_exceptions=True)

    made = run(ask(), decoder.step)
    return [
        one if isinstance(one, BaseException) else [i for i in one.ids if i not in decoder.stop_ids]
        for one in made
    ]


@pytest.mark.parametrize("name", BUILDERS)
def test_the_types_of_the_tests_are_answered_rightly_in_one_batch(name: str) -> None:
    # Error 7: positions differ between training and inference.
    model = model_of(name)
    decoder = HFDecoder(model)
    assert decoder.one_at_a_time is None
    assert answers(decoder) == [greedy(model, prompt, 5) for prompt in PROMPTS]


LENGTHS = {"rope_theta": 10_000.0, "factor": 4.0, "original_max_position_embeddings": 32}


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_rotary_angles_by_length_are_asked_one_at_a_time(kind: str) -> None:
    factors = {"short_factor": [1.0] * 6, "long_factor": [6.0] * 6} if kind == "longrope" else {}
    rope = {"rope_type": kind, **LENGTHS, **factors}
    model = unknown("llama", rope_parameters=rope, max_position_embeddings=64)
    model.config.max_position_embeddings = 512
    decoder = HFDecoder(model)
    assert "depend on the longest prompt" in decoder.one_at_a_time
    assert answers(decoder) == [answers(decoder, [prompt])[0] for prompt in PROMPTS]


def test_a_recurrent_model_that_padding_changes_is_asked_one_at_a_time() -> None:
    config = CONFIG_MAPPING["rwkv"](
        vocab_size=101, hidden_size=48, num_hidden_layers=2, eos_token_id=7, context_length=256
    )
    torch.manual_seed(0)
    decoder = HFDecoder(AutoModelForCausalLM.from_config(config).eval())
    assert decoder.facts() == {
        "resolved_batching": "one at a time",
        "ignored_generation_config": {},
    }
    assert answers(decoder) == [answers(decoder, [prompt])[0] for prompt in PROMPTS]


def test_a_listener_that_fails_fails_its_own_row() -> None:
    model = model_of("llama")

    def deaf(token: int) -> None:
        raise ValueError("listener")

    first, second, third = answers(HFDecoder(model), listeners=[None, deaf, None])
    assert isinstance(second, ValueError)
    assert [first, third] == [greedy(model, PROMPTS[0], 5), greedy(model, PROMPTS[2], 5)]


def test_a_cancelled_request_decodes_no_further() -> None:
    decoder = HFDecoder(model_of("llama"))

    async def ask() -> None:
        future = asyncio.get_running_loop().create_future()
        decoder.submit(Request([9, 10], Rules(400), "g", future, lambda token: future.cancel()))
        queued = asyncio.get_running_loop().create_future()
        decoder.submit(Request([9, 11], Rules(400), "g", queued))
        queued.cancel()
        await asyncio.sleep(0.01)

    run(ask(), decoder.step)
    assert decoder.num_forward_passes == 1


def test_an_error_of_generate_reaches_all_who_wait(monkeypatch) -> None:
    model = model_of("llama")
    decoder = HFDecoder(model)

    def broken(**kwargs):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(model, "generate", broken)
    with pytest.raises(RuntimeError, match="out of memory"):
        answers(decoder)
    monkeypatch.undo()
    assert answers(decoder) == [greedy(model, prompt, 5) for prompt in PROMPTS]


def test_a_prompt_beyond_the_context_is_refused() -> None:
    decoder = HFDecoder(model_of("llama"))
    with pytest.raises(UserError, match="exceed the model's context of 512"):
        answers(decoder, [[9] * 510])
