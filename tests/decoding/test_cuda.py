"""What only a GPU runs: the same tokens from every kernel there, compiled steps, and no CPU kernels."""

import pytest
import torch

from branchwise import TreeDecoder
from branchwise.bench.floor import measure_machine
from branchwise.decoding.models.speed import fastest_kernel
from branchwise.errors import UserError
from tests.architectures import greedy, model_of

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")
PROMPTS = [[9, 10, 11, 12 + index] for index in range(5)]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    found = model_of("qwen2")
    yield type(found)(found.config).eval().to("cuda")


@pytest.mark.parametrize("kernel", ["dense", "cascade", "mixed", "flex", "auto"])
def test_every_kernel_says_the_same(model, kernel: str) -> None:
    decoder = TreeDecoder(model, kernel=kernel)
    assert decoder.complete(PROMPTS, 6) == [greedy(model, prompt, 6) for prompt in PROMPTS]
    assert decoder.product_layout == "plain"


def test_compiled_steps_say_the_same(model) -> None:
    decoder = TreeDecoder(model, kernel="cascade", compile_mode="reduce-overhead")
    assert decoder.complete(PROMPTS, 6) == [greedy(model, prompt, 6) for prompt in PROMPTS]


def test_the_cascade_in_half_precision_is_close(model) -> None:
    half = type(model)(model.config).eval().to("cuda", torch.bfloat16)
    half.load_state_dict(model.state_dict())
    ours = TreeDecoder(half, kernel="cascade").complete(PROMPTS, 4)
    assert [len(one) for one in ours] == [len(greedy(half, prompt, 4)) for prompt in PROMPTS]


def test_kernels_of_a_cpu_are_refused(model) -> None:
    with pytest.raises(UserError, match="it is for fp32 on the CPU"):
        TreeDecoder(model, kernel="fused")
    assert "fused" not in fastest_kernel(model)[1]


def test_rates_of_the_machine_are_measured() -> None:
    machine = measure_machine(torch.device("cuda"), torch.bfloat16, repeats=1)
    assert machine.bytes_per_s > 1e10 < machine.flop_per_s
