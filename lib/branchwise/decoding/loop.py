"""One event loop for strategies and decoder: the decoder steps exactly when every strategy waits.

asyncio asks its selector for the next event; when nothing is ready to run it passes a timeout other
than zero. That moment, in which every coroutine waits for an answer, is when a decoding step must be
taken: not earlier (a branch that could start would miss the step) and not later. No polling, no
barrier, and the same order of events on every run.
"""

import asyncio
import contextvars
import selectors
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _IdleSelector(selectors.DefaultSelector):
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

    def interrupt(self, error: BaseException) -> None:
        """Have `error` raised at the next idle moment; may be called from another thread."""

        def raise_it() -> bool:
            raise error

        self._on_idle = raise_it

    def disarm(self) -> None:
        """From now on an ordinary selector: what is left is only to be cancelled."""
        self._on_idle = None


class SteppedLoop(asyncio.SelectorEventLoop):
    """An event loop whose idle moments belong to a decoder."""


def run(coroutine: Coroutine[Any, Any, T], on_idle: Callable[[], bool]) -> T:
    """Run `coroutine` to its end, calling `on_idle` whenever everything waits.

    Works inside a notebook, whose own loop is running already, by using a thread of its own. An
    interrupt ends it: what still waits is cancelled, and the interrupt goes on.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run(coroutine, _IdleSelector(on_idle))
    results: list[T] = []
    errors: list[BaseException] = []
    selector = _IdleSelector(on_idle)
    # Not `join`, which an interrupt leaves with the thread counted as stopped while it still runs.
    ended = threading.Event()

    def in_thread() -> None:
        try:
            results.append(_run(coroutine, selector))
        except BaseException as error:  # handed over to the calling thread below
            errors.append(error)
        finally:
            ended.set()

    # With a copy of the caller's context, so that what the caller has taken is the thread's own.
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(in_thread,), name="branchwise-decoding")
    thread.start()
    try:
        ended.wait()
    except BaseException as interrupt:
        # The thread is in the middle of a step: it stops before the next one.
        selector.interrupt(interrupt)
        ended.wait()
        raise
    finally:
        thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _run(coroutine: Coroutine[Any, Any, T], selector: _IdleSelector) -> T:
    loop = SteppedLoop(selector)
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


class Driver:
    """Takes a decoder's steps on a loop that is not a `SteppedLoop`: somebody else's, where nobody else
    would, so that whoever awaits an answer there gets one. One step a round of the loop.
    """

    def __init__(self, step: Callable[[], bool]) -> None:
        self._step = step
        self._loops: set[asyncio.AbstractEventLoop] = set()

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """See to it that there are steps while there is work, if `loop` runs and takes none itself."""
        if loop.is_running() and not isinstance(loop, SteppedLoop) and loop not in self._loops:
            self._loops.add(loop)
            loop.call_soon(self._drive, loop)

    def _drive(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loops.discard(loop)
        if self._step():
            self.watch(loop)
