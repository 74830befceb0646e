"""Noise in the wording of a question: small words lost, letters wrong."""

import random
import string

SMALL_WORDS = frozenset(
    "a an the is are was of in on that this has have had does do did as to for with by at who what which "
    "where when how many name person".split()
)
"""Words that a question can lose while a reader may still know what is asked."""


def add_noise(rng: random.Random, text: str, lost_words: float, wrong_letters: float) -> str:
    """`text` without a share of its small words, and with a share of its letters replaced by others.

    The last word that is left is never lost; spaces, digits and signs stay.
    """
    words = text.split(" ")
    kept = [w for w in words if w.strip("?,.").lower() not in SMALL_WORDS or rng.random() >= lost_words]
    return "".join(_letter(rng, sign, wrong_letters) for sign in " ".join(kept or words[-1:]))


def _letter(rng: random.Random, sign: str, wrong: float) -> str:
    if sign not in string.ascii_letters or rng.random() >= wrong:
        return sign
    other = rng.choice([letter for letter in string.ascii_lowercase if letter != sign.lower()])
    return other.upper() if sign.isupper() else other
