"""A small world: people, cities and facts about them, drawn so that no answer follows from its type.

Every kind of fact that is stated at all is stated for at least two subjects with different values,
so "some city" is never enough to answer "where does Mara live?": the reader must find Mara.
"""

import random
from dataclasses import dataclass, field
from typing import NamedTuple

from branchwise.data.worlds import lexicon
from branchwise.data.worlds.lexicon import NameSplit
from branchwise.data.worlds.wordings import STATEMENTS, Wordings, WordingSplit

PROFILE = ("home", "job", "pet", "food", "coins")
"""Kinds of facts that are about a person and whose value is not a person, in the order of a profile."""


class Fact(NamedTuple):
    """`subject`'s `kind` (or its `relation`) is `value`: ("home", "Mara", None, "Ashton")."""

    kind: str
    subject: str
    relation: str | None
    value: str


@dataclass(frozen=True)
class World:
    """People, cities and the facts stated about them, in the order in which they are told."""

    people: tuple[str, ...]
    cities: tuple[str, ...]
    facts: tuple[Fact, ...]
    _by_key: dict[tuple[str, str], Fact] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_key = {(fact.kind, fact.subject): fact for fact in self.facts}
        object.__setattr__(self, "_by_key", by_key)

    def fact(self, kind: str, subject: str) -> Fact | None:
        """The fact of this kind about `subject`, if it is stated."""
        return self._by_key.get((kind, subject))

    def of_kind(self, kind: str) -> list[Fact]:
        """All stated facts of one kind, in the order in which they are told."""
        return [fact for fact in self.facts if fact.kind == kind]

    def type_guess(self, kind: str, answer: str) -> float:
        """Chance that a value drawn from the stated facts of `kind`, whoever they are about, is
        `answer`: what a reader who ignores the subject scores.
        """
        values = [fact.value for fact in self.of_kind(kind)]
        return values.count(answer) / len(values)


def wording(rng: random.Random, wordings: Wordings, split: WordingSplit) -> str:
    """A random wording of one split."""
    return rng.choice(wordings.seen if split == "seen" else wordings.held_out)


def sentence(rng: random.Random, fact: Fact, split: WordingSplit) -> str:
    """One statement of `fact` in a random wording."""
    template = wording(rng, STATEMENTS[fact.kind], split)
    return template.format(p=fact.subject, r=fact.relation, v=fact.value)


def tell(rng: random.Random, world: World, split: WordingSplit = "seen", num_documents: int = 1) -> str:
    """The world in words: each fact once, in order, each in a random wording.

    One paragraph, or `num_documents` numbered ones between which the facts are dealt out.
    """
    sentences = [sentence(rng, fact, split) for fact in world.facts]
    if num_documents == 1:
        return " ".join(sentences)
    parts = [" ".join(sentences[start::num_documents]) for start in range(num_documents)]
    return "\n".join(f"Document {number}: {part}" for number, part in enumerate(parts, start=1))


def _values(rng: random.Random, kind: str, count: int) -> list[str]:
    """`count` different values of a kind that names neither people nor cities."""
    if kind == "food":
        tastes, dishes = rng.sample(lexicon.TASTES, count), rng.sample(lexicon.DISHES, count)
        return [f"{taste} {dish}" for taste, dish in zip(tastes, dishes, strict=True)]
    pool = {"job": lexicon.JOBS, "pet": lexicon.PETS, "coins": lexicon.NUMBERS}[kind]
    return rng.sample(pool, count)


def _facts_of_kind(
    rng: random.Random,
    kind: str,
    people: tuple[str, ...],
    cities: tuple[str, ...],
    room: int,
    about_all: bool,
) -> list[Fact]:
    """Two or more facts of one kind, at most `room`; `about_all` people that there is room for."""
    if kind == "city":
        kind = rng.choice(("fair", "mayor"))
        subjects = rng.sample(cities, min(room, len(cities)))
        pool = lexicon.MONTHS if kind == "fair" else people
        if len(subjects) > len(pool):
            subjects = subjects[: len(pool)]
        values = rng.sample(pool, len(subjects))
        return [Fact(kind, s, None, v) for s, v in zip(subjects, values, strict=True)]
    wanted = len(people) if about_all else rng.choice((2, 3, 3, 4, 4, 5))
    subjects = rng.sample(people, min(room, len(people), wanted))
    if kind == "relation":
        # One relation a world: "the boss of Mara" and "the friend of Mara" together would let a
        # reader fail for want of attention to the relation, which is not what worlds test.
        relation = rng.choice(lexicon.RELATIONS)
        others = [rng.choice([p for p in people if p != s]) for s in subjects]
        return [Fact(kind, s, relation, v) for s, v in zip(subjects, others, strict=True)]
    if kind == "home":
        values = [rng.choice(cities) for _ in subjects]
        if len(set(values)) == 1:
            values[0] = rng.choice([city for city in cities if city != values[0]])
    else:
        values = _values(rng, kind, len(subjects))
    return [Fact(kind, s, None, v) for s, v in zip(subjects, values, strict=True)]


def make_world(
    rng: random.Random,
    num_facts: int,
    names: NameSplit = "seen",
    kinds: tuple[str, ...] = (),
) -> World:
    """A random world of about `num_facts` facts (never one of a kind alone, so possibly one fewer).

    `kinds` come first, in order: a two-hop question needs a relation and a fact about its value.
    """
    fewest = 4 if kinds and num_facts >= 4 else 2
    num_people = max(fewest, min(5, rng.randint(2, max(2, num_facts // 2 + 1))))
    people = lexicon.draw_people(rng, names, num_people)
    # Few cities for many people: counting "who lives there" must not always give one.
    num_cities = 2 if "home" in kinds else max(2, min(num_people, rng.randint(2, 4)))
    cities = lexicon.draw_cities(rng, names, num_cities)
    rest = ["home", "job", "pet", "food", "coins", "relation", "city"]
    rest = [kind for kind in rest if kind not in kinds]
    rng.shuffle(rest)
    if "relation" in rest and num_facts >= 4 and rng.random() < 0.65:
        # Relations early, while there is room: without them there are no two-hop questions.
        rest.remove("relation")
        rest.insert(rng.randint(0, 1), "relation")
    facts: list[Fact] = []
    for kind in [*kinds, *rest]:
        room = num_facts - len(facts)
        if room < 2:
            break
        if kind == "city" and kind not in kinds and not any(f.kind == "home" for f in facts):
            continue
        facts += _facts_of_kind(rng, kind, people, cities, room, about_all=kind in kinds)
    rng.shuffle(facts)
    return World(people, cities, tuple(facts))


def make_profiles(rng: random.Random, num_people: int, names: NameSplit = "seen") -> World:
    """A random world that states all of `PROFILE` about each of its people and nothing else, person by
    person, as collections of resumes do; what is told first of a person is left to chance.
    """
    people = lexicon.draw_people(rng, names, num_people)
    cities = lexicon.draw_cities(rng, names, max(2, num_people // 2))
    facts = [
        fact
        for kind in PROFILE
        for fact in _facts_of_kind(rng, kind, people, cities, num_people, about_all=True)
    ]
    rng.shuffle(facts)
    told = sorted(facts, key=lambda fact: people.index(fact.subject))
    return World(people, cities, tuple(told))
