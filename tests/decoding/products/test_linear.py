"""Products follow the weights, whoever changes them and however; and only plain matrices are touched."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations

from branchwise import TreeDecoder
from branchwise.decoding.products import linear as linear_module
from branchwise.decoding.products.linear import LinearProducts
from branchwise.decoding.products.onednn import SAMPLED
from tests.architectures import greedy, model_of


def build(width: int = 40, outputs: int = 300) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(width, outputs)


ROWS = torch.randn(3, 40, generator=torch.Generator().manual_seed(1))


def check(linear: nn.Module, products: LinearProducts) -> None:
    """Packed and plain give the same, and the module is as it was afterwards."""
    own = vars(linear).get("forward")
    with torch.no_grad():
        plain = linear(ROWS)
        with products.attached():
            packed = linear(ROWS)
    torch.testing.assert_close(packed, plain, atol=1e-5, rtol=0)
    assert vars(linear).get("forward") is own


def written_in_place(linear: nn.Linear) -> None:
    with torch.no_grad():
        linear.weight.mul_(-1)


def written_through_data(linear: nn.Linear) -> None:
    linear.weight.data.mul_(-1)


def merged_as_an_adapter(linear: nn.Linear) -> None:
    linear.weight.data += torch.randn(300, 2) @ torch.randn(2, 40)


def another_tensor(linear: nn.Linear) -> None:
    linear.weight.data = torch.randn(300, 40)


def another_parameter(linear: nn.Linear) -> None:
    linear.weight = nn.Parameter(torch.randn(300, 40))


def loaded(linear: nn.Linear) -> None:
    linear.load_state_dict(build().state_dict() | {"weight": torch.randn(300, 40)})


def another_forward(linear: nn.Linear) -> None:
    linear.forward = lambda rows: nn.functional.linear(rows, linear.weight) * 2


def a_hook_before(linear: nn.Linear) -> None:
    linear.register_forward_pre_hook(lambda module, args: (args[0] * 2,))


def a_hook_behind(linear: nn.Linear) -> None:
    linear.register_forward_hook(lambda module, args, out: out * 2)


def a_norm_of_weights(linear: nn.Linear) -> None:
    parametrizations.weight_norm(linear)
    with torch.no_grad():
        linear.parametrizations.weight.original0.mul_(3)


def an_old_norm_of_weights(linear: nn.Linear) -> None:
    nn.utils.weight_norm(linear)
    with torch.no_grad():
        linear.weight_g.mul_(3)


CHANGES = (
    written_in_place, written_through_data, merged_as_an_adapter, another_tensor, another_parameter,
    loaded, another_forward, a_hook_before, a_hook_behind, a_norm_of_weights, an_old_norm_of_weights,
)  # fmt: skip


def made(linear: nn.Module, allowed: str) -> LinearProducts:
    """Products of which oneDNN's are the fastest, where they may be used, as on some machines."""

    def race(works, *_):
        return {name: 1.0 if name == "onednn" else 2.0 for name in works}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear_module, "race", race)
        patch.setattr(linear_module, "_tried", {})
        return LinearProducts(linear, allowed)


