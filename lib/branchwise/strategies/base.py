"""What a strategy may rely on, and what it gives back."""

from collections.abc import AsyncIterator, Sequence
from importlib import import_module
from typing import NamedTuple, Protocol

from branchwise.data.types import Group, Question
from branchwise.decoding.branches import Branch
from branchwise.decoding.requests import Rules
from branchwise.prompts import Message, PromptStyle, Reading, read_one


class Reply(NamedTuple):
    """What the model said to one prompt; `index` is the number of the ask in its group."""

    index: int
    text: str


class Answered(NamedTuple):
    """The answer to one question: as read, as said, and in which ask."""

    question: Question
    reading: Reading
    raw: str
    ask: int


class Desk(Protocol):
    """Where a strategy asks. Every prompt gets the budget of the answers that it asks for."""

    style: PromptStyle

    async def ask(
        self,
        messages: Sequence[Message],
        questions: Sequence[Question],
        after: Sequence[Reply] = (),
    ) -> Reply:
        """Ask for the answers to `questions` in one prompt.

        `after` names the replies that had to be known first: the critical path of the ideal latency
        runs along them.
        """

    def prompt_text(self, messages: Sequence[Message]) -> str:
        """Messages as the model reads them, up to where its own turn begins."""

    def open(self, messages: Sequence[Message]) -> Branch:
        """A root branch that holds a prompt. This verb and the next three need the tree decoder; a
        strategy that uses them says so in its catalogue entry (`needs`).
        """

    def fork(self, branch: Branch, texts: Sequence[str]) -> list[Branch]:
        """Children that see their ancestors and not each other."""

    def join(self, branches: Sequence[Branch], text: str) -> Branch:
        """A branch that sees all of the given branches."""

    def release(self, branch: Branch) -> None:
        """Let go of a branch that nothing forks or joins any more."""

    async def generate(
        self,
        branch: Branch,
        questions: Sequence[Question],
        after: Sequence[Reply] = (),
        rules: Rules | None = None,
    ) -> Reply:
        """Append tokens to `branch` for the answers to `questions`; `after` as in `ask`."""


class Strategy(Protocol):
    """A strategy: asks a group at a desk and yields every question's answer once, in any order."""

    def __call__(self, group: Group, desk: Desk) -> AsyncIterator[Answered]: ...


def answered(question: Question, reply: Reply, style: PromptStyle) -> Answered:
    """The answer to the one question that a reply is about."""
    reading = read_one(reply.text, question, style.answer_format)
    return Answered(question, reading, reply.text, reply.index)


def load(module: str) -> Strategy:
    """The strategy in `branchwise/strategies/<module>.py`."""
    return import_module(f"branchwise.strategies.{module}").strategy
