"""What a decoder's entry adds to the rules of one ask: its sampling, and the form of answers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from torch import Tensor

from branchwise.data.types import Question
from branchwise.decoding.constrained import constrained_to
from branchwise.decoding.contract import BranchingDecoder, Decoder
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.requests import Hook, Member, Rules, Sampling
from branchwise.decoding.sampling import for_ask


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
    _drawn: dict[Hook, Sampling] = field(default_factory=dict)

    def of(
        self,
        rules: Rules,
        decoder: Decoder,
        chat: ChatTokenizer | None,
        by: str,
        prompt_ids: Sequence[int],
        questions: Sequence[Question],
        begun: str = "",
        said: Sequence[int] = (),
    ) -> Rules:
        """`rules` of a prompt of model `by` (its ids, or the bytes of one that has none), whose answer
        begins with `begun`: drawn as the decoder's entry says unless they state a sampling of their own,
        and held to its form where it asks `questions`, after the hooks that they have. `said`: tokens of
        the answer that were made before.
        """
        if decoder.sampling is not None and rules.sampling == Sampling():
            # Branches that are fused draw as one; those that mix or peek each for themselves.
            fused = None if rules.together else rules.lockstep
            rules = replace(rules, sampling=self._sampling(decoder.sampling, fused, by, prompt_ids))
        if decoder.form is None or not questions or chat is None or "hook" not in decoder.offers:
            return rules
        pattern = decoder.form.after(begun, questions, self.answer_format)
        held = self.held_to(pattern, cast(BranchingDecoder, decoder), chat, by)
        # The last word: what was fused is held to the form.
        return replace(rules, hooks=(*rules.hooks, _behind(said, held) if said else held))

    def held_to(self, pattern: str, decoder: BranchingDecoder, chat: ChatTokenizer, by: str) -> Hook:
        """The one hook that holds the group's answers of a model to a pattern."""
        if (by, pattern) not in self._hooks:
            self._hooks[by, pattern] = constrained_to(pattern, chat.tokenizer, decoder.stop_ids)
        return self._hooks[by, pattern]

    def _sampling(
        self, sampling: Sampling, fusion: Hook | None, by: str, prompt_ids: Sequence[int]
    ) -> Sampling:
        """The sampling of one ask. Those that move in one set draw alike, or they would part: as the one
        that is asked first.
        """
        if fusion is not None and fusion in self._drawn:
            return self._drawn[fusion]
        place = (by, tuple(prompt_ids))
        drawn = for_ask(sampling, self.group, prompt_ids, self._asked[place])
        self._asked[place] += 1
        if fusion is not None:
            self._drawn[fusion] = drawn
        return drawn


def _behind(said: Sequence[int], hook: Hook) -> Hook:
    """A hook for branches whose answers began with these tokens."""

    def change(members: Sequence[Member], logits_RV: Tensor) -> Tensor:
        return hook.change([one._replace(ids=[*said, *one.ids]) for one in members], logits_RV)

    return Hook(change)
