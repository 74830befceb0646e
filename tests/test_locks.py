"""Locks hold one process at a time, however many come and go."""

import threading
from pathlib import Path

import pytest

from branchwise.errors import UserError
from branchwise.locks import alone

LONG_S = 20


class Holder(threading.Thread):
    """Holds a lock from `held` until `let_go`. (A lock is of an open file: threads will do.)"""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.path = path
        self.held, self.let_go, self.waiting = threading.Event(), threading.Event(), threading.Event()
        self.waited = False
        self.start()

    def run(self) -> None:
        with alone(self.path, lambda text: self.waiting.set(), "is timed") as self.waited:
            self.held.set()
            self.let_go.wait(LONG_S)


def test_a_third_one_waits_for_the_second(tmp_path: Path) -> None:
    """The first one removes the file as it leaves: a third made a new one and ran beside the second."""
    first = Holder(tmp_path / "lock")
    assert first.held.wait(LONG_S)
    second = Holder(tmp_path / "lock")
    assert second.waiting.wait(LONG_S)
    assert not second.held.is_set()
    first.let_go.set()
    assert second.held.wait(LONG_S)
    third = Holder(tmp_path / "lock")
    assert third.waiting.wait(LONG_S)
    assert not third.held.is_set()
    second.let_go.set()
    assert third.held.wait(LONG_S)
    third.let_go.set()
    for one in (first, second, third):
        one.join(LONG_S)
    assert (first.waited, second.waited, third.waited) == (False, True, True)
    assert not (tmp_path / "lock").exists()


def test_a_lock_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UserError, match=f"{tmp_path}/file/lock could not be written: "),
        alone(tmp_path / "file/lock", pytest.fail),
    ):
        pytest.fail("it was held")
