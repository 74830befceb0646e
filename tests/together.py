"""Branches that mix or peek, decoded by the tree and computed in one packed training pass."""

import asyncio
from collections.abc import Callable
from collections.abc import Sequence as Seq

import torch

from branchwise.decoding.completing import CompletingEngine
from branchwise.decoding.loop import run
from branchwise.decoding.mixers.entry import MixerEntry
from branchwise.decoding.mixers.mixing import Mixing
from branchwise.decoding.options import Grid2D
from branchwise.decoding.requests import Completion, Hook, Request, Rules, together
from branchwise.training.lesson import Lesson
from branchwise.training.packing import Row, batch_of
from branchwise.training.sequences import Document, Sequence, Span


def stirred(mixing: Mixing, size: float = 0.08) -> Mixing:
    """Mixers with random weights: fresh ones change nothing."""
    generator = torch.Generator().manual_seed(5)
    for parameter in mixing.modules.parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        parameter.data = parameter.data + size * noise
    for mixer in mixing.modules:
        if mixing.entry.peers == "shuffled":
            width = mixer.out.weight.shape[0]
            states = torch.randn(12, width, generator=generator)
            mixer.keep_strangers(states, torch.arange(12) // 4, torch.arange(12) % 4)
    return mixing


def noted(logits: list[torch.Tensor]) -> Hook:
    """A hook that keeps the logits (V,) of its branch."""

    def change(_: object, logits_RV: torch.Tensor) -> torch.Tensor:
        logits.extend(logits_RV.clone())
        return logits_RV

    return Hook(change)


def ask_mixed(
    engine: CompletingEngine, groups: Seq[Seq[list[int]]], count: int, seed: int = 0
) -> tuple[list[list[Completion]], list[list[list[torch.Tensor]]]]:
    """Groups of prompts, those of each mixed, all in flight at once; with the logits of every token."""
    logits: list[list[list[torch.Tensor]]] = [[[] for _ in prompts] for prompts in groups]

    async def one(number: int, prompts: Seq[list[int]]) -> list[Completion]:
        mix = together(len(prompts), mixes=True, seed=seed + number)
        group = object()
        futures = []
        for prompt, kept in zip(prompts, logits[number], strict=True):
            futures.append(asyncio.get_running_loop().create_future())
            rules = Rules(count, hooks=(mix, noted(kept)))
            engine.submit(Request(prompt, rules, group, futures[-1]))
        try:
            return list(await asyncio.gather(*futures))
        finally:
            engine.close(group)

    async def every() -> list[list[Completion]]:
        return list(await asyncio.gather(*(one(n, prompts) for n, prompts in enumerate(groups))))

    with engine.attached():
        return run(every(), engine.step), logits


def generate_forked(
    engine: CompletingEngine,
    trunk: list[int],
    rests: Seq[list[int]],
    count: int,
    peek: bool,
    positions: str | None = None,
) -> tuple[list[Completion], list[list[torch.Tensor]]]:
    """Branches of one trunk, all generated at once, peeking or not; with the logits of every token."""
    logits: list[list[torch.Tensor]] = [[] for _ in rests]

    async def ask() -> list[Completion]:
        branches = engine.fork(engine.open(trunk, "g"), rests, positions)
        peeking = (together(len(rests), peeks=True),) if peek else ()
        asks = (
            engine.generate(branch, Rules(count, hooks=(*peeking, noted(kept))))
            for branch, kept in zip(branches, logits, strict=True)
        )
        try:
            return list(await asyncio.gather(*asks))
        finally:
            engine.close("g")

    with engine.attached():
        return run(ask(), engine.step), logits


def packed_logits(
    model: torch.nn.Module,
    documents: Seq[Document],
    mixing: Mixing | None = None,
    grid: Grid2D | None = None,
    change: Callable[[Lesson], None] | None = None,
) -> list[torch.Tensor]:
    """Logits (tokens, V) of each learned span, of one packed row, without gradients."""
    row = Row()
    for document in documents:
        row.add(document)
    batch = batch_of([row], row.num_tokens + 3, 0)
    lesson = Lesson(model, mixing, grid)
    lesson.eval()
    with torch.no_grad(), lesson.attached():
        logits_NV = lesson.logits(batch)
    return [logits_NV[span.first : span.first + span.length] for span in batch.spans]


def answered(prompt: list[int], made: Completion, shift: int = 0, x: int = 0) -> Sequence:
    """A prompt with what a decoder said behind it, as a sequence to be learned."""
    ids = list(made.ids)
    span = Span(len(prompt), len(ids) - 1, "answer")
    return Sequence([*prompt, *ids[:-1]], [span], end=ids[-1], shift=shift, x=x)


def entry(**changes: object) -> MixerEntry:
    """A mixer for the small models of `tests.architectures`, of width 48."""
    return MixerEntry(**{"place": "after", "layers": (1,), "heads": 4, "gate": "gate"} | changes)
