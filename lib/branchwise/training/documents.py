"""Training documents for the tiny model, drawn from worlds of the training split.

A document is a list of token sequences that start alike (the branches of one context) with a mark on
every token that is to be learned. Prompts come from the project's own renderer and chat template, so
what is trained is what is asked.
"""

import random

from branchwise.data.types import LETTERS, Group, Question
from branchwise.data.worlds.groups import NEEDED_FACTS, Kind
from branchwise.data.worlds.questions import ASKERS, Draft
from branchwise.data.worlds.world import World, make_world, tell
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.prompts import PromptStyle, assistant, everything, numbered, single, turn
from branchwise.training.drills import Drills, echo_text
from branchwise.training.noise import add_noise
from branchwise.training.outlines import Outlines
from branchwise.training.recipe import Stage
from branchwise.training.sequences import Sequence, Span
from branchwise.training.vocabulary import TURN_END, TURN_START

INSTRUCTIONS = (
    PromptStyle().instruction,
    "Answer from the text. For a choice, give the letter.",
    "Answer the question.",
)

CITY_FACTS = (("city",), ("home", "city"))
"""What a world made for facts about cities states first: with homes there are chains to them."""

FITTED = 4.0
"""How much likelier a world made for a kind of question is asked that kind."""


def _echo(question: Question) -> Question:
    """A choice that names its own answer: trains matching an option and saying its letter."""
    right = question.options[LETTERS.index(question.golds[0])]
    return question.model_copy(update={"text": echo_text(right), "kind": "echo"})


def reply_to(question: Question) -> str:
    """What the model is to say: the answer; for a choice the option's words before its letter, so that
    finding the answer and finding its letter are two steps.
    """
    if question.answer != "choice":
        return question.golds[0]
    (letter,) = question.golds
    return f"{question.options[LETTERS.index(letter)]} ({letter})"


