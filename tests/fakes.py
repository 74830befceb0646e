"""A decoder without a model: what it says, what that costs and how long it takes are known by hand."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from branchwise.cells import runner as runner_module
from branchwise.data.types import Group, Question
from branchwise.decoding.requests import Completion, Request, TokenCount


class Clock:
    """Seconds, as the tests say; `cpu_share` of them are CPU time."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.cpu_share = 0.5

    def install(self, patch: pytest.MonkeyPatch, *modules: Any) -> None:
        """The clock of the runner, and of further modules."""
        clocks = SimpleNamespace(
            perf_counter=lambda: self.now_s, process_time=lambda: self.now_s * self.cpu_share
        )
        for module in (runner_module, *modules):
            patch.setattr(module, "time", clocks)


class Words:
    """A tokenizer of words: an id is a word's number. The answer is what the decoder says."""

    def __init__(self) -> None:
        self.known: list[str] = []
        self.tokenizer = self

    def prompt_text(self, messages: Sequence[Any], form: str = "chat", begun: str = "") -> str:
        said = " ".join(f"{message['role']}: {message['content']}" for message in messages)
        return f"{said} {begun}".strip()

    def encode(self, text: str) -> list[int]:
        words = text.split()
        self.known += [word for word in dict.fromkeys(words) if word not in self.known]
        return [self.known.index(word) for word in words]

    has_template = True

    def prompt(self, messages: Sequence[Any], form: str = "chat", begun: str = "") -> Any:
        text = self.prompt_text(messages, form, begun)
        return text, self.encode(text)

    def prompt_ids(self, messages: Sequence[Any], form: str = "chat", begun: str = "") -> list[int]:
        return self.prompt(messages, form, begun)[1]

    def decode(self, ids: Sequence[int]) -> str:
        return " ".join(self.known[number] for number in ids)

    def answer_text(self, ids: Sequence[int], text: str | None = None) -> str:
        return text if text is not None else self.decode(ids)


class FakeDecoder:
    """Answers all that is queued in one step of `seconds`.

    `says` makes the reply of a request. A reply takes as many passes as it has words. Of a prompt 1 token
    is found, the rest computed; 2 are padding. `heard` holds (group, budget) of what was asked, `log`
    the calls of the contract.
    """

    offers = frozenset({"ask"})
    device = "cpu"
    kv_cache_bytes = 2**20 + 2**10
    notes: tuple[str, ...] = ()
    sampling: Any = None
    form: Any = None

    def __init__(
        self,
        says: Callable[[Request], str] = lambda request: "yes",
        clock: Clock | None = None,
        seconds: float = 1.0,
        chat: Words | None = None,
        max_context: int = 10_000,
        max_groups: int | None = None,
    ) -> None:
        self.says, self.clock, self.seconds = says, clock or Clock(), seconds
        self.chat, self.max_context, self.max_groups = chat, max_context, max_groups
        self.num_forward_passes = 0
        self.heard: list[tuple[str, int]] = []
        self.log: list[str] = []
        self.queue: list[Request] = []
        self.most_at_once = 0

    def submit(self, request: Request) -> None:
        self.heard.append((request.group.group.id, request.rules.max_new_tokens))
        self.queue.append(request)

    def step(self) -> bool:
        requests, self.queue = self.queue, []
        if not requests:
            return False
        self.most_at_once = max(self.most_at_once, len({id(one.group) for one in requests}))
        begin = self.clock.now_s
        self.clock.now_s += self.seconds
        replies = [self.says(request) for request in requests]
        self.num_forward_passes += max(len(reply.split()) for reply in replies)
        for request, reply in zip(requests, replies, strict=True):
            request.future.set_result(self._completion(request, reply, begin))
        return True

    def _completion(self, request: Request, reply: str, begin: float) -> Completion:
        words = reply.split()
        ids = self.chat.encode(reply) if self.chat else []
        for token in ids:
            if request.on_token:
                request.on_token(token)
        sent = len(request.prompt_ids) or 10
        tokens = TokenCount(sent, sent - 1, 1, len(words), 2)
        cut = len(words) >= request.rules.max_new_tokens
        return Completion(
            ids, "length" if cut else "stop", tokens, begin, self.clock.now_s, len(words), reply
        )

    def close(self, group: Any) -> None:
        self.log.append(f"close {group.group.id}")

    @contextmanager
    def attached(self) -> Iterator[None]:
        self.log.append("attached")
        yield
        self.log.append("detached")

    def synchronize(self) -> None:
        self.log.append("synchronize")

    def facts(self) -> dict[str, Any]:
        return {"resolved_batching": "fake"}


def group_of(count: int, name: str = "g", **needs: str) -> Group:
    """Questions q1, q2, ...; needs: q2="q1" or q3="q1 q2"."""
    questions = tuple(
        Question(
            id=f"q{n}",
            text=f"What is {n}?",
            golds=(f"a{n}",),
            needs=tuple(needs.get(f"q{n}", "").split()),
            kind="even" if n % 2 == 0 else "odd",
        )
        for n in range(1, count + 1)
    )
    return Group(id=name, context="A text.", questions=questions)
