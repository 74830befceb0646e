"""The project's own: the tree decoder with nothing set."""

import asyncio
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from branchwise.bench.floor import Cost
from branchwise.bench.peers.base import Answers, Prompts, System
from branchwise.bench.peers.loading import loaded
from branchwise.decoding.completing import CompletingEngine
from branchwise.decoding.requests import Request, Rules


class TreeSystem(System):
    """All branches in one tree; what all prompts share is computed once and kept."""

    title = "tree"
    packages = ("torch", "transformers")

    def __init__(self, folder: Path, threads: int) -> None:
        super().__init__(folder, threads)
        self.engine = CompletingEngine(loaded(folder, threads))
        self.loop = asyncio.new_event_loop()

    def settings(self) -> dict[str, str]:
        return {
            "prefix": "computed once, and what all groups share kept (num_shared)",
            "kernel": self.engine.kernel,
            "products": self.engine.product_layout,
        }

    def needed_mib(self) -> float:
        model = self.engine.model
        weight_bytes = sum(tensor.nbytes for tensor in model.parameters())
        return (weight_bytes + self.engine.peak_tokens * Cost.of(model).key_bytes) / 2**20

    def answer(self, groups: Sequence[Prompts], num_shared: int, num_tokens: int) -> list[Answers]:
        self.ticks = []
        engine, rules = self.engine, Rules(num_tokens)
        answers: list[Answers] = [[[] for _ in group] for group in groups]
        owners = [object() for _ in groups]
        rows = list(chain.from_iterable(answers))
        for owner, group, told in zip(owners, groups, answers, strict=True):
            for prompt, row in zip(group, told, strict=True):
                future = self.loop.create_future()
                engine.submit(Request(prompt, rules, owner, future, row.append, num_shared=num_shared))
        with engine.attached():
            while engine.step():
                if min(map(len, rows)) > len(self.ticks):
                    self.tick()
        for owner in owners:
            engine.close(owner)
        return answers
