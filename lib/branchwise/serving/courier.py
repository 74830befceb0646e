"""Carries requests to servers and replies back: an event loop in a thread of its own, one a process.

Whoever asks has a loop of their own, which must not be shared: it steps decoders when everybody waits
(`branchwise.decoding.loop`). What is carried runs here; what has arrived is handed over by whoever waits
for anything, on their own thread.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


class Courier:
    """The thread, its loop, and what has arrived."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._arrived: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        thread = threading.Thread(target=self._loop.run_forever, name="branchwise-courier", daemon=True)
        thread.start()

    def send(self, work: Coroutine[Any, Any, Any], arrived: Callable[[Future], None]) -> Future:
        """Run `work` in the courier's loop; a later `hand_over` calls `arrived` with its future."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        future.add_done_callback(lambda done: self._arrived.put(lambda: arrived(done)))
        return future

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` in the courier's loop, and wait for what it gives."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def put(self, arrived: Callable[[], None]) -> None:
        """Something that is there already; a later `hand_over` calls it."""
        self._arrived.put(arrived)

    def hand_over(self, wait_s: float) -> None:
        """Hand over all that has arrived; where nothing has, wait so long for the first."""
        try:
            self._arrived.get(wait_s > 0, wait_s)()
            while True:
                self._arrived.get_nowait()()
        except queue.Empty:
            return


@cache
def courier() -> Courier:
    """The process's courier."""
    return Courier()
