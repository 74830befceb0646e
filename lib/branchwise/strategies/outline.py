"""Parallel decoding within one sequence (Yu, EMNLP 2025): an answer branches while it is written.

The model writes an intro and the titles of independent steps; the titles are forked, all steps are
written at once, what follows sees all of them, and may open the next block of steps. The published way
writes titles a token at a time, keeps finished branches running and computes all branches anew before it
goes on; here titles are prefilled, branches leave when they end, and `join` decides what goes on.
"""

from asyncio import gather
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from branchwise.data.types import Group, Question
from branchwise.decoding.options import Layout
from branchwise.prompts import reading_of
from branchwise.prompts.outlining import (
    COLONS,
    ELLIPSIS,
    END,
    INTRO,
    MARK,
    Block,
    outlined,
    read_outline,
    title_pattern,
    words_of,
)
from branchwise.records import Record
from branchwise.strategies.base import Answered, Desk, Reply
from branchwise.strategies.plain import ellipsis_ids

if TYPE_CHECKING:
    from branchwise.decoding.branches import Branch

# What is noted of an answer. With one of the first two it is written in one go.
NO_TITLES = "no_titles"
TOO_MANY = "too_many_branches"
IN_ONE_GO = "written_in_one_go"
NO_OUTLINE = "no_outline"
WRITTEN_OUT = "blocks_written_out"
NO_END = "no_end_of_the_titles"
EMPTY_TITLE = "empty_title"
REPEATED_TITLE = "repeated_title"
ONE_BRANCH = "one_branch"
MARK_IN_WORD = "mark_in_a_word"
NESTED = "outline_in_an_outline"
CUT_BRANCH = "branch_cut_off"
EMPTY_BRANCH = "empty_branch"
TOO_MANY_BLOCKS = "too_many_blocks"


HINTS = True
"""Prompts say how a data set has its questions worked through."""


class Options(Record):
    """How an answer is split and put together."""

    grammar: Literal["enforced", "free"] = Field(
        "enforced",
        description="enforced: the model is held to an intro of one line, titles and their end, and the "
        "ellipsis behind each colon is given; free: it writes as it likes, and is split where it gives "
        "titles alone.",
    )
    join: Literal["see", "recompute"] = Field(
        "see",
        description="see: what follows sees the branches where they are; recompute: they are computed "
        "anew, one behind the other, as published.",
    )
    see_titles: bool = Field(False, description="Whether a branch sees the titles of the others.")
    positions: Layout | None = Field(
        None, description="Where branches stand; null: as the decoder's entry says."
    )
    draft: bool = Field(False, description="Whether the prompt asks for few words a step.")
    max_branches: int = Field(
        64, ge=1, description="Titles beyond which the answer is written in one go."
    )
    max_blocks: int = Field(8, ge=1, description="Blocks of branches that an answer may open.")
    title_tokens: int = Field(48, ge=1, description="Most tokens of a title.")


async def strategy(group: Group, desk: Desk, options: Options) -> AsyncIterator[Answered]:
    """The questions of a group all at the same time."""
    for answer in await gather(*(_answer(group, one, desk, options) for one in group)):
        yield answer


async def _answer(group: Group, question: Question, desk: Desk, options: Options) -> Answered:
    return await _Writing(group, question, desk, options).answer()


