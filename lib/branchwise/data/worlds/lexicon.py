"""Every word that worlds are made of, and the split between training and held-out names.

A name is a start and an ending ("Mar" + "a"). One combination in five is held out by a fixed rule:
training never uses it. The tiny model reads a name as one token whose embedding is never trained, for
seen and held-out names alike, so what it learns is to read any name, not to know these.
"""

from typing import Literal

NameSplit = Literal["seen", "held_out"]

PERSON_STARTS = tuple(
    "Mar Len Nil Om Tar Hug Ver Lor Ros Fin Kof Suk Raul Din Em Gwen Jun Karl Pir Rav Theod Um "
    "Wim Yar Zeb Bel Cled Dor Eg Fay".split()
)
PERSON_ENDINGS = tuple("a o is en us ia ar et in ora".split())
CITY_STARTS = tuple(
    "Ash Brim Corn Dun Elm Fal Gren Hol Kel Lin Mos Nor Oak Pen Ral Sten Thorn Ulm Wes York".split()
)
CITY_ENDINGS = tuple("ton ford by mouth dale ham port wick".split())

JOBS = tuple(
    "baker nurse pilot farmer painter lawyer singer tailor doctor dancer plumber teacher writer "
    "guard judge chef".split()
)
PETS = tuple("cat dog parrot rabbit turtle horse goat hamster snake duck owl pony".split())
TASTES = tuple("sweet hot cold fresh spicy plain".split())
DISHES = tuple("soup bread rice cake pasta salad curry stew".split())
MONTHS = tuple(
    "January February March April May June July August September October November "
    "December".split()
)
RELATIONS = ("boss", "friend", "neighbor", "cousin")
NUMBERS = tuple(str(number) for number in range(1, 10))


def _names(starts: tuple[str, ...], endings: tuple[str, ...], split: NameSplit) -> tuple[str, ...]:
    held_out = split == "held_out"
    return tuple(
        start + ending
        for i, start in enumerate(starts)
        for j, ending in enumerate(endings)
        if ((i + 2 * j) % 5 == 0) == held_out
    )


def people(split: NameSplit) -> tuple[str, ...]:
    """All person names of one split."""
    return _names(PERSON_STARTS, PERSON_ENDINGS, split)


def cities(split: NameSplit) -> tuple[str, ...]:
    """All city names of one split."""
    return _names(CITY_STARTS, CITY_ENDINGS, split)


def all_names() -> tuple[str, ...]:
    """Every name of both splits."""
    return (*people("seen"), *people("held_out"), *cities("seen"), *cities("held_out"))


def start_of(name: str) -> str:
    """The start that `name` is built on; no two people (or cities) of one world share it, so that a
    reader can tell them apart at a glance."""
    candidates = PERSON_STARTS + CITY_STARTS
    return max((start for start in candidates if name.startswith(start)), key=len)
