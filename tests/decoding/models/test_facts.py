"""Facts about models, whatever transformers calls them."""

import warnings

import pytest
from torch import nn

from branchwise import TreeDecoder
from branchwise.decoding.models.facts import cache_name
from tests.architectures import BUILDERS, model_of


class Old(nn.Module):
    def forward(self, hidden_states: object, past_key_values: object = None) -> object:
        return hidden_states


class New(nn.Module):
    def forward(self, hidden_states: object, cache: object = None) -> object:
        return hidden_states


def test_the_cache_is_given_by_the_name_that_it_has() -> None:
    assert (cache_name(Old), cache_name(New)) == ("past_key_values", "cache")


@pytest.mark.parametrize("name", BUILDERS)
def test_no_model_is_called_by_a_name_that_goes(name: str) -> None:
    """With transformers 5.24 each cell began with a warning, and the compiled heads were left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        decoder = TreeDecoder(model_of(name), products="rows")
        decoder.complete([[5, 9, 14]], 2)
    has_own = {"qwen2", "qwen3", "llama", "mistral"}
    assert (decoder.facts()["fused_modules"]["attention inputs"] > 0) >= (name in has_own)
