"""Compiled steps say the same tokens, whatever the number of rows, and compile only a few times."""

import shutil

import pytest
from torch._dynamo.utils import counters

from branchwise import TreeDecoder
from branchwise.errors import UserError
from tests.architectures import model_of


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler on a CPU")
@pytest.mark.parametrize("products", ["plain", "rows"])
def test_compiled_steps_say_the_same_and_do_not_compile_again(products: str) -> None:
    model = model_of("qwen2")
    compiled = TreeDecoder(model, kernel="cascade", compile_mode="default", products=products)
    plain = TreeDecoder(model, kernel="cascade")
    sizes = (4, 2, 5, 7, 9)
    made = []
    for count in sizes:
        prompts = [[9, 10, 11, 12 + i] for i in range(count)]
        assert compiled.complete(prompts, 6) == plain.complete(prompts, 6)
        made.append(counters["stats"]["unique_graphs"])
    assert made[0] > 0
    assert made[2:] == made[2:3] * 3


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(UserError, match="compile_mode is 'max'"):
        TreeDecoder(model_of("qwen2"), compile_mode="max")
