"""Training documents for the tiny model, drawn from worlds of the training split.

A document is a list of token sequences that start alike (the branches of one context) with a mark on
every token that is to be learned. Prompts come from the project's own renderer and chat template, so
what is trained is what is asked.
"""

import random
from typing import NamedTuple

from branchwise.data.types import LETTERS, Group, Question
from branchwise.data.worlds import lexicon, wordings
from branchwise.data.worlds.groups import NEEDED_FACTS
from branchwise.data.worlds.questions import ASKERS, Draft
from branchwise.data.worlds.wordings import STATEMENTS
from branchwise.data.worlds.world import World, make_world, tell
from branchwise.decoding.chat import ChatTokenizer
from branchwise.prompts import PromptStyle, assistant, everything, numbered, single, turn
from branchwise.training.recipe import Stage
from branchwise.training.vocabulary import TURN_END, TURN_START

INSTRUCTIONS = (
    PromptStyle().instruction,
    "Answer from the text. For a choice, give the letter.",
    "Answer the question.",
)


class Span(NamedTuple):
    """A run of learned tokens: where it starts, how long it is, and what it is counted as."""

    start: int
    length: int
    label: str


class Sequence(NamedTuple):
    """Token ids of one branch, context included, with the spans to be learned."""

    ids: list[int]
    spans: list[Span]


def _echo(question: Question) -> Question:
    """A choice that names its own answer: trains matching an option and saying its letter."""
    right = question.options[LETTERS.index(question.golds[0])]
    return question.model_copy(update={"text": f"Which option is {right}?", "kind": "echo"})


