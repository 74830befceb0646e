"""Every word that worlds are made of, and the names that are kept out of training's worlds.

A name is a start and an ending ("Mar" + "a", "Ash" + "ton"), two tokens of the tiny model, as a name
is a few sub-words to a large one. Held-out names combine known starts and endings in ways that stand
in no text of training. No two names of one world share their start, no two dishes their taste: readers
mix up such names too, and worlds are to show which question needs which, not spelling.
"""

import random
from typing import Literal

NameSplit = Literal["seen", "held_out"]

PERSON_STARTS = tuple(
    "Mar Len Nil Tar Hug Ver Nor Ros Fin Kof Suk Rav Din Em Gwen Jun Karl Lol Mil Ott Pav Sar Tim "
    "Ulr Wim Yar Zor Al Bel Cam Dor Edg Fil Gus Han Iv Jad Kir Mon Ned".split()
)
PERSON_ENDINGS = ("a", "o", "i", "el", "in", "us", "en", "ia")
CITY_STARTS = tuple(
    "Ash Bram Kirk Wex Hart Thorn Lang Stan Oak Red Dun Win Hal Brad Cor El Pen Crow Swin Lyn Gold "
    "Wood Fern Stone".split()
)
CITY_ENDINGS = ("ton", "ford", "by", "wick", "ville", "dale")

JOBS = tuple(
    "baker nurse pilot farmer painter lawyer singer tailor doctor dancer plumber teacher writer "
    "guard judge chef".split()
)
PETS = tuple("cat dog parrot rabbit turtle horse goat hamster snake duck owl pony".split())
TASTES = tuple("sweet hot cold fresh spicy plain".split())
DISHES = tuple("soup bread rice cake pasta salad curry stew".split())
MONTHS = tuple(
    "January February March April May June July August September October November December".split()
)
RELATIONS = ("boss", "friend", "neighbor", "cousin")
NUMBERS = tuple(str(number) for number in range(1, 10))


def _endings(index: int, endings: tuple[str, ...], split: NameSplit) -> tuple[str, ...]:
    """The endings that the start at `index` takes in a split: about one in five is held out."""
    size = len(endings)
    held_out = {index % size, (index + 3) % size} if size > 6 else {index % size}
    return tuple(e for i, e in enumerate(endings) if (i in held_out) == (split == "held_out"))


def _names(starts: tuple[str, ...], endings: tuple[str, ...], split: NameSplit) -> tuple[str, ...]:
    return tuple(s + e for i, s in enumerate(starts) for e in _endings(i, endings, split))


def people(split: NameSplit) -> tuple[str, ...]:
    """All person names of one split."""
    return _names(PERSON_STARTS, PERSON_ENDINGS, split)


def cities(split: NameSplit) -> tuple[str, ...]:
    """All city names of one split."""
    return _names(CITY_STARTS, CITY_ENDINGS, split)


def _draw(rng: random.Random, starts: tuple, endings: tuple, split: NameSplit, count: int):
    chosen = rng.sample(range(len(starts)), count)
    return tuple(starts[i] + rng.choice(_endings(i, endings, split)) for i in chosen)


def draw_people(rng: random.Random, split: NameSplit, count: int) -> tuple[str, ...]:
    """`count` random person names of one split, no two of which start alike."""
    return _draw(rng, PERSON_STARTS, PERSON_ENDINGS, split, count)


def draw_cities(rng: random.Random, split: NameSplit, count: int) -> tuple[str, ...]:
    """`count` random city names of one split, no two of which start alike."""
    return _draw(rng, CITY_STARTS, CITY_ENDINGS, split, count)
