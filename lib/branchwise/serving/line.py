"""How many requests go out at once, and how fast: one line for each key of a server."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


class _Pace:
    """So much a minute, evenly: whoever comes takes the next moment that is free."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._next = 0.0

    def keep_to(self, a_minute: int | None) -> None:
        """So much a minute, or less where less was said before."""
        self._seconds = max(self._seconds, 60 / a_minute if a_minute else 0.0)

    def take(self, amount: float) -> float:
        """Seconds to wait until so much may go out."""
        now = time.monotonic()
        free = max(self._next, now)
        self._next = free + amount * self._seconds
        return free - now

    def give_back(self, amount: float) -> None:
        """So much of what was taken was not needed (negative: more was)."""
        self._next -= amount * self._seconds


@dataclass(eq=False)
class Line:
    """The requests of one key. All of it runs on one event loop.

    At most `most` are under way, fewer where the server asks for less: half at once, and one more for
    every round of replies that came well. Limits a minute are kept to evenly. A server that says for how
    long it wants to be left alone is, by this key and by no other.
    """

    most: int
    least: int = 0
    _limit: float = 0.0
    _under_way: int = 0
    _frozen_until: float = 0.0
    _halved_at: float = 0.0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _requests: _Pace = field(default_factory=_Pace)
    _tokens: _Pace = field(default_factory=_Pace)

    def __post_init__(self) -> None:
        self._limit = float(self.most)
        self.least = self.most

    def keep_to(self, most: int, requests_per_minute: int | None, tokens_per_minute: int | None) -> None:
        """Limits of somebody who shares the line: the tightest hold."""
        self.most = min(self.most, most)
        self._limit = min(self._limit, float(self.most))
        self.least = min(self.least, self.most)
        self._requests.keep_to(requests_per_minute)
        self._tokens.keep_to(tokens_per_minute)

    @property
    def limit(self) -> int:
        """Requests that may be under way now."""
        return max(1, int(self._limit))

    @property
    def doing(self) -> str:
        """What it is at, in a few words."""
        frozen = self._frozen_until - time.monotonic()
        waits = f", left alone for {frozen:.0f} s" if frozen > 1 else ""
        return f"{self._under_way} of {self.limit} requests under way{waits}"

    @asynccontextmanager
    async def turn(self, tokens: int) -> AsyncIterator[None]:
        """A place in the line for one attempt of about so many tokens."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._under_way < self.limit)
            self._under_way += 1
        try:
            await self._moment_for(tokens)
            yield
        finally:
            async with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    async def _moment_for(self, tokens: int) -> None:
        """Wait until an attempt may go out. Those that a freeze finds waiting are paced anew after it:
        else all of them would go out at its end.
        """
        while True:
            while (left := self._frozen_until - time.monotonic()) > 0:
                await asyncio.sleep(left)
            await asyncio.sleep(max(self._requests.take(1), self._tokens.take(tokens)))
            if self._frozen_until <= time.monotonic():
                return
            self._requests.give_back(1)
            self._tokens.give_back(tokens)

    def served(self, expected_tokens: int, tokens: float) -> None:
        """A reply came, and took so many tokens."""
        self._tokens.give_back(expected_tokens - tokens)
        self._limit = min(float(self.most), self._limit + 1 / self._limit)

    def leave_alone(self, wait_s: float) -> None:
        """The server wants nothing by this key for so long."""
        self._frozen_until = max(self._frozen_until, time.monotonic() + wait_s)

    def refused(self, sent_s: float) -> None:
        """The server asks for less: an attempt that was sent at `sent_s` (monotonic) was refused.

        Of those that were under way together only the first halves the line.
        """
        now = time.monotonic()
        if sent_s >= self._halved_at:
            self._halved_at = now
            self._limit = max(1.0, self._limit / 2)
            self.least = min(self.least, self.limit)
