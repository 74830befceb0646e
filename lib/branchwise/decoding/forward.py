"""One forward pass over everything that is pending in the tree.

Shape legend: N tokens of a step, R rows whose logits are asked for, V words of the vocabulary.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from branchwise.decoding.attention.interface import tree_attention
from branchwise.decoding.attention.plan import Plan
from branchwise.decoding.attention.step import TreeStep
from branchwise.decoding.diagnosis import first_nan
from branchwise.decoding.held.cache import TreeCache
from branchwise.decoding.held.positions import Grid2D, GridRotary
from branchwise.decoding.held.tree import Node, Pending, TokenTree
from branchwise.decoding.products.packed import PackedWeights
from branchwise.decoding.torch_compile import compiled


class Outcome(NamedTuple):
    """What a pass found: logits, fp32 (V,), after the last token of each node that is complete now;
    and the roots of trees whose logits are not numbers, with the module where that began.
    """

    logits: dict[Node, Tensor]
    broken: dict[int, str]


class ForwardPass:
    """Runs a model over a token tree. `num_passes` and `num_rows` count what it did; `weights` says in
    which layout it multiplies by them.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tree: TokenTree,
        kernel: str,
        max_step_tokens: int,
        packed_weights: bool,
        grid: Grid2D | None = None,
        max_cache_tokens: int | None = None,
        compile_mode: str | None = None,
    ) -> None:
        self.model = model
        self._call = model if compile_mode is None else compiled(model, compile_mode)
        self.tree = tree
        self.kernel = kernel
        self.max_step_tokens = max_step_tokens
        self.max_cache_tokens = max_cache_tokens
        self.cache = TreeCache(max_cache_tokens)
        self.num_passes = 0
        self.num_rows = 0
        self.peak_tokens = 0
        self.peak_copied_bytes = 0
        self.weights = PackedWeights(model if packed_weights else None)
        self._rotary = GridRotary(model, grid) if grid is not None else None
        self._attached = False
        self._last: tuple[int, list[Node], Plan] | None = None

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The tree's attention, in the model for as long as the context lasts.

        Every pass enters it by itself; entering it around many passes saves switching each time.
        """
        if self._attached:
            yield
            return
        rotary = self._rotary.attached() if self._rotary is not None else nullcontext()
        with tree_attention(self.model, self.kernel), self.weights.attached(), rotary:
            self._attached = True
            try:
                yield
            finally:
                self._attached = False

    @torch.no_grad()
    def __call__(self, tips: Sequence[Node]) -> Outcome:
        """Compute what is pending in `tips` and above them, up to `max_step_tokens` tokens."""
        device = self.tree.device
        pending = self.tree.pending(tips, self.max_step_tokens)
        room = self.max_cache_tokens
        over = room is not None and self.tree.slots.high + len(pending.tokens) > room
        if self.tree.slots.is_sparse or over:
            self.cache.move(self.tree.compact())
        version = self.tree.version
        slots_N = self.tree.place(pending)
        self.cache.aim(slots_N, self.tree.slots.high)
        position_N = torch.tensor(pending.positions, device=device)
        if self._rotary is not None:
            self._rotary.aim(torch.tensor(pending.x, device=device))
        plan = self._plan_from_before(version, pending, slots_N)
        # In the next step, too, every row may be the next token of its node.
        keeps = len(set(pending.nodes)) == len(pending.nodes) and self.kernel == "cascade"
        step = TreeStep(
            self.tree, pending, slots_N, position_N, plan, kept_in=self.cache if keeps else None
        )
        last_row = {node: row for row, node in enumerate(pending.nodes)}
        ready = [node for node in dict.fromkeys(tips) if node in last_row and not node.num_pending]
        rows = [last_row[node] for node in ready]
        inputs = {
            "input_ids": torch.tensor([pending.tokens], device=device),
            "position_ids": position_N[None],
            "past_key_values": self.cache,
            "use_cache": True,
            "logits_to_keep": torch.tensor(rows, dtype=torch.long, device=device),
            "tree_step": step,
        }
        with self.attached():
            logits_RV, broken = self._logits(inputs, pending)
        self.num_passes += 1
        self.num_rows += len(pending.tokens)
        self.peak_tokens = max(self.peak_tokens, self.tree.slots.num_used)
        self._last = (version, pending.nodes, step.plan) if keeps else None
        copied = [one.num_bytes for copies in step.copies for one in copies.values()]
        self.peak_copied_bytes = max(self.peak_copied_bytes, sum(copied))
        sound = [(n, row) for n, row in zip(ready, logits_RV, strict=True) if n.root_id not in broken]
        return Outcome(dict(sound), broken)

    def _logits(self, inputs: dict[str, Any], pending: Pending) -> tuple[Tensor, dict[int, str]]:
        """Logits of the rows that are asked for, fp32 (R, V), and the roots whose are not numbers.

        Where some are not, the other trees' are computed again without the rows that spoil them.
        """
        broken: dict[int, str] = {}
        logits_RV, is_sound = self._run(inputs)
        while not is_sound:
            where, rows = first_nan(self.model, inputs)
            found = {pending.nodes[row].root_id for row in rows} - broken.keys()
            # Nothing new: it is not the tokens that spoil, so nobody's logits can be trusted.
            found = found or {node.root_id for node in pending.nodes} - broken.keys()
            broken |= dict.fromkeys(found, where)
            sound = [row for row, node in enumerate(pending.nodes) if node.root_id not in broken]
            if not sound:
                self.cache.clear_nan()
                return logits_RV, broken
            # A token of a sound tree in place of each that spoils: what it gives is thrown away.
            ids = inputs["input_ids"].clone()
            ids[0, sorted(rows)] = int(ids[0, sound[0]])
            inputs = inputs | {"input_ids": ids}
            self.cache.clear_nan()
            for copies in inputs["tree_step"].copies:
                copies.clear()
            logits_RV, is_sound = self._run(inputs)
        return logits_RV, broken

    def _run(self, inputs: dict[str, Any]) -> tuple[Tensor, bool]:
        """Logits, fp32 (R, V), and whether they and what the last layer wrote are numbers."""
        logits_RV = self._call(**inputs).logits[0].float()
        written = self.cache.last_values
        is_nan = logits_RV.isnan().any()
        if written is not None:
            is_nan = is_nan | written.isnan().any()
        return logits_RV, not bool(is_nan)

    def _plan_from_before(self, version: int, pending: Pending, slots_N: Tensor) -> Plan | None:
        """The last step's plan, grown by one key a row; None where more than that has changed."""
        last, self._last = self._last, None
        if last is None or last[:2] != (version, pending.nodes):
            return None
        # Buffers that grow lie elsewhere afterwards: copies that are found by their address are lost.
        if self.tree.slots.high > self.cache.room:
            return None
        return last[2].grown(slots_N)

    def forget(self) -> None:
        """Let go of what is kept from step to step."""
        self._last = None
