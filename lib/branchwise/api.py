"""What `from branchwise import TreeDecoder` gives: the tree decoder, and strategies on it."""

import asyncio
from collections.abc import Sequence

from branchwise.cells.desk import GroupDesk
from branchwise.data.types import Group
from branchwise.decoding.completing import CompletingEngine
from branchwise.decoding.loop import run
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.errors import UserError, only_user_errors
from branchwise.prompts import PromptStyle
from branchwise.strategies import Answered, Strategy, load


class TreeDecoder(CompletingEngine):
    """The tree decoder for a notebook or a script.

    `complete` takes prompts; `run` and `run_all` take a strategy; `open`, `fork`, `join` and
    `generate` are for everything else. See `branchwise.decoding.engine.TreeEngine`.
    """

    def run(
        self,
        strategy: str | Strategy,
        group: Group,
        max_new_tokens: int = 64,
        style: PromptStyle | None = None,
    ) -> list[Answered]:
        """Ask one group as `strategy` (a name, or a function like those in `branchwise.strategies`)
        does; `max_new_tokens` is the budget of one answer. Answers come in the strategy's order.
        """
        (result,) = self.run_all(strategy, [group], max_new_tokens, style)
        if isinstance(result, UserError):
            raise result
        return result

    def run_all(
        self,
        strategy: str | Strategy,
        groups: Sequence[Group],
        max_new_tokens: int = 64,
        style: PromptStyle | None = None,
    ) -> list[list[Answered] | UserError]:
        """Ask many groups, all in flight at once: every step serves all of them.

        A group that fails has its error in place of its answers.
        """
        if self.tokenizer is None:
            raise UserError("strategies need a tokenizer", "give one to TreeDecoder")
        chat = ChatTokenizer(self.tokenizer)
        ask = load(strategy) if isinstance(strategy, str) else strategy

        async def one(group: Group) -> list[Answered]:
            desk = GroupDesk(group, self, chat, style or PromptStyle(), max_new_tokens)
            try:
                return [answered async for answered in ask(group, desk)]
            finally:
                self.close(desk)

        async def every() -> list[list[Answered] | BaseException]:
            return await asyncio.gather(*map(one, groups), return_exceptions=True)

        with self.attached():
            return only_user_errors(run(every(), self.step))