class _Writing:
    """One answer in the making: its text so far, the asks that made it, and what went otherwise."""

    def __init__(self, group: Group, question: Question, desk: Desk, options: Options) -> None:
        self.question, self.desk, self.options = question, desk, options
        self.messages = outlined(group, question, desk.style, options.draft)
        self.words = words_of(desk.style)
        self.rules = replace(desk.rules([question]), banned_ids=ellipsis_ids(desk))
        self.left = self.rules.max_new_tokens
        self.text = ""
        self.asks: list[int] = []
        self.notes: list[str] = []

    async def answer(self) -> Answered:
        """The whole answer; written in one go where its outline cannot be used."""
        trunk = self.desk.open(self.messages)
        block_open, trunk = await self._intro(trunk)
        while block_open:
            if self.text.count(END) >= self.options.max_blocks:
                self.notes.append(TOO_MANY_BLOCKS)
                break
            joined = await self._block(trunk)
            if joined is None:
                return await self._in_one_go()
            if self.left <= 0:
                break
            block_open, trunk = await self._on(joined)
        return self._answered(self.text)

    def _answered(self, raw: str) -> Answered:
        reading = reading_of(raw, self.question, self.desk.style)
        notes = tuple(dict.fromkeys(self.notes))
        return Answered(self.question, reading, raw, tuple(self.asks), notes=notes)

    async def _in_one_go(self) -> Answered:
        """What `plain` would answer; what was spent on the outline stays on the ledger."""
        self.notes.append(IN_ONE_GO)
        reply = await self.desk.ask(self.messages, [self.question], rules=self.rules)
        self.asks.append(reply.index)
        return self._answered(reply.text)

    # ----- text between blocks -----

    async def _intro(self, trunk: "Branch") -> "tuple[bool, Branch]":
        """Text before the first block; whether one is opened, and the branch that it goes on from."""
        if self.options.grammar == "free":
            block_open, trunk = await self._on(trunk, first=True)
            if not block_open:
                self.notes.append(NO_OUTLINE)
            return block_open, trunk
        ends = (MARK, *COLONS, "\n")
        reply = await self._generate(trunk, "intro", ends, self.left, INTRO, asks=True)
        self._wrote(reply)
        if reply.stop_text in COLONS:
            # A colon belongs to the intro; a mark and a line's end are the beginning of the block.
            self.text += reply.stop_text
            (trunk,) = self.desk.fork(trunk, [reply.stop_text])
        return True, trunk

    async def _on(self, trunk: "Branch", first: bool = False) -> "tuple[bool, Branch]":
        """Text up to the next block or the end; likewise."""
        while True:
            reply = await self._generate(trunk, "answer", (MARK,), self.left, asks=first)
            self._wrote(reply)
            if reply.stop_text is None or self.left <= 0:
                return False, trunk
            if not self._in_word(reply.text):
                return True, trunk
            self.text += MARK
            (trunk,) = self.desk.fork(trunk, [MARK])

    def _wrote(self, reply: Reply) -> None:
        said = reply.text
        self.text += f" {said}" if self.text.endswith(END) and said[:1].strip() else said
        self.left -= len(reply.ids)

    def _in_word(self, text: str) -> bool:
        """Whether a mark behind a text stands in the middle of a word, where it begins no block; blocks
        without a gap between them may not be told so.
        """
        if not (self.words.gap and text[-1:].isalnum()):
            return False
        self.notes.append(MARK_IN_WORD)
        return True

    # ----- a block -----

    async def _block(self, trunk: "Branch") -> "Branch | None":
        """From a mark on: titles, their branches, and the branch that what follows goes on from; None
        where the outline cannot be used.
        """
        self.text = self.text.rstrip() if self.words.gap else self.text
        gap = self.words.gap if self.text else ""
        free = self.options.grammar == "free"
        found, seeing = await (self._free_titles if free else self._titles)(trunk, gap)
        if found is None:
            # Written out, and behind its end: what follows is plain text, too.
            return seeing
        blocks = [block for block in found if block.title.strip("# ")]
        self._note_faults(found, blocks)
        if not blocks or len(blocks) > self.options.max_branches:
            return None
        base = seeing if self.options.see_titles else trunk
        heads = [gap + blocks[0].head, *(self.words.gap + block.head for block in blocks[1:])]
        branches = self.desk.fork(base, heads, self.options.positions)
        pairs = zip(branches, blocks, strict=True)
        written = await gather(*(self._body(branch, block) for branch, block in pairs))
        whole = (block._replace(body=body) for block, (_, body) in zip(blocks, written, strict=True))
        self.text += gap + self.words.gap.join(map(str, whole)) + self.words.gap + MARK + END
        return self._joined(trunk, base, [branch for branch, _ in written])

    def _note_faults(self, found: list[Block], kept: list[Block]) -> None:
        faults = {
            EMPTY_TITLE: len(kept) < len(found),
            NESTED: any("#" in block.title for block in found),
            NO_TITLES: not kept,
            ONE_BRANCH: len(kept) == 1,
            TOO_MANY: len(kept) > self.options.max_branches,
        }
        self.notes += [name for name, is_there in faults.items() if is_there]

    def _joined(self, trunk: "Branch", base: "Branch", branches: "list[Branch]") -> "Branch":
        """What the answer goes on from: all branches where they are, or their tokens computed anew, one
        branch behind the other.
        """
        behind = self.desk.ids_of(self.words.gap + MARK + END)
        if self.options.join == "see":
            return self.desk.join(branches, behind)
        own = [branch.token_ids[base.num_tokens :] for branch in branches]
        ids = [*trunk.token_ids, *chain.from_iterable(own), *behind]
        return self.desk.open(ids, like=self.messages)

    async def _titles(self, trunk: "Branch", gap: str) -> "tuple[list[Block], Branch]":
        """Titles one by one, held to their form; and a branch that holds all of them and their end."""
        (head,) = self.desk.fork(trunk, [gap + MARK])
        blocks: list[Block] = []
        while True:
            ends = (*COLONS, END)
            pattern = title_pattern(first=not blocks)
            reply = await self._generate(head, "outline", ends, self.options.title_tokens, pattern)
            title = reply.text.strip()
            if reply.stop_text == END or reply.stop_text is None:
                self.notes += [NO_END] * (reply.stop_text is None)
                break
            if any(title == block.title for block in blocks):
                self.notes.append(REPEATED_TITLE)
                break
            blocks.append(Block(title, "", reply.stop_text))
            if len(blocks) > self.options.max_branches:
                break
            (head,) = self.desk.fork(head, [reply.stop_text + ELLIPSIS + self.words.gap + MARK])
        (seeing,) = self.desk.fork(head, [END])
        return blocks, seeing

    async def _free_titles(self, trunk: "Branch", gap: str) -> "tuple[list[Block] | None, Branch]":
        """Titles as the model likes to write them, and likewise. None where it has written the blocks
        out, with the branch that holds them: then they are the answer's text.
        """
        (head,) = self.desk.fork(trunk, [gap + MARK])
        reply = await self._generate(head, "outline", (END,), max(1, self.left))
        end = reply.stop_text or ""
        found = read_outline(reply.text + end)
        (seeing,) = self.desk.fork(head, [END])
        if found.has_end and found.blocks and found.is_titles:
            return found.blocks, seeing
        self.notes.append(WRITTEN_OUT if found.has_end else NO_END)
        self.text += gap + MARK + reply.text + end
        self.left = self.left - len(reply.ids) if found.has_end else 0
        return None, seeing

    async def _body(self, branch: "Branch", block: Block) -> "tuple[Branch, str]":
        """What a branch says, and where it ends."""
        text, left = "", self.rules.max_new_tokens
        while True:
            reply = await self._generate(branch, "branch", (MARK,), left)
            text, left = text + reply.text, left - len(reply.ids)
            is_cut = not reply.is_over or left <= 0
            if is_cut or reply.stop_text is None or not self._in_word(reply.text):
                break
            (branch,) = self.desk.fork(branch, [MARK])
            text += MARK
        faults = {CUT_BRANCH: is_cut, EMPTY_BRANCH: not text.strip(), NESTED: END in text}
        self.notes += [name for name, is_there in faults.items() if is_there]
        return branch, text

    async def _generate(
        self,
        branch: "Branch",
        role: str,
        stop_texts: tuple[str, ...],
        budget: int,
        pattern: str | None = None,
        asks: bool = False,
    ) -> Reply:
        """A piece of the answer; the first of them asks the question."""
        hooks = () if pattern is None else (self.desk.held_to(pattern),)
        stop_texts = (*stop_texts, *self.rules.stop_texts)
        rules = replace(self.rules, max_new_tokens=budget, stop_texts=stop_texts, hooks=hooks)
        questions = [self.question] if asks else []
        reply = await self.desk.generate(branch, questions, role=role, rules=rules)
        self.asks.append(reply.index)
        return reply
