"""What a decoder's entry adds to the rules of one ask: its sampling, and the form of answers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from branchwise.data.types import Question
from branchwise.decoding.constrained import constrained_to
from branchwise.decoding.contract import BranchingDecoder, Decoder
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.requests import Hook, Rules, Sampling
from branchwise.decoding.sampling import for_ask
from branchwise.errors import UserError


@dataclass(eq=False)
class DecodersRules:
    """The rules of a group's asks, with what the decoder that is asked adds to them.

    It counts equal prompts of one model, which draw each its own; and it keeps what answers are held to,
    so that branches of one form are masked together.
    """

    group: str
    answer_format: str
    _asked: Counter[tuple[str, tuple[int, ...]]] = field(default_factory=Counter)
    _hooks: dict[tuple[str, str], Hook] = field(default_factory=dict)

    def of(
        self,
        rules: Rules,
        decoder: Decoder,
        chat: ChatTokenizer | None,
        by: str,
        prompt_ids: Sequence[int],
        questions: Sequence[Question],
        begun: str = "",
    ) -> Rules:
        """`rules` of a prompt of model `by`, whose answer begins with `begun`: drawn as the decoder's
        entry says unless they state a sampling of their own, and held to its form where it asks
        `questions`.

        Raises UserError for rules that already change logits where answers are held to a form.
        """
        if decoder.sampling is not None and rules.sampling == Sampling():
            place = (by, tuple(prompt_ids))
            drawn = for_ask(decoder.sampling, self.group, prompt_ids, self._asked[place])
            self._asked[place] += 1
            rules = replace(rules, sampling=drawn)
        if decoder.form is None or not questions or chat is None:
            return rules
        if rules.hook is not None:
            raise UserError(
                "the strategy changes logits, and the decoder holds answers to a form",
                "use a decoder without `constrain` for this strategy",
            )
        pattern = decoder.form.after(begun, questions, self.answer_format)
        if (by, pattern) not in self._hooks:
            stop_ids = cast(BranchingDecoder, decoder).stop_ids
            self._hooks[by, pattern] = constrained_to(pattern, chat.tokenizer, stop_ids)
        return replace(rules, hook=self._hooks[by, pattern])
