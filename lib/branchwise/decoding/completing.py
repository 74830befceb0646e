"""Continuing prompts, without strategies: all at once, in one tree."""

import asyncio
from collections.abc import Sequence

from branchwise.decoding.engine import Text, TreeEngine
from branchwise.decoding.loop import run
from branchwise.decoding.models.text import prompt_ids_of
from branchwise.decoding.requests import Completion, Request, Rules
from branchwise.errors import UserError, only_user_errors


class CompletingEngine(TreeEngine):
    """The tree engine with `complete`, for whoever has prompts and wants their continuations."""

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
            result if isinstance(result, UserError) else self._answers(result, True in texts)
            for result in results
        ]

    def _answers(self, completions: list[Completion], as_text: bool) -> list[list[int]] | list[str]:
        answers = [[i for i in one.ids if i not in self.stop_ids] for one in completions]
        return [self.tokenizer.decode(ids) for ids in answers] if as_text else answers

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
