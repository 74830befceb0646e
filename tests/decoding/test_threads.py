"""All threads where they help, one where another process has a core; and back again."""

import pytest
import torch

from branchwise import TreeDecoder
from branchwise.decoding import threads
from branchwise.decoding.attention.fused import Fused
from branchwise.decoding.held.cache import TreeCache
from branchwise.decoding.held.tree import Together, TokenTree
from branchwise.decoding.native.library import library
from branchwise.decoding.threads import LATEST, Threads
from tests.architectures import BUILDERS, VOCABULARY, model_of
from tests.decoding.attention.test_step import step_of
from tests.decoding.native.threads import with_threads


class Clock:
    """A clock that goes on by what a pass would take."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.seconds = {1: 1.0, 2: 0.6}
        monkeypatch.setattr(threads.time, "perf_counter", lambda: self.now)
        self._set = 2
        monkeypatch.setattr(torch, "get_num_threads", lambda: self._set)
        monkeypatch.setattr(torch, "set_num_threads", self.set)

    def set(self, count: int) -> None:
        self._set = count

    def passes(self, chooser: Threads, number: int, num_rows: int = 5) -> list[int]:
        """Threads of so many passes, each of which takes what it takes."""
        found = []
        for _ in range(number):
            with chooser.chosen(num_rows):
                found.append(self._set)
                self.now += self.seconds[self._set]
            assert self._set == 2
        return found


def test_the_faster_number_is_used_and_a_change_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, chooser = Clock(monkeypatch), Threads(adapts=True)
    assert clock.passes(chooser, 300).count(2) >= 285
    clock.seconds[2] = 5.0  # another process has a core
    assert clock.passes(chooser, 300).count(1) >= 285
    clock.seconds[2] = 0.6
    assert clock.passes(chooser, 2 * LATEST).count(2) >= LATEST / 2
    assert clock.passes(chooser, 300).count(2) >= 285
    assert chooser.taken["1"] + chooser.taken["2"] == 300 * 3 + 2 * LATEST


def test_passes_of_other_sizes_are_judged_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rows may be read as fast by one thread; a prompt is not computed as fast."""
    clock, chooser = Clock(monkeypatch), Threads(adapts=True)
    for _ in range(100):
        clock.seconds = {1: 1.0, 2: 1.3}
        few = clock.passes(chooser, 1)
        clock.seconds = {1: 50.0, 2: 25.0}
        many = clock.passes(chooser, 1, 1000)
    assert (few, many) == ([1], [2])


def test_noise_does_not_change_the_choice_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, chooser = Clock(monkeypatch), Threads(adapts=True)
    found = []
    for number in range(400):
        clock.seconds[2] = 3.0 if number % 40 == 7 else 0.6
        found += clock.passes(chooser, 1)
    assert found.count(2) >= 340


def test_one_thread_and_what_depends_on_threads_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, chooser = Clock(monkeypatch), Threads(adapts=False)
    assert clock.passes(chooser, 50) == [2] * 50
    assert chooser.taken == {}


@pytest.mark.skipif(isinstance(library(), str), reason=f"no library here: {library()}")
@pytest.mark.parametrize("name", BUILDERS)
def test_what_may_change_its_threads_has_the_same_bits_with_any(name: str) -> None:
    """One prompt alone, long enough to be split among threads, and several behind a shared run."""
    model = model_of(name)
    long = torch.randint(8, VOCABULARY, (400,), generator=torch.Generator().manual_seed(1)).tolist()

    def logits() -> torch.Tensor:
        seen: list[torch.Tensor] = []
        decoder = TreeDecoder(model, kernel="fused", products="rows")
        handle = model.register_forward_hook(lambda *call: seen.append(call[2].logits[0]))
        try:
            decoder.complete([long], max_new_tokens=12)
            decoder.complete([[*long[:50], 9 + i] for i in range(4)], max_new_tokens=12)
        finally:
            handle.remove()
        taken.append(decoder.facts().get("passes_by_threads", {}))
        return torch.cat(seen)

    taken: list[dict[str, int]] = []
    one = with_threads(1, logits)
    assert torch.equal(one, with_threads(3, logits))
    assert taken[0] == {} and set(taken[1]) == {"1", "3"}


@pytest.mark.skipif(isinstance(library(), str), reason=f"no library here: {library()}")
def test_passes_that_torch_attends_for_keep_their_threads() -> None:
    """A mask of branches that peek goes to torch's attention, whose last bits depend on the threads."""

    kernel = Fused(TreeCache())
    tree = TokenTree(torch.device("cpu"))
    tips = [tree.add((), [9, 10]), tree.add((), [9, 11])]
    tips[0].together = Together(peeks=True)
    for number, (some, knows) in enumerate([(tips, True), (tips[1:], False)]):
        kernel.begin(step_of(tree, some))
        assert kernel.knows_threads == knows, number
        for tip in tips:
            tip.tokens.append(0)
