"""What one forward pass knows about the tree, worked out once for all layers and only if asked.

Shape legend: N query tokens of a step, S key slots in use.
"""

from dataclasses import dataclass, field

from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, create_block_mask

from branchwise.decoding.plan import Gathered, InPlace, Plan, make_plan
from branchwise.decoding.tree import Pending, TokenTree


@dataclass(eq=False)
class TreeStep:
    """Reaches every attention layer as a keyword. Positions are logical ones, int64.

    A sliding window counts logical positions, so that what else is in the tree does not narrow it.
    """

    tree: TokenTree
    pending: Pending
    slots_N: Tensor
    position_N: Tensor
    known_plan: Plan | None = None
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

    # ----- cascade -----

    @property
    def plan(self) -> Plan:
        """The cascade's parts."""
        if self.known_plan is None:
            self.known_plan = make_plan(self.tree, self.pending)
        return self.known_plan

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

    def near_gathered(self, part: Gathered, window: int | None) -> Tensor:
        """Which keys each row sees, bool (P, R, K)."""
        if window is None:
            return part.seen_PRK
        name = (window, id(part))
        if name not in self._near:
            keys_PK = self._slot_positions[part.keys_PK]
            distance = self.position_N[part.rows_PR][..., None] - keys_PK[:, None]
            self._near[name] = part.seen_PRK & (distance < window)
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
