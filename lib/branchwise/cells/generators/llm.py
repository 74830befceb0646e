"""Dependencies that a language model says."""

from typing import Any

from branchwise.cells.asks import tokens_of
from branchwise.cells.generators.base import Found, Generator
from branchwise.data.types import Group
from branchwise.decoding.constrained import constrained_to
from branchwise.decoding.contract import BranchingDecoder
from branchwise.decoding.decoders.tree import TreeEntry
from branchwise.decoding.loop import run
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.models.source import ModelSource
from branchwise.decoding.requests import Completion, Hook, Rules
from branchwise.dependencies.entries import LlmEntry
from branchwise.dependencies.heuristic import heuristic_edges
from branchwise.dependencies.llm import planning_messages, read_edges, reply_pattern
from branchwise.errors import DoesNotFit


def generator(entry: LlmEntry, source: ModelSource) -> Generator:
    """Asks the model. What cannot be read is replaced by the heuristic, and named."""
    # A planner may be held to a form, which the tree decoder can.
    decoder = TreeEntry(kind="tree", packed_weights=None).make(source)
    return planner(entry, source.loaded.chat, decoder)


def planner(entry: LlmEntry, chat: ChatTokenizer, decoder: BranchingDecoder) -> Generator:
    """The generator around a decoder that there is already."""

    def generate(group: Group) -> Found:
        before = decoder.num_forward_passes
        completion, text = _planned(group, entry, chat, decoder)
        read = read_edges(text, [question.id for question in group], entry.reply)
        facts: dict[str, Any] = {
            "tokens": tokens_of(completion),
            "forward_passes": decoder.num_forward_passes - before,
            "raw": text,
        }
        if read.edges is None:
            return Found(heuristic_edges(group), fallback=f"heuristic: {read.problem}", **facts)
        return Found(read.edges, num_dropped=read.num_dropped, **facts)

    return generate


def _planned(
    group: Group, entry: LlmEntry, chat: ChatTokenizer, decoder: BranchingDecoder
) -> tuple[Completion, str]:
    ids = chat.prompt_ids(planning_messages(group, entry.reply, entry.sees_passage))
    limit = decoder.max_context
    if len(ids) + entry.max_new_tokens > limit:
        raise DoesNotFit(
            f"group {group.id}: planning takes {len(ids)} tokens and {entry.max_new_tokens} new "
            f"ones, the model's context is {limit}",
            "use smaller groups"
            if not entry.sees_passage
            else "set sees_passage: false, or use smaller groups",
        )
    hooks: tuple[Hook, ...] = ()
    if entry.constrained:
        pattern = reply_pattern(len(group), entry.reply)
        hooks = (constrained_to(pattern, chat.tokenizer, decoder.stop_ids),)
    rules = Rules(entry.max_new_tokens, hooks=hooks)

    async def plan() -> Completion:
        return await decoder.generate(decoder.open(ids, group.id), rules)

    with decoder.attached():
        try:
            completion = run(plan(), decoder.step)
        finally:
            decoder.close(group.id)
    # A pattern leaves no room for a thought, so there is none to cut off.
    read = chat.decode if entry.constrained else chat.answer_text
    return completion, read(completion.ids)
