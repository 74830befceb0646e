"""Numbers for the kernels' tests."""

import torch
from torch import Tensor


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """Normal ones, the same each time; other shapes and seeds give others."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)))
