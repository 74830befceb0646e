"""What all that ask by one key of a server share: the line, the purse, and who asks at all.

Inside a process every model and role of a key has the same. Between processes they take turns: two that
kept to a rate limit each would together exceed it, and two that watched a cost limit each, that.
"""

import hashlib
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from branchwise.files import cache_folder
from branchwise.locks import alone
from branchwise.serving.entry import ServerSettings
from branchwise.serving.line import Line
from branchwise.serving.purse import Purse
from branchwise.serving.replies import REPLIES, spent_below


@dataclass(eq=False)
class Shared:
    """One key of a server."""

    server: str
    line: Line
    purse: Purse
    lock: Path
    _depth: int = 0
    _held: ExitStack = field(default_factory=ExitStack)

    @contextmanager
    def taken(self, replies: Path | None) -> Iterator[None]:
        """Be the one process that asks by this key, for as long as this lasts; nested, or not.

        What the results folder of `replies` has cost so far is known from then on.
        """
        if self._depth == 0:
            held = ExitStack()
            held.enter_context(alone(self.lock, _say, "asks the same server by the same key"))
            self._held = held
            if replies is not None and self.purse.limit is not None:
                kept = spent_below(_root_of(replies), self.server)
                # Attempts that were lost are known to this process alone.
                self.purse.spent = max(self.purse.spent, kept)
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                self._held.close()


def _root_of(replies: Path) -> Path:
    """The folder of all replies of the results that a file belongs to."""
    return next((one for one in replies.parents if one.name == REPLIES), replies.parent)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


_SHARED: dict[tuple[str, str], Shared] = {}


def shared_by(settings: ServerSettings) -> Shared:
    """What the key of these settings shares; the tightest limits of all that share it hold."""
    place = (settings.base_url, settings.key_name or "")
    if place not in _SHARED:
        name = hashlib.sha256("\0".join(place).encode()).hexdigest()[:12]
        # Not the folder of temporary files: a cluster's jobs have one each.
        lock = cache_folder() / "servers" / f"{name}.lock"
        _SHARED[place] = Shared(settings.base_url, Line(settings.concurrency), Purse(), lock)
    shared = _SHARED[place]
    rates = settings.requests_per_minute, settings.tokens_per_minute
    shared.line.keep_to(settings.concurrency, *rates)
    shared.purse.limit = _least(shared.purse.limit, settings.cost_limit)
    return shared


def _least(one: float | None, other: float | None) -> float | None:
    given = [limit for limit in (one, other) if limit is not None]
    return min(given, default=None)
