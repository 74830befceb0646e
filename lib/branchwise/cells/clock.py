"""What is done around a timed part so that its time is its own."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_off() -> Iterator[None]:
    """No garbage collection inside a timed part: a full one takes 0.4 s in a process that has loaded
    torch, in whatever group it happens to fall. What is garbage is collected before.
    """
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def set_aside() -> None:
    """What lives now is no longer looked at by the collector: before a stage that times many groups, so
    that collecting before each costs nothing.
    """
    gc.collect()
    gc.freeze()
