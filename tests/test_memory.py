"""What a process says of its memory."""

import pytest
import torch

from branchwise.memory import forget_peak, peak_mib


@pytest.mark.skipif(not forget_peak(), reason="this system does not let a peak be forgotten")
def test_a_peak_is_of_what_came_after_it_was_forgotten() -> None:
    forget_peak()
    before = peak_mib() or 0
    torch.ones(2**27)
    assert (peak_mib() or 0) > before + 400
    forget_peak()
    assert (peak_mib() or 0) < before + 100
