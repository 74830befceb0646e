"""The stage of confidence: how sure a model is of its answer to each wording of a question."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from branchwise.cells.asker import Asker, Prompt
from branchwise.cells.asks import asked_s, tokens_of
from branchwise.cells.desk import GroupDesk
from branchwise.data.types import Group, Question
from branchwise.decoding.contract import Decoder
from branchwise.decoding.requests import Sampling
from branchwise.decoding.sampling import for_ask
from branchwise.prompts import reading_of, single
from branchwise.prompts.style import PromptStyle, answer_form
from branchwise.prompts.wordings import worded, wordings_of
from branchwise.stages import GroupConfidence, QuestionConfidence, WordingConfidence
from branchwise.trace import Tokens
from branchwise.wordings.agreement import agreement
from branchwise.wordings.entries import SelfAgreementEntry


@dataclass
class Confiding:
    """Finds the confidences of groups by one catalogue entry (`name`).

    Questions are put in `style`, as strategy `per_prompt` puts them; `language` is the data set's. A
    decoder without a sampling of its own is needed.
    """

    name: str
    entry: SelfAgreementEntry
    asker: Asker
    style: PromptStyle
    language: str

    @property
    def decoder(self) -> Decoder:
        """The decoder that is asked."""
        return self.asker.decoder

    def num_asks(self, group: Group) -> int:
        """Of every wording the likeliest answer and the samples."""
        return sum(map(len, map(self._wordings, group))) * (self.entry.samples + 1)

    def _wordings(self, question: Question) -> list[str]:
        return wordings_of(question, self.entry.wordings, self.entry.seed)

    async def find(self, group: Group) -> GroupConfidence:
        """The confidence of all wordings of a group's questions, or why it does not fit the model;
        `wall_s` as `branchwise.cells.staging` says.
        """
        desk = GroupDesk(group, self.decoder, self.asker.chat, self.style, self.entry.max_new_tokens)
        prompts = [
            [self._prompt(group, question, text) for text in self._wordings(question)]
            for question in group
        ]
        unfit = self._unfit(group, max(len(one.prompt.ids) for some in prompts for one in some))
        found: list[QuestionConfidence] = []
        try:
            if unfit is None:
                asks = (
                    self._of(group, question, some, desk)
                    for question, some in zip(group, prompts, strict=True)
                )
                found = await asyncio.gather(*asks)
        finally:
            self.decoder.close(desk)
        return GroupConfidence(
            group=group.id,
            generator=self.name,
            questions=tuple(found),
            unfit=unfit,
            tokens=Tokens.total(tokens_of(ask.completion) for ask in desk.asks),
            forward_passes=desk.num_forward_passes,
            # All at once.
            wall_s=max((asked_s(ask.completion) for ask in desk.asks), default=0.0),
        )

    def _unfit(self, group: Group, num_tokens: int) -> str | None:
        """What is wrong with a group whose longest prompt has so many tokens; None where nothing is."""
        budget, limit = self.entry.max_new_tokens, self.decoder.max_context
        if num_tokens + budget <= limit:
            return None
        return (
            f"group {group.id}: a prompt of {num_tokens} tokens and {budget} new ones exceed the model's "
            f"context of {limit}"
        )

    def _prompt(self, group: Group, question: Question, text: str) -> "_Worded":
        form = answer_form(self.style, many=False)
        messages = single(group, worded(question, text), self.style)
        return _Worded(text, self.asker.prompt(messages, form.form, form.begun))

    async def _of(
        self, group: Group, question: Question, prompts: Sequence["_Worded"], desk: GroupDesk
    ) -> QuestionConfidence:
        """All wordings of a question at once."""
        found = await asyncio.gather(*(self._sure(group, question, one, desk) for one in prompts))
        return QuestionConfidence(question=question.id, wordings=tuple(found))

    async def _sure(
        self, group: Group, question: Question, prompt: "_Worded", desk: GroupDesk
    ) -> WordingConfidence:
        """The likeliest answer to one wording and the samples, all at once."""
        greedy = desk.rules([question])
        drawn = Sampling(self.entry.temperature, top_p=self.entry.top_p, seed=self.entry.seed)
        place = f"{group.id}\0{question.id}"
        seeds = (
            for_ask(drawn, place, prompt.prompt.seed_ids, number) for number in range(self.entry.samples)
        )
        rules = [greedy, *(replace(greedy, sampling=one) for one in seeds)]
        asks = (desk.ask(prompt.prompt.messages, [question], rules=one) for one in rules)
        replies = await asyncio.gather(*asks)
        answer, *samples = (reading_of(one.text, question, desk.style).answer for one in replies)
        sure = agreement(answer, samples, question.answer, self.language)
        return WordingConfidence(text=prompt.text, answer=answer, confidence=sure)


class _Worded(NamedTuple):
    """A wording of a question, and how it is put to the model."""

    text: str
    prompt: Prompt


def confiding(
    name: str, entry: SelfAgreementEntry, asker: Asker, style: PromptStyle, language: str
) -> Confiding:
    """The stage on a model. Raises UserError for a style in turns on a model that has no template."""
    if asker.chat is not None:
        asker.chat.check_form(style.form)
    return Confiding(name, entry, asker, style, language)
