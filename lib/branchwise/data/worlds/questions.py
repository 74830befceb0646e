"""Questions about a world, with their answers, what they need, and what a guess by type scores."""

import random
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from itertools import combinations
from typing import NamedTuple, TypeVar

from branchwise.data.types import LETTERS, Question
from branchwise.data.worlds import lexicon
from branchwise.data.worlds.wordings import (
    BLANK,
    CLAUSES,
    QUESTIONS,
    STATEMENTS,
    THAT_CITY,
    THAT_PERSON,
    VIA_HOME,
    VIA_RELATION,
    WordingSplit,
)
from branchwise.data.worlds.world import PROFILE, Fact, World, wording

NUM_OPTIONS = 4

T = TypeVar("T", bound=Hashable)


@dataclass
class Draft:
    """Where the questions of one group come from: a world, a source of chance, the wordings to use,
    and what was asked already (asking the same fact twice would put its answer into the history).
    """

    rng: random.Random
    world: World
    split: WordingSplit = "seen"
    asked: set[Hashable] = field(default_factory=set)

    def word(self, kind: str) -> str:
        """A random wording of a question of this kind."""
        return wording(self.rng, QUESTIONS[kind], self.split)

    def pick(self, topics: Iterable[T]) -> T | None:
        """A random topic that was not asked yet, now marked as asked; None where none is left."""
        fresh = [topic for topic in topics if topic not in self.asked]
        if not fresh:
            return None
        topic = self.rng.choice(fresh)
        self.asked.add(topic)
        return topic


class Chain(NamedTuple):
    """Two facts, the second about the value of the first: the boss of Mara, and his job."""

    first: Fact
    second: Fact


def chains(world: World) -> list[Chain]:
    """Every pair of facts that a two-hop question can be made of."""
    found = []
    for fact in world.facts:
        onward = {"relation": PROFILE, "home": ("fair", "mayor")}.get(fact.kind, ())
        seconds = (world.fact(kind, fact.value) for kind in onward)
        found += [Chain(fact, second) for second in seconds if second is not None]
    return found


def chain_guess(world: World, chain: Chain) -> float:
    """Chance of a reader who has not seen the first answer, but knows that the question is about the
    value of some first hop, and takes what most of these lead to.
    """
    leads = Counter(c.second.value for c in chains(world) if c.second.kind == chain.second.kind)
    likely = [value for value, count in leads.items() if count == max(leads.values())]
    return (chain.second.value in likely) / len(likely)


def _question(number: int, text: str, gold: str, kind: str, guess: float, **more) -> Question:
    return Question(id=f"q{number}", text=text, golds=(gold,), kind=kind, guess=round(guess, 4), **more)


def about_fact(draft: Draft, fact: Fact, number: int, kind: str = "look_up", **more) -> Question:
    """The look-up question that `fact` answers."""
    text = draft.word(fact.kind).format(p=fact.subject, r=fact.relation)
    guess = draft.world.type_guess(fact.kind, fact.value)
    more.setdefault("answer", "number" if fact.kind == "coins" else "span")
    return _question(number, text, fact.value, kind, guess, **more)


def look_up(draft: Draft, number: int) -> list[Question]:
    """One stated fact, asked for directly."""
    fact = draft.pick(draft.world.facts)
    return [about_fact(draft, fact, number)] if fact else []


def _second_hop(draft: Draft, chain: Chain, phrase: str, kind: str, number: int) -> Question:
    fact = Fact(chain.second.kind, phrase, None, chain.second.value)
    more = {"needs": (f"q{number - 1}",), "chain_guess": round(chain_guess(draft.world, chain), 4)}
    return about_fact(draft, fact, number, kind, **more)


def _pick_chain(draft: Draft) -> Chain | None:
    """A chain whose first hop was not asked yet; the hop counts as asked from now on."""
    found = chains(draft.world)
    first = draft.pick(dict.fromkeys(chain.first for chain in found))
    return draft.rng.choice([c for c in found if c.first == first]) if first else None


def two_hop(draft: Draft, number: int) -> list[Question]:
    """The first hop as a question of its own, then one that names its answer by a phrase."""
    chain = _pick_chain(draft)
    if chain is None:
        return []
    phrases = VIA_RELATION if chain.first.kind == "relation" else VIA_HOME
    phrase = draft.rng.choice(phrases).format(r=chain.first.relation, p=chain.first.subject)
    first = about_fact(draft, chain.first, number)
    return [first, _second_hop(draft, chain, phrase, "two_hop", number + 1)]


def follow_up(draft: Draft, number: int) -> list[Question]:
    """The first hop, then a question whose "that person" is the answer just given."""
    chain = _pick_chain(draft)
    if chain is None:
        return []
    phrase = draft.rng.choice(THAT_PERSON if chain.first.kind == "relation" else THAT_CITY)
    first = about_fact(draft, chain.first, number)
    return [first, _second_hop(draft, chain, phrase, "follow_up", number + 1)]


def reverse(draft: Draft, number: int) -> list[Question]:
    """Who has this value? Asked only where exactly one person has it."""
    found = []
    for kind in ("home", "job", "pet"):
        facts = draft.world.of_kind(kind)
        counts = Counter(fact.value for fact in facts)
        found += [(fact, 1 / len(facts)) for fact in facts if counts[fact.value] == 1]
    topic = draft.pick(found)
    if topic is None:
        return []
    fact, guess = topic
    text = draft.word(f"who_{fact.kind}").format(v=fact.value)
    return [_question(number, text, fact.subject, "reverse", guess)]