class Documents:
    """An endless source of documents; all chance comes from `rng`."""

    def __init__(self, chat: ChatTokenizer, rng: random.Random) -> None:
        self.chat = chat
        self.rng = rng
        to_id = chat.tokenizer.convert_tokens_to_ids
        self._turn_start, self._turn_end = to_id(TURN_START), to_id(TURN_END)
        self._newline = chat.encode("\n")[-1]
        # <|im_start|> assistant \n, in ids: what stands before everything that is learned.
        self._header = chat.encode(f"{TURN_START}assistant\n")
        self._cache: dict[str, list[int]] = {}

    def draw(self, stage: Stage) -> list[Sequence]:
        """One document of `stage`; empty where the world allows none of its questions."""
        layout = self.rng.choices(list(stage.layouts), list(stage.layouts.values()))[0]
        if layout == "pairs":
            return [self._pairs()]
        if layout == "letters":
            return [self._letters()]
        world = self._world(stage)
        if layout == "restated":
            return [self._restated(world)]
        count = self.rng.randint(stage.min_questions, stage.max_questions)
        num_documents = self.rng.choice((1, 1, 1, 1, 1, 1, 3)) if len(world.facts) >= 6 else 1
        context = tell(self.rng, world, num_documents=num_documents)
        style = PromptStyle(instruction=self.rng.choices(INSTRUCTIONS, (6, 1, 1))[0])
        lists = [self._items(Draft(self.rng, world), stage, count)]
        if not lists[0]:
            return []
        if layout in ("single", "known"):
            return self._branches(context, lists[0], style, stage, layout)
        if layout == "turns":
            return [self._turns(context, lists[0], style)]
        # A few lists of questions about one context: reading it is most of the work.
        lists += [self._items(Draft(self.rng, world), stage, count) for _ in range(2)]
        return [self._everything(context, items, style) for items in lists if items]

    def _world(self, stage: Stage) -> World:
        """A share of the worlds states what some kind of the stage needs, as the evaluated ones do."""
        num_facts = self.rng.randint(stage.min_facts, stage.max_facts)
        kinds: tuple[str, ...] = ()
        if self.rng.random() < stage.fitting_worlds:
            kind = self.rng.choices(list(stage.kinds), list(stage.kinds.values()))[0]
            kinds = NEEDED_FACTS.get(kind, ())
        return make_world(self.rng, num_facts, "seen", kinds)

    def _items(self, draft: Draft, stage: Stage, count: int) -> list[list[Question]]:
        """Single questions and chains, until there are `count` items or the world is exhausted."""
        kinds, weights = list(stage.kinds), list(stage.kinds.values())
        items: list[list[Question]] = []
        for _ in range(3 * count):
            if len(items) == count:
                break
            kind = self.rng.choices(kinds, weights)[0]
            item = ASKERS[kind](draft, 2 * len(items) + 1)
            if item:
                items.append(item)
        return items

    def _branches(
        self,
        context: str,
        items: list[list[Question]],
        style: PromptStyle,
        stage: Stage,
        layout: str,
    ) -> list[Sequence]:
        sequences = []
        for item in items:
            question = item[-1]
            known: list[tuple[Question, str]] = []
            if layout == "known" and len(item) == 2:
                known = [(item[0], item[0].golds[0])]
            elif question.kind == "follow_up" or (len(item) == 2 and self.rng.random() < 0.2):
                # Without its history a follow-up has no answer: ask what it follows instead.
                question = item[0]
            question = question.model_copy(update={"needs": ()})
            if question.kind == "choice" and self.rng.random() < stage.echoes:
                question = _echo(question)
            group = Group(id="training", context=context, questions=(question,))
            messages = [*single(group, question, style, known), assistant(question.golds[0])]
            sequences.append(self._supervised(messages, [f"{layout}:{question.kind}"]))
        return sequences

    def _turns(self, context: str, items: list[list[Question]], style: PromptStyle) -> Sequence:
        questions = self._ordered(items)
        group = Group(id="training", context=context, questions=tuple(questions))
        messages: list = []
        for question in questions:
            messages += [turn(question)] if messages else single(group, question, style)
            messages.append(assistant(question.golds[0]))
        return self._supervised(messages, [f"turns:{question.kind}" for question in questions])

    def _everything(self, context: str, items: list[list[Question]], style: PromptStyle) -> Sequence:
        questions = self._ordered(items)
        group = Group(id="training", context=context, questions=tuple(questions))
        reply = numbered([question.golds[0] for question in questions])
        whole = self._supervised([*everything(group, style), assistant(reply)], ["everything"])
        return self._per_line(whole, [f"everything:{question.kind}" for question in questions])

    def _per_line(self, sequence: Sequence, labels: list[str]) -> Sequence:
        """The one span of a reply cut at its lines, each counted by what its question is."""
        start, length, _ = sequence.spans[0]
        ends = [
            index + 1
            for index in range(start, start + length)
            if sequence.ids[index] in (self._newline, self._turn_end)
        ]
        begins = [start, *ends[:-1]]
        lines = zip(begins, ends, labels, strict=True)
        spans = [Span(begin, end - begin, label) for begin, end, label in lines]
        return Sequence(sequence.ids, spans)

    def _ordered(self, items: list[list[Question]]) -> list[Question]:
        """Questions in order; the second of a two-hop chain sometimes waits a few turns."""
        questions: list[Question] = []
        waiting: list[Question] = []
        for item in items:
            questions.append(item[0])
            if len(item) == 2:
                if item[1].kind == "two_hop" and self.rng.random() < 0.35:
                    waiting.append(item[1])
                else:
                    questions.append(item[1])
            elif waiting and self.rng.random() < 0.5:
                questions.append(waiting.pop())
        questions += waiting
        return questions

    def _supervised(self, messages: list, labels: list[str]) -> Sequence:
        """Ids of a conversation; what the assistant says is learned, its end of turn included."""
        ids = self.chat.encode(self.chat.prompt_text(messages, generate=False))
        # The template ends the last turn with a newline that no model has to write.
        while ids[-1] != self._turn_end:
            ids.pop()
        spans = []
        header = self._header
        for start in (i for i, token in enumerate(ids) if token == self._turn_start):
            if ids[start : start + len(header)] == header:
                first = start + len(header)
                length = ids.index(self._turn_end, first) + 1 - first
                spans.append(Span(first, length, labels[len(spans)]))
        assert len(spans) == len(labels), (messages, labels)
        return Sequence(ids, spans)

    def _word(self, text: str) -> list[int]:
        ids = self._cache.get(text)
        if ids is None:
            ids = self._cache[text] = self.chat.encode(text)
        return ids

    def _pairs(self) -> Sequence:
        """Names with values, told three times in new orders: the values are learned from then on."""
        count = self.rng.randint(3, 8)
        names = lexicon.draw_people(self.rng, "seen", count)
        pool = lexicon.JOBS + lexicon.PETS + lexicon.MONTHS + lexicon.DISHES
        pool += lexicon.draw_cities(self.rng, "seen", 8)
        pairs = list(zip(names, self.rng.sample(pool, len(names)), strict=True))
        ids: list[int] = []
        spans = []
        for telling in range(3):
            for name, value in pairs:
                ids += self._word(name)
                if telling:
                    spans.append(Span(len(ids), len(self._word(value)), "pairs"))
                ids += self._word(value)
            self.rng.shuffle(pairs)
        return Sequence(ids, spans)

    def _letters(self) -> Sequence:
        """Lettered options, then the options again in a new order: their letters are learned."""
        count = self.rng.randint(2, 5)
        pool = [*lexicon.draw_people(self.rng, "seen", 4), *lexicon.draw_cities(self.rng, "seen", 4)]
        pool += self.rng.sample(lexicon.JOBS + lexicon.PETS + lexicon.MONTHS + lexicon.NUMBERS, 6)
        pool += [f"{self.rng.choice(lexicon.TASTES)} {dish}" for dish in lexicon.DISHES[:3]]
        options = list(zip(LETTERS, self.rng.sample(pool, count), strict=False))
        ids: list[int] = []
        for letter, value in options:
            ids += self._word(f"\n{letter}. {value}")
        ids += self._word("\n")
        spans = []
        for _ in range(2):
            self.rng.shuffle(options)
            for letter, value in options:
                ids += self._word(value)
                spans.append(Span(len(ids), 1, "letters"))
                ids += self._word(letter)
        return Sequence(ids, spans)

    def _restated(self, world: World) -> Sequence:
        """The facts told three times, reworded and reordered: binding without any question."""
        facts = list(world.facts)
        ids: list[int] = []
        spans = []
        for telling in range(3):
            for fact in facts:
                template = self.rng.choice(STATEMENTS[fact.kind].seen)
                text = template.format(p=fact.subject, r=fact.relation, v=wordings.BLANK)
                before, after = text.split(wordings.BLANK)
                ids += self._word(before.rstrip())
                if telling:
                    spans.append(Span(len(ids), len(self._word(fact.value)), "restated"))
                ids += self._word(fact.value + after)
            self.rng.shuffle(facts)
        return Sequence(ids, spans)
