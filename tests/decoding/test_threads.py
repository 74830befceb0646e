"""All threads where they help, one where another process has a core; and back again."""

import pytest
import torch

from branchwise.decoding import threads
from branchwise.decoding.threads import LATEST, Threads


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
