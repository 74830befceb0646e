"""transformers: one prompt after the other, over the computed keys and values of what it shares."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache, StoppingCriteria, StoppingCriteriaList

from branchwise.bench.peers.base import Answers, Prompts, System, begins_alike
from branchwise.bench.peers.loading import exactly, loaded
from branchwise.decoding.models.facts import cache_name


class CachedPrefix(System):
    """`generate` on a copy of the group's cache, which goes on from a copy of what all prompts share."""

    title = "transformers, prefix reused"
    packages = ("transformers", "torch")

    def __init__(self, folder: Path, threads: int) -> None:
        super().__init__(folder, threads)
        self.model: Any = loaded(folder, threads)
        self.shared: tuple[list[int], DynamicCache] = [], self._cache()

    def settings(self) -> dict[str, str]:
        return {"prefix": "its cache computed once a group, and once for what all groups share"}

    @torch.inference_mode()
    def answer(self, groups: Sequence[Prompts], num_shared: int, num_tokens: int) -> list[Answers]:
        return [self._group(group, num_shared, num_tokens) for group in groups]

    def _cache(self) -> DynamicCache:
        return DynamicCache(config=self.model.config)

    def _fill(self, cache: DynamicCache, ids: list[int]) -> None:
        if ids:
            given = {cache_name(type(self.model)): cache}
            self.model(torch.tensor([ids]), **given, use_cache=True, logits_to_keep=1)

    def _group(self, prompts: Prompts, num_shared: int, num_tokens: int) -> Answers:
        begun = prompts[0][:num_shared]
        if self.shared[0] != begun:
            self.shared = begun, self._cache()
            self._fill(self.shared[1], begun)
        prefix = copy.deepcopy(self.shared[1])
        if len(prompts) > 1:
            self._fill(prefix, prompts[0][num_shared : begins_alike(prompts)])
        answers = []
        for prompt in prompts:
            self.ticks = []
            steps = StoppingCriteriaList([Steps(self)])
            told = self.model.generate(
                input_ids=torch.tensor([prompt]),
                past_key_values=copy.deepcopy(prefix),
                generation_config=exactly(num_tokens),
                stopping_criteria=steps,
            )
            answers.append(told[0, len(prompt) :].tolist())
        if len(prompts) > 1:
            # Of several, none waits for the others.
            self.ticks = []
        return answers


class Steps(StoppingCriteria):
    """Hears of every token, and stops nothing."""

    def __init__(self, system: System) -> None:
        self.system = system

    def __call__(self, input_ids: torch.LongTensor, scores: Any, **kwargs: Any) -> Any:
        self.system.tick()
        return torch.zeros(len(input_ids), dtype=torch.bool)
