"""What a decoding step cannot be faster than: bytes over bandwidth, or operations over throughput.

Both rates are measured in the same process as the step that they are held against.
Symbols after the cost model of shared-prefix decoding: B branches, P prefix tokens, n tokens of each
branch's own.
"""

import time
from dataclasses import asdict, dataclass
from typing import cast

import torch
from torch import nn
from transformers import PreTrainedModel

from branchwise.decoding.models.facts import heads_of
from branchwise.decoding.products.linear import other_products

READ_BYTES = {"cpu": 2**30, "cuda": 4 * 2**30}
"""Much more than any cache holds, as the weights of a model are."""
GEMM_ROWS = {"cpu": 512, "cuda": 4096}
AT_ONCE = {"cpu": 1, "cuda": 20}
"""On a GPU a single read or product takes less time than it takes to start and wait for it."""


@dataclass(frozen=True)
class Machine:
    """Measured rates of one device, in bytes and floating-point operations a second."""

    bytes_per_s: float
    flop_per_s: float


def clock(device: torch.device) -> float:
    """Seconds: of this thread's processor time on one CPU thread (other work does not count); of the
    wall with several threads, and after synchronising on a GPU.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return time.perf_counter()
    return time.thread_time() if torch.get_num_threads() == 1 else time.perf_counter()


def measure_machine(device: torch.device, dtype: torch.dtype, repeats: int = 5) -> Machine:
    """Read a buffer much larger than the caches, and multiply matrices, by the fastest product that there
    is: a floor is nothing that a better kernel goes below. The best of `repeats`.
    """
    num_bytes, num_rows, times = READ_BYTES[device.type], GEMM_ROWS[device.type], AT_ONCE[device.type]
    buffer = torch.ones(num_bytes // dtype.itemsize, device=device, dtype=dtype)
    read_s = _best(lambda: buffer.sum(), device, repeats, times)
    width = 4096
    rows = torch.randn(num_rows, width, device=device, dtype=dtype)
    linear = nn.Linear(width, width, bias=False, device=device, dtype=dtype)
    with torch.inference_mode():
        multiply_s = _best(lambda: linear(rows), device, repeats, times)
        for product in other_products(linear):
            multiply_s = min(multiply_s, _best(lambda of=product: of(rows), device, repeats, times))
    return Machine(num_bytes / read_s, 2 * num_rows * width * width / multiply_s)


def _best(work, device: torch.device, repeats: int, times: int) -> float:
    """Least seconds for one `work`, timed `times` at once."""
    work()
    best = float("inf")
    for _ in range(repeats):
        started = clock(device)
        for _ in range(times):
            work()
        best = min(best, (clock(device) - started) / times)
    return best


@dataclass(frozen=True)
class Cost:
    """What a model's step costs, from its own parameters: per step, per row, per key."""

    weight_bytes: int
    num_weights: int
    key_bytes: int
    flop_per_pair: int

    @classmethod
    def of(cls, model: PreTrainedModel) -> "Cost":
        """Counted from the model; an input embedding table is not read but for a row a token."""
        config = model.config
        layers, (heads, kv_heads, width) = config.num_hidden_layers, heads_of(model)
        itemsize = model.dtype.itemsize
        num_weights = sum(p.numel() for p in model.parameters())
        if not config.tie_word_embeddings:
            num_weights -= cast(nn.Embedding, model.get_input_embeddings()).weight.numel()
        return cls(
            weight_bytes=num_weights * itemsize,
            num_weights=num_weights,
            key_bytes=2 * layers * kv_heads * width * itemsize,
            flop_per_pair=4 * layers * heads * width,
        )

    def step_floor_s(self, machine: Machine, prefix: int, branches: int, own: int) -> float:
        """Least time of a step that gives each of `branches` one more token, the prefix read once."""
        num_bytes = self.weight_bytes + self.key_bytes * (prefix + branches * own)
        flop = branches * (2 * self.num_weights + self.flop_per_pair * (prefix + own))
        return max(num_bytes / machine.bytes_per_s, flop / machine.flop_per_s)

    def as_dict(self) -> dict[str, int]:
        """For a result file."""
        return asdict(self)