def count(draft: Draft, number: int) -> list[Question]:
    """How many people live in a city. Counts are drawn evenly from those that the world has."""
    per_city = Counter(fact.value for fact in draft.world.of_kind("home"))
    if not per_city:
        return []
    answer = draft.rng.choice(sorted(set(per_city.values())))
    city = draft.pick(name for name, homes in per_city.items() if homes == answer)
    if city is None:
        return []
    guess = sum(homes == answer for homes in per_city.values()) / len(per_city)
    text = draft.word("count").format(v=city)
    return [_question(number, text, str(answer), "count", guess, answer="number")]


def compare(draft: Draft, number: int) -> list[Question]:
    """Which of two people has more coins."""
    facts = draft.world.of_kind("coins")
    pair = draft.pick(combinations(facts, 2))
    if pair is None:
        return []
    one, other = draft.rng.sample(pair, 2)
    more = max(one, other, key=lambda fact: int(fact.value))
    text = draft.word("compare").format(a=one.subject, b=other.subject)
    return [_question(number, text, more.subject, "compare", 0.5)]


def _other_values(draft: Draft, fact: Fact) -> list[str]:
    """Wrong options: first what the world says of the same kind, then more of the kind."""
    stated = sorted({f.value for f in draft.world.of_kind(fact.kind)} - {fact.value})
    draft.rng.shuffle(stated)
    pools = {
        "home": lexicon.cities("seen"),
        "job": lexicon.JOBS,
        "pet": lexicon.PETS,
        "coins": lexicon.NUMBERS,
        "food": tuple(f"{t} {d}" for t in lexicon.TASTES for d in lexicon.DISHES),
        "fair": lexicon.MONTHS,
    }
    pool = pools.get(fact.kind, lexicon.people("seen"))
    more = [v for v in draft.rng.sample(pool, NUM_OPTIONS + 4) if v not in (*stated, fact.value)]
    return (stated + more)[: NUM_OPTIONS - 1]


def choice(draft: Draft, number: int) -> list[Question]:
    """A look-up question with lettered options; the letter is the answer.

    A guess by type takes an option that the world states at all, whoever it is said of.
    """
    fact = draft.pick(draft.world.facts)
    if fact is None:
        return []
    options = [*_other_values(draft, fact), fact.value]
    draft.rng.shuffle(options)
    letter = LETTERS[options.index(fact.value)]
    text = draft.word(fact.kind).format(p=fact.subject, r=fact.relation)
    guess = draft.world.type_guess(fact.kind, fact.value)
    more = {"options": tuple(options), "answer": "choice"}
    return [_question(number, text, letter, "choice", guess, **more)]


def cloze(draft: Draft, number: int) -> list[Question]:
    """A statement whose value is blanked out."""
    fact = draft.pick(draft.world.facts)
    if fact is None:
        return []
    template = wording(draft.rng, STATEMENTS[fact.kind], draft.split)
    text = template.format(p=fact.subject, r=fact.relation, v=BLANK)
    guess = draft.world.type_guess(fact.kind, fact.value)
    return [_question(number, text, fact.value, "cloze", guess)]


def paraphrase(draft: Draft, number: int) -> list[Question]:
    """A look-up question together with all its other wordings."""
    fact = draft.pick(draft.world.facts)
    if fact is None:
        return []
    question = about_fact(draft, fact, number, "paraphrase")
    wordings = QUESTIONS[fact.kind]
    texts = (w.format(p=fact.subject, r=fact.relation) for w in (*wordings.seen, *wordings.held_out))
    others = tuple(text for text in texts if text != question.text)
    return [question.model_copy(update={"paraphrases": others})]


def outline(draft: Draft, number: int) -> list[Question]:
    """One kind of fact for every person of whom it is told: an answer made of parallel parts."""
    nouns = {"home": "home city", "job": "job", "pet": "pet", "food": "favorite food"}
    kinds = [kind for kind in nouns if draft.world.of_kind(kind)]
    kind = draft.pick(kinds)
    if kind is None:
        return []
    parts = [f"{fact.subject}: {fact.value}" for fact in draft.world.of_kind(kind)]
    text = draft.word("outline").format(v=nouns[kind])
    more = {"answer": "text", "gold_spans": (tuple(parts),)}
    return [_question(number, text, "; ".join(parts), "outline", 0.0, **more)]


def profile_of(world: World) -> dict[str, list[Fact]]:
    """What is told of each person, in the order of a profile; people in the order in which they are told
    of.
    """
    people = dict.fromkeys(fact.subject for fact in world.facts if fact.kind in PROFILE)
    found = {name: [world.fact(kind, name) for kind in PROFILE] for name in people}
    return {name: [fact for fact in facts if fact] for name, facts in found.items()}


def profiles(draft: Draft, number: int) -> list[Question]:
    """Everything that is told of each person: an answer made of long parallel parts."""
    told = profile_of(draft.world)
    if len(told) < 2 or draft.pick(["profiles"]) is None:
        return []
    bodies = (", ".join(CLAUSES[f.kind].format(v=f.value) for f in facts) for facts in told.values())
    gold = "; ".join(f"{name}: {body}" for name, body in zip(told, bodies, strict=True))
    parts = tuple(f"{fact.subject}: {fact.value}" for facts in told.values() for fact in facts)
    more = {"answer": "text", "gold_spans": (parts,)}
    return [_question(number, draft.word("profiles"), gold, "profiles", 0.0, **more)]


ASKERS: dict[str, Callable[[Draft, int], list[Question]]] = {
    "look_up": look_up,
    "two_hop": two_hop,
    "follow_up": follow_up,
    "reverse": reverse,
    "count": count,
    "compare": compare,
    "choice": choice,
    "cloze": cloze,
    "paraphrase": paraphrase,
    "outline": outline,
    "profiles": profiles,
}
"""Kind -> asker. An asker returns one question, or a first hop and the question that needs it, or
nothing where the world does not allow it. `number` is the number of its first question."""
