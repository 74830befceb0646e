"""Three ways to compute the attention of a tree's step, with one result.

`dense`: one attention under the whole mask. `cascade`: parts after `attention.plan`, merged
through their log-sum-exp. `flex`: FlexAttention with the tree's rule as its mask function.

Shape legend: A query heads, H key-value heads, G = A / H, N query tokens of a step, S key slots in
use, D head width, n and m the query tokens and keys of one part.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.flex_attention import flex_attention

from branchwise.decoding.attention.plan import Copies, Gathered, Index, InPlace
from branchwise.decoding.attention.step import TreeStep


class Scoring(NamedTuple):
    """What happens to a score before the softmax: scaled, then capped; and how far a token sees."""

    scale: float
    softcap: float | None
    window: int | None


Kernel = Callable[[Tensor, Tensor, Tensor, TreeStep, Scoring], Tensor]
"""Attention of query (A, N, D) over key and value (H, S, D) in a step; returns (A, N, D)."""


def dense(query: Tensor, key: Tensor, value: Tensor, step: TreeStep, scoring: Scoring) -> Tensor:
    """One attention under the tree's mask.

    Query heads that share a key head become rows of one attention (G*N rows), so keys are never
    repeated in memory.
    """
    num_heads, num_queries, width = query.shape
    num_groups = num_heads // key.shape[0]
    mask = step.grouped_mask(scoring.window, num_groups)
    rows = query.reshape(1, key.shape[0], num_groups * num_queries, width)
    if scoring.softcap is None:
        out = functional.scaled_dot_product_attention(
            rows, key[None], value[None], mask, scale=scoring.scale
        )
    else:
        out, _ = _explicit(rows, key[None], value[None], scoring, mask)
    return out.to(query.dtype).reshape(num_heads, num_queries, value.shape[-1])


# ----- cascade -----

_MOST_SCORES = 2**26
"""Scores that the written-out form holds at once."""


def _explicit(
    query: Tensor, key: Tensor, value: Tensor, scoring: Scoring, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Attention written out: query (B, H, n, D), key (B, H, m, D), mask broadcastable to (n, m).

    Returns the output, fp32 (B, H, n, D), and the log-sum-exp of the scores, fp32 (B, H, n). A row
    that sees nothing gives zero and minus infinity. Scores are fp32 whatever the inputs are, and long
    ones are computed some rows at a time.
    """
    num_rows = query.shape[-2]
    at_a_time = max(1, _MOST_SCORES // max(1, query[..., 0, 0].numel() * key.shape[-2]))
    if num_rows > at_a_time:
        parts = []
        for first in range(0, num_rows, at_a_time):
            some = slice(first, first + at_a_time)
            whole = mask is None or mask.shape[-2] == 1
            parts.append(
                _explicit(query[..., some, :], key, value, scoring, mask if whole else mask[..., some, :])
            )
        return torch.cat([out for out, _ in parts], dim=-2), torch.cat([lse for _, lse in parts], dim=-1)
    scores = (query.float() @ key.float().transpose(-1, -2)) * scoring.scale
    if scoring.softcap is not None:
        scores = scoring.softcap * torch.tanh(scores / scoring.softcap)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    lse = scores.logsumexp(-1)
    weights = (scores - lse.clamp_min(torch.finfo(torch.float32).min)[..., None]).exp()
    return (weights.to(value.dtype) @ value).float(), lse


def _partial(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scoring: Scoring,
    step: TreeStep,
    mask: Tensor | None = None,
    causal: bool = False,
) -> tuple[Tensor, Tensor]:
    """Attention over some of the keys, by the device's own kernel where it can do this case.

    Shapes and result as for `_explicit`; `mask` leaves every row something to see.
    """
    plain = scoring.softcap is None and query.shape[-1] == value.shape[-1]
    if plain and query.device.type == "cpu" and query.dtype == torch.float32:
        bias = None if mask is None else step.bias(mask)
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, causal, attn_mask=bias, scale=scoring.scale
        )
    if plain and _fits_cuda_flash(query) and mask is None:
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention(
            query, key, value, 0.0, causal, scale=scoring.scale
        )[:2]
        return out.float(), lse
    if causal:
        mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
    return _explicit(query, key, value, scoring, mask)


