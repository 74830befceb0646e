"""What a strategy may rely on, and what it gives back. Torch-free, since the config reads strategies."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from branchwise.data.types import Group, Question
from branchwise.prompts import Message, PromptStyle, Reading, reading_of

if TYPE_CHECKING:
    from branchwise.decoding.branches import Branch
    from branchwise.decoding.options import Layout
    from branchwise.decoding.requests import Hook, Rules

Prompt = Sequence[Message] | Sequence[int] | str
"""A whole prompt: messages, token ids, or text as the model is to read it."""
Text = str | Sequence[int]
"""What goes on from other text: a string, or token ids. A string is the strategy's own: what spells a
control token in it is one. Text from data goes in messages, where it stays text (`open`, `next_turn`)."""


class Reply:
    """What was said to one prompt: its pre-filled beginning, if its style has one, and what the model
    made; `index` is the number of the ask in its group.

    Whoever reads it knows it from then on: what is asked later in the same task waited for it.
    """

    def __init__(
        self,
        index: int,
        text: str,
        ids: Sequence[int] = (),
        heard: Callable[[int], None] | None = None,
        is_over: bool = True,
        stop_text: str | None = None,
        num_tokens: int | None = None,
    ) -> None:
        self.index = index
        self._text = text
        self._ids = tuple(ids)
        self._heard = heard
        self._is_over = is_over
        self._stop_text = stop_text
        self._num_tokens = len(self._ids) if num_tokens is None else num_tokens

    def __repr__(self) -> str:
        return f"Reply({self.index}, {self._text!r})"

    @property
    def text(self) -> str:
        """What was said, without a thought before it."""
        self._read()
        return self._text

    @property
    def ids(self) -> tuple[int, ...]:
        """The token ids that were made, with the end of the turn or the stop text that ended them, which
        its branch does not keep; none from a served model.
        """
        self._read()
        return self._ids

    @property
    def num_tokens(self) -> int:
        """How many tokens were made, as a server counts them where one did."""
        self._read()
        return self._num_tokens

    @property
    def is_over(self) -> bool:
        """Whether the model ended it, or a stop text; not where the budget was used up."""
        self._read()
        return self._is_over

    @property
    def stop_text(self) -> str | None:
        """The stop text that ended it; None where none did."""
        self._read()
        return self._stop_text

    def _read(self) -> None:
        if self._heard is not None:
            self._heard(self.index)


class Worded(NamedTuple):
    """A wording that a question was asked in, and the answer to it alone; None where it has none."""

    text: str
    reading: Reading | None = None


class Answered(NamedTuple):
    """The answer to one question: as read, as said, and the numbers of all asks that made it.

    At least one of these asked the question. Fused and outlined answers have many. `wordings` are those
    that it was asked in, where a strategy uses several; with `each` the answer stands for those to all
    of them, and is scored by their mean. `notes` are kinds of what did not go as it was meant to (a plan
    that could not be read, a fallback), in a word or two each: they are counted in every result.
    """

    question: Question
    reading: Reading
    raw: str
    asks: tuple[int, ...]
    wordings: tuple[Worded, ...] = ()
    each: bool = False
    notes: tuple[str, ...] = ()


class Desk(Protocol):
    """Where a strategy asks.

    A prompt gets one answer's budget for each question that it asks, and one where it asks none.
    `role` says what an ask is for (answer, plan, paraphrase, outline, ...), for the trace. `by` is the
    model that is asked: the answerer, or another role that the experiment names a model for; where it
    names none, the answerer. What an ask waited for is seen from what the strategy awaited and read;
    `after` adds what cannot be seen there.
    """

    style: PromptStyle

    async def ask(
        self,
        messages: Sequence[Message],
        questions: Sequence[Question] = (),
        *,
        role: str | None = None,
        by: str = "answerer",
        after: Sequence[Reply] = (),
        rules: "Rules | None" = None,
        many: bool | None = None,
    ) -> Reply:
        """One prompt, for the answers to `questions`; `many` where it asks for a list of them (default:
        where there are several). Without any it is an intermediate ask: its cost is shared by the answers
        that waited for it. `rules` with a hook need a decoder that offers that.
        """

    def rules(self, questions: Sequence[Question]) -> "Rules":
        """The rules of an ask of these questions that states none: budget and stop texts."""

    def held_to(self, pattern: str) -> "Hook":
        """A hook that holds what is generated to a regular expression (Rust's syntax); needs a decoder
        that offers hooks.
        """

    def room(self, branch: "Branch") -> int:
        """How many tokens may still come behind a branch."""

    @property
    def may_ban(self) -> bool:
        """Whether tokens can be banned: not of a served model."""

    def tokens_like(self, pattern: str) -> frozenset[int]:
        """The ids of all tokens of the vocabulary whose whole text a regular expression matches."""

    def prompt_ids(self, messages: Sequence[Message]) -> list[int]:
        """The token ids of a prompt that asks one question, the beginning of its answer included."""

    def shown_ids(self, messages: Sequence[Message]) -> list[list[int]]:
        """The token ids that a prompt of one question begins with, cut into what stands before the shots
        and each shot; one piece where there is none.
        """

    def prompt_text(self, messages: Sequence[Message]) -> str:
        """Messages as the model reads them, up to where its own turn begins."""

    def next_turn(self, before: Sequence[Message], further: Sequence[Message]) -> list[int]:
        """What the model reads between its answer to `before` and its next turn, `further` messages among
        it, as token ids: text to fork or join with. Raises UserError where a template drops answers.
        """

    def open(self, prompt: Prompt, like: Sequence[Message] = ()) -> "Branch":
        """A root branch that holds a prompt. This verb and the next four need a decoder that offers them;
        a strategy that uses them says so in its catalogue entry (`needs`). Token ids that begin `like`
        the prompt of some messages have the shots of these computed once for all groups.
        """

    def fork(
        self, branch: "Branch", texts: Sequence[Text], positions: "Layout | None" = None
    ) -> "list[Branch]":
        """Children that see their ancestors and not each other; `positions`: where they stand (None: as
        the decoder's entry says).
        """

    def join(self, branches: "Sequence[Branch]", text: Text) -> "Branch":
        """A branch that sees all of the given branches."""

    def release(self, branch: "Branch") -> None:
        """Let go of a branch that nothing forks or joins any more."""

    async def generate(
        self,
        branch: "Branch",
        questions: Sequence[Question] = (),
        *,
        role: str | None = None,
        after: Sequence[Reply] = (),
        rules: "Rules | None" = None,
        begun: Reply | None = None,
    ) -> Reply:
        """Append tokens to `branch`; all else as in `ask`. `begun`: a reply that this one goes on from,
        as one answer.
        """


class Strategy(Protocol):
    """A strategy: asks a group at a desk and yields every question's answer once, in any order.

    A question that it leaves out has an empty answer, and the result says so. Options, where its module
    states `Options`, are a third argument.
    """

    def __call__(self, group: Group, desk: Desk) -> AsyncIterator[Answered]: ...


BEGINNING = "beginning"
"""The role of an ask for the first tokens of an answer that another goes on from."""
OUTLINE = "outline"
"""The role of an ask for the titles or points of an answer, which may be given up."""
NEED_NO_END = frozenset({BEGINNING, OUTLINE})
"""Roles of asks that may be cut off without the answer being so."""


def answered(question: Question, reply: Reply, style: PromptStyle) -> Answered:
    """The answer to the one question that a reply is about."""
    reading = reading_of(reply.text, question, style)
    return Answered(question, reading, reply.text, (reply.index,))
