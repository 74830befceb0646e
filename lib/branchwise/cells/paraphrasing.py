"""The stage of paraphrases: a model says every question in other words."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from branchwise.cells.asker import Asker
from branchwise.cells.asks import asked_s, tokens_of
from branchwise.data.types import Group, Question
from branchwise.decoding.contract import Decoder
from branchwise.decoding.requests import Completion, Rules, Sampling
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
    asked_s: float = 0.0
    """The longest chain of replies, of a served model."""

    @property
    def label(self) -> str:
        """What replies are kept under."""
        return self.group.id

    def pay(self, made: Completion, last_pass: int) -> None:
        """Note an ask that has just ended, with pass `last_pass` of its decoder; of a served model each
        counts by itself.
        """
        self.tokens.append(tokens_of(made))
        last_pass = last_pass if made.served is None else -len(self.tokens)
        self.passes |= {*range(last_pass - made.num_steps, last_pass)}


class _Said(NamedTuple):
    """What a model said for a paraphrase, whether its budget ended it, and how long a server took."""

    text: str
    cut_off: bool
    asked_s: float


@dataclass
class Paraphrasing:
    """Makes the paraphrases of groups by one catalogue entry (`name`), for a data set in `language`."""

    name: str
    entry: GeneratedEntry
    asker: Asker
    language: str

    @property
    def decoder(self) -> Decoder:
        """The decoder that is asked."""
        return self.asker.decoder

    def num_asks(self, group: Group) -> int:
        """One a question and round."""
        return len(group) * self.entry.number

    async def find(self, group: Group) -> GroupParaphrases:
        """The paraphrases of all questions of a group; `wall_s` as `branchwise.cells.staging` says."""
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
            wall_s=party.asked_s,
        )

    async def _of(self, question: Question, party: _Party) -> QuestionParaphrases:
        """All rounds at once; those that gave nothing to keep once more, up to the attempts."""
        kept: list[str] = []
        dropped: Counter[str] = Counter()
        cut_off = 0
        left: Sequence[int] = range(self.entry.number)
        took_s = 0.0
        for attempt in range(self.entry.attempts):
            asks = (self._ask(question, round_, attempt, party) for round_ in left)
            again = []
            replies = await asyncio.gather(*asks)
            took_s += max((said.asked_s for said in replies if said is not None), default=0.0)
            for round_, said in zip(left, replies, strict=True):
                if said is None:
                    dropped[TOO_LONG] += 1
                elif reason := problem_of(said.text, question, kept, self.language):
                    dropped[reason] += 1
                    again.append(round_)
                else:
                    kept.append(said.text)
                    cut_off += said.cut_off
            left = again
        party.asked_s = max(party.asked_s, took_s)
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
        messages = [*before, asked(question.text)]
        prompt = self.asker.prompt(messages, self.entry.form, BEGUN, len(before))
        if not self.asker.fits(prompt, self.entry.max_new_tokens):
            return None
        place = f"{party.group.id}\0{question.id}\0{round_}"
        sampling = Sampling(self.entry.temperature, top_p=self.entry.top_p, seed=self.entry.seed)
        rules = Rules(
            self.entry.max_new_tokens,
            for_ask(sampling, place, prompt.seed_ids, attempt),
            stop_texts=("\n",) if self.entry.form == "completion" else (),
        )
        made = await self.asker.ask(prompt, rules, party)
        party.pay(made, self.decoder.num_forward_passes)
        text = paraphrase_in(self.asker.text(made))
        return _Said(text, made.stop == "length", asked_s(made))


def paraphrasing(name: str, entry: GeneratedEntry, asker: Asker, language: str) -> Paraphrasing:
    """The stage on a model. Raises UserError for turns on one that has no template."""
    if asker.chat is not None:
        asker.chat.check_form(entry.form)
    return Paraphrasing(name, entry, asker, language)
