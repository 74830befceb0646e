"""What is asked for and cannot be had is said at once, with what is allowed."""

import pytest

from branchwise import TreeDecoder
from branchwise.decoding.requests import Rules
from branchwise.errors import UserError
from tests.architectures import greedy, model_of


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"max_step_tokens": 0}, "max_step_tokens is 0; give a whole number, at least 1"),
        ({"max_cache_tokens": -3}, "max_cache_tokens is -3"),
        ({"max_step_tokens": 2.5}, "max_step_tokens is 2.5"),
        (
            {"kernel": "magic"},
            "kernel is 'magic'; the tree decoder has: auto, dense, cascade, fused, mixed, flex",
        ),
        ({"positions": "there"}, "positions is 'there'"),
        ({"compile_mode": "max"}, "compile_mode is 'max'"),
    ],
)
def test_options_that_there_are_not(option: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        TreeDecoder(model_of("llama"), **option)


def test_one_string_is_not_a_list_of_prompts() -> None:
    """It was four prompts of a letter each."""
    decoder = TreeDecoder(model_of("llama"), kernel="dense")
    with pytest.raises(UserError, match=r"the prompts are one string; give a list of prompts"):
        decoder.complete("Once", 3)
    with pytest.raises(UserError, match="fork was given one string"):
        decoder.fork(decoder.open([9]), "Once")
    decoder.close(None)


def test_one_string_is_not_a_set_of_stop_texts() -> None:
    with pytest.raises(UserError, match=r"stop_texts is the string '\\nQ'; give a tuple"):
        Rules(3, stop_texts="\nQ")


def test_one_bad_prompt_costs_no_other_group_its_answer() -> None:
    model = model_of("llama")
    decoder = TreeDecoder(model, kernel="dense")
    groups = [[[9, 10]], [[]], [[9] * 600], [[11], [12]]]
    sound, empty, long, two = decoder.complete_groups(groups, 3)
    assert sound == [greedy(model, [9, 10], 3)]
    assert two == [greedy(model, [11], 3), greedy(model, [12], 3)]
    assert "the prompt is empty" in str(empty)
    assert "600 tokens and 3 new ones exceed the model's context of 512" in str(long)
    assert decoder.slots_in_use == 0
