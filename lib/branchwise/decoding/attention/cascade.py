"""Keys that rows share are read once for all of them (Hydragen, arXiv 2402.05099, on any tree).

Shape legend: A query heads, H key-value heads, G = A / H, N query tokens of a step, D head width, n and
m the query tokens and keys of one part; of a gathered part, P problems of R rows and K keys.
"""

import torch
from torch import Tensor

from branchwise.decoding.attention.kernel import Kernel
from branchwise.decoding.attention.plan import Copies, Gathered, InPlace, Plan, make_plan
from branchwise.decoding.attention.scores import Mask, Merge, Scoring, explicit, partial
from branchwise.decoding.attention.step import Following, TreeStep
from branchwise.decoding.held.cache import TreeCache, Written

_MORE_ROOM = 32
"""Keys a problem for which copies have room once they begin to grow."""


class Cascade(Kernel):
    """Parts after `attention.plan`, merged through their log-sum-exp.

    A step in which every row is the next token of its node, as in the one before, goes on from that
    step's plan, and from the keys and values that were gathered for it.
    """

    name = "cascade"

    def __init__(self, cache: TreeCache) -> None:
        super().__init__(cache)
        self._plan: Plan | None = None
        self._following = Following()
        self._masks: dict[tuple, Mask] = {}
        self._near: dict[tuple, Tensor | None] = {}

    def begin(self, step: TreeStep) -> None:
        super().begin(step)
        goes_on = self._following.goes_on(step)
        self._plan = self._plan.grown(step.slots_N) if goes_on and self._plan else None
        self._masks, self._near = {}, {}

    @property
    def plan(self) -> Plan:
        """The step's parts, worked out when a layer first asks."""
        assert self.step is not None, "begin() comes before every forward pass"
        if self._plan is None:
            self._plan = make_plan(self.step.pending, self.step.device)
        return self._plan

    @property
    def copied_bytes(self) -> int:
        """Memory of what the plan's parts have gathered, in bytes."""
        copies = self._plan.copies if self._plan else []
        return sum(one.num_bytes for layers in copies for one in layers.values())

    def forget(self) -> None:
        super().forget()
        self._plan = None
        self._following.forget()
        self._masks, self._near = {}, {}

    def forget_copies(self) -> None:
        for layers in self._plan.copies if self._plan else []:
            layers.clear()

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, scoring: Scoring) -> Tensor:
        _, num_heads, num_queries, width = query.shape
        num_kv_heads = key.shape[1]
        heads_per_kv = num_heads // num_kv_heads
        query_HNGD = query.view(num_kv_heads, heads_per_kv, num_queries, width).transpose(1, 2)
        merge = Merge(num_kv_heads, num_queries, heads_per_kv, value.shape[-1], query)
        written = self.cache.written_as(key, value) if self._following.may_go_on else None
        number = 0
        for parts, note in ((self.plan.own, merge.put), (self.plan.shared, merge.add)):
            for part in parts:
                if isinstance(part, InPlace):
                    note(part.rows, *self._in_place(query_HNGD, key[0], value[0], part, number, scoring))
                else:
                    keys, values = _copied(key[0], value[0], part, written)
                    note(part.row_M, *self._gathered(query_HNGD, keys, values, part, number, scoring))
                number += 1
        out = merge.out_HNGD.to(query.dtype)
        return out.transpose(0, 1).reshape(1, num_queries, num_heads, value.shape[-1])

    def _in_place(
        self,
        query_HNGD: Tensor,
        key: Tensor,
        value: Tensor,
        part: InPlace,
        number: int,
        scoring: Scoring,
    ) -> tuple[Tensor, Tensor]:
        """Rows against one run of keys (H, S, D), which is read where it lies."""
        rows_HnGD = query_HNGD[:, part.rows]
        num_heads, num_rows, heads_per_kv, width = rows_HnGD.shape
        near = self._within(part, number, scoring.window)
        if part.causal:
            # Causality is between tokens, so query groups stay apart; key heads are expanded, not copied.
            keys = key[:, None, part.keys].expand(-1, heads_per_kv, -1, -1)
            values = value[:, None, part.keys].expand(-1, heads_per_kv, -1, -1)
            rows = rows_HnGD.transpose(1, 2)
            if near is None:
                out, lse = partial(rows, keys, values, scoring, causal=True)
            else:
                out, lse = explicit(rows, keys, values, scoring, near.tril())
            return out.transpose(1, 2), lse.transpose(1, 2)
        # Rows and query groups folded into one (n*G, D) matrix: all of them see all keys.
        rows = rows_HnGD.reshape(1, num_heads, num_rows * heads_per_kv, width)
        keys, values = key[None, :, part.keys], value[None, :, part.keys]
        if near is None:
            out, lse = partial(rows, keys, values, scoring)
        else:
            # A window may leave a row nothing of this part to see: only the written-out form says so.
            out, lse = explicit(rows, keys, values, scoring, near.repeat_interleave(heads_per_kv, dim=0))
        shape = (num_heads, num_rows, heads_per_kv)
        return out.reshape(*shape, -1), lse.reshape(shape)

    def _gathered(
        self,
        query_HNGD: Tensor,
        keys: Tensor,
        values: Tensor,
        part: Gathered,
        number: int,
        scoring: Scoring,
    ) -> tuple[Tensor, Tensor]:
        """Problems become the batch; keys and values (P, H, K, D)."""
        num_heads, _, heads_per_kv, width = query_HNGD.shape
        num_problems, num_rows = part.rows_PR.shape
        rows_HPRGD = query_HNGD[:, part.row_M if part.at_M is None else part.rows_PR.flatten()]
        rows = rows_HPRGD.reshape(num_heads, num_problems, num_rows * heads_per_kv, width).transpose(0, 1)
        mask = self._seen(part, number, scoring.window, heads_per_kv)
        if scoring.window is None:
            out, lse = partial(rows, keys, values, scoring, mask)
        else:
            # A window may leave a row nothing of this part to see: only the written-out form says so.
            out, lse = explicit(rows, keys, values, scoring, mask.seen)
        shape = (num_heads, num_problems * num_rows, heads_per_kv)
        out_HMGD, lse_HMG = out.transpose(0, 1).reshape(*shape, -1), lse.transpose(0, 1).reshape(shape)
        if part.at_M is not None:
            out_HMGD, lse_HMG = out_HMGD.index_select(1, part.at_M), lse_HMG.index_select(1, part.at_M)
        return out_HMGD, lse_HMG

    # ----- masks, once a step for all layers -----

    def _within(self, part: InPlace, number: int, window: int | None) -> Tensor | None:
        """Which keys lie within the window, bool (n, m); None where all do."""
        if window is None:
            return None
        if (number, window) not in self._near:
            assert self.step is not None
            positions = self.step.position_N[part.rows][:, None]
            near = positions - self.step.slot_positions[part.keys] < window
            self._near[number, window] = None if bool(near.all()) else near
        return self._near[number, window]

    def _seen(self, part: Gathered, number: int, window: int | None, heads_per_kv: int) -> Mask:
        """Which keys each row sees, once for each of its query groups, bool (P, 1, R*G, K)."""
        name = (number, window, heads_per_kv)
        if name not in self._masks:
            assert self.step is not None
            seen_PRK = part.seen_PRK
            if window is not None:
                keys_PK = self.step.slot_positions[part.keys_PK]
                distance = self.step.position_N[part.rows_PR][..., None] - keys_PK[:, None]
                seen_PRK = seen_PRK & (distance < window)
            self._masks[name] = Mask.of(seen_PRK.repeat_interleave(heads_per_kv, dim=1)[:, None])
        return self._masks[name]


