"""An outlined answer in the making: pieces of text, blocks of branches, and what went otherwise."""

from asyncio import gather
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from branchwise.data.types import Group, Question
from branchwise.prompts import reading_of
from branchwise.prompts.outlining import (
    COLONS,
    DOTS,
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
from branchwise.strategies.base import OUTLINE, Answered, Desk, Reply
from branchwise.strategies.plain import IN_ONE_GO, written

if TYPE_CHECKING:
    from branchwise.decoding.branches import Branch
    from branchwise.strategies.outline import Options

# What is noted of an answer. With one of the first two it is written in one go.
NO_TITLES = "no_titles"
TOO_MANY = "too_many_branches"
NO_OUTLINE = "no_outline"
WRITTEN_OUT = "blocks_written_out"
NO_END = "no_end_of_the_titles"
EMPTY_TITLE = "empty_title"
REPEATED_TITLE = "repeated_title"
ONE_BRANCH = "one_branch"
MARK_IN_WORD = "mark_in_a_word"
NESTED = "outline_in_an_outline"
CUT_OFF = "cut_off"
CUT_BRANCH = "branch_cut_off"
EMPTY_BRANCH = "empty_branch"
TOO_MANY_BLOCKS = "too_many_blocks"


class _Titles(NamedTuple):
    """Blocks to be written, None where there are none to write; and a branch that sees their titles, or
    that the answer goes on from.
    """

    blocks: list[Block] | None
    seeing: "Branch"


class Writing:
    """One answer in the making: its text so far, the asks that made it, and what went otherwise."""

    def __init__(self, group: Group, question: Question, desk: Desk, options: "Options") -> None:
        self.group, self.question, self.desk, self.options = group, question, desk, options
        self.messages = outlined(group, question, desk.style, options.draft)
        self.gap = words_of(desk.style).gap
        self.marks = (self.gap + MARK, MARK) if self.gap else (MARK,)
        self.rules = desk.rules([question])
        self.left = self.rules.max_new_tokens
        self.text = ""
        self.num_blocks = 0
        self.is_over = False
        self.asks: list[int] = []
        self.notes: list[str] = []

    async def answer(self) -> Answered:
        """The whole answer; written in one go where its outline cannot be used."""
        is_open, trunk = await self._intro(self.desk.open(self.messages))
        while is_open:
            joined = await self._block(trunk)
            if joined is None:
                return await self._in_one_go()
            self.num_blocks += 1
            if self.is_over:
                break
            is_open, trunk = await self._on(joined)
        return self._answered(self.text)

    def _answered(self, raw: str) -> Answered:
        reading = reading_of(raw, self.question, self.desk.style)
        notes = tuple(dict.fromkeys(self.notes))
        return Answered(self.question, reading, raw, tuple(self.asks), notes=notes)

    def _note(self, faults: Mapping[str, bool]) -> None:
        """Note those of some kinds of faults that there are."""
        self.notes += [name for name, is_there in faults.items() if is_there]

    async def _in_one_go(self) -> Answered:
        """As `plain` answers; what was spent on the outline stays on the ledger."""
        self.notes.append(IN_ONE_GO)
        plain = await written(self.group, self.question, self.desk, self.options.draft)
        self.asks += plain.asks
        return self._answered(plain.raw)

    # ----- text between blocks -----

    async def _intro(self, trunk: "Branch") -> "tuple[bool, Branch]":
        """Text before the first block; whether one is opened, and the branch that it goes on from."""
        if self.options.grammar == "free":
            is_open, trunk = await self._on(trunk, first=True)
            if not is_open:
                self.notes.append(NO_OUTLINE)
            return is_open, trunk
        ends = (*self.marks, *COLONS, "\n")
        reply = await self._generate(trunk, "intro", ends, self.left, INTRO, asks=True)
        self._wrote(reply)
        if reply.stop_text in COLONS:
            # A colon belongs to the intro; a mark and a line's end are the beginning of the block.
            self.text += reply.stop_text
            trunk = self._forked(trunk, reply.stop_text)
        return self._has_room(trunk), trunk

    async def _on(self, trunk: "Branch", first: bool = False) -> "tuple[bool, Branch]":
        """Text up to the next block or the end; likewise."""
        may_open = self.num_blocks < self.options.max_blocks
        while self._has_room(trunk):
            ends = self.marks if may_open else ()
            reply = await self._generate(trunk, "answer", ends, self.left, asks=first)
            self._wrote(reply)
            if not may_open:
                self._note({TOO_MANY_BLOCKS: MARK in reply.text})
                return False, trunk
            if reply.stop_text not in self.marks:
                return False, trunk
            if not self._in_word(reply):
                return self._has_room(trunk), trunk
            self.text += MARK
            trunk = self._forked(trunk, MARK)
        return False, trunk

    def _has_room(self, branch: "Branch") -> bool:
        """Whether anything may still be generated behind a branch; notes where nothing may."""
        if self.left > 0 and self.desk.room(branch) > 0:
            return True
        self.notes.append(CUT_OFF)
        return False

    def _wrote(self, reply: Reply) -> None:
        said = reply.text
        self.text += f" {said}" if self.text.endswith(END) and said[:1].strip() else said
        self.left -= len(reply.ids)

    def _in_word(self, reply: Reply) -> bool:
        """Whether the mark behind a reply stands in the middle of a word, where it begins no block. Of
        blocks without a gap between them it cannot be told.
        """
        last = reply.text[-1:]
        if not (self.gap and reply.stop_text == MARK and last.isascii() and last.isalpha()):
            return False
        self.notes.append(MARK_IN_WORD)
        return True

    # ----- a block -----

    async def _block(self, trunk: "Branch") -> "Branch | None":
        """From a mark on: titles, their branches, and the branch that what follows goes on from; None
        where the outline cannot be used.
        """
        gap = self.gap if self.text else ""
        free = self.options.grammar == "free"
        found, seeing = await (self._free_titles if free else self._titles)(trunk, gap)
        if found is None:
            self.desk.release(trunk)
            return seeing
        blocks = [block for block in found if block.title.strip("# ")]
        self._note_faults(found, blocks)
        if not blocks or len(blocks) > self.options.max_branches:
            return None
        base = seeing if self.options.see_titles else trunk
        heads = [gap + blocks[0].head, *(self.gap + block.head for block in blocks[1:])]
        branches = self.desk.fork(base, heads, self.options.positions)
        bodies = await self._bodies(branches)
        whole = (block._replace(body=body) for block, body in zip(blocks, bodies, strict=True))
        self.text += gap + self.gap.join(map(str, whole)) + self.gap + MARK + END
        joined = self._joined(trunk, base, branches)
        for branch in (trunk, seeing, *branches):
            self.desk.release(branch)
        return joined

    def _note_faults(self, found: list[Block], kept: list[Block]) -> None:
        titles = [block.title for block in kept]
        self._note(
            {
                EMPTY_TITLE: len(kept) < len(found),
                REPEATED_TITLE: len(set(titles)) < len(titles),
                NESTED: any("#" in block.title for block in found),
                NO_TITLES: not kept,
                ONE_BRANCH: len(kept) == 1,
                TOO_MANY: len(kept) > self.options.max_branches,
            }
        )

    def _joined(self, trunk: "Branch", base: "Branch", branches: "Sequence[Branch]") -> "Branch":
        """What the answer goes on from: all branches where they are, or their tokens computed anew, one
        behind the other (but what stands where it stood before, such as the prompt).
        """
        behind = self.gap + MARK + END
        if self.options.join == "see":
            return self.desk.join(branches, behind)
        own = [branch.token_ids[base.num_tokens :] for branch in branches]
        ids = [*trunk.token_ids, *chain.from_iterable(own)]
        return self._forked(self.desk.open(ids, like=self.messages), behind)

    def _forked(self, branch: "Branch", text: str) -> "Branch":
        """The branch with a text behind it."""
        (longer,) = self.desk.fork(branch, [text])
        self.desk.release(branch)
        return longer

    async def _titles(self, trunk: "Branch", gap: str) -> _Titles:
        """Titles one by one, held to their form: up to one that comes again, or does not end. Behind a
        block the end may come at once: what follows is plain text.
        """
        head, behind = trunk, gap
        blocks: list[Block] = []
        while True:
            (said,) = self.desk.fork(head, [behind + MARK])
            pattern = title_pattern(first=not blocks and not self.num_blocks)
            budget = min(self.options.title_tokens, max(1, self.left))
            reply = await self._generate(said, OUTLINE, (*COLONS, END), budget, pattern)
            self.left -= len(reply.ids)
            title, colon = reply.text.strip(), reply.stop_text
            if colon not in COLONS or any(title == block.title for block in blocks):
                break
            blocks.append(Block(title, "", colon))
            if head is not trunk:
                self.desk.release(head)
            head, behind = said, colon + ELLIPSIS + self.gap
            if len(blocks) > self.options.max_branches:
                break
        self._note(
            {
                REPEATED_TITLE: colon in COLONS and head is not said,
                NO_END: colon not in (*COLONS, END),
            }
        )
        # Without what ended the titles, if that was no end.
        (seeing,) = self.desk.fork(head, [behind + MARK + END])
        for branch in {head, said} - {trunk}:
            self.desk.release(branch)
        if not blocks and colon == END:
            self.text += gap + MARK + END
            return _Titles(None, seeing)
        return _Titles(blocks, seeing)

    async def _free_titles(self, trunk: "Branch", gap: str) -> _Titles:
        """Titles as the model likes to write them; or the blocks written out, which are text of the
        answer.
        """
        (head,) = self.desk.fork(trunk, [gap + MARK])
        reply = await self._generate(head, OUTLINE, (END,), self.left)
        self.left -= len(reply.ids)
        end = END if reply.stop_text == END else ""
        found = read_outline(reply.text + end)
        seeing = self._forked(head, END) if end else head
        if found.has_end and found.blocks and found.is_titles:
            return _Titles(found.blocks, seeing)
        self._note({WRITTEN_OUT: found.has_end, NO_END: not found.has_end, CUT_OFF: not reply.is_over})
        self.text += gap + MARK + reply.text + end
        self.is_over = not end
        return _Titles(None, seeing)

    async def _bodies(self, branches: "list[Branch]") -> list[str]:
        """What each branch says; `branches` are where they end. All have equal shares of the budget, and
        those that are cut off go on with what the others leave.
        """
        texts = [""] * len(branches)
        in_word: set[int] = set()
        going_on = list(range(len(branches)))
        while going_on and self.left >= len(going_on):
            share = self.left // len(going_on)
            going = [number for number in going_on if self.desk.room(branches[number]) > 0]
            if not going:
                break
            replies = await gather(
                *(self._generate(branches[number], "branch", self.marks, share) for number in going)
            )
            going_on = []
            for number, reply in zip(going, replies, strict=True):
                self.left -= len(reply.ids)
                texts[number] += reply.text
                if number not in in_word and self._in_word(reply):
                    in_word.add(number)
                    branches[number] = self._forked(branches[number], MARK)
                    texts[number] += MARK
                elif reply.is_over:
                    continue
                going_on.append(number)
        self._note(
            {
                CUT_BRANCH: bool(going_on),
                EMPTY_BRANCH: not all(text.strip() for text in texts),
                NESTED: any(END in text for text in texts),
            }
        )
        return texts

    async def _generate(
        self,
        branch: "Branch",
        role: str,
        stop_texts: tuple[str, ...],
        budget: int,
        pattern: str | None = None,
        asks: bool = False,
    ) -> Reply:
        """A piece of the answer; the first of them asks the question. An ellipsis may come only where
        titles may.
        """
        titles = role == OUTLINE or (self.options.grammar == "free" and role == "answer")
        rules = replace(
            self.rules,
            max_new_tokens=budget if asks else min(budget, self.desk.room(branch)),
            stop_texts=(*stop_texts, *self.rules.stop_texts),
            banned_ids=frozenset() if titles else self.desk.tokens_like(DOTS),
            hooks=() if pattern is None else (self.desk.held_to(pattern),),
        )
        questions = [self.question] if asks else []
        reply = await self.desk.generate(branch, questions, role=role, rules=rules)
        self.asks.append(reply.index)
        return reply
