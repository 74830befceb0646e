"""Documents about all people of a world: answers in one go, and in titles, branches and what joins them.

A document is the token tree that decoding makes: a prompt, below it the plain answer, the titles, and
each body behind its title; what follows sees all bodies. So a model learns to go on from branches beside
each other, and from a join.
"""

import random
from typing import NamedTuple

from branchwise.data.types import Group
from branchwise.data.worlds.questions import Draft, profile_of, profiles
from branchwise.data.worlds.wordings import CLAUSES
from branchwise.data.worlds.world import World, make_profiles
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.models.text import continuation_ids_of
from branchwise.prompts import PromptStyle
from branchwise.prompts.outlining import ELLIPSIS, END, MARK, Block, outlined, point, skeleton
from branchwise.prompts.style import numbered
from branchwise.training.sequences import Sequence, Span
from branchwise.training.vocabulary import TURN_END

FEWEST, MOST = 3, 6
"""People of a world."""
DRAFTS = 0.25
"""Share of documents whose answers are in few words, as Chain-of-Draft asks."""
SEEING = 0.5
"""Share of documents whose branches see the titles of the others."""

NEEDED = (MARK, END, ELLIPSIS)
"""Words that the vocabulary has to hold as tokens."""


class _Piece(NamedTuple):
    """Text of a sequence: what it is counted as where it is learned, None where it is given."""

    text: str
    label: str | None = None
    ends_turn: bool = False


class Outlines:
    """Draws such documents; all chance comes from `rng`."""

    def __init__(self, chat: ChatTokenizer, rng: random.Random) -> None:
        self.chat = chat
        self.rng = rng
        self._turn_end = chat.tokenizer.convert_tokens_to_ids(TURN_END)

    def world(self) -> World:
        """A world of people of whom everything is told."""
        return make_profiles(self.rng, self.rng.randint(FEWEST, MOST))

    def outlined(self, world: World, context: str, instruction: str) -> list[Sequence]:
        """An answer in one go, its titles, its branches, the mark behind each, and what joins them."""
        draft = self.rng.random() < DRAFTS
        group, style = self._group(world, context), _style(instruction)
        prompt = self.chat.prompt_ids(outlined(group, group.questions[0], style, draft))
        blocks, tail = _blocks(world, draft), f" In all, {len(profile_of(world))} people."
        name = "draft" if draft else "plain"
        plain = [_Piece(str(block), name) for block in blocks]
        given = [_Piece(MARK)]
        for block in blocks:
            given += [_Piece(f" {block.title}{block.colon}", "title"), _Piece(ELLIPSIS + MARK)]
        sequences = [
            Sequence(prompt, []),
            self._going_on([*plain, _Piece(MARK + END + tail, "tail", True)], (0,)),
            self._going_on([*given, _Piece(END, "end")], (0,)),
        ]
        # Isolated branches go on from the prompt, those that see the titles from these.
        sees = self.rng.random() < SEEING
        before, name = ((2,), f"seen_{name}") if sees else ((0,), f"branch_{name}")
        branches = []
        for block in blocks:
            branches.append(len(sequences))
            pieces = [_Piece(f"{MARK} {block.title}{block.colon}"), _Piece(block.body, name)]
            sequences.append(self._going_on(pieces, before))
        joined = [_Piece(MARK + END), _Piece(tail, "joined", True)]
        sequences.append(self._going_on(joined, tuple(branches)))
        # What ends a branch is learned and seen by nobody: it does not stay there.
        sequences += [self._going_on([_Piece(MARK, "mark")], (branch,)) for branch in branches]
        return sequences

    def points(self, world: World, context: str, instruction: str) -> list[Sequence]:
        """Skeleton-of-Thought: the points of an answer, or each of them behind the same context."""
        group, style = self._group(world, context), _style(instruction)
        question, blocks = group.questions[0], _blocks(world, draft=False)
        titles = [block.title for block in blocks]
        asked = self.chat.prompt_ids(skeleton(group, question, style))
        found = [self._whole(asked, numbered(titles), "skeleton")]
        for number, block in enumerate(blocks, start=1):
            asked = self.chat.prompt_ids(point(group, question, style, titles, number))
            found.append(self._whole(asked, block.body.strip(), "point"))
        return found

    def _group(self, world: World, context: str) -> Group:
        question = profiles(Draft(self.rng, world), 1)[0]
        return Group(id="training", context=context, questions=(question,))

    def _whole(self, prompt: list[int], reply: str, label: str) -> Sequence:
        ids = [*self.chat.encode(reply), self._turn_end]
        return Sequence([*prompt, *ids], [Span(len(prompt), len(ids), label)])

    def _going_on(self, pieces: list[_Piece], after: tuple[int, ...]) -> Sequence:
        ids: list[int] = []
        spans = []
        for piece in pieces:
            own = continuation_ids_of(self.chat.tokenizer, piece.text)
            own += [self._turn_end] * piece.ends_turn
            if piece.label:
                spans.append(Span(len(ids), len(own), piece.label))
            ids += own
        return Sequence(ids, spans, after)


def _style(instruction: str) -> PromptStyle:
    return PromptStyle(instruction=instruction, answer_format="free", outline="made")


def _blocks(world: World, draft: bool) -> list[Block]:
    """A block a person, in the order in which they are told of; of a draft only the values."""
    found = []
    for name, facts in profile_of(world).items():
        clauses = (fact.value if draft else CLAUSES[fact.kind].format(v=fact.value) for fact in facts)
        found.append(Block(name, " " + ", ".join(clauses)))
    return found