# ----- what is gathered -----


def _copied(key: Tensor, value: Tensor, part: Gathered, written: Written | None) -> tuple[Tensor, Tensor]:
    """Keys and values (H, S, D) of each problem, (P, H, K, D): what was copied in the last step, and the
    rest. Nothing is kept where they are not what the cache holds (`written` is None): some
    architectures make others of it in every step.
    """
    if written is None:
        return _select(key, part.keys_PK), _select(value, part.keys_PK)
    had, num_keys = part.copies.get(written.layer), part.keys_PK.shape[1]
    if had is None:
        keys, values = (_select(one, part.keys_PK).contiguous() for one in (key, value))
        part.copies[written.layer] = Copies(keys, values, num_keys)
        return keys, values
    if had.num_keys < num_keys:
        new = (_select(one, part.keys_PK[:, had.num_keys :]) for one in (key, value))
        old = (had.keys_PHKD, had.values_PHKD)
        keys, values = (_appended(a, b, had.num_keys) for a, b in zip(old, new, strict=True))
        had = part.copies[written.layer] = Copies(keys, values, num_keys)
    return had.keys_PHKD[:, :, :num_keys], had.values_PHKD[:, :, :num_keys]


def _appended(old_PHKD: Tensor, new_PHKD: Tensor, count: int) -> Tensor:
    """`old` with `new` behind its first `count` keys: in place where it has room."""
    total = count + new_PHKD.shape[2]
    if old_PHKD.shape[2] < total:
        num_problems, num_heads, _, width = old_PHKD.shape
        larger = old_PHKD.new_empty(num_problems, num_heads, total + _MORE_ROOM, width)
        larger[:, :, :count] = old_PHKD[:, :, :count]
        old_PHKD = larger
    old_PHKD[:, :, count:total] = new_PHKD
    return old_PHKD


def _select(tensor: Tensor, slots_PK: Tensor) -> Tensor:
    """Keys or values (H, S, D) of each problem, (P, H, K, D).

    They are the first S slots of a buffer that has room for more. `index_select` would copy all of such a
    view before it takes a few rows of it, so the buffer is read as one matrix of rows.
    """
    num_heads, num_slots, width = tensor.shape
    room, left = divmod(tensor.stride(0), width)
    if left or room < num_slots or tensor.stride()[1:] != (width, 1):
        # Made anew by the architecture, in an order of its own.
        return tensor[:, slots_PK.flatten()].view(num_heads, *slots_PK.shape, -1).transpose(0, 1)
    rows = (num_heads - 1) * room + num_slots
    flat = tensor.as_strided((rows, width), (width, 1))
    first_H1 = torch.arange(0, num_heads * room, room, device=tensor.device)[:, None]
    at_PHK = slots_PK[:, None] + first_H1
    return flat.index_select(0, at_PHK.flatten()).view(*at_PHK.shape, width)
