"""Modules that compute another way for a while."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def replaced_forwards(forwards: dict) -> Iterator[None]:
    """Modules compute by the given functions for as long as this lasts; what was there comes back."""
    before = {module: vars(module).get("forward") for module in forwards}
    try:
        for module, forward in forwards.items():
            module.forward = forward
        yield
    finally:
        for module, own in before.items():
            if own is not None:
                module.forward = own
            elif "forward" in vars(module):
                del module.forward
