"""How bars of lanes look, by what they were generated for: the same in the figure and on the page."""

from collections.abc import Iterable
from typing import NamedTuple

COLOURS = ("#0173b2", "#d55e00", "#56b4e9", "#ece133")
"""Of the colour-blind palette, so far from each other in lightness that grey tells them apart."""
_HATCHES = ("", "////", "....", "xxxx")
_FIRST = "answer"
_DARK = 0.2
"""Relative luminance below which words are white."""


class Look(NamedTuple):
    """Filling of a bar, colour of its words, and hatch where there are more roles than colours."""

    colour: str
    ink: str
    hatch: str


def looks(roles: Iterable[str]) -> dict[str, Look]:
    """A look a role; answers look the same in every picture."""
    ordered = sorted(dict.fromkeys(roles), key=lambda role: role != _FIRST)
    first = 0 if _FIRST in ordered else 1
    found = {}
    for number, role in enumerate(ordered, start=first):
        colour = COLOURS[number % len(COLOURS)]
        hatch = _HATCHES[number // len(COLOURS) % len(_HATCHES)]
        found[role] = Look(colour, "#fff" if luminance(colour) < _DARK else "#000", hatch)
    return found


def luminance(colour: str) -> float:
    """Relative luminance of #rrggbb, 0 (black) to 1 (white), by WCAG's definition."""
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return sum(weight * share for weight, share in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
