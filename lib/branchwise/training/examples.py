"""Groups as training documents: the prompts that strategies send, each with its right answer."""

import random
from collections.abc import Iterator
from collections.abc import Sequence as Seq

from branchwise.data.types import Group, Question
from branchwise.decoding.held.positions import starts_of
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.models.text import continuation_ids_of
from branchwise.decoding.options import layout_of
from branchwise.errors import UserError
from branchwise.prompts import Message, single
from branchwise.prompts.style import PromptStyle, answer_form, gold_of, reply
from branchwise.training.packing import packed_length, shared_length
from branchwise.training.recipes import Placed, Recipe
from branchwise.training.sequences import Document, Sequence, Span


class Examples:
    """Makes documents of groups, for one recipe, tokenizer and prompt style."""

    def __init__(self, recipe: Recipe, chat: ChatTokenizer, style: PromptStyle) -> None:
        self.recipe = recipe
        self.chat = chat
        self.style = style
        self.num_unsayable = 0
        """Questions that were left out: their answers hold what ends one."""
        self._form = answer_form(style, many=False)
        ends = sorted(chat.turn_end_ids) or [chat.tokenizer.eos_token_id]
        if ends[0] is None and not self._form.stop_texts:
            raise UserError(
                "the tokenizer has no token that ends an answer",
                "use a prompt style that stops at a text (`stop: form`)",
            )
        self._end: int = ends[0]

    def document(self, group: Group) -> Document | None:
        """A branch a question: its prompt, and the answer that is learned, its end included. None where
        no question is left, or not all of those that mix or peek.
        """
        found = [self._sequence(group, question) for question in group]
        sequences = [one for one in found if one is not None]
        self.num_unsayable += len(found) - len(sequences)
        recipe = self.recipe
        peeks = isinstance(recipe, Placed) and recipe.peek
        if not sequences or (len(sequences) < len(found) and (recipe.mixes or peeks)):
            return None
        return Document(sequences, group.id, recipe.mixes, peeks)

    def _sequence(self, group: Group, question: Question) -> Sequence | None:
        messages = single(group, question, self.style)
        prompt = self.chat.prompt_ids(messages, form=self._form.form, begun=self._form.begun)
        answer = self._answer_ids(messages, prompt, question)
        if answer is None:
            return None
        ids, end = [*prompt, *answer[:-1]], answer[-1]
        return Sequence(ids, [Span(len(prompt), len(answer) - 1, question.kind)], end=end)

    def _answer_ids(
        self, messages: Seq[Message], prompt: Seq[int], question: Question
    ) -> list[int] | None:
        """What is to be said behind the prompt, up to what ends it: as the tokenizer reads both in one
        text, wherever that leaves the prompt's ids as they are. None for an answer that would end before
        it is said.
        """
        form = self._form
        said = reply(self.style, [gold_of(question)], many=False)
        begun = form.begun.strip()
        if begun and said.startswith(begun):
            said = said[len(begun) :]
        if form.stop_texts:
            # The text that ends it may be part of the reply already (a closing tag).
            said, _, rest = said.partition(form.stop_texts[0])
            if rest or any(stop in said for stop in form.stop_texts):
                return None
            said += form.stop_texts[0]
        whole = self.chat.prompt_ids(messages, form=form.form, begun=form.begun + said)
        if whole[: len(prompt)] == list(prompt):
            answer = whole[len(prompt) :]
        else:
            answer = continuation_ids_of(self.chat.tokenizer, said)
        return answer if form.stop_texts else [*answer, self._end]


def placed(document: Document, recipe: Placed) -> list[Sequence]:
    """A document's sequences where a fork of a tree decoder with these positions puts them."""
    sequences = list(document.sequences)
    # What goes on after the trunk, and what parts from it.
    after = [number for number, one in enumerate(sequences) if one.after]
    branches = after or list(range(len(sequences)))
    shared = 0 if after else shared_length(sequences, document.is_apart)
    # What is given of each: questions end together, paragraphs, of which nothing is, begin together.
    rests = [sequences[number].ids[shared : sequences[number].num_prompt] for number in branches]
    stride = recipe.grid.stride if recipe.positions.startswith("grid2d") else 0
    for place, (number, start) in enumerate(
        zip(branches, starts_of(rests, 0, layout_of(recipe.positions)), strict=True)
    ):
        sequences[number] = sequences[number]._replace(shift=start, x=place * stride)
    return sequences


class Stream:
    """Documents in an endless order, epoch by epoch, packed into rows: row n is the same whoever asks,
    so that training goes on anywhere, and on any number of processes.
    """

    def __init__(self, documents: Seq[Document], row_tokens: int, recipe: Recipe) -> None:
        self.row_tokens = row_tokens
        self.seed = recipe.seed
        cut = [_fitting(document, row_tokens) for document in documents]
        self.documents = [document for document in cut if document is not None]
        if isinstance(recipe, Placed):
            # Only now it is known which branches stand beside each other.
            self.documents = [one._replace(sequences=placed(one, recipe)) for one in self.documents]
        self.num_left_out = len(documents) - len(self.documents)
        """Documents of which no branch fits a row."""
        whole = {document.name: len(document.sequences) for document in documents}
        self.num_cut = sum(len(one.sequences) < whole[one.name] for one in self.documents)
        """Documents of which some branches do not fit beside the others."""
        if not self.documents:
            raise UserError(
                f"none of {len(documents)} documents fits a row of {row_tokens} tokens",
                "raise `row_tokens` in the recipe",
            )
        self._rows: list[list[Document]] = []
        self._epoch = 0

    def row(self, number: int) -> list[Document]:
        """The documents of a row."""
        while number >= len(self._rows):
            self._rows += self._packed(self._epoch)
            self._epoch += 1
        return self._rows[number]

    def rows_in_order(self) -> list[list[Document]]:
        """All documents once, in their own order."""
        return list(_filled(self.documents, self.row_tokens))

    def _packed(self, epoch: int) -> list[list[Document]]:
        order = list(self.documents)
        random.Random(f"stream/{self.seed}/{epoch}").shuffle(order)
        return list(_filled(order, self.row_tokens))


def _fitting(document: Document, room: int) -> Document | None:
    """A document with as many of its branches as fit; None where not one does. No answer is cut."""
    sequences = list(document.sequences)
    while packed_length(sequences, document.is_apart) > room:
        if document.mixes or document.peeks or len(sequences) == 1:
            # Without one of them the others would be another document.
            return None
        sequences.pop()
    return document._replace(sequences=sequences) if any(one.spans for one in sequences) else None


def _filled(documents: Seq[Document], row_tokens: int) -> Iterator[list[Document]]:
    """Rows, each as full as the next documents in turn fill it; some wait for one with room."""
    waiting: list[Document] = []
    left = list(reversed(documents))
    while left or waiting:
        row: list[Document] = []
        room = row_tokens
        passed: list[Document] = []
        while waiting or left:
            document = waiting.pop(0) if waiting else left.pop()
            length = packed_length(document.sequences, document.is_apart)
            if length <= room:
                row.append(document)
                room -= length
            else:
                passed.append(document)
                if len(passed) == _MOST_WAITING:
                    break
        waiting = passed + waiting
        yield row


_MOST_WAITING = 4
