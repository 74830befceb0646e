"""Clusters of questions that are alike, by greedy search in blocks: memory linear in their number.

Visit the questions in a random order; one that is still free takes the free ones most similar to it,
as long as they are similar enough. This is the published rule (all pairs at once, 76 GB for the
138,000 questions of TriviaQA), computed for a block of seeds at a time.
"""

import random
from collections.abc import Iterator

import numpy as np

_BLOCK_FLOATS = 32_000_000
"""Similarities held at once: 128 MB."""


def clusters(
    vectors_ND: np.ndarray, size: int, threshold: float, rng: random.Random
) -> Iterator[list[int]]:
    """Clusters of at most `size` rows of `vectors_ND` (unit vectors, float32), the seed first.

    Questions that nothing free is similar to are gathered at the end, in random order, into groups of
    `size`. Ties go to the lower number, and similarities count to 1e-5, so machines agree.
    """
    order = list(range(len(vectors_ND)))
    rng.shuffle(order)
    free_N = np.ones(len(vectors_ND), dtype=bool)
    alone: list[int] = []
    rows = max(1, _BLOCK_FLOATS // max(1, len(vectors_ND)))
    at = 0
    while at < len(order):
        seeds: list[int] = []
        while at < len(order) and len(seeds) < rows:
            if free_N[order[at]]:
                seeds.append(order[at])
            at += 1
        candidates = np.flatnonzero(free_N)
        similar_SC = np.round(vectors_ND[seeds] @ vectors_ND[candidates].T, 5)
        for seed, similar_C in zip(seeds, similar_SC, strict=True):
            if not free_N[seed]:
                continue
            near = _nearest(similar_C, candidates, free_N, seed, size - 1, threshold)
            if near:
                free_N[[seed, *near]] = False
                yield [seed, *near]
            else:
                alone.append(seed)
                free_N[seed] = False
    for start in range(0, len(alone), size):
        yield alone[start : start + size]


def _nearest(
    similar_C: np.ndarray,
    candidates: np.ndarray,
    free_N: np.ndarray,
    seed: int,
    count: int,
    threshold: float,
) -> list[int]:
    """At most `count` free candidates at or above the threshold, most similar first."""
    if count == 0:
        return []
    inside = np.flatnonzero(similar_C >= threshold)
    inside = inside[free_N[candidates[inside]] & (candidates[inside] != seed)]
    # A stable sort of the negated values: of equals, the lower number first.
    best = inside[np.argsort(-similar_C[inside], kind="stable")[:count]]
    return candidates[best].tolist()