def _stated_only(question: Question, world: World) -> Question:
    """A choice among what the world states alone: that an option occurs in the text says nothing."""
    right = question.options[LETTERS.index(question.golds[0])]
    stated = {fact.value for fact in world.facts}
    options = tuple(option for option in question.options if option in stated)
    return question.model_copy(update={"options": options, "golds": (LETTERS[options.index(right)],)})


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
        self.drills = Drills(chat, rng)
        self.outlines = Outlines(chat, rng)

    def draw(self, stage: Stage) -> list[Sequence]:
        """One document of `stage`; empty where the world allows none of its questions."""
        layout = self.rng.choices(list(stage.layouts), list(stage.layouts.values()))[0]
        if layout == "pairs":
            return [self.drills.pairs()]
        if layout == "letters":
            return [self.drills.letters()]
        if layout == "options":
            return [self._echoes()]
        if layout == "tally":
            num_facts = self.rng.randint(stage.min_facts, stage.max_facts)
            world = make_world(self.rng, num_facts, "seen", NEEDED_FACTS["count"])
            return [self.drills.tally(self._tell(world, stage), world)]
        if layout in ("outlined", "points"):
            world = self.outlines.world()
            context = self._tell(world, stage)
            draw = self.outlines.outlined if layout == "outlined" else self.outlines.points
            return draw(world, context, INSTRUCTIONS[0])
        world, fitted = self._world(stage)
        if layout == "restated":
            return [self.drills.restated(world)]
        count = self.rng.randint(stage.min_questions, stage.max_questions)
        context = self._tell(world, stage)
        style = PromptStyle(instruction=self.rng.choices(INSTRUCTIONS, (6, 1, 1))[0])
        weights = self._weights(stage, fitted)
        lists = [self._items(Draft(self.rng, world), weights, count, stage)]
        if not lists[0]:
            return []
        if layout in ("single", "known"):
            return self._branches(context, lists[0], style, stage, layout)
        if layout == "turns":
            return [self._turns(context, lists[0], style)]
        # A few lists of questions about one context: reading it is most of the work.
        lists += [self._items(Draft(self.rng, world), weights, count, stage) for _ in range(2)]
        return [self._everything(context, items, style) for items in lists if items]

    def _world(self, stage: Stage) -> tuple[World, Kind | None]:
        """A world, and the kind that it was made for, if any: a share of the worlds states what some
        kind of the stage needs, as the evaluated ones do.
        """
        num_facts = self.rng.randint(stage.min_facts, stage.max_facts)
        kinds = {kind: weight for kind, weight in stage.kinds.items() if kind in NEEDED_FACTS}
        if kinds and self.rng.random() < stage.fitting_worlds:
            kind = self.rng.choices(list(kinds), list(kinds.values()))[0]
            return make_world(self.rng, num_facts, "seen", NEEDED_FACTS[kind]), kind
        about = self.rng.choice(CITY_FACTS) if self.rng.random() < stage.city_worlds else ()
        return make_world(self.rng, num_facts, "seen", about), None

    def _weights(self, stage: Stage, fitted: Kind | None) -> dict[Kind, float]:
        """Weights of the kinds that a document asks: all of the stage, or one alone in the stage's share
        of such documents.
        """
        weights = dict(stage.kinds)
        if fitted:
            weights[fitted] *= FITTED
        # No chance is spent where there is no such share: a stage without it draws what it always drew.
        if stage.one_kind:
            mixed = max(0.0, 1 - sum(stage.one_kind.values()))
            kind = self.rng.choices([*stage.one_kind, None], [*stage.one_kind.values(), mixed])[0]
            if kind:
                return {kind: 1.0}
        return weights

    def _tell(self, world: World, stage: Stage) -> str:
        """The world in words, as one paragraph or several documents."""
        num_documents = self.rng.choice((1, 1, 1, 1, 1, 1, 3)) if len(world.facts) >= 6 else 1
        text = tell(self.rng, world, num_documents=num_documents)
        return add_noise(self.rng, text) if self.rng.random() < stage.noisy_texts else text

    def _items(
        self, draft: Draft, weights: dict[Kind, float], count: int, stage: Stage
    ) -> list[list[Question]]:
        """Single questions and chains, until there are `count` items or the world is exhausted."""
        kinds, shares = list(weights), list(weights.values())
        items: list[list[Question]] = []
        for _ in range(3 * count):
            if len(items) == count:
                break
            kind = self.rng.choices(kinds, shares)[0]
            item = ASKERS[kind](draft, 2 * len(items) + 1)
            if kind == "choice" and item and self.rng.random() < stage.stated_only:
                item = [_stated_only(item[0], draft.world)]
            if item:
                items.append([self._maybe_noisy(question, stage) for question in item])
        return items

    def _maybe_noisy(self, question: Question, stage: Stage) -> Question:
        """The question, in a share of cases with noise in its text."""
        if self.rng.random() >= stage.noisy_texts:
            return question
        return question.model_copy(update={"text": add_noise(self.rng, question.text)})

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
                known = [(item[0], reply_to(item[0]))]
            elif question.kind == "follow_up" or (len(item) == 2 and self.rng.random() < 0.2):
                # Without its history a follow-up has no answer: ask what it follows instead.
                question = item[0]
            question = question.model_copy(update={"needs": ()})
            if question.kind == "choice" and self.rng.random() < stage.echoes:
                question = _echo(question)
            group = Group(id="training", context=context, questions=(question,))
            messages = [*single(group, question, style, known), assistant(reply_to(question))]
            sequences.append(self._supervised(messages, [f"{layout}:{question.kind}"]))
        return sequences

    def _turns(self, context: str, items: list[list[Question]], style: PromptStyle) -> Sequence:
        questions = self._ordered(items)
        group = Group(id="training", context=context, questions=tuple(questions))
        messages: list = []
        for question in questions:
            messages += [turn(question)] if messages else single(group, question, style)
            messages.append(assistant(reply_to(question)))
        return self._supervised(messages, [f"turns:{question.kind}" for question in questions])

    def _echoes(self) -> Sequence:
        """A conversation of nothing but echoes, as the prompts of real choices are written."""
        echoes = [[self.drills.echo(number)] for number in range(4)]
        sequence = self._turns("", echoes, PromptStyle())
        return Sequence(sequence.ids, [span._replace(label="options:echo") for span in sequence.spans])

    def _everything(self, context: str, items: list[list[Question]], style: PromptStyle) -> Sequence:
        questions = self._ordered(items)
        group = Group(id="training", context=context, questions=tuple(questions))
        reply = numbered([reply_to(question) for question in questions])
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
        ids = self.chat.prompt_ids(messages, generate=False)
        # The template ends the last turn with a newline that no model has to write.
        while ids[-1] != self._turn_end:
            ids.pop()
        spans: list[Span] = []
        header = self._header
        for start in (i for i, token in enumerate(ids) if token == self._turn_start):
            if ids[start : start + len(header)] == header:
                first = start + len(header)
                length = ids.index(self._turn_end, first) + 1 - first
                spans.append(Span(first, length, labels[len(spans)]))
        assert len(spans) == len(labels), (messages, labels)
        return Sequence(ids, spans)
