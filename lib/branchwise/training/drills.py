"""Drills: short documents that train one step of thought at a time, without a real question.

Binding a value to a name, a letter to an option, a fact to its restatement: each stands alone here,
dense with learned tokens, so that the circuits that questions need form early.
"""

import random
from collections import Counter

from branchwise.data.types import LETTERS, Question
from branchwise.data.worlds import lexicon, wordings
from branchwise.data.worlds.wordings import STATEMENTS
from branchwise.data.worlds.world import World
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.training.sequences import Sequence, Span

LETTER_TAILS = ("{v}", "{v} (", "{v} (", "{v} is option")
"""How an option is named before its letter: the letter moves away from the value, tail by tail."""


def echo_text(value: str) -> str:
    """A choice question that names its own answer: it trains matching an option, nothing else."""
    return f"Which option is {value}?"


class Drills:
    """The drills, by the name that a recipe calls them; all chance comes from `rng`."""

    def __init__(self, chat: ChatTokenizer, rng: random.Random) -> None:
        self.chat = chat
        self.rng = rng
        self._cache: dict[str, list[int]] = {}

    def _word(self, text: str) -> list[int]:
        ids = self._cache.get(text)
        if ids is None:
            ids = self._cache[text] = self.chat.encode(text)
        return ids

    def pairs(self) -> Sequence:
        """Names with values, then again in new orders: from then on the value is learned, or, value
        first, the name.
        """
        count = self.rng.randint(3, 8)
        names = lexicon.draw_people(self.rng, "seen", count)
        pool = lexicon.JOBS + lexicon.PETS + lexicon.MONTHS + lexicon.DISHES
        pool += lexicon.draw_cities(self.rng, "seen", 8)
        pairs = list(zip(names, self.rng.sample(pool, len(names)), strict=True))
        ids: list[int] = []
        spans = []
        for name, value in pairs:
            ids += self._word(f"{name} {value}")
        backward = self.rng.random() < 0.5
        # Backward once and in part: a second telling would stand the right way round to be copied.
        sizes = [count // 2 + 1] if backward else [count, count]
        for size in sizes:
            for name, value in self.rng.sample(pairs, size):
                shown, learned = (value, name) if backward else (name, value)
                ids += self._word(shown)
                label = "backward" if backward else "pairs"
                spans.append(Span(len(ids), len(self._word(learned)), label))
                ids += self._word(learned)
        return Sequence(ids, spans)

    def _options(self, count: int) -> list[tuple[str, str]]:
        """Letters with values, one in two of them all of one type, as in a real choice."""
        people, cities = (
            draw(self.rng, "seen", 6) for draw in (lexicon.draw_people, lexicon.draw_cities)
        )
        dishes = tuple(f"{self.rng.choice(lexicon.TASTES)} {dish}" for dish in lexicon.DISHES)
        types = [people, cities, lexicon.JOBS, lexicon.PETS, lexicon.MONTHS, lexicon.NUMBERS, dishes]
        if self.rng.random() < 0.5:
            pool = list(self.rng.choice(types))
        else:
            pool = [self.rng.choice(values) for values in types]
        return list(zip(LETTERS, self.rng.sample(pool, count), strict=False))

    def letters(self) -> Sequence:
        """Lettered options, then some of them again: their letters are learned.

        Few, and each once: neither an earlier telling nor what is left over gives a letter away.
        """
        options = self._options(self.rng.randint(3, 6))
        ids: list[int] = []
        for letter, value in options:
            ids += self._word(f"\n{letter}. {value}")
        ids += self._word("\n")
        spans = []
        backward = self.rng.random() < 0.5
        for letter, value in self.rng.sample(options, len(options) // 2 + 1):
            asked = self.rng.choice(LETTER_TAILS).format(v=value) if backward else f"Option {letter} is"
            answer = self._word(letter if backward else value)
            ids += self._word(asked)
            spans.append(Span(len(ids), len(answer), "letters" if backward else "named"))
            ids += answer
        return Sequence(ids, spans)

    def echo(self, number: int) -> Question:
        """A choice that needs no context: which of these options is this one?"""
        options = self._options(self.rng.randint(2, 4))
        letter, value = self.rng.choice(options)
        values = tuple(text for _, text in options)
        text = echo_text(value)
        return Question(
            id=f"q{number}", text=text, options=values, golds=(letter,), kind="echo", answer="choice"
        )

    def tally(self, text: str, world: World) -> Sequence:
        """A world in words, then its cities, each with the number of people who live there."""
        ids = list(self.chat.encode(text))
        spans = []
        counts = Counter(fact.value for fact in world.of_kind("home"))
        for city in self.rng.sample(list(counts), len(counts)):
            ids += self._word(city)
            number = self._word(str(counts[city]))
            spans.append(Span(len(ids), len(number), "tally"))
            ids += number
        return Sequence(ids, spans)

    def restated(self, world: World) -> Sequence:
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
