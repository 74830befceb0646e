"""The learning rate of a training, step by step."""

import math

from branchwise.training.recipes import Recipe


def rate_at(recipe: Recipe, step: int) -> float:
    """The learning rate of a step, from 0: a linear warm-up, then a cosine down to `last_rate`."""
    warm = max(1, round(recipe.warmup * recipe.steps))
    if step < warm:
        return recipe.rate * (step + 1) / warm
    done = (step - warm) / max(1, recipe.steps - warm)
    return recipe.last_rate + (recipe.rate - recipe.last_rate) * (1 + math.cos(math.pi * done)) / 2
