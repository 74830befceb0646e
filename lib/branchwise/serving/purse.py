"""What may be spent on a server, and what has been."""

import asyncio
from dataclasses import dataclass, field

from branchwise.errors import UserError


@dataclass(eq=False)
class Purse:
    """What a run has spent and may spend; `reserved` is what is under way, at most. All of it runs on one
    event loop.
    """

    limit: float | None = None
    currency: str | None = None
    spent: float = 0.0
    reserved: float = 0.0
    _settled: asyncio.Condition = field(default_factory=asyncio.Condition)

    def counts_in(self, currency: str) -> None:
        """Raises UserError where what is spent is counted in another currency."""
        if self.limit is not None and self.currency not in (None, currency):
            raise UserError(
                f"cost_limit is for prices in {self.currency}, and a model has one in {currency}",
                "give the prices of all models of a server in one currency",
            )
        self.currency = currency

    async def reserve(self, cost: float) -> None:
        """Put aside what a request may cost; where that is too much with what is under way, wait for that
        first. Raises UserError where the limit could be exceeded.
        """
        async with self._settled:
            await self._settled.wait_for(lambda: not self.reserved or self._has(cost + self.reserved))
            if not self._has(cost):
                raise UserError(
                    f"the cost limit of {self.limit:g} is reached: {self.spent:.4f} are spent, and the "
                    f"next request could cost {cost:.4f}",
                    "raise cost_limit of the decoder, and run the same command again: it goes on",
                )
            self.reserved += cost

    async def settle(self, reserved: float, cost: float) -> None:
        """A request is over, and cost so much."""
        async with self._settled:
            self.reserved = max(0.0, self.reserved - reserved)
            # Sums of floats: what is over is over.
            self.reserved = 0.0 if self.reserved < 1e-12 else self.reserved
            self.spent += cost
            self._settled.notify_all()

    def _has(self, more: float) -> bool:
        return self.limit is None or self.spent + more <= self.limit
