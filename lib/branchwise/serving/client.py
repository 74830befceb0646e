"""One model on one server: a request, its attempts, and what is made of the reply."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from branchwise.errors import UserError
from branchwise.serving.address import key_of
from branchwise.serving.dialect import Dialect
from branchwise.serving.entry import ServerSettings
from branchwise.serving.faults import FILTERED, FLAGGED, SILENT, Asked, Fault, of_status
from branchwise.serving.line import Line
from branchwise.serving.purse import Purse
from branchwise.serving.reading import (
    OTHER_MODEL,
    WRONG_USAGE,
    Endpoint,
    Reader,
    Wanted,
    error_in,
)
from branchwise.serving.replies import ServedReply
from branchwise.serving.trip import round_trip_s

LOST, LATE, BROKEN = "connection", "timeout", "broken JSON"
FEW = 4
"""Attempts at what is more likely to stay than to pass: a server that has never answered, a model that
has never answered as it should, a text that is filtered.
"""

_Kept = TypeVar("_Kept")
Keep = Callable[[ServedReply], Awaitable[_Kept]]
"""What is done with a reply before its place in the line is another's."""


@dataclass
class _Trying:
    """A request's attempts so far: what went wrong, what that cost, and how long the last one took."""

    began_s: float = field(default_factory=time.monotonic)
    faults: Counter[str] = field(default_factory=Counter)
    lost_cost: float = 0.0
    last_s: float = 0.0

    def whole(self, reply: ServedReply, is_answer: bool = True) -> ServedReply:
        """A reply with all that it took."""
        return reply.model_copy(
            update={
                "attempts": sum(self.faults.values()) + is_answer,
                "faults": dict(self.faults),
                "waited_s": max(0.0, time.monotonic() - self.began_s - reply.taken_s),
                "cost": None if reply.cost is None else reply.cost + self.lost_cost,
            }
        )


