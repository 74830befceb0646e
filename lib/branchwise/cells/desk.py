"""The desk at which a strategy asks, and the trace of what was asked there."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from branchwise.data.types import Group, Question
from branchwise.decoding.branches import Branch
from branchwise.decoding.engine import TreeEngine
from branchwise.decoding.held.tree import Node
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.models.text import continuation_ids_of
from branchwise.decoding.requests import Completion, Decoder, Request, Rules
from branchwise.errors import UserError
from branchwise.prompts import Message, PromptStyle
from branchwise.strategies.base import Reply

OnToken = Callable[[tuple[Question, ...], int], None]
"""Called with the questions that a prompt asks and each token id made for it."""


@dataclass(frozen=True)
class Ask:
    """One prompt of a group: what it asked, what came back, and which asks it waited for."""

    completion: Completion
    questions: tuple[Question, ...]
    after: tuple[int, ...]
    prompt: str

    @property
    def duration_s(self) -> float:
        """From its first token computed to its last token known."""
        return self.completion.end_s - self.completion.start_s


@dataclass(eq=False)
class GroupDesk:
    """Asks a decoder on behalf of one group and keeps the trace.

    `max_new_tokens` is the budget of one answer; a prompt that asks for n answers gets n budgets.
    """

    group: Group
    decoder: Decoder
    chat: ChatTokenizer
    style: PromptStyle
    max_new_tokens: int
    on_token: OnToken | None = None
    _asks: list[Ask | None] = field(default_factory=list)

    @property
    def asks(self) -> list[Ask]:
        """The trace, in the order of asking. Complete once the strategy has ended.

        Raises RuntimeError where an ask failed and the strategy went on: its cost would be missing.
        """
        done = [ask for ask in self._asks if ask is not None]
        if len(done) < len(self._asks):
            raise RuntimeError(f"group {self.label}: an ask has no answer, but the strategy has ended")
        return done

    @property
    def label(self) -> str:
        """What messages call the group."""
        return self.group.id

    async def ask(
        self,
        messages: Sequence[Message],
        questions: Sequence[Question],
        after: Sequence[Reply] = (),
    ) -> Reply:
        """See `branchwise.strategies.base.Desk`. Raises UserError for a prompt that does not fit."""
        asked = tuple(questions)
        prompt = self.prompt_text(messages)
        ids = self.chat.encode(prompt)
        budget = self.max_new_tokens * len(asked)
        self._check_length(len(ids), budget)
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self.decoder.submit(Request(ids, Rules(budget), self, future, self._hear(asked)))
        return await self._reply(future, asked, after, prompt)

    def prompt_text(self, messages: Sequence[Message]) -> str:
        """Messages as the model reads them, up to where its own turn begins."""
        return self.chat.prompt_text(messages)

    # ----- branches, on a decoder that has them -----

    def open(self, messages: Sequence[Message]) -> Branch:
        """A root branch that holds a prompt up to where the model's turn begins."""
        return self._branches.open(self.chat.prompt_ids(messages), self)

    def fork(self, branch: Branch, texts: Sequence[str]) -> list[Branch]:
        """Children that see their ancestors and not each other."""
        runs = [continuation_ids_of(self.chat.tokenizer, text) for text in texts]
        return self._branches.fork(branch, runs)

    def join(self, branches: Sequence[Branch], text: str) -> Branch:
        """A branch that sees all of the given ones."""
        return self._branches.join(branches, continuation_ids_of(self.chat.tokenizer, text))

    def release(self, branch: Branch) -> None:
        """Let go of a branch that nothing forks or joins any more."""
        self._branches.release(branch)

    async def generate(
        self,
        branch: Branch,
        questions: Sequence[Question],
        after: Sequence[Reply] = (),
        rules: Rules | None = None,
    ) -> Reply:
        """Tokens appended to `branch`; the budget is that of `questions` unless `rules` says more."""
        asked = tuple(questions)
        rules = rules or Rules(self.max_new_tokens * len(asked))
        self._check_length(branch.num_tokens, rules.max_new_tokens)
        # As the branch stands: what it inherits, then its own words.
        ids = [token for node in _from_the_root(branch.tip) for token in node.tokens]
        prompt = self.chat.tokenizer.decode(ids)
        made = self._branches.generate(branch, rules, self._hear(asked))
        return await self._reply(made, asked, after, prompt)

    @property
    def _branches(self) -> TreeEngine:
        if not isinstance(self.decoder, TreeEngine):
            raise UserError("the decoder has no branches", "use decoder tree for this strategy")
        return self.decoder

    # ----- the trace -----

    def _hear(self, asked: tuple[Question, ...]) -> Callable[[int], None] | None:
        if self.on_token is None:
            return None
        hear = self.on_token
        return lambda token: hear(asked, token)

    async def _reply(
        self,
        answer: Awaitable[Completion],
        asked: tuple[Question, ...],
        after: Sequence[Reply],
        prompt: str,
    ) -> Reply:
        """Wait for an answer and note it under the number that it has in the order of asking."""
        index = len(self._asks)
        self._asks.append(None)
        completion = await answer
        self._asks[index] = Ask(completion, asked, tuple(reply.index for reply in after), prompt)
        return Reply(index, self.chat.answer_text(completion.ids, completion.text))

    def _check_length(self, prompt_tokens: int, budget: int) -> None:
        limit = self.decoder.max_context
        if prompt_tokens + budget > limit:
            raise UserError(
                f"group {self.group.id}: a prompt of {prompt_tokens} tokens and {budget} new ones "
                f"exceed the model's context of {limit}",
                "use a model with a longer context, smaller groups or a smaller max_new_tokens",
            )


def _from_the_root(tip: Node) -> list[Node]:
    """A node and all above it, each after its parents, those of a join one after another."""
    found: dict[Node, None] = {}

    def visit(node: Node) -> None:
        for parent in node.parents:
            if parent not in found:
                visit(parent)
        found[node] = None

    visit(tip)
    return list(found)


def ideal_latency_s(asks: Sequence[Ask]) -> float:
    """Latency on unbounded machines: the longest chain of asks that waited for each other.

    Taken from the measured durations of one run, so work that the asks shared in that run (steps of
    a joint batch) makes it an upper bound.
    """
    finished: list[float] = []
    for ask in asks:
        begin = max((finished[index] for index in ask.after), default=0.0)
        finished.append(begin + ask.duration_s)
    return max(finished, default=0.0)
