"""The same work in every layout that a reader might use: B questions on one prefix, L tokens each.

Every layout first does its `prefill`, then decodes greedily with `advance`, one token a branch. All
of them must say the same tokens (in fp32), which the runner checks.

Shape legend: B branches, P prefix tokens, Q question tokens.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedModel

from branchwise.decoding.completing import CompletingEngine
from branchwise.decoding.models.facts import cache_name
from branchwise.decoding.options import Kernel, Products
from branchwise.decoding.requests import Request, Rules
from branchwise.errors import UserError


class Layout(ABC):
    """One way to hold B branches over a shared prefix."""

    name: str

    def __init__(self, model: PreTrainedModel, prefix_P: Tensor, questions_BQ: Tensor) -> None:
        self.model = model
        self.prefix_P = prefix_P
        self.questions_BQ = questions_BQ
        self.tokens: list[list[int]] = []

    @abstractmethod
    def prefill(self) -> None:
        """Compute the prompts and the first new token of every branch."""

    @abstractmethod
    def advance(self) -> None:
        """One more token for every branch."""

    @abstractmethod
    def cache_tokens(self) -> int:
        """Tokens whose keys and values are held."""

    def counters(self) -> dict[str, int]:
        """Exact counts of what was done so far; empty where a layout keeps none."""
        return {}

    def notes(self) -> dict[str, str]:
        """What the layout chose for itself; empty where there was no choice."""
        return {}

    def _note(self, next_B: Tensor) -> None:
        self.tokens.append(next_B.tolist())

    def answers(self) -> list[list[int]]:
        """New tokens of each branch."""
        return [list(row) for row in zip(*self.tokens, strict=True)]


def _last(model: PreTrainedModel, cache: Cache, **inputs) -> Tensor:
    """The most likely next token of each row, int64 (B,), with `cache` that grows by the inputs."""
    inputs[cache_name(type(model))] = cache
    return model(**inputs, use_cache=True, logits_to_keep=1).logits[:, -1].argmax(-1)


class Sequential(Layout):
    """One prompt after the other, the prefix computed for each of them."""

    name = "sequential"
    reuse = False

    def prefill(self) -> None:
        self.caches, firsts = [], []
        shared = None
        if self.reuse:
            shared = DynamicCache(config=self.model.config)
            _last(self.model, shared, input_ids=self.prefix_P[None])
        for question in self.questions_BQ:
            cache = DynamicCache(config=self.model.config)
            prompt = question
            if shared is None:
                prompt = torch.cat([self.prefix_P, question])
            else:
                layers: list[Any] = shared.layers
                for layer, kept in enumerate(layers):
                    cache.update(kept.keys, kept.values, layer)
            firsts.append(_last(self.model, cache, input_ids=prompt[None]))
            self.caches.append(cache)
        self.next_B = torch.cat(firsts)
        self._note(self.next_B)

    def advance(self) -> None:
        rows = []
        for index, cache in enumerate(self.caches):
            ids = self.next_B[index].view(1, 1)
            rows.append(_last(self.model, cache, input_ids=ids))
        self.next_B = torch.cat(rows)
        self._note(self.next_B)

    def cache_tokens(self) -> int:
        # One branch is alive at a time; all are kept here so that layouts can be timed in turn.
        return self.caches[0].get_seq_length()


class SequentialReuse(Sequential):
    """One question after the other over one computed prefix."""

    name = "sequential, prefix reused"
    reuse = True


class PaddedBatch(Layout):
    """All prompts as one batch, the prefix computed and held B times."""

    name = "padded batch"

    def prefill(self) -> None:
        count = len(self.questions_BQ)
        prompts = torch.cat([self.prefix_P.expand(count, -1), self.questions_BQ], dim=1)
        self.cache = DynamicCache(config=self.model.config)
        # An explicit mask, as a padded batch has one.
        self.mask = torch.ones_like(prompts)
        self.next_B = _last(self.model, self.cache, input_ids=prompts, attention_mask=self.mask)
        self._note(self.next_B)

    def advance(self) -> None:
        self.mask = torch.cat([self.mask, self.mask[:, :1]], dim=1)
        self.next_B = _last(
            self.model, self.cache, input_ids=self.next_B[:, None], attention_mask=self.mask
        )
        self._note(self.next_B)

    def cache_tokens(self) -> int:
        return len(self.questions_BQ) * self.cache.get_seq_length()


class ExpandedBatch(PaddedBatch):
    """The prefix computed once, its keys and values copied for every branch."""

    name = "batch, prefix expanded"

    def prefill(self) -> None:
        count = len(self.questions_BQ)
        self.cache = DynamicCache(config=self.model.config)
        _last(self.model, self.cache, input_ids=self.prefix_P[None])
        self.cache.batch_repeat_interleave(count)
        width = len(self.prefix_P) + self.questions_BQ.shape[1]
        self.mask = torch.ones(count, width, dtype=torch.long, device=self.prefix_P.device)
        self.next_B = _last(self.model, self.cache, input_ids=self.questions_BQ, attention_mask=self.mask)
        self._note(self.next_B)


class Tree(Layout):
    """The tree decoder, nothing set. `lengths`: stop each branch after so many tokens. Each step puts the
    decoder into the model and takes it out again, since other layouts use the model between.
    """

    name = "tree"
    kernel: Kernel = "auto"
    products: Products = "auto"
    compile_mode: str | None = None
    lengths: list[int] | None = None

    def __init__(self, model: PreTrainedModel, prefix_P: Tensor, questions_BQ: Tensor) -> None:
        super().__init__(model, prefix_P, questions_BQ)
        self.decoder = CompletingEngine(
            model,
            kernel=self.kernel,
            products=self.products,
            compile_mode=self.compile_mode,
        )
        self.loop = asyncio.new_event_loop()
        self.rows: list[list[int]] = [[] for _ in questions_BQ]

    def prefill(self) -> None:
        room = self.decoder.max_context - len(self.prefix_P) - self.questions_BQ.shape[1]
        lengths = self.lengths or [room] * len(self.rows)
        for row, (question, length) in enumerate(zip(self.questions_BQ, lengths, strict=True)):
            prompt = [*self.prefix_P.tolist(), *question.tolist()]
            future = self.loop.create_future()
            self.decoder.submit(Request(prompt, Rules(length), self, future, self.rows[row].append))
        while not all(self.rows):
            self.decoder.step()

    def advance(self) -> None:
        self.decoder.step()

    def answers(self) -> list[list[int]]:
        return self.rows

    def cache_tokens(self) -> int:
        return self.decoder.slots_in_use

    def counters(self) -> dict[str, int]:
        decoder = self.decoder
        return {
            "forward_passes": decoder.num_forward_passes,
            "rows": decoder.num_rows,
            "peak_tokens": decoder.peak_tokens,
            "buffer_bytes": decoder.cache_bytes,
            "copied_bytes": decoder.peak_copied_bytes,
        }

    def notes(self) -> dict[str, str]:
        return {"kernel": self.decoder.kernel, "products": self.decoder.product_layout}


class PackedSequence(Layout):
    """Everything in one sequence of transformers' own cache and attention, under a dense mask."""

    name = "packed, dense mask"

    def prefill(self) -> None:
        count, width = self.questions_BQ.shape
        self.cache = DynamicCache()
        _last(self.model, self.cache, input_ids=self.prefix_P[None])
        device = self.prefix_P.device
        self.owner = torch.full((len(self.prefix_P),), -1, device=device)
        self.position = len(self.prefix_P) + width
        owners = torch.arange(count, device=device).repeat_interleave(width)
        positions = torch.arange(len(self.prefix_P), self.position, device=device).repeat(count)
        ends = torch.arange(width - 1, count * width, width, device=device)
        self._pass(self.questions_BQ.reshape(1, -1), owners, positions, ends)

    def _pass(self, ids: Tensor, owners: Tensor, positions: Tensor, keep: Tensor) -> None:
        begin = len(self.owner)
        self.owner = torch.cat([self.owner, owners])
        written = torch.arange(len(self.owner), device=ids.device)
        mine = (self.owner == -1) | (self.owner == owners[:, None])
        mask = mine & (written <= written[begin:, None])
        logits = self.model(
            ids,
            **{cache_name(type(self.model)): self.cache},
            attention_mask=mask[None, None],
            position_ids=positions[None],
            use_cache=True,
            logits_to_keep=keep,
        ).logits[0]
        self.next_B = logits.argmax(-1)
        self._note(self.next_B)

    def advance(self) -> None:
        rows = torch.arange(len(self.next_B), device=self.next_B.device)
        positions = torch.full_like(rows, self.position)
        self._pass(self.next_B[None], rows, positions, rows)
        self.position += 1

    def cache_tokens(self) -> int:
        return len(self.owner)


