"""Groups of questions about worlds, in the shape that every data set has."""

import random
from collections.abc import Iterator
from functools import partial
from typing import Literal

from pydantic import Field, model_validator

from branchwise.data.types import Group, Question
from branchwise.data.worlds import wordings as words
from branchwise.data.worlds.lexicon import NameSplit
from branchwise.data.worlds.noise import add_noise
from branchwise.data.worlds.questions import ASKERS, Draft
from branchwise.data.worlds.wordings import WordingSplit
from branchwise.data.worlds.world import PROFILE, make_profiles, make_world, tell
from branchwise.records import Record

Kind = Literal[
    "look_up",
    "two_hop",
    "follow_up",
    "reverse",
    "count",
    "compare",
    "choice",
    "cloze",
    "paraphrase",
    "outline",
    "profiles",
    "documents",
    "chinese",
    "copy",
]
KINDS: tuple[Kind, ...] = Kind.__args__  # type: ignore[attr-defined]

NUM_DOCUMENTS = 3

NEEDED_FACTS: dict[str, tuple[str, ...]] = {
    "two_hop": ("relation",),
    "follow_up": ("relation",),
    "reverse": ("job",),
    "count": ("home",),
    "compare": ("coins",),
    "outline": ("job",),
}
"""What a world must state so that a kind of question can be asked at all."""


class WorldsSpec(Record):
    """Which worlds to make. Two specs that differ only in `num_groups` share their first groups."""

    kinds: tuple[Kind, ...] = Field(min_length=1, description="Kinds of questions, in turn.")
    group_size: int = Field(6, ge=1, le=20, description="Questions per group.")
    drawn_for: int | None = Field(
        None,
        ge=1,
        le=20,
        description="Draw groups of this size and keep the first group_size questions, so that "
        "entries of several sizes ask nested sets about the same worlds. Default: group_size.",
    )
    num_groups: int = Field(40, ge=1, description="Groups, that is worlds.")
    min_facts: int = Field(6, ge=2, le=30, description="Fewest facts of a world.")
    max_facts: int = Field(10, ge=2, le=30, description="Most; profiles: five are told of each person.")
    names: NameSplit = Field("seen", description="held_out: names that training never used.")
    wordings: WordingSplit = Field("seen", description="held_out: sentences training never used.")
    own_contexts: bool = Field(
        False, description="Each question is about a world of its own, as in HotpotQA."
    )
    lost_words: float = Field(
        0,
        ge=0,
        lt=1,
        description="paraphrase: share of the small words (a, the, is, of, ...) that each wording loses.",
    )
    wrong_letters: float = Field(
        0, ge=0, lt=1, description="paraphrase: share of the letters that are wrong in each wording."
    )
    order: Literal["natural", "reversed"] = Field(
        "natural", description="reversed: what a question needs comes after it."
    )
    seed: int = Field(0, ge=0, description="Another seed, other worlds.")

    @model_validator(mode="after")
    def _sizes_fit(self) -> "WorldsSpec":
        if (self.drawn_for or self.group_size) < self.group_size:
            raise ValueError(f"drawn_for ({self.drawn_for}) is below group_size ({self.group_size})")
        if "copy" in self.kinds and len(self.kinds) > 1:
            raise ValueError("copy asks one question of all branches: no other kind goes beside it")
        if self.max_facts < self.min_facts:
            raise ValueError(f"max_facts ({self.max_facts}) is below min_facts ({self.min_facts})")
        return self


def make_groups(spec: WorldsSpec) -> Iterator[Group]:
    """The groups of `spec`, each from a random stream of its own, so that they are stable.

    Raises ValueError if a kind cannot be asked `group_size` times of any world that the spec allows.
    """
    for index in range(spec.num_groups):
        rng = random.Random(f"worlds/{spec.seed}/{index}")
        yield _make_group(rng, spec, f"w{spec.seed}-{index:04d}")


