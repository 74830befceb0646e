"""transformers: the prompts of a group as one left-padded batch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import StoppingCriteriaList

from branchwise.bench.peers.base import Answers, Prompts, System
from branchwise.bench.peers.loading import exactly, loaded
from branchwise.bench.peers.transformers_cached import Steps


class PaddedBatch(System):
    """`generate` on a batch; every prompt is computed whole."""

    title = "transformers, padded batch"
    packages = ("transformers", "torch")

    def __init__(self, folder: Path, threads: int) -> None:
        super().__init__(folder, threads)
        self.model: Any = loaded(folder, threads)

    def settings(self) -> dict[str, str]:
        return {"prefix": "computed anew for every prompt", "batch": "a group, padded on the left"}

    @torch.inference_mode()
    def answer(self, groups: Sequence[Prompts], num_shared: int, num_tokens: int) -> list[Answers]:
        self.ticks = []
        return [self._batch(group, num_tokens) for group in groups]

    def _batch(self, prompts: Prompts, num_tokens: int) -> Answers:
        width = max(map(len, prompts))
        told = self.model.generate(
            input_ids=torch.tensor([[0] * (width - len(p)) + p for p in prompts]),
            attention_mask=torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts]),
            generation_config=exactly(num_tokens),
            stopping_criteria=StoppingCriteriaList([Steps(self)]),
        )
        return told[:, width:].tolist()
