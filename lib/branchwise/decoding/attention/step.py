"""What one forward pass knows about the tree, worked out once for all layers and only if asked.

Shape legend: N query tokens of a step, S key slots in use.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

from branchwise.decoding.attention.plan import Copies, Gathered, InPlace, Plan, make_plan
from branchwise.decoding.held.cache import TreeCache
from branchwise.decoding.held.tree import Pending, TokenTree


@dataclass(eq=False)
class TreeStep:
    """Reaches every attention layer as a keyword. Positions are logical ones, int64. `kept_in` is the
    cache where the next step may go on from this one's plan, so that what is gathered should be kept.

    A sliding window counts logical positions, so that what else is in the tree does not narrow it.
    """

    tree: TokenTree
    pending: Pending
    slots_N: Tensor
    position_N: Tensor
    known_plan: Plan | None = None
    kept_in: TreeCache | None = None
    _masks: dict[int | None, Tensor] = field(default_factory=dict)
    _blocks: dict[int | None, BlockMask] = field(default_factory=dict)
    _near: dict[tuple, Tensor | None] = field(default_factory=dict)

    @property
    def num_used(self) -> int:
        """Slots from the first to the last in use."""
        return self.tree.slots.high

    @property
    def _slot_positions(self) -> Tensor:
        return self.tree.position_S[: self.num_used]

    # ----- dense -----

    def mask(self, window: int | None) -> Tensor:
        """Which slots each token sees, bool (N, S), narrowed to the window if there is one."""
        if window not in self._masks:
            mask = self.tree.mask(self.slots_N) if window is None else self.mask(None)
            if window is not None:
                mask = mask & (self.position_N[:, None] - self._slot_positions < window)
            self._masks[window] = mask
        return self._masks[window]

    def grouped_mask(self, window: int | None, num_groups: int) -> Tensor:
        """`mask` once for each group of query heads, bool (G*N, S)."""
        name = ("grouped", window, num_groups)
        if name not in self._near:
            self._near[name] = self.mask(window).repeat(num_groups, 1)
        return self._near[name]

    # ----- cascade -----

    @property
    def plan(self) -> Plan:
        """The cascade's parts."""
        if self.known_plan is None:
            self.known_plan = make_plan(self.tree, self.pending)
        return self.known_plan

    @property
    def copies(self) -> list[dict[tuple[int, int], Copies]]:
        """What the plan's parts have gathered; nothing where no plan was asked for."""
        return [] if self.known_plan is None else self.known_plan.copies

    def keeps(self, key: Tensor, value: Tensor) -> bool:
        """Whether what is gathered of these will be asked for again."""
        return self.kept_in is not None and self.kept_in.holds(key) and self.kept_in.holds(value)

    def near(self, part: InPlace, window: int | None) -> Tensor | None:
        """Which keys lie within the window, bool (n, m); None where all do."""
        if window is None:
            return None
        name = (window, id(part))
        if name not in self._near:
            distance = self.position_N[part.rows][:, None] - self._slot_positions[part.keys]
            near = distance < window
            self._near[name] = None if bool(near.all()) else near
        return self._near[name]

    def gathered_mask(self, part: Gathered, window: int | None, num_groups: int) -> Tensor:
        """Which keys each row sees, once for each of its query groups, bool (P, 1, R*G, K)."""
        name = (window, id(part), num_groups)
        if name not in self._near:
            seen_PRK = part.seen_PRK
            if window is not None:
                keys_PK = self._slot_positions[part.keys_PK]
                distance = self.position_N[part.rows_PR][..., None] - keys_PK[:, None]
                seen_PRK = seen_PRK & (distance < window)
            self._near[name] = seen_PRK.repeat_interleave(num_groups, dim=1)[:, None]
        return self._near[name]

    def bias(self, mask: Tensor) -> Tensor | None:
        """A mask of this step as what is added to scores, fp32; None where nothing is masked."""
        name = ("bias", id(mask))
        if name not in self._near:
            whole = bool(mask.all())
            self._near[name] = (
                None
                if whole
                else torch.zeros(mask.shape, device=mask.device).masked_fill_(~mask, -torch.inf)
            )
        return self._near[name]

    # ----- flex -----

    def block_mask(self, window: int | None) -> BlockMask:
        """FlexAttention's form of `mask`."""
        if window not in self._blocks:
            mask_NS = self.mask(window)

            def visible(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
                return mask_NS[query, key]

            num_queries, num_keys = mask_NS.shape
            self._blocks[window] = create_block_mask(
                visible, None, None, num_queries, num_keys, device=str(mask_NS.device)
            )
        return self._blocks[window]