class TreeDense(Tree):
    """The tree decoder with one dense mask."""

    name = "tree, dense mask"
    kernel = "dense"
    products = "plain"


class TreeCascade(Tree):
    """The tree decoder by what torch has: what the cascade alone brings."""

    name = "tree, cascade in torch"
    kernel = "cascade"
    products = "plain"


class TreeCompiled(Tree):
    """The tree decoder, its steps compiled; on a GPU, CUDA graphs. The first steps compile."""

    name = "tree, compiled"
    kernel = "cascade"
    products = "plain"
    compile_mode = "reduce-overhead"


LAYOUTS: tuple[type[Layout], ...] = (
    Sequential,
    SequentialReuse,
    PaddedBatch,
    ExpandedBatch,
    PackedSequence,
    TreeDense,
    TreeCascade,
    Tree,
)


def by_name(names: Sequence[str] | None, device: torch.device) -> list[type[Layout]]:
    """Layouts by name; for none given all of them, the compiled one on a GPU only (a CPU takes a minute
    to compile what does not make it faster).
    """
    layouts: tuple[type[Layout], ...] = (*LAYOUTS, TreeCompiled)
    known = {layout.name: layout for layout in layouts}
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise UserError(f"layout {unknown[0]!r} is not known", f"known: {'; '.join(known)}")
    usual = [name for name in known if name != TreeCompiled.name or device.type == "cuda"]
    return [known[name] for name in names or usual]
