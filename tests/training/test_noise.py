"""Noise for training: small words only, answers untouched, never a held-out sentence."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise.data.worlds.wordings import QUESTIONS, STATEMENTS
from branchwise.data.worlds.world import make_world, tell
from branchwise.training.noise import SMALL_WORDS, add_noise

SEEDS = st.integers(0, 2**32)


def _without_small(text: str) -> list[str]:
    return [word for word in text.split(" ") if word not in SMALL_WORDS]


@settings(max_examples=50)
@given(SEEDS)
def test_noise_touches_small_words_alone_and_leaves_every_value_whole(seed):
    rng = random.Random(seed)
    world = make_world(rng, 10)
    text = tell(rng, world)
    noisy = add_noise(rng, text)
    assert _without_small(noisy) == _without_small(text)
    assert all(fact.value in noisy for fact in world.facts)


def test_noise_is_there_and_is_not_much():
    rng = random.Random(3)
    texts = [tell(rng, make_world(rng, 10)) for _ in range(50)]
    noisy = [add_noise(rng, text) for text in texts]
    changed = sum(a != b for a, b in zip(texts, noisy, strict=True))
    assert changed >= 45
    words = sum(len(text.split()) for text in texts)
    assert abs(sum(len(text.split()) for text in noisy) - words) < 0.1 * words


def test_noise_never_makes_a_held_out_sentence():
    """It leaves all other words as they are, and in these every held-out wording is new."""
    for wordings in (*STATEMENTS.values(), *QUESTIONS.values()):
        seen = [_without_small(text) for text in wordings.seen]
        assert [text for text in wordings.held_out if _without_small(text) in seen] == []
