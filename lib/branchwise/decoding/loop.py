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
        self._on_idle: Callable[[], bool] | None = on_idle

    def select(self, timeout: float | None = None) -> list:
        """Let the decoder work if nothing else is ready, then look for events as usual.

        Raises RuntimeError where everything waits for ever: no timer is set, no file is watched
        (the loop's own wake-up pipe aside), and the decoder has nothing to do. What another thread
        would bring is not known here: a coroutine that awaits a thread needs a timer beside it.
        """
        if timeout != 0 and self._on_idle is not None:
            if self._on_idle():
                timeout = 0
            elif timeout is None and len(self.get_map()) <= 1:
                raise RuntimeError("every coroutine waits, and the decoder has nothing to do")
        return super().select(timeout)

    def disarm(self) -> None:
        """From now on an ordinary selector: what is left is only to be cancelled."""
        self._on_idle = None


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
        selector.disarm()
        _cancel_all(loop)
        loop.close()


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what an error left waiting, so that no coroutine is destroyed while pending."""
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
