"""A model whose layers lie on two devices, which are pretended: it says what it says on one."""

import copy
from collections.abc import Iterator

import pytest
import torch
from accelerate import dispatch_model
from transformers import PreTrainedModel

from branchwise import TreeDecoder
from branchwise.decoding.forward import ForwardPass
from branchwise.decoding.held import slots
from branchwise.decoding.held.cache import TreeCache
from branchwise.decoding.held.tree import TokenTree
from branchwise.decoding.loop import run
from branchwise.decoding.mixers.entry import MixerEntry
from branchwise.decoding.mixers.mixing import Mixing
from branchwise.decoding.models.facts import devices_of
from branchwise.decoding.options import TreeOptions
from branchwise.decoding.recording import recorded
from branchwise.errors import UserError
from tests.architectures import BUILDERS, model_of
from tests.pretended import laid, pretended

SHARED = [5, 9, 14, 3, 11, 60, 2, 8, 31, 77, 12]
PROMPTS = [[*SHARED, *rest] for rest in ([21, 4], [33], [8, 8, 9, 40], [21, 5, 6])]
KERNELS = ("dense", "cascade", "mixed")


def spread(name: str) -> PreTrainedModel:
    """The model of an architecture with its first layers on one device and the rest on another."""
    model = copy.deepcopy(model_of(name))
    layers = model.get_decoder().layers
    places: dict[str, str] = {}
    for path, module in model.named_modules():
        if any(path.startswith(f"{above}.") for above in places) or module is model:
            continue
        if not list(module.children()) or module in layers:
            is_later = module in layers[1:] or path.endswith("norm")
            places[path] = f"cuda:{int(is_later)}"
            laid(module, places[path])
    return dispatch_model(model, places)


@pytest.fixture
def devices(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Pretended tensors are of a class of their own, which inference mode does not take.
    monkeypatch.setattr(torch, "inference_mode", torch.no_grad)
    monkeypatch.setattr(ForwardPass, "_logits", torch.no_grad()(ForwardPass._logits.__wrapped__))
    with pretended():
        yield


ONCE = [pytest.param(name, "cascade", marks=pytest.mark.slow) for name in BUILDERS if name != "llama"]
"""Every architecture with the kernel that keeps most from step to step."""


@pytest.mark.parametrize(("name", "kernel"), [*(("llama", kernel) for kernel in KERNELS), *ONCE])
def test_it_says_what_it_says_on_one_device(name: str, kernel: str, devices: None) -> None:
    wanted = TreeDecoder(model_of(name), kernel=kernel).complete(PROMPTS, 8)
    decoder = TreeDecoder(spread(name), kernel=kernel)
    assert list(map(str, devices_of(decoder.model))) == ["cuda:0", "cuda:1"]
    assert decoder.complete(PROMPTS, 8) == wanted


def test_branches_that_fork_join_and_are_moved_say_the_same(
    devices: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "FEWEST_HOLES", 4)
    moved: list[torch.device] = []
    move = TreeCache.move
    monkeypatch.setattr(TreeCache, "move", lambda cache, at: moved.append(at.device) or move(cache, at))

    async def ask(decoder: TreeDecoder) -> list[tuple[int, ...]]:
        trunk = decoder.open(SHARED, "g")
        forks = decoder.fork(trunk, [[21] * 40, [33, 4], [8, 9]])
        said = [await decoder.generate(fork, 3) for fork in forks]
        joined = decoder.join(forks[1:], [17, 3])
        decoder.release(forks[0])
        said.append(await decoder.generate(joined, 6))
        decoder.close("g")
        return [one.ids for one in said]

    found = []
    for model in (model_of("llama"), spread("llama")):
        decoder = TreeDecoder(model, kernel="cascade", positions="grid2d")
        with decoder.attached():
            found.append(run(ask(decoder), decoder.step))
    assert found[0] == found[1]
    assert list(map(str, moved)) == ["cpu", "cuda:0"]


def test_tensors_of_two_devices_are_not_mixed(devices: None) -> None:
    first, second = torch.zeros(3, device="cuda:0"), torch.zeros(3, device="cuda:1")
    with pytest.raises(RuntimeError, match="cuda:0.*cuda:1"):
        first + second
    assert (first + second.to("cuda:0")).device == torch.device("cuda:0")


def test_what_needs_one_device_says_so(devices: None) -> None:
    model = spread("llama")
    with pytest.raises(UserError, match="mixing cannot be had of a model on several devices"):
        Mixing(model, MixerEntry(place="after", layers=(1,), heads=4, gate="gate"))
    with pytest.raises(UserError, match=r"torch\.compile cannot be had"):
        ForwardPass(model, TokenTree(model.device), "dense", TreeOptions(compile_mode="default"))
    decoder = TreeDecoder(model, kernel="dense")
    with pytest.raises(UserError, match="record of its masks"), recorded(decoder):
        pass
