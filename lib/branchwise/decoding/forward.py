"""One forward pass over everything that is pending in the tree.

Shape legend: N tokens of a step, R rows whose logits are asked for, V words of the vocabulary.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedModel

from branchwise.decoding.attention.interface import tree_attention
from branchwise.decoding.attention.kernel import Kernel
from branchwise.decoding.attention.kernels import KERNELS
from branchwise.decoding.attention.spread import Spread
from branchwise.decoding.attention.step import TreeStep
from branchwise.decoding.diagnosis import first_nan
from branchwise.decoding.held.cache import TreeCache
from branchwise.decoding.held.positions import GridRotary
from branchwise.decoding.held.tree import Node, Pending, Together, TokenTree, is_below
from branchwise.decoding.mixers.mixing import Mixed, Mixing
from branchwise.decoding.mixers.modules import Columns
from branchwise.decoding.models.facts import cache_name, devices_of
from branchwise.decoding.models.usable import check_mode, check_on_one_device
from branchwise.decoding.options import TreeOptions
from branchwise.decoding.pages import SCRATCH, sums_in_pages
from branchwise.decoding.products.heads import ProjectedHeads
from branchwise.decoding.products.linear import LinearProducts
from branchwise.decoding.products.small import SmallOperations
from branchwise.decoding.seat import seat_of
from branchwise.decoding.threads import Threads
from branchwise.decoding.torch_compile import compiled
from branchwise.errors import UserError


class Outcome(NamedTuple):
    """What a pass found: logits, fp32 (V,), after the last token of each node that is complete now;
    and the roots of trees whose logits are not numbers, with the module where that began.
    """

    logits: dict[Node, Tensor]
    broken: dict[int, str]


class ForwardPass:
    """Runs a model over a token tree. `num_passes` and `num_rows` count what it did; `products` says
    by what it multiplies. `observer`, where there is one, is shown the kernel after each
    pass, while that still has the step and what was made for it.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tree: TokenTree,
        kernel: str,
        options: TreeOptions,
        mixing: Mixing | None = None,
    ) -> None:
        self.model = model
        mode = options.compile_mode
        if mode is not None:
            check_on_one_device(model, "torch.compile")
        self._call = model if mode is None else compiled(model, mode)
        self._compiles = mode is not None
        self.max_step_tokens = options.max_step_tokens
        self.max_cache_tokens = options.max_cache_tokens
        self._kernel_type = KERNELS[kernel]
        self.num_passes = 0
        self.num_rows = 0
        self.peak_tokens = 0
        self.peak_copied_bytes = 0
        self.observer: Callable[[Kernel], None] | None = None
        self._rotary = GridRotary(model, options.grid) if options.positions.startswith("grid2d") else None
        self._mixing = mixing
        self.products = LinearProducts(model, options.products, self._compiles)
        # torch.compile fuses what is small in its own way.
        whole = None if self._compiles else model
        self._small = SmallOperations(whole, self.products)
        self._heads = ProjectedHeads(whole, self.products)
        self.threads = Threads(self.products.are_only_own and not self._compiles)
        self._seat = seat_of(model)
        self._width = model.config.get_text_config().hidden_size
        self._sums_in_pages = self.products.are_own and not self._compiles
        self._is_spread = len(devices_of(model)) > 1
        self.start_anew(tree)

    def start_anew(self, tree: TokenTree) -> None:
        """Go on with another tree, and nothing held of the old one."""
        self.tree = tree
        self.cache = TreeCache(self.max_cache_tokens, self._compiles)
        kind = self._kernel_type
        self.kernel: Kernel = Spread(self.cache, kind) if self._is_spread else kind(self.cache)

    def attached(self) -> AbstractContextManager[None]:
        """The tree's attention, products and two-dimensional positions in the model, for as long
        as this lasts. Passes outside of it attach for themselves. See `branchwise.decoding.seat`.
        """
        return self._seat.taken(self._changes)

    @property
    def is_attached(self) -> bool:
        """Whether it is attached already, by this thread of control."""
        return self._seat.is_used_by(self._changes)

    @contextmanager
    def _changes(self) -> Iterator[None]:
        check_mode(self.model)
        rotary = self._rotary.attached() if self._rotary is not None else nullcontext()
        mixing = self._mixing.attached() if self._mixing is not None else nullcontext()
        with ExitStack() as stack:
            # What takes the place of whole modules looks at their parts as they are.
            fast = self._heads.attached(), self._small.attached(), self.products.attached()
            for change in (tree_attention(self.model, self._compiles), *fast, rotary, mixing):
                stack.enter_context(change)
            yield

    def __call__(self, tips: Sequence[Node]) -> Outcome:
        """Compute what is pending in `tips` and above them, up to `max_step_tokens` tokens.

        An error leaves the tree with tokens that count as computed and are not: start anew.
        """
        if self.is_attached:
            return self._pass(tips)
        with self.attached():
            return self._pass(tips)

    def _pass(self, tips: Sequence[Node]) -> Outcome:
        tree, device = self.tree, self.tree.device
        pending = tree.pending(tips, self.max_step_tokens)
        room = self.max_cache_tokens
        over = room is not None and tree.slots.high + len(pending.tokens) > room
        if tree.slots.is_sparse or over:
            with torch.inference_mode():
                self.cache.move(tree.compact())
        slots = tree.place(pending)
        slots_N = torch.tensor(slots, device=device)
        self.cache.aim(slots, slots_N, tree.slots.high)
        position_N = torch.tensor(pending.positions, device=device)
        if self._rotary is not None:
            self._rotary.aim(torch.tensor(pending.x, device=device))
        if self._mixing is not None:
            self._mixing.aim(_mixed(pending, device))
        self.kernel.begin(TreeStep(tree, pending, slots, slots_N, position_N, tree.slots.high))
        last_row = {node: row for row, node in enumerate(pending.nodes)}
        ready = [node for node in dict.fromkeys(tips) if node in last_row and not node.num_pending]
        rows = [last_row[node] for node in ready]
        inputs = {
            "input_ids": torch.tensor([pending.tokens], device=device),
            "position_ids": position_N[None],
            cache_name(type(self.model)): self.cache,
            "use_cache": True,
            # Of several devices it is the last whose states these rows are taken of, and tensors are
            # brought to the first.
            "logits_to_keep": rows if self._is_spread else torch.tensor(rows, device=device).long(),
            "tree_kernel": self.kernel,
        }
        logits_RV, broken = self._logits(inputs, pending)
        if self.observer is not None:
            self.observer(self.kernel)
        SCRATCH.tidy()
        self.num_passes += 1
        self.num_rows += len(pending.tokens)
        self.peak_tokens = max(self.peak_tokens, tree.slots.num_used)
        self.peak_copied_bytes = max(self.peak_copied_bytes, self.kernel.copied_bytes)
        sound = [(n, row) for n, row in zip(ready, logits_RV, strict=True) if n.root_id not in broken]
        return Outcome(dict(sound), broken)

    # Not merely without gradients: every operation is cheaper in inference mode.
    @torch.inference_mode()
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
            # Nor those of trees that go on from a broken one.
            found |= {n.root_id for n in set(pending.nodes) if is_below(n, found)} - broken.keys()
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
            self.kernel.forget_copies()
            logits_RV, is_sound = self._run(inputs)
        return logits_RV, broken

    def _run(self, inputs: dict[str, Any]) -> tuple[Tensor, bool]:
        """Logits, fp32 (R, V), and whether they and what the last layer wrote are numbers."""
        num_rows = inputs["input_ids"].shape[1]
        chosen = nullcontext() if self.kernel.knows_threads else self.threads.chosen(num_rows)
        sums = sums_in_pages(num_rows * self._width) if self._sums_in_pages else nullcontext()
        with chosen, sums:
            logits_RV = self._call(**inputs).logits[0].float()
        if not self.kernel.num_calls:
            raise UserError(
                f"{type(self.model).__name__} computed its attention by itself: its branches would see "
                "each other",
                "use decoder hf for this model, or say how it came to be changed",
            )
        written = self.cache.last_values
        # A row's largest is no number where one of it is none: a twelfth of the time of a test of each.
        is_nan = logits_RV.amax(-1).isnan().any()
        if written is not None:
            is_nan = is_nan | written.amax(-1).isnan().any().to(is_nan.device)
        return logits_RV, not bool(is_nan)

    @property
    def fused_modules(self) -> dict[str, int]:
        """How many modules of each kind are computed in one call, once it was attached."""
        return {**self._small.count, "attention inputs": self._heads.count}

    def forget(self) -> None:
        """Let go of what is kept from step to step."""
        self.kernel.forget()


def _mixed(pending: Pending, device: torch.device) -> Mixed | None:
    """What of a pass is mixed: each set by itself. None where nothing is."""
    sets: dict[Together, int] = {}
    rows = []
    for place, (node, column) in enumerate(zip(pending.nodes, pending.columns, strict=True)):
        if node.together is not None and node.together.mixes:
            number = sets.setdefault(node.together, len(sets))
            rows.append((place, number, column, node.together.seed))
    if not rows:
        return None
    place_M, *columns = torch.tensor(rows, device=device).T
    return Mixed(torch.zeros_like(place_M), place_M, Columns(*columns))
