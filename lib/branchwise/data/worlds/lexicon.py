"""Every word that worlds are made of, and the names that are kept out of training's worlds.

Held-out names stand in no text and no question of training. The tiny model meets them only in the
bare name-value lists of its warm-up, which give their tokens a meaning at all ("some person").
"""

from typing import Literal

NameSplit = Literal["seen", "held_out"]

PEOPLE = {
    "seen": tuple(
        "Mara Lena Nils Omar Ivan Tara Hugo Vera Liam Noor Rosa Finn Anya Kofi Suki Raul Dina Emil "
        "Gwen Juno Karl Lola Milo Nina Otto Pia Ravi Sara Theo Uma Wim Yara Zoe Abel Bela Cleo Dora "
        "Egon Faye Gus Hana Igor Jade Kira Leo Mona Ned Olga".split()
    ),
    "held_out": tuple(
        "Ada Boris Carla Dario Elsa Felix Greta Henk Irma Jonas Kaya Luca Mira Nora Oskar Petra".split()
    ),
}
CITIES = {
    "seen": tuple(
        "Oslo Rome Lima Cairo Paris Delhi Quito Accra Seoul Turin Malmo Porto Basel Kyoto Dakar "
        "Hanoi Perth Tunis Minsk Doha".split()
    ),
    "held_out": tuple("Bergen Turku Ghent Lagos Osaka Parma Riga Sofia".split()),
}

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


def people(split: NameSplit) -> tuple[str, ...]:
    """All person names of one split."""
    return PEOPLE[split]


def cities(split: NameSplit) -> tuple[str, ...]:
    """All city names of one split."""
    return CITIES[split]


def all_names() -> tuple[str, ...]:
    """Every name of both splits."""
    return (*PEOPLE["seen"], *PEOPLE["held_out"], *CITIES["seen"], *CITIES["held_out"])
