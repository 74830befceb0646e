"""What `from branchwise import TreeDecoder` gives: the tree decoder, and strategies on it."""

import asyncio
from collections.abc import Sequence

from branchwise.cells.desk import GroupDesk
from branchwise.data.types import Group
from branchwise.decoding.engine import Text, TreeEngine
from branchwise.decoding.loop import run
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.models.text import prompt_ids_of
from branchwise.decoding.requests import Completion, Request, Rules
from branchwise.errors import UserError, only_user_errors
from branchwise.prompts import PromptStyle
from branchwise.strategies import Answered, Strategy, load


class TreeDecoder(TreeEngine):
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

    def complete(self, prompts: Sequence[Text], max_new_tokens: int) -> list[list[int]] | list[str]:
        """Continue every prompt greedily, all at once, sharing what they start with.

        Prompts are lists of token ids, or strings if the decoder has a tokenizer (as the tokenizer
        makes ids of them, a beginning-of-text token included, and without a chat template); the result
        has the same form, without the stop token. Stops at the generation config's end-of-sequence ids
        and at the chat template's end of a turn.
        """
        (result,) = self.complete_groups([prompts], max_new_tokens)
        if isinstance(result, UserError):
            raise result
        return result

    def complete_groups(
        self, groups: Sequence[Sequence[Text]], max_new_tokens: int
    ) -> list[list[list[int]] | list[str] | UserError]:
        """`complete` for many groups of prompts, all in flight at once.

        Prompts share what they start with inside their group. A group that fails has its error
        (UserError) in place of its results, and costs no other group theirs. Another thread's call
        waits for this one to end.
        """
        if any(isinstance(group, str) for group in groups):
            raise UserError("the prompts are one string", "give a list of prompts: [prompt]")
        texts = {isinstance(prompt, str) for group in groups for prompt in group}
        if len(texts) > 1:
            raise UserError("only some of the prompts are strings", "give all as strings or as ids")
        rules = Rules(max_new_tokens)

        async def every() -> list[list[Completion] | BaseException]:
            tasks = (self._complete_group(group, rules) for group in groups)
            return await asyncio.gather(*tasks, return_exceptions=True)

        with self.attached():
            results = only_user_errors(run(every(), self.step))
        return [
            result if isinstance(result, UserError) else [self._answer(c, True in texts) for c in result]
            for result in results
        ]

    def _answer(self, completion: Completion, as_text: bool) -> list[int] | str:
        ids = [i for i in completion.ids if i not in self.stop_ids]
        return self.tokenizer.decode(ids) if as_text else ids

    async def _complete_group(self, prompts: Sequence[Text], rules: Rules) -> list[Completion]:
        group = object()
        loop = asyncio.get_running_loop()
        futures = []
        try:
            for prompt in prompts:
                ids = self._ids(prompt, "the prompt", prompt_ids_of)
                futures.append(loop.create_future())
                self.submit(Request(ids, rules, group, futures[-1]))
            return list(await asyncio.gather(*futures))
        finally:
            self.close(group)