def _fits_cuda_flash(query: Tensor) -> bool:
    half = query.dtype in (torch.float16, torch.bfloat16)
    if query.device.type != "cuda" or not half:
        return False
    width = query.shape[-1]
    return width % 8 == 0 and width <= 256 and torch.cuda.get_device_capability(query.device) >= (8, 0)


class _Merge:
    """Joins parts of an attention: each row's output is the mean of its parts' outputs, weighted by
    the exponential of their log-sum-exp. All in fp32, whatever the parts were computed in.
    """

    def __init__(self, num_heads: int, num_queries: int, num_groups: int, width: int, like: Tensor):
        shape = (num_heads, num_queries, num_groups)
        self.out_HNGD = like.new_empty(*shape, width, dtype=torch.float32)
        self.lse_HNG = like.new_empty(shape, dtype=torch.float32)

    def put(self, rows: Index, out_HnGD: Tensor, lse_HnG: Tensor) -> None:
        """The first part of these rows."""
        self.out_HNGD[:, rows] = out_HnGD
        self.lse_HNG[:, rows] = lse_HnG

    def add(self, rows: Index, out_HnGD: Tensor, lse_HnG: Tensor) -> None:
        """A further part; its log-sum-exp may be minus infinity, where it had nothing to see."""
        before = self.lse_HNG[:, rows]
        share = torch.sigmoid(lse_HnG - before)[..., None]
        self.out_HNGD[:, rows] = torch.lerp(self.out_HNGD[:, rows], out_HnGD, share)
        self.lse_HNG[:, rows] = torch.logaddexp(before, lse_HnG)


def cascade(query: Tensor, key: Tensor, value: Tensor, step: TreeStep, scoring: Scoring) -> Tensor:
    """Keys that rows share are read once for all of them; see `branchwise.decoding.attention.plan`."""
    num_heads, num_queries, width = query.shape
    num_kv_heads = key.shape[0]
    num_groups = num_heads // num_kv_heads
    query_HNGD = query.view(num_kv_heads, num_groups, num_queries, width).transpose(1, 2)
    merge = _Merge(num_kv_heads, num_queries, num_groups, value.shape[-1], query)
    for parts, note in ((step.plan.own, merge.put), (step.plan.shared, merge.add)):
        for part in parts:
            attend = _in_place if isinstance(part, InPlace) else _gathered
            note(*attend(query_HNGD, key, value, part, step, scoring))
    out = merge.out_HNGD.to(query.dtype)
    return out.transpose(1, 2).reshape(num_heads, num_queries, value.shape[-1])


def _in_place(
    query_HNGD: Tensor, key: Tensor, value: Tensor, part: InPlace, step: TreeStep, scoring: Scoring
) -> tuple[Index, Tensor, Tensor]:
    """Rows against one run of keys, which is read where it lies."""
    rows_HnGD = query_HNGD[:, part.rows]
    num_heads, num_rows, num_groups, width = rows_HnGD.shape
    near = step.near(part, scoring.window)
    if part.causal:
        # Causality is between tokens, so query groups stay apart; key heads are expanded, not copied.
        keys = key[:, None, part.keys].expand(-1, num_groups, -1, -1)
        values = value[:, None, part.keys].expand(-1, num_groups, -1, -1)
        rows = rows_HnGD.transpose(1, 2)
        if near is None:
            out, lse = _partial(rows, keys, values, scoring, step, causal=True)
        else:
            out, lse = _explicit(rows, keys, values, scoring, near.tril())
        return part.rows, out.transpose(1, 2), lse.transpose(1, 2)
    # Rows and query groups folded into one (n*G, D) matrix: all of them see all keys.
    rows = rows_HnGD.reshape(1, num_heads, num_rows * num_groups, width)
    keys, values = key[None, :, part.keys], value[None, :, part.keys]
    if near is None:
        out, lse = _partial(rows, keys, values, scoring, step)
    else:
        # A window may leave a row nothing of this part to see: only the written-out form says so.
        out, lse = _explicit(rows, keys, values, scoring, near.repeat_interleave(num_groups, dim=0))
    shape = (num_heads, num_rows, num_groups)
    return part.rows, out.reshape(*shape, -1), lse.reshape(shape)


