"""Work with a number of threads."""

from collections.abc import Callable

import torch
from torch import Tensor


def with_threads(count: int, work: Callable[[], Tensor]) -> Tensor:
    """What `work` gives on so many threads of torch."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        return work()
    finally:
        torch.set_num_threads(before)
