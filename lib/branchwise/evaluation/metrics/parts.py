"""Answers that are made of parts (outlines and lists alike), compared as sets of titled items.

A text is read in the first of these forms that it has:

- blocks, `####Title: body`; what stands before the first of them, and behind the end marker `%%%%` up to
  the next one, is no part;
- numbered points, `1. Title: body`, which go on up to the next number;
- lines and lists, `Title: body; Title two: body`: what has no title goes on with the one before it;
- neither: all of the text, without a title.

A body is cut into items at full stops, commas, semicolons and line ends (not inside of a number). Titles
and items are compared by SQuAD's words; in a language that is not English, by its segments.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import combinations
from statistics import fmean
from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from branchwise.evaluation.metrics.retrieval import END
from branchwise.evaluation.metrics.squad import stands_in, tokens

_BLOCK = re.compile(r"#{4,}")
_NUMBER = re.compile(r"^[ \t>*_-]*\(?\d{1,3}[.)、．）][ \t*_]*(?=\D)", re.MULTILINE)
_COLON = re.compile(r"(?<!\d)[:：]|[:：](?!\d)")
_WORD = re.compile(r"\w")
_SEMICOLON = re.compile(r"[;；]")
_CUT = re.compile(r"(?<!\d)[.,]|[.,](?!\d)|[;。，；、\n]")

Accepted = str | Sequence[str]
"""A right answer: its parts, each `title: value`, or the whole text that they are read from."""


class Part(NamedTuple):
    """An item under its title, both as the words that are compared."""

    title: tuple[str, ...]
    item: tuple[str, ...]


def parts_of(text: str, language: str = "en") -> list[Part]:
    """All parts of a text, in its order; items without a word are none."""
    found = []
    for title, body in _titled("\n".join(text.splitlines())):
        # SQuAD's rules leave nothing of a title such as "A".
        words = tuple(tokens(title, language)) or tuple(title.casefold().split())
        items = (tuple(tokens(item, language)) for item in _CUT.split(body) if _WORD.search(item))
        found += [Part(words, item) for item in items if item]
    return found


def parts_scores(
    prediction: str, golds: Sequence[Accepted], language: str = "en"
) -> dict[str, float | None]:
    """`recall`, `precision` and `f1` of parts, matched one to one: one of the gold is found where its
    words stand in a row in an item of the same title (values of the gold are cut into items, too). `em`:
    1 where all parts are found and nothing else is said; `lenient`: where one of both holds. `order`: the
    share of pairs of found titles that stand in the gold's order, None where fewer than two are found;
    nothing else depends on the order. Of several golds those scores whose `f1` is the best.
    """
    said = parts_of(prediction, language)
    wanted = ([gold] if isinstance(gold, str) else gold for gold in golds)
    scores = [_against(said, [p for text in one for p in parts_of(text, language)]) for one in wanted]
    return max(scores, key=lambda one: (one["f1"], one["order"] or 0.0))


def _titled(text: str) -> Iterator[tuple[str, str]]:
    """Titles with their bodies, in the first form that the text has."""
    blocks = [block.partition(END)[0].strip() for block in _BLOCK.split(text)[1:]]
    if any(blocks):
        for block in filter(None, blocks):
            number = _NUMBER.match(block)
            yield _title_and_body(block[number.end() :] if number else block)
        return
    text = _BLOCK.sub("\n", text.partition(END)[0])
    starts = [match.span() for match in _NUMBER.finditer(text)]
    if starts:
        ends = [start for start, _ in starts[1:]] + [len(text)]
        for (_, start), end in zip(starts, ends, strict=True):
            yield _title_and_body(text[start:end].strip())
        return
    yield from _of_lines(text)


def _title_and_body(said: str) -> tuple[str, str]:
    """A title ends at the first colon of its line, or else with a line that others follow."""
    line, _, below = said.partition("\n")
    if colon := _COLON.search(line):
        return said[: colon.start()], said[colon.end() :]
    return (line, below) if below.strip() else ("", said)


def _of_lines(text: str) -> Iterator[tuple[str, str]]:
    """Every line and every member of a list, under the title before it; what stands before the first
    title is no part, unless there is none at all.
    """
    members = [one for line in text.split("\n") for one in _SEMICOLON.split(line)]
    colons = [_COLON.search(one) for one in members]
    has_titles, title = any(colons), None if any(colons) else ""
    for member, colon in zip(members, colons, strict=True):
        if has_titles and colon:
            title, member = member[: colon.start()], member[colon.end() :]
        if title is not None:
            yield title, member


def _against(said: Sequence[Part], wanted: Sequence[Part]) -> dict[str, float | None]:
    fits_WS = np.zeros((len(wanted), len(said)), dtype=bool)
    for row, gold in enumerate(wanted):
        for column, part in enumerate(said):
            fits_WS[row, column] = part.title == gold.title and stands_in(gold.item, part.item)
    rows, columns = linear_sum_assignment(fits_WS, maximize=True)
    found = [wanted[row] for row, column in zip(rows, columns, strict=True) if fits_WS[row, column]]
    recall = len(found) / len(wanted) if wanted else 0.0
    precision = len(found) / len(said) if said else 0.0
    return {
        "em": float(recall == precision == 1),
        "f1": 2 * len(found) / (len(wanted) + len(said)) if found else 0.0,
        "lenient": float(recall == 1 or precision == 1),
        "recall": recall,
        "precision": precision,
        "order": _order(said, found),
    }


def _order(said: Sequence[Part], found: Sequence[Part]) -> float | None:
    """The share of pairs of found titles that come one after the other as in the gold."""
    titles = [part.title for part in said]
    places = [titles.index(title) for title in dict.fromkeys(part.title for part in found)]
    pairs = [float(first < second) for first, second in combinations(places, 2)]
    return fmean(pairs) if pairs else None
