"""What a decoder is asked for and what it gives back; the same for every decoder."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

StopReason = Literal["stop", "length"]
"""stop: the model ended its turn; length: the budget was used up."""


class TokenCount(NamedTuple):
    """The ledger of one answer, in tokens.

    `sent`: the whole prompt, as an API would bill it. `cached`: of these, found in the tree.
    `unique`: of these, computed for this prompt (sent = cached + unique). `generated`: made by the
    model, its end-of-turn token included. `padding`: computed for nothing beside them.
    """

    sent: int
    unique: int
    cached: int
    generated: int
    padding: int


@dataclass(eq=False)
class Request:
    """A prompt to be answered. `on_token` is called with each token id as it is made."""

    prompt_ids: list[int]
    max_new_tokens: int
    group: object
    future: asyncio.Future["Completion"]
    on_token: Callable[[int], None] | None = None


@dataclass(frozen=True)
class Completion:
    """The answer to a request, with its ledger.

    `start_s` and `end_s` are on the decoder's clock: when its first token was computed and when its
    last one was known. `num_steps` counts the forward passes that it took part in.
    """

    ids: list[int]
    stop: StopReason
    tokens: TokenCount
    start_s: float
    end_s: float
    num_steps: int


class Decoder(Protocol):
    """How tokens are made. `submit` only queues; `step` does one unit of work."""

    max_context: int
    num_forward_passes: int

    def submit(self, request: Request) -> None:
        """Queue a request; its future is resolved by some later `step`."""

    def step(self) -> bool:
        """Work on what is queued. False when there is nothing to do."""

    def close(self, group: object) -> None:
        """The group is finished: forget whatever was kept for it."""


@dataclass
class Running:
    """A request that is being answered, with what has been made of it so far."""

    request: Request
    start_s: float
    ids: list[int] = field(default_factory=list)
    num_steps: int = 0

    def take(self, token: int, stop_ids: frozenset[int]) -> StopReason | None:
        """Note a new token; says why the answer ends with it, or None."""
        self.ids.append(token)
        if self.request.on_token is not None:
            self.request.on_token(token)
        if token in stop_ids:
            return "stop"
        return "length" if len(self.ids) >= self.request.max_new_tokens else None
