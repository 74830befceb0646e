"""One event loop for strategies and decoder: the decoder steps exactly when every strategy waits.

asyncio asks its selector for the next event; when nothing is ready to run it passes a timeout other
than zero. That moment, in which every coroutine waits for an answer, is when a decoding step must be
taken: not earlier (a branch that could start would miss the step) and not later. No polling, no
barrier, and the same order of events on every run.
"""

import asyncio
import selectors
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _IdleSelector(selectors.DefaultSelector):  # type: ignore[valid-type,misc]
    """A selector that lets the decoder work whenever the loop would otherwise sleep."""

    def __init__(self, on_idle: Callable[[], bool]) -> None:
        super().__init__()
        self._on_idle = on_idle
        self.failure: BaseException | None = None

    def select(self, timeout: float | None = None) -> list:
        if timeout != 0 and self.failure is None:
            try:
                worked = self._on_idle()
            except BaseException as error:  # re-raised by run(), out of the loop's own frames
                self.failure = error
                raise
            if worked:
                timeout = 0
        return super().select(timeout)


def run(coroutine: Coroutine[Any, Any, T], on_idle: Callable[[], bool]) -> T:
    """Run `coroutine` to its end, calling `on_idle` whenever everything waits.

    Works inside a notebook, whose own loop is running already, by using a thread of its own.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(coroutine, on_idle)
    results: list[T] = []
    errors: list[BaseException] = []

    def in_thread() -> None:
        try:
            results.append(_run(coroutine, on_idle))
        except BaseException as error:  # handed over to the calling thread below
            errors.append(error)

    thread = threading.Thread(target=in_thread, name="branchwise-decoding")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _run(coroutine: Coroutine[Any, Any, T], on_idle: Callable[[], bool]) -> T:
    selector = _IdleSelector(on_idle)
    loop = asyncio.SelectorEventLoop(selector)
    try:
        return loop.run_until_complete(coroutine)
    finally:
        _cancel_all(loop)
        loop.close()


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what an error left waiting, so that no coroutine is destroyed while pending."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        selector = loop._selector  # type: ignore[attr-defined]
        selector._on_idle = lambda: False
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