@dataclass(eq=False)
class Client:
    """Asks one model. Lives on the courier's loop; `line` and `purse` may be shared with others.

    Until a first reply has come as it should, one request goes out at a time: what is wrong with all of
    them is then found, and paid for, once.
    """

    settings: ServerSettings
    reader: Reader
    line: Line
    purse: Purse
    started_s: float = field(default_factory=time.monotonic)
    is_closed: bool = False
    _reached: bool = False
    _proven: bool = False
    _num_strange: int = 0
    _hopeless: UserError | None = None
    _first: asyncio.Lock = field(default_factory=asyncio.Lock)
    _under_way: set[asyncio.Task] = field(default_factory=set)
    _client: Any = None

    def __post_init__(self) -> None:
        price = self.reader.price
        if self.settings.cost_limit is not None and price is None:
            raise UserError(
                f"cost_limit is given, and model {self.reader.model} has no price",
                "give its entry a `price:`, or leave out cost_limit",
            )
        if price is not None:
            self.purse.counts_in(price.currency)
        self._key = key_of(self.settings.base_url, self.settings.key_variable)
        self._asked = Asked(self.settings.base_url, self.reader.model, self._key, self.settings.key_name)
        self.dialect = Dialect(self.settings.limit_parameter)

    def begin(self) -> None:
        """A run begins: its time is counted from here."""
        self.started_s, self.is_closed = time.monotonic(), False

    async def come_home(self) -> None:
        """Send nothing more, and wait for what was sent: it is paid for."""
        self.is_closed = True
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=self.settings.request_timeout_s)

    @property
    def num_under_way(self) -> int:
        """Requests that were sent and have not come home."""
        return len(self._under_way)

    async def ask(self, wanted: Wanted, keep: Keep[_Kept]) -> _Kept:
        """What `keep` makes of the reply. Attempts that fail in a way that may pass are made again.

        Raises UserError where the sender has something to mend, or the last attempt has failed.
        Cancelled, it sends nothing more; what is sent already comes home, and is kept.

        At any time no more replies are had and not kept than requests may be under way.
        """
        import tenacity

        trying = _Trying()
        retrying = tenacity.AsyncRetrying(
            stop=lambda state: self._gives_up(state.attempt_number, trying.faults),
            wait=tenacity.wait_random_exponential(multiplier=0.25, max=self.settings.max_wait_s),
            retry=tenacity.retry_if_exception_type(Fault),
            reraise=True,
        )
        try:
            return await retrying(self._attempt, wanted, trying, keep)
        except Fault as fault:
            if (empty := self.reader.empty(fault, trying.last_s)) is not None:
                return await keep(trying.whole(empty, is_answer=False))
            raise self._gave_up(trying.faults, fault) from None

    def _gives_up(self, attempts: int, faults: Counter[str]) -> bool:
        """Whether to leave it at so many attempts."""
        if faults[FLAGGED]:
            return True
        stays = (not self._reached and set(faults) == {LOST}) or faults[FILTERED] + faults[SILENT] >= FEW
        most = self.settings.max_attempts
        return attempts >= (min(FEW, most) if stays else most)

    def _gave_up(self, faults: Counter[str], last: Fault) -> UserError:
        if not self._reached and set(faults) == {LOST}:
            why = f" ({last.__cause__})" if last.__cause__ is not None else ""
            return UserError(
                f"nobody answers at {self.settings.base_url}{why}",
                "start the server, or correct base_url of the decoder",
            )
        kinds = ", ".join(f"{kind} ({number})" for kind, number in faults.items())
        return UserError(
            f"the server {self.settings.base_url} gave no answer in {sum(faults.values())} attempts: "
            f"{kinds}; the last: {last}",
            _remedy(last, self.reader.model),
        )

    async def _attempt(self, wanted: Wanted, trying: _Trying, keep: Keep[_Kept]) -> _Kept:
        """One attempt, in its turn. Raises Fault, and UserError."""
        async with self._alone_at_first(), AsyncExitStack() as place:
            if self._hopeless is not None:
                raise self._hopeless from None
            async with self._in_time():
                await place.enter_async_context(self.line.turn(wanted.expected_tokens))
                most = self.reader.cost(wanted.expected_tokens - wanted.max_tokens, 0, wanted.max_tokens)
                await self.purse.reserve(most)
            if self.is_closed:
                await self.purse.settle(most, 0.0)
                raise asyncio.CancelledError
            # From here on it costs: whoever stops waiting does not stop it.
            sent = asyncio.create_task(self._sent(wanted, trying, keep, most, place.pop_all()))
            self._under_way.add(sent)
            sent.add_done_callback(self._home)
            return await asyncio.shield(sent)

    def _home(self, task: asyncio.Task) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # is heard by whoever waits, if anybody does

    async def _sent(
        self, wanted: Wanted, trying: _Trying, keep: Keep[_Kept], most: float, place: AsyncExitStack
    ) -> _Kept:
        """An attempt that has its place: sent, read and kept."""
        async with place:
            cost, sent = 0.0, time.monotonic()
            try:
                content = await self._content(wanted)
                cost = self.reader.cost_of(content)
                if (error := error_in(content, self._asked)) is not None:
                    raise error
                stops_sent = "stop" not in self.dialect.gone
                reply = self.reader.read(content, wanted, time.monotonic() - sent, stops_sent)
            except Fault as fault:
                cost = self._note(fault, trying, sent, cost, most)
                raise
            finally:
                await self.purse.settle(most, cost)
            self._proven = True
            self.line.served(wanted.expected_tokens, reply.prompt_tokens + reply.generated_tokens)
            return await keep(trying.whole(reply))

    def _note(self, fault: Fault, trying: _Trying, sent: float, cost: float, most: float) -> float:
        """Note a fault of an attempt that was sent at `sent` (monotonic); what to count as its cost."""
        trying.faults[fault.kind] += 1
        trying.lost_cost += cost
        trying.last_s = time.monotonic() - sent
        if fault.wait_s:
            self.line.leave_alone(fault.wait_s)
        if fault.slow_down:
            self.line.refused(sent)
        self._num_strange += fault.kind.startswith((OTHER_MODEL, WRONG_USAGE))
        if not self._proven and self._num_strange >= FEW:
            self._hopeless = self._gave_up(trying.faults, fault)
        # Of what was cut off nobody knows what it cost; a limit is kept to all the same.
        return most if fault.kind in (LATE, BROKEN) else cost

    @asynccontextmanager
    async def _alone_at_first(self) -> AsyncIterator[None]:
        """Until a first reply has come, one at a time."""
        async with AsyncExitStack() as held:
            if not self._proven:
                await held.enter_async_context(self._first)
                if self._proven:
                    await held.aclose()
            yield

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        """Raises UserError when the run has taken as long as it may."""
        limit = self.settings.run_timeout_s
        left = None if limit is None else max(0.0, self.started_s + limit - time.monotonic())
        try:
            async with asyncio.timeout(left):
                if left == 0:
                    raise TimeoutError
                yield
        except TimeoutError:
            raise UserError(
                f"the run has taken {limit:g} s (run_timeout_s)",
                "run the same command again: it goes on, and asks nothing twice",
            ) from None

    async def _content(self, wanted: Wanted) -> dict[str, Any]:
        """The body of a reply, as JSON data. Raises Fault, and UserError."""
        import openai

        create = self._endpoint(wanted.endpoint)
        body = {"model": self.reader.model, **wanted.body}
        if wanted.stop_texts:
            # OpenAI takes four; all are looked for here, too.
            body["stop"] = list(wanted.stop_texts[:4])
        try:
            async with asyncio.timeout(self.settings.request_timeout_s):
                extra = {**self.settings.extra, **wanted.extra}
                raw = await self.dialect.create(
                    create, wanted.max_tokens, **body, extra_body=extra or None
                )
                text = raw.text
                text = await text() if callable(text) else text
            self._reached = True
        except openai.APIStatusError as error:
            self._reached = True
            raise of_status(error, self._asked) from None
        except (TimeoutError, openai.APITimeoutError):
            raise Fault(LATE) from None
        except openai.APIConnectionError as error:
            raise Fault(LOST) from error.__cause__
        try:
            content = json.loads(text)
        except (ValueError, RecursionError):
            raise Fault(BROKEN) from None
        if not isinstance(content, dict):
            raise Fault(BROKEN)
        return content

    def _endpoint(self, endpoint: Endpoint) -> Any:
        """The call, of a client that is made on the loop that it lives on."""
        if self._client is None:
            from openai import AsyncOpenAI

            self._client = AsyncOpenAI(
                base_url=self.settings.base_url,
                api_key=self._key or "none",
                max_retries=0,
                timeout=self.settings.request_timeout_s,
            )
        at = self._client.chat.completions if endpoint == "chat" else self._client.completions
        return at.with_raw_response.create

    async def trip_s(self) -> float | None:
        """What the network takes, as `round_trip_s` finds it."""
        return await round_trip_s(self.settings.base_url, self._key)


def _remedy(fault: Fault, model: str) -> str:
    if fault.kind.startswith(OTHER_MODEL):
        name = fault.kind.removeprefix(OTHER_MODEL)
        return f"write `served_as: {name}` in the entry of model {model}, if that is the one you mean"
    if fault.kind == WRONG_USAGE:
        return "the ledger needs the server's usage: take a server that counts tokens"
    if fault.kind == FILTERED:
        return "the provider refuses this text: take another provider or model, or leave the group out"
    return "run the same command again later: it goes on, and asks nothing twice"
