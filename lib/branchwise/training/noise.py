"""Texts made harder than evaluated ones, for training alone.

A reader that binds a value to a name by their distance in words is right on every wording that it
knows and wrong on a new one. Small words lost and put in take that short cut away.
"""

import random

from branchwise.data.worlds import lexicon

SMALL_WORDS = ("a", "the", "is", "of", "in", "that", "has", "as", "to", "The")
LOST = 0.1
"""Share of its small words that a noisy text loses."""
PUT_IN = 0.06
"""Share of words before which a noisy text has a small word too many."""


def add_noise(rng: random.Random, text: str) -> str:
    """`text` with small words lost and put in, never inside a dish ("hot soup")."""
    words: list[str] = []
    for word in text.split(" "):
        if word in SMALL_WORDS and rng.random() < LOST:
            continue
        inside = bool(words) and words[-1] in lexicon.TASTES
        if words and not inside and rng.random() < PUT_IN:
            words.append(rng.choice(SMALL_WORDS[:-1]))
        words.append(word)
    return " ".join(words)
