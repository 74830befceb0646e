"""Keys and values come back from the slots that they were written to, through growth and moves."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise.decoding.held.cache import FEWEST_SLOTS, TreeCache

HEADS, WIDTH = 2, 3


def states(count: int, first: int) -> torch.Tensor:
    """Keys (1, H, N, D) that tell which token they are of."""
    numbers = torch.arange(first, first + count, dtype=torch.float32)
    return numbers[None, None, :, None].expand(1, HEADS, count, WIDTH).contiguous()


def write(cache: TreeCache, slots: list[int], used: int, first: int, layers: int = 2):
    cache.aim(slots, torch.tensor(slots), used)
    back = [
        cache.update(states(len(slots), first), states(len(slots), first + 0.5), layer)
        for layer in range(layers)
    ]
    return back[-1]


@settings(max_examples=60)
@given(order=st.permutations(range(12)), cuts=st.lists(st.integers(1, 5), min_size=12, max_size=12))
def test_what_is_written_to_a_slot_is_read_there(order: list[int], cuts: list[int]) -> None:
    cache = TreeCache()
    done = 0
    for cut in cuts:
        slots = order[done : done + cut]
        if not slots:
            break
        used = max(order[: done + cut]) + 1
        keys, values = write(cache, slots, used, first=done)
        done += len(slots)
        assert keys.shape == values.shape == (1, HEADS, used, WIDTH)
        for number, slot in enumerate(order[:done]):
            assert (keys[0, :, slot] == number).all()
            assert (values[0, :, slot] == number + 0.5).all()


def test_buffers_double_and_keep_what_they_held() -> None:
    cache = TreeCache()
    write(cache, list(range(FEWEST_SLOTS)), FEWEST_SLOTS, first=0)
    before = cache.num_bytes
    keys, _ = write(cache, [FEWEST_SLOTS], FEWEST_SLOTS + 1, first=FEWEST_SLOTS)
    assert cache.num_bytes == 2 * before == 2 * FEWEST_SLOTS * 2 * 2 * HEADS * WIDTH * 4
    assert torch.equal(keys[0, 0, :, 0], torch.arange(FEWEST_SLOTS + 1.0))


def test_with_a_capacity_that_much_is_there_at_once() -> None:
    cache = TreeCache(capacity=40)
    write(cache, [0], 1, first=0, layers=1)
    assert cache.num_bytes == 40 * 2 * HEADS * WIDTH * 4


def test_moving_brings_tokens_to_the_first_slots() -> None:
    cache = TreeCache()
    write(cache, [5, 2, 9], 10, first=0)
    cache.move(torch.tensor([9, 5, 2]))
    keys, _ = write(cache, [3], 4, first=7)
    assert keys[0, 0, :, 0].tolist() == [2, 0, 1, 7]


def test_what_was_just_given_back_is_known_by_identity_alone() -> None:
    """Keys that a model makes anew of the cache are not the cache's, whatever their address."""
    cache = TreeCache()
    keys, values = write(cache, [0, 1], 2, first=0)
    assert cache.written_as(keys, values).layer == 1
    assert cache.written_as(keys.view_as(keys), values) is None
    write(cache, [2], 3, first=2)
    assert cache.written_as(keys, values) is None


def test_what_is_not_a_number_can_be_cleared() -> None:
    cache = TreeCache()
    cache.aim([0], torch.tensor([0]), 1)
    cache.update(states(1, 0) * torch.nan, states(1, 0), 0)
    cache.clear_nan()
    cache.aim([1], torch.tensor([1]), 2)
    assert not cache.update(states(1, 1), states(1, 1), 0)[0].isnan().any()