@pytest.mark.parametrize("allowed", ["rows", "onednn"])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm`")
def test_a_change_is_followed(change, allowed) -> None:
    linear = build()
    products = made(linear, allowed)
    assert products.layout.startswith((allowed, "plain ("))
    check(linear, products)
    change(linear)
    check(linear, products)


@settings(max_examples=40)
@given(
    width=st.sampled_from([*SAMPLED, 2 * SAMPLED[0], 300, 512]),
    part=st.sampled_from(["row", "column"]),
    data=st.data(),
)
def test_no_row_or_column_changes_unseen_in_a_copy(width: int, part: str, data: st.DataObject) -> None:
    """Through `.data`, where nothing is counted: any whole row or column of `SAMPLED` or more."""
    linear = nn.Linear(width, 300)
    products = made(linear, "onednn")
    rows = torch.randn(2, width)
    if part == "row":
        linear.weight.data[data.draw(st.integers(0, 299))] = 0.5
    else:
        linear.weight.data[:, data.draw(st.integers(0, width - 1))] = 0.5
    with torch.no_grad():
        plain = linear(rows)
        with products.attached():
            torch.testing.assert_close(linear(rows), plain, atol=1e-4, rtol=0)


def test_a_few_weights_past_all_counting_are_followed_on_request() -> None:
    linear = nn.Linear(600, 300)
    products = made(linear, "onednn")
    linear.weight.data[5, 77] = 30.0
    products.refresh()
    rows = torch.randn(2, 600)
    with torch.no_grad():
        plain = linear(rows)
        with products.attached():
            torch.testing.assert_close(linear(rows), plain, atol=1e-4, rtol=0)


class Halved(torch.Tensor):
    """A tensor that is not what its numbers say, as quantised ones are."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function is nn.functional.linear:
            with torch._C.DisableTorchFunctionSubclass():
                rows, weight, *rest = args
                return function(rows, weight / 2, *rest)
        return super().__torch_function__(function, types, args, kwargs or {})


def test_a_subclass_of_tensors_is_left_to_torch() -> None:
    linear = build()
    linear.weight = nn.Parameter(linear.weight.detach().as_subclass(Halved))
    products = made(linear, "onednn")
    assert products.layout == "plain"
    check(linear, products)


def test_a_decoder_follows_an_adapter_that_is_merged() -> None:
    """The whole way: the old answer was given after `merge_adapter`."""
    torch.manual_seed(3)
    model = type(model_of("llama"))(model_of("llama").config).eval()
    prompts = [[9, 10, 11, 12 + i] for i in range(4)]
    decoder = TreeDecoder(model, kernel="dense", products="rows")
    before = decoder.complete(prompts, 5)
    for layer in model.model.layers:
        linear = layer.mlp.down_proj
        linear.weight.data += torch.randn(len(linear.weight), 1) @ torch.randn(1, linear.in_features)
    after = decoder.complete(prompts, 5)
    assert after == [greedy(model, prompt, 5) for prompt in prompts] != before


def chosen(
    monkeypatch: pytest.MonkeyPatch, allowed: str, **slow: Callable[[int], float]
) -> LinearProducts:
    """What is chosen where each product takes the time that its function gives for a number of rows."""

    def race(works, *_):
        return {name: slow.get(name, lambda _: 1.0)(len(work())) for name, work in works.items()}

    monkeypatch.setattr(linear_module, "race", race)
    monkeypatch.setattr(linear_module, "_tried", {})
    products = LinearProducts(build(), allowed)
    if "rows" not in products.self_test:
        pytest.skip(f"this machine cannot build the library: {products.layout}")
    return products


def test_what_is_clearly_faster_is_used_from_so_many_rows_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def plain(rows: int) -> float:
        return 0.8 if rows < 32 else 0.7

    auto = chosen(monkeypatch, "auto", plain=plain)
    assert auto.layout == "rows; plain from 32 rows on"
    assert [auto.is_own(count) for count in (1, 31, 32, 4000)] == [True, True, False, False]
    assert set(auto.self_test["rows"]) == set(linear_module.TRIED_ROWS)
    copied = chosen(monkeypatch, "onednn", plain=plain, onednn=lambda rows: 0.5 if rows > 100 else 0.9)
    assert copied.layout == "rows; plain from 32 rows on; onednn from 128 rows on"
    assert set(copied.self_test) == {"plain", "rows", "onednn"}
    assert chosen(monkeypatch, "auto", plain=lambda _: 0.7).layout == "plain"


def test_what_is_faster_for_some_rows_in_between_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row's result would depend on how many others there are, for what may be a chance of the test."""
    auto = chosen(monkeypatch, "auto", plain=lambda rows: 0.1 if rows < 512 else 0.8)
    assert auto.layout == "rows" and auto.are_only_own


def test_where_gradients_are_wanted_torch_multiplies() -> None:
    linear = build()
    with made(linear, "rows").attached():
        linear(ROWS).sum().backward()
    assert linear.weight.grad is not None and bool(linear.weight.grad.any())


def test_weights_that_became_another_dtype_are_left_to_torch() -> None:
    linear = build()
    products = made(linear, "rows")
    linear.to(torch.bfloat16)
    with torch.no_grad(), products.attached():
        assert linear(ROWS.bfloat16()).dtype == torch.bfloat16
    linear.float()
    with torch.no_grad(), products.attached(), pytest.raises(RuntimeError, match="dtype"):
        linear(ROWS.double())
