"""Who has a model in hand: one decoder at a time, and it is left as it was found.

Decoding changes a model for a while (its attention, its matrix products, its rotary angles). Two decoders
on one model, two threads, or a `generate` of somebody else in between would see each other's changes,
so a model has one seat: whoever takes it from another thread waits, whoever is on it inside the same
thread of control (nested, or in any order) changes places, and the last one to leave puts all back.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from weakref import WeakKeyDictionary

from torch import nn

Changes = Callable[[], AbstractContextManager[None]]
"""A holder's changes to the model, as a context manager that takes them back."""

# Which seats this thread of control (a thread, and the tasks and threads that it starts with a copy of
# its context) has taken, by the token under which it did.
_MINE: ContextVar[dict["Seat", object] | None] = ContextVar("branchwise_seats", default=None)


class Seat:
    """The seat of one model."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._token: object | None = None
        self._depth = 0
        self._active: Changes | None = None
        self._undo = ExitStack()

    @contextmanager
    def taken(self, changes: Changes) -> Iterator[None]:
        """The model is changed as `changes` says for as long as this lasts.

        Waits for another thread's decoder to leave. Inside this one, the newest or whoever `use`s it
        has its changes in the model; all are gone when the last has left.
        """
        self._enter()
        try:
            self.use(changes)
            yield
        finally:
            self._leave(changes)

    def is_used_by(self, changes: Changes) -> bool:
        """Whether these changes are in the model, and this thread of control put them there."""
        return self._active == changes and self._is_mine

    def use(self, changes: Changes) -> None:
        """Have these changes in the model, in place of those of whoever else has the seat here."""
        if self._active == changes:
            return
        self._put_back()
        with ExitStack() as stack:
            stack.enter_context(changes())
            self._undo = stack.pop_all()
        self._active = changes

    def _put_back(self) -> None:
        undo, self._undo, self._active = self._undo, ExitStack(), None
        undo.close()

    @property
    def _is_mine(self) -> bool:
        return self._token is not None and (_MINE.get() or {}).get(self) is self._token

    def _enter(self) -> None:
        if not self._is_mine:
            self._lock.acquire()
            self._token, self._depth = object(), 0
            _MINE.set({**(_MINE.get() or {}), self: self._token})
        self._depth += 1

    def _leave(self, changes: Changes) -> None:
        self._depth -= 1
        try:
            if self._depth == 0 or self._active == changes:
                self._put_back()
        finally:
            if self._depth == 0:
                self._token = None
                self._lock.release()


_SEATS: WeakKeyDictionary[nn.Module, Seat] = WeakKeyDictionary()
_SEATS_LOCK = threading.Lock()


def seat_of(model: nn.Module) -> Seat:
    """The seat of a model, the same for whatever wraps it (an adapter's model and its base share one)."""
    try:
        core = model.get_input_embeddings()  # type: ignore[operator]
    except (AttributeError, NotImplementedError):
        core = model
    with _SEATS_LOCK:
        return _SEATS.setdefault(core, Seat())
