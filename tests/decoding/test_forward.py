"""One pass by itself: logits of the asked rows, counters, chunks, and what it refuses."""

from typing import Any

import pytest
import torch
from torch._C import _len_torch_function_stack

from branchwise.decoding import pages
from branchwise.decoding.attention.kernels import KERNELS
from branchwise.decoding.forward import ForwardPass
from branchwise.decoding.held.tree import TokenTree
from branchwise.decoding.options import TreeOptions
from branchwise.errors import UserError
from tests.architectures import model_of


def forward_of(name: str = "llama", kernel: str = "dense", limit: int = 4096, **more):
    model = model_of(name)
    tree = TokenTree(model.device)
    options = TreeOptions(max_step_tokens=limit, **more)
    return ForwardPass(model, tree, kernel, options), tree


def plain(name: str, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return model_of(name)(torch.tensor([ids]), use_cache=False).logits[0, -1]


@pytest.mark.parametrize("kernel", ["dense", "cascade", "fused"])
def test_logits_of_every_tip_that_is_complete(kernel: str) -> None:
    forward, tree = forward_of(kernel=kernel)
    root = tree.add((), [9, 10, 11])
    tips = [tree.add((root,), ids) for ids in ([12], [13, 14])]
    outcome = forward(tips)
    assert set(outcome.logits) == set(tips)
    assert not outcome.broken
    for tip in tips:
        expected = plain("llama", [9, 10, 11, *tip.tokens])
        torch.testing.assert_close(outcome.logits[tip], expected, atol=1e-4, rtol=0)
    assert (forward.num_passes, forward.num_rows, forward.peak_tokens) == (1, 6, 6)


def test_long_prompts_go_in_chunks() -> None:
    forward, tree = forward_of(limit=4)
    tip = tree.add((), list(range(9, 19)))
    outcomes = [forward([tip]) for _ in range(3)]
    assert [bool(outcome.logits) for outcome in outcomes] == [False, False, True]
    torch.testing.assert_close(
        outcomes[-1].logits[tip], plain("llama", list(range(9, 19))), atol=1e-4, rtol=0
    )
    assert (forward.num_passes, forward.num_rows) == (3, 10)


@pytest.mark.parametrize(
    ("products", "large", "looked_at"), [("rows", 64, True), ("rows", 2**20, False), ("plain", 64, False)]
)
def test_calls_of_torch_are_looked_at_where_arrays_are_ours_and_large(
    monkeypatch: pytest.MonkeyPatch, products: str, large: int, looked_at: bool
) -> None:
    """Each look costs time; where products are torch's, so are nearly all arrays."""
    modes: list[bool] = []
    attend = KERNELS["cascade"]._attend

    def watched(*args: Any) -> torch.Tensor:
        modes.append(_len_torch_function_stack() > 0)
        return attend(*args)

    monkeypatch.setattr(KERNELS["cascade"], "_attend", watched)
    monkeypatch.setattr(pages, "LEAST_BYTES", large)
    forward, tree = forward_of(kernel="cascade", products=products)
    if products == "rows" and not forward.products.are_own:
        pytest.skip("this machine cannot build the library")
    forward([tree.add((), list(range(9, 39)))])
    assert modes and set(modes) == {looked_at}


def test_it_starts_anew_with_nothing_of_the_old_tree() -> None:
    forward, tree = forward_of()
    forward([tree.add((), [9, 10])])
    held = forward.cache.num_bytes
    tree = TokenTree(torch.device("cpu"))
    forward.start_anew(tree)
    assert held > forward.cache.num_bytes == 0
    tip = tree.add((), [9, 30])
    torch.testing.assert_close(forward([tip]).logits[tip], plain("llama", [9, 30]), atol=1e-4, rtol=0)


def test_a_model_that_attends_by_itself_is_found_out(monkeypatch) -> None:
    """A silent fallback to plain attention would let branches see each other."""
    # Error 26: silent fallback to plain attention.
    # With the project's own products, whole attention modules are its own as well: they cannot fall back.
    forward, tree = forward_of(products="plain")
    model = forward.model
    with forward.attached():
        model.config._attn_implementation = "sdpa"
        with pytest.raises(UserError, match="computed its attention by itself"):
            forward([tree.add((), [9, 10])])
