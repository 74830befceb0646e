"""What was asked: a model that may be, one ask with what came back, and how it is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from branchwise.data.types import Question
from branchwise.decoding.contract import Decoder
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.requests import Completion
from branchwise.prompts import Message
from branchwise.trace import ANSWERER, AskRecord, Tokens

OnToken = Callable[[tuple[Question, ...], int], None]
"""Called with the questions that a prompt asks and each token id made for it."""


class Asked(NamedTuple):
    """A model that may be asked: its decoder, and its tokenizer where it is not a served one."""

    decoder: Decoder
    chat: ChatTokenizer | None


def tokens_of(made: Completion) -> Tokens:
    """The ledger of an answer, as it is written."""
    return Tokens(**made.tokens._asdict())


def asked_s(made: Completion) -> float:
    """How long a server took over a reply; 0 for what was computed here, beside whatever else."""
    return made.end_s - made.start_s if made.served is not None else 0.0


@dataclass(frozen=True)
class Ask:
    """One ask of a group: what it was for, what came back, and which asks it waited for."""

    completion: Completion
    questions: tuple[Question, ...]
    after: tuple[int, ...]
    prompt: str
    raw: str = ""
    role: str = "answer"
    by: str = ANSWERER
    messages: tuple[Message, ...] | None = None
    branch: int | None = None
    passes: range = range(0)
    """The forward passes of its decoder that it took part in."""

    def record(self, begin_s: float) -> AskRecord:
        """As it is written; `begin_s` is the beginning of the group's clock."""
        made = self.completion
        return AskRecord(
            role=self.role,
            by=self.by,
            questions=tuple(question.id for question in self.questions),
            after=self.after,
            messages=None if self.messages is None else tuple(dict(m) for m in self.messages),
            branch=self.branch,
            prompt=self.prompt,
            raw=self.raw,
            stop=made.stop,
            tokens=tokens_of(made),
            num_steps=made.num_steps,
            start_s=made.start_s - begin_s,
            end_s=made.end_s - begin_s,
            served=made.served,
        )


class Said(NamedTuple):
    """A reply's text, and whether a stop text has cut it."""

    text: str
    cut: bool


def said_in(
    made: Completion, chat: ChatTokenizer | None, before: tuple[int, ...], stop_texts: Sequence[str]
) -> Said:
    """What was said, with the tokens `before` of an earlier reply that it goes on from."""
    text, cut = made.text, made.stop_text is not None
    if chat is None or made.served is not None:
        return Said(text or "", cut)
    ids = [*before, *made.ids]
    if before:
        # Decoded whole: what stands between two tokens is no token's own.
        whole = chat.decode(ids)
        lost = 0 if text is None else len(chat.decode(made.ids)) - len(text)
        text = whole[: len(whole) - lost] if cut else None
        # A stop text may begin in the earlier reply, where nobody saw it.
        ends = [whole.index(stop) for stop in stop_texts if stop in whole]
        if ends and (text is None or min(ends) < len(text)):
            text, cut = whole[: min(ends)], True
    return Said(chat.answer_text(ids, text), cut)