def _make_group(rng: random.Random, spec: WorldsSpec, group_id: str) -> Group:
    if spec.kinds == ("chinese",):
        return _chinese(rng, spec, group_id)
    if "copy" in spec.kinds:
        return _copies(rng, spec, group_id)
    if spec.own_contexts:
        return _own_contexts(rng, spec, group_id)
    needed = {kind: None for k in spec.kinds for kind in NEEDED_FACTS.get(k, ())}
    for _ in range(200):
        num_facts = rng.randint(spec.min_facts, spec.max_facts)
        if "profiles" in spec.kinds:
            world = make_profiles(rng, max(2, num_facts // len(PROFILE)), spec.names)
        else:
            world = make_world(rng, num_facts, spec.names, tuple(needed))
        context = tell(rng, world, spec.wordings, NUM_DOCUMENTS if "documents" in spec.kinds else 1)
        questions = _draw(Draft(rng, world, spec.wordings), spec)
        if questions is not None:
            questions = questions[: spec.group_size]
            if spec.order == "reversed":
                questions.reverse()
            questions = [_noisy(question, spec, group_id) for question in questions]
            return Group(id=group_id, context=context, questions=tuple(questions))
    raise ValueError(
        f"no world of {spec.min_facts} to {spec.max_facts} facts allows {spec.group_size} different "
        f"questions of the kinds {', '.join(spec.kinds)}: raise max_facts or lower group_size"
    )


def _noisy(question: Question, spec: WorldsSpec, group_id: str) -> Question:
    """A question with several wordings, each with noise of its own; from a random stream of its own, so
    that worlds with and without noise are the same.
    """
    if not question.paraphrases or not (spec.lost_words or spec.wrong_letters):
        return question
    rng = random.Random(f"worlds/{spec.seed}/{group_id}/{question.id}/noise")
    noise = partial(add_noise, rng, lost_words=spec.lost_words, wrong_letters=spec.wrong_letters)
    paraphrases = tuple(map(noise, question.paraphrases))
    return question.model_copy(update={"text": noise(question.text), "paraphrases": paraphrases})


def _own_contexts(rng: random.Random, spec: WorldsSpec, group_id: str) -> Group:
    """Unrelated questions, the kinds in turn, each with its own passage."""
    questions = []
    for number in range(spec.group_size):
        kind = spec.kinds[number % len(spec.kinds)]
        update = {"own_contexts": False, "kinds": (kind,), "group_size": 2, "drawn_for": None}
        world = _make_group(rng, spec.model_copy(update=update), group_id)
        question = world.questions[0]
        questions.append(
            question.model_copy(update={"id": f"q{number + 1}", "context": world.context, "needs": ()})
        )
    return Group(id=group_id, questions=tuple(questions))


def _copies(rng: random.Random, spec: WorldsSpec, group_id: str) -> Group:
    """One question, asked of several branches, each with a passage of its own: only one passage holds the
    answer, and nobody in the others is of that name. Kinds copy_told and copy_untold tell them apart.
    """
    world = make_world(rng, rng.randint(spec.min_facts, spec.max_facts), spec.names)
    (asked,) = ASKERS["look_up"](Draft(rng, world, spec.wordings), 1)
    contexts = [tell(rng, world, spec.wordings)]
    while len(contexts) < spec.group_size:
        other = make_world(rng, rng.randint(spec.min_facts, spec.max_facts), spec.names)
        if not {*other.people, *other.cities} & {*world.people, *world.cities}:
            contexts.append(tell(rng, other, spec.wordings))
    place = rng.randrange(spec.group_size)
    contexts.insert(place, contexts.pop(0))
    questions = (
        asked.model_copy(
            update={
                "id": f"q{number}",
                "context": context,
                "kind": "copy_told" if number - 1 == place else "copy_untold",
                "guess": asked.guess if number - 1 == place else 0.0,
            }
        )
        for number, context in enumerate(contexts, start=1)
    )
    return Group(id=group_id, questions=tuple(questions))


def _draw(draft: Draft, spec: WorldsSpec) -> list[Question] | None:
    """Questions about different things, the kinds in turn, each at least once.

    Look-ups fill up where a world has no more of a kind, or room for only half a chain. None where
    the world does not have that many questions in it.
    """
    questions: list[Question] = []
    size = spec.drawn_for or spec.group_size
    turn = 0
    while len(questions) < size:
        kind = spec.kinds[turn % len(spec.kinds)]
        kind = "look_up" if kind == "documents" else kind
        new = ASKERS[kind](draft, len(questions) + 1)
        if not new and turn < len(spec.kinds):
            return None
        if not new or len(questions) + len(new) > size:
            new = ASKERS["look_up"](draft, len(questions) + 1)
        if not new:
            return None
        questions += new
        turn += 1
    return questions


def _chinese(rng: random.Random, spec: WorldsSpec, group_id: str) -> Group:
    """A few Chinese sentences and questions: they walk the path, the tiny model cannot read them."""
    people = rng.sample(words.CHINESE_PEOPLE, 4)
    sentences, questions = [], []
    for kind, template in words.CHINESE_STATEMENTS.items():
        values = rng.sample(words.CHINESE_VALUES[kind], len(people))
        for person, value in zip(people, values, strict=True):
            sentences.append(template.format(p=person, v=value))
            text = words.CHINESE_QUESTIONS[kind].format(p=person)
            questions.append(Question(id="q", text=text, golds=(value,), kind="chinese", guess=0.25))
    rng.shuffle(sentences)
    chosen = rng.sample(questions, min(spec.group_size, len(questions)))
    numbered = [q.model_copy(update={"id": f"q{n}"}) for n, q in enumerate(chosen, start=1)]
    return Group(id=group_id, context="".join(sentences), questions=tuple(numbered))