def _gathered(
    query_HNGD: Tensor, key: Tensor, value: Tensor, part: Gathered, step: TreeStep, scoring: Scoring
) -> tuple[Index, Tensor, Tensor]:
    """Problems become the batch."""
    num_heads, _, num_groups, width = query_HNGD.shape
    num_problems, num_rows = part.rows_PR.shape
    rows_HPRGD = query_HNGD[:, part.row_M if part.at_M is None else part.rows_PR.flatten()]
    rows = rows_HPRGD.reshape(num_heads, num_problems, num_rows * num_groups, width).transpose(0, 1)
    keys, values = _copied(key, value, part, step)
    mask = step.gathered_mask(part, scoring.window, num_groups)
    if scoring.window is None:
        out, lse = _partial(rows, keys, values, scoring, step, mask)
    else:
        # A window may leave a row nothing of this part to see: only the written-out form says so.
        out, lse = _explicit(rows, keys, values, scoring, mask)
    shape = (num_heads, num_problems * num_rows, num_groups)
    out_HMGD, lse_HMG = out.transpose(0, 1).reshape(*shape, -1), lse.transpose(0, 1).reshape(shape)
    if part.at_M is not None:
        out_HMGD, lse_HMG = out_HMGD.index_select(1, part.at_M), lse_HMG.index_select(1, part.at_M)
    return part.row_M, out_HMGD, lse_HMG


_MORE_ROOM = 32
"""Keys a problem for which copies have room once they begin to grow."""


def _copied(key: Tensor, value: Tensor, part: Gathered, step: TreeStep) -> tuple[Tensor, Tensor]:
    """Keys and values of each problem, (P, H, K, D): what the last step copied, and the rest."""
    if not step.keeps(key, value):
        keys, values = (_select(tensor, part.keys_PK) for tensor in (key, value))
        return keys.transpose(1, 2), values.transpose(1, 2)
    where = key.data_ptr(), value.data_ptr()
    had, num_keys = part.copies.get(where), part.keys_PK.shape[1]
    count = had.count if had else 0
    if count < num_keys:
        new = (_select(tensor, part.keys_PK[:, count:]) for tensor in (key, value))
        if had:
            old = (had.keys_PKHD, had.values_PKHD)
            new = (_appended(a, b, count) for a, b in zip(old, new, strict=True))
        had = part.copies[where] = Copies(*new, num_keys)
    tensors = (had.keys_PKHD, had.values_PKHD)
    keys, values = (tensor[:, :num_keys].transpose(1, 2) for tensor in tensors)
    return keys, values


def _appended(old_PKHD: Tensor, new_PKHD: Tensor, count: int) -> Tensor:
    """`old` with `new` behind its first `count` keys: in place where it has room."""
    total = count + new_PKHD.shape[1]
    if old_PKHD.shape[1] < total:
        larger = old_PKHD.new_empty(len(old_PKHD), total + _MORE_ROOM, *old_PKHD.shape[2:])
        larger[:, :count] = old_PKHD[:, :count]
        old_PKHD = larger
    old_PKHD[:, count:total] = new_PKHD
    return old_PKHD


def _select(tensor: Tensor, slots_PK: Tensor) -> Tensor:
    """Keys or values (H, S, D) of each problem, (P, K, H, D)."""
    chosen = tensor.transpose(0, 1).index_select(0, slots_PK.flatten())
    return chosen.view(*slots_PK.shape, len(tensor), -1)


# ----- flex -----


@cache
def _flex(compiled: bool) -> Callable:
    """FlexAttention, compiled on a GPU. On a CPU its compiled form takes half a minute for every new
    shape and was measured to give NaN for small ones, so there it runs as written: slow, and right.
    """
    return torch.compile(flex_attention, dynamic=True) if compiled else flex_attention


def flex(query: Tensor, key: Tensor, value: Tensor, step: TreeStep, scoring: Scoring) -> Tensor:
    """FlexAttention under the tree's block mask, the cap as its score function."""
    softcap = scoring.softcap

    def capped(score: Tensor, *_: Tensor) -> Tensor:
        return softcap * torch.tanh(score / softcap)

    attend = _flex(query.device.type == "cuda")
    out = attend(
        query[None],
        key[None],
        value[None],
        score_mod=None if softcap is None else capped,
        block_mask=step.block_mask(scoring.window),
        scale=scoring.scale,
        enable_gqa=key.shape[0] != query.shape[0],
    )
    return out[0]


KERNELS: dict[str, Kernel] = {"dense": dense, "cascade": cascade, "flex": flex}
