"""A model that a server computes, as a decoder: prompts go out as they come, replies come when ready.

Requests are carried by the process's courier (`branchwise.serving.courier`), all at once up to the line's
limit. `step` waits for whatever arrives first. Nothing is computed here, so there are no hooks and no
branches; the ledger is the server's own usage.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from branchwise.decoding.contract import REMOTE, Verb
from branchwise.decoding.forms import Form
from branchwise.decoding.loop import Driver
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.requests import Completion, Request, Sampling, TokenCount, hand_over
from branchwise.decoding.sending import Sender, text_of
from branchwise.errors import UserError
from branchwise.serving.client import Client
from branchwise.serving.courier import courier
from branchwise.serving.entry import ServerSettings
from branchwise.serving.reading import Reader, Wanted
from branchwise.serving.replies import Replies, ServedReply, request_key
from branchwise.serving.shared import shared_by
from branchwise.trace import Served

UNBOUNDED = 1_000_000_000
"""The context of a model of which its server alone knows how far it reads."""

_PATIENCE_S = 0.05
"""How long a step waits: timers of whoever asks, and other decoders, have their turns between."""


@dataclass(eq=False)
class _Group:
    """What was asked of one group: prompts (ids, or text), and how often each request."""

    prompts: list[Sequence[Any]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    under_way: dict[Request, Future] = field(default_factory=dict)

    def share_of(self, prompt: Sequence[Any]) -> float:
        """How much of a prompt an earlier one begins with; from then on it is an earlier one."""
        common = max((_common(prompt, one) for one in self.prompts), default=0)
        self.prompts.append(prompt)
        return common / max(1, len(prompt))


class _Arrived(NamedTuple):
    """A reply, when it was read (`time.perf_counter`), and whether it was kept from an earlier run."""

    reply: ServedReply
    end_s: float
    kept: bool


class ServedDecoder:
    """Asks a server; see `branchwise.serving.entry.ServerSettings` for what can be said of it.

    Every reply goes to the file `replies` before anybody has it, under a hash of the request, the group
    and the number of equal requests before it in the group: what is there is not asked again. Stop texts
    are sent, and looked for here too; budgets and sampling are the server's to follow.
    """

    offers: frozenset[Verb] = frozenset({"ask"})
    max_groups: int | None = None
    kv_cache_bytes: int | None = None
    device = REMOTE

    def __init__(
        self,
        settings: ServerSettings,
        model: ModelEntry,
        replies: Path | None = None,
        sampling: Sampling | None = None,
        form: Form | None = None,
        chat: ChatTokenizer | None = None,
    ) -> None:
        name = model.server_name
        assert name is not None, "the config sees to it"
        self.settings = settings
        self.sampling = sampling
        self.form = form
        self.max_context = settings.max_context or UNBOUNDED
        self.notes: tuple[str, ...] = ()
        self.num_forward_passes = 0
        self._shared = shared_by(settings)
        reader = Reader(name, model.served_as, model.price)
        self._client = Client(settings, reader, self._shared.line, self._shared.purse)
        self._sender = Sender(settings, chat)
        self._replies_file = replies
        self._replies = Replies(replies)
        if self._replies.num_broken:
            self.notes = (f"{self._replies.num_broken} replies that were kept could not be read",)
        self._groups: dict[Hashable, _Group] = {}
        self._num_open = 0
        self._round_trip: asyncio.Task[float | None] | None = None
        self._driver = Driver(self.step)

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Be the one process that asks by this key, for as long as this lasts.

        Whatever ends it, what was sent is waited for: it is paid for.
        """
        with self._shared.taken(self._replies_file):
            self._client.begin()
            try:
                yield
            finally:
                if number := self._client.num_under_way:
                    print(f"waiting for {number} replies under way", file=sys.stderr, flush=True)
                courier().do(self._client.come_home())

    def facts(self) -> dict[str, Any]:
        """The server, how it was asked, and what it took amiss."""
        line = self._shared.line
        return {
            "server": self.settings.base_url,
            "model": self._client.reader.model,
            "prompts_by": self.settings.renders,
            "concurrency": line.most,
            "least_concurrency": line.least,
            "adapted": list(self._client.dialect.adapted),
            "ideal_cache_by": "tokens" if self.settings.renders == "here" else "characters",
        }

    @property
    def doing(self) -> str:
        """What is under way, in a few words."""
        return self._shared.line.doing

    @property
    def follows_patterns(self) -> bool:
        """Whether its server holds replies to regular expressions."""
        return self.settings.structured in ("vllm", "sglang")

    def begins(self, form: str) -> bool:
        """Whether an answer to a prompt of this form may be begun."""
        return (
            form == "completion" or self.settings.renders == "here" or self.settings.prefill is not None
        )

    def synchronize(self) -> None:
        """Nothing is under way that a clock would miss: replies are whole when they arrive."""

    def submit(self, request: Request) -> None:
        """Send a request. Raises UserError for rules that no server follows."""
        rules = request.rules
        if rules.hooks or rules.banned_ids or rules.stop_ids:
            raise UserError(
                "a served model takes no hooks, no banned ids and no stop ids",
                "use decoder tree for this strategy",
            )
        group = self._groups.setdefault(request.group, _Group())
        wanted = self._sender.wanted(request)
        same = request_key([self.settings.base_url, wanted.endpoint, wanted.body, dict(wanted.extra)])
        name = str(getattr(request.group, "label", request.group))
        limits = [
            self._client.reader.model,
            wanted.max_tokens,
            list(wanted.stop_texts),
            self.settings.extra,
        ]
        key = request_key([same, name, group.asked[same], *limits])
        group.asked[same] += 1
        share = group.share_of(request.prompt_ids or text_of(wanted))
        known = self._replies.get(key)
        self._num_open += 1
        if known is not None:
            arrived = _Arrived(known, time.perf_counter() + known.taken_s, True)
            courier().put(lambda: self._give(request, arrived, share))
        else:
            group.under_way[request] = courier().send(
                self._ask(wanted, key), lambda done: self._arrived(request, done, share)
            )
        self._driver.watch(request.future.get_loop())

    def step(self) -> bool:
        """Hand over what has arrived, for whomever; wait a little where nothing has. False when nothing
        is under way.
        """
        if not self._num_open:
            return False
        courier().hand_over(_PATIENCE_S)
        return True

    def close(self, group: Hashable) -> None:
        """Forget a group: what is still under way for it is not waited for."""
        for future in self._groups.pop(group, _Group()).under_way.values():
            future.cancel()

    async def _ask(self, wanted: Wanted, key: str) -> _Arrived:
        """On the courier's loop: ask, and keep what was said."""
        if self._round_trip is None:
            self._round_trip = asyncio.create_task(self._client.trip_s())
        # Shared by all: who stops waiting must not stop it.
        trip_s = await asyncio.shield(self._round_trip)

        async def keep(reply: ServedReply) -> _Arrived:
            """On the disk before anybody has it."""
            arrived = _Arrived(
                reply.model_copy(update={"round_trip_s": trip_s, "server": self.settings.base_url}),
                time.perf_counter(),
                False,
            )
            await self._replies.add(key, arrived.reply)
            return arrived

        return await self._client.ask(wanted, keep)

    def _arrived(self, request: Request, done: Future, share: float) -> None:
        """On the asking thread: hand over a reply, or what went wrong."""
        if (group := self._groups.get(request.group)) is not None:
            group.under_way.pop(request, None)
        if done.cancelled():
            self._num_open -= 1
            hand_over(request.future, asyncio.CancelledError())
        elif (error := done.exception()) is not None:
            self._num_open -= 1
            hand_over(request.future, error)
        else:
            self._give(request, done.result(), share)

    def _give(self, request: Request, arrived: _Arrived, share: float) -> None:
        reply = arrived.reply
        self._num_open -= 1
        self.num_forward_passes += 1
        if request.future.done():
            return
        sent, cached = reply.prompt_tokens, reply.cached_tokens
        request.future.set_result(
            Completion(
                ids=[],
                stop=reply.stop,
                tokens=TokenCount(sent, sent - cached, cached, reply.generated_tokens, 0),
                start_s=arrived.end_s - reply.taken_s,
                end_s=arrived.end_s,
                num_steps=1,
                text=self._sender.said(request, reply.text),
                stop_text=reply.stop_text,
                served=Served(
                    model=reply.model,
                    fingerprint=reply.fingerprint,
                    attempts=reply.attempts,
                    faults=reply.faults,
                    waited_s=reply.waited_s,
                    server_s=reply.server_s,
                    round_trip_s=reply.round_trip_s,
                    cost=reply.cost,
                    kept=arrived.kept,
                    ideal_cached=share * sent,
                ),
            )
        )


def _common(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How many items two sequences begin with in common: halving, as slices are compared fast."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
