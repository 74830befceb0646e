"""Dependencies that a language model says."""

import asyncio
from collections.abc import Sequence
from typing import Any

from branchwise.cells.asker import Asker
from branchwise.cells.asks import asked_s, tokens_of
from branchwise.cells.generators.base import Found
from branchwise.data.types import Group
from branchwise.decoding.contract import is_remote
from branchwise.decoding.loop import run
from branchwise.decoding.requests import Completion, Rules
from branchwise.dependencies.entries import LlmEntry
from branchwise.dependencies.heuristic import heuristic_edges
from branchwise.dependencies.llm import planning_messages, read_edges, reply_pattern
from branchwise.errors import DoesNotFit


class Planner:
    """Asks a model which question needs which. What cannot be read is replaced by the heuristic, and
    named.
    """

    def __init__(self, entry: LlmEntry, asker: Asker) -> None:
        self.entry = entry
        self.asker = asker

    def __call__(self, group: Group) -> Found:
        """What the model says of a group."""
        decoder = self.asker.decoder
        before = decoder.num_forward_passes
        (completion,) = self._planned([group])
        text = self.asker.text(completion, self.entry.constrained)
        read = read_edges(text, [question.id for question in group], self.entry.reply)
        facts: dict[str, Any] = {
            "tokens": tokens_of(completion),
            "forward_passes": decoder.num_forward_passes - before,
            "raw": text,
        }
        # A served model's time is that of the asking, which may have been before.
        took_s = asked_s(completion) or None
        if read.edges is None:
            edges, fallback = heuristic_edges(group), f"heuristic: {read.problem}"
            return Found(edges, took_s, fallback=fallback, **facts)
        return Found(read.edges, took_s, num_dropped=read.num_dropped, **facts)

    def ahead(self, groups: Sequence[Group]) -> None:
        """Ask a served model of all groups at once: what it says is kept, and each group has it at hand.
        Of one that computes here each group is asked, and timed, by itself.
        """
        if is_remote(self.asker.decoder):
            self._planned(groups)

    def _planned(self, groups: Sequence[Group]) -> list[Completion]:
        decoder = self.asker.decoder

        async def every() -> list[Completion]:
            return list(await asyncio.gather(*map(self._ask, groups)))

        with decoder.attached():
            try:
                return run(every(), decoder.step)
            finally:
                for group in groups:
                    decoder.close(group.id)

    async def _ask(self, group: Group) -> Completion:
        entry, asker = self.entry, self.asker
        prompt = asker.prompt(planning_messages(group, entry.reply, entry.sees_passage))
        if not asker.fits(prompt, entry.max_new_tokens):
            raise DoesNotFit(
                f"group {group.id}: planning takes {len(prompt.ids)} tokens and {entry.max_new_tokens} "
                f"new ones, the model's context is {asker.decoder.max_context}",
                "use smaller groups"
                if not entry.sees_passage
                else "set sees_passage: false, or use smaller groups",
            )
        pattern = reply_pattern(len(group), entry.reply) if entry.constrained else None
        return await asker.ask(prompt, Rules(entry.max_new_tokens), group.id, pattern)


def generator(entry: LlmEntry, asker: Asker) -> Planner:
    """The planner of an entry."""
    return Planner(entry, asker)
