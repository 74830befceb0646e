"""The wordings of a question: which of them are asked; and where prompts differ."""

import random
from collections.abc import Sequence
from itertools import takewhile
from typing import NamedTuple

from branchwise.data.types import Question


def wordings_of(question: Question, most: int, seed: int) -> list[str]:
    """The question's own text, then up to `most - 1` of its paraphrases, in an order drawn by `seed`: of
    two numbers the smaller one's wordings are the larger one's first. Empty and equal ones are none.
    """
    texts = [text.strip() for text in question.paraphrases]
    others = list(dict.fromkeys(text for text in texts if text and text != question.text.strip()))
    random.Random(f"wordings/{seed}/{question.id}/{question.text}").shuffle(others)
    return [question.text, *others[: most - 1]]


def worded(question: Question, text: str) -> Question:
    """The question in another wording."""
    return question.model_copy(update={"text": text})


class Split(NamedTuple):
    """Prompts as ids: what all of them begin with, what each has of its own, what all end with."""

    trunk: list[int]
    middles: list[list[int]]
    cue: list[int]


def split(prompts: Sequence[Sequence[int]]) -> Split:
    """Where several different prompts agree. Every part has a token at least: the trunk and the cue
    give way to the middles, the cue last, since it is what sees all of them.

    By ids of whole prompts, so that put together again each is the prompt that it was. Raises
    ValueError where prompts are equal, or have no token in common at either end.
    """
    if len({tuple(prompt) for prompt in prompts}) < len(prompts):
        raise ValueError("some prompts are equal")
    before = _num_alike(prompts)
    after = _num_alike([prompt[::-1] for prompt in prompts])
    shortest = min(map(len, prompts))
    after = min(after, shortest - 2)
    before = min(before, shortest - after - 1)
    if before < 1 or after < 1:
        raise ValueError("the prompts have no token in common at either end")
    middles = [list(prompt[before : len(prompt) - after]) for prompt in prompts]
    return Split(list(prompts[0][:before]), middles, list(prompts[0][len(prompts[0]) - after :]))


def trunk_and_rests(prompts: Sequence[Sequence[int]]) -> tuple[list[int], list[list[int]]]:
    """What all prompts begin with, and what each has of its own: a token at least. Raises ValueError
    where they begin with nothing alike.
    """
    shared = min(_num_alike(prompts), min(map(len, prompts)) - 1)
    if shared < 1:
        raise ValueError("the prompts begin with nothing alike")
    return list(prompts[0][:shared]), [list(prompt[shared:]) for prompt in prompts]


def _num_alike(prompts: Sequence[Sequence[int]]) -> int:
    """How many ids all of them begin with."""
    columns = zip(*prompts, strict=False)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
