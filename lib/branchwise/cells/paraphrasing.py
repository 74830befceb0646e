"""The stage of paraphrases: a model says every question in other words."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from branchwise.cells.asks import tokens_of
from branchwise.data.types import Group, Question
from branchwise.decoding.contract import Decoder
from branchwise.decoding.decoders.tree import TreeEntry
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.models.source import ModelSource
from branchwise.decoding.requests import Completion, Request, Rules, Sampling
from branchwise.decoding.sampling import for_ask
from branchwise.stages import GroupParaphrases, QuestionParaphrases
from branchwise.trace import Tokens
from branchwise.wordings.entries import GeneratedEntry
from branchwise.wordings.paraphrasing import BEGUN, asked, paraphrase_in, problem_of, shown

TOO_LONG = "too_long"
"""Why nothing is drawn for a question: it does not fit the model beside what is shown."""


@dataclass(eq=False)
class _Party:
    """A group that asks: what a decoder keeps its prompts under, and what its asks cost."""

    group: Group
    tokens: list[Tokens] = field(default_factory=list)
    passes: set[int] = field(default_factory=set)

    def pay(self, made: Completion, last_pass: int) -> None:
        """Note an ask that has just ended, with pass `last_pass` of its decoder."""
        self.tokens.append(tokens_of(made))
        self.passes |= {*range(last_pass - made.num_steps, last_pass)}


class _Said(NamedTuple):
    """What a model said for a paraphrase, and whether its budget ended it."""

    text: str
    cut_off: bool


@dataclass
class Paraphrasing:
    """Makes the paraphrases of groups by one catalogue entry (`name`), for a data set in `language`."""

    name: str
    entry: GeneratedEntry
    decoder: Decoder
    chat: ChatTokenizer
    language: str

    def num_asks(self, group: Group) -> int:
        """One a question and round."""
        return len(group) * self.entry.number

    async def find(self, group: Group) -> GroupParaphrases:
        """The paraphrases of all questions of a group; `wall_s` is not known here and 0."""
        party = _Party(group)
        try:
            found = await asyncio.gather(*(self._of(question, party) for question in group))
        finally:
            self.decoder.close(party)
        return GroupParaphrases(
            group=group.id,
            generator=self.name,
            questions=tuple(found),
            tokens=Tokens.total(party.tokens),
            forward_passes=len(party.passes),
            wall_s=0.0,
        )

    async def _of(self, question: Question, party: _Party) -> QuestionParaphrases:
        """All rounds at once; those that gave nothing to keep once more, up to the attempts."""
        kept: list[str] = []
        dropped: Counter[str] = Counter()
        cut_off = 0
        left: Sequence[int] = range(self.entry.number)
        for attempt in range(self.entry.attempts):
            asks = (self._ask(question, round_, attempt, party) for round_ in left)
            again = []
            for round_, said in zip(left, await asyncio.gather(*asks), strict=True):
                if said is None:
                    dropped[TOO_LONG] += 1
                elif reason := problem_of(said.text, question, kept, self.language):
                    dropped[reason] += 1
                    again.append(round_)
                else:
                    kept.append(said.text)
                    cut_off += said.cut_off
            left = again
        return QuestionParaphrases(
            question=question.id,
            kept=tuple(kept),
            dropped=dict(dropped),
            missing=self.entry.number - len(kept),
            cut_off=cut_off,
        )

    async def _ask(self, question: Question, round_: int, attempt: int, party: _Party) -> _Said | None:
        """One draw; None where the prompt does not fit the model.

        Its seed is made of the question, the round and the attempt: neither what else is in flight nor
        the order of asking changes it.
        """
        before = shown(round_)
        _, ids = self.chat.prompt([*before, asked(question.text)], form=self.entry.form, begun=BEGUN)
        if len(ids) + self.entry.max_new_tokens > self.decoder.max_context:
            return None
        place = f"{party.group.id}\0{question.id}\0{round_}"
        sampling = Sampling(self.entry.temperature, top_p=self.entry.top_p, seed=self.entry.seed)
        rules = Rules(
            self.entry.max_new_tokens,
            for_ask(sampling, place, ids, attempt),
            stop_texts=("\n",) if self.entry.form == "completion" else (),
        )
        num_shared = self.chat.num_shared(ids, before, self.entry.form)
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self.decoder.submit(Request(ids, rules, party, future, num_shared=num_shared))
        made = await future
        party.pay(made, self.decoder.num_forward_passes)
        return _Said(paraphrase_in(self.chat.answer_text(made.ids, made.text)), made.stop == "length")


def paraphrasing(name: str, entry: GeneratedEntry, source: ModelSource, language: str) -> Paraphrasing:
    """The stage on a model. Raises UserError for turns on one that has no template."""
    decoder: Any = TreeEntry(kind="tree", packed_weights=None).make(source)
    source.loaded.chat.check_form(entry.form)
    return Paraphrasing(name, entry, decoder, source.loaded.chat, language)
