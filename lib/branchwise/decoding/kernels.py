"""Three ways to compute the attention of a tree's step, with one result.

`dense`: one attention under the whole mask. `cascade`: parts after `branchwise.decoding.plan`, merged
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

from branchwise.decoding.plan import Alone, Index, Shared
from branchwise.decoding.step import TreeStep


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
    mask = step.mask(scoring.window).repeat(num_groups, 1)
    rows = query.reshape(1, key.shape[0], num_groups * num_queries, width)
    if scoring.softcap is None:
        out = functional.scaled_dot_product_attention(
            rows, key[None], value[None], mask, scale=scoring.scale
        )
    else:
        out, _ = _explicit(rows, key[None], value[None], scoring, mask)
    return out.to(query.dtype).reshape(num_heads, num_queries, value.shape[-1])


# ----- cascade -----


def _explicit(
    query: Tensor, key: Tensor, value: Tensor, scoring: Scoring, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Attention written out: query (B, H, n, D), key (B, H, m, D), mask broadcastable to (n, m).

    Returns the output, fp32 (B, H, n, D), and the log-sum-exp of the scores, fp32 (B, H, n). A row
    that sees nothing gives zero and minus infinity.
    """
    scores = (query @ key.transpose(-1, -2)).float() * scoring.scale
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
    mask: Tensor | None = None,
    causal: bool = False,
) -> tuple[Tensor, Tensor]:
    """Attention over some of the keys, by the device's own kernel where it can do this case.

    Shapes and result as for `_explicit`. `mask` must leave every row something to see unless the
    window or the cap call for the written-out form.
    """
    plain = scoring.softcap is None and query.shape[-1] == value.shape[-1]
    if plain and query.device.type == "cpu" and query.dtype == torch.float32:
        bias = None if mask is None else torch.zeros(mask.shape).masked_fill_(~mask, -torch.inf)
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
    return query.device.type == "cuda" and half and query.shape[-1] % 8 == 0


class _Merge:
    """Joins parts of an attention: each row's output is the mean of its parts' outputs, weighted by
    the exponential of their log-sum-exp. All in fp32, whatever the parts were computed in.
    """

    def __init__(self, num_heads: int, num_queries: int, num_groups: int, width: int, like: Tensor):
        shape = (num_heads, num_queries, num_groups)
        self.out_HNGD = like.new_zeros(*shape, width, dtype=torch.float32)
        self.lse_HNG = like.new_full(shape, -torch.inf, dtype=torch.float32)

    def add(self, rows: Index, out_HnGD: Tensor, lse_HnG: Tensor) -> None:
        before = self.lse_HNG[:, rows]
        both = torch.logaddexp(before, lse_HnG)
        keep = (before - both).exp().nan_to_num_(0.0)[..., None]
        add = (lse_HnG - both).exp().nan_to_num_(0.0)[..., None]
        self.out_HNGD[:, rows] = self.out_HNGD[:, rows] * keep + out_HnGD * add
        self.lse_HNG[:, rows] = both


def cascade(query: Tensor, key: Tensor, value: Tensor, step: TreeStep, scoring: Scoring) -> Tensor:
    """Keys that rows share are read once for all of them; see `branchwise.decoding.plan`."""
    num_heads, num_queries, width = query.shape
    num_kv_heads = key.shape[0]
    num_groups = num_heads // num_kv_heads
    query_HNGD = query.view(num_kv_heads, num_groups, num_queries, width).transpose(1, 2)
    merge = _Merge(num_kv_heads, num_queries, num_groups, value.shape[-1], query)
    for part in step.plan.shared:
        attend = _causal_part if part.causal else _shared_part
        merge.add(part.rows, *attend(query_HNGD, key, value, part, step, scoring))
    if step.plan.alone is not None:
        part = step.plan.alone
        merge.add(part.rows, *_alone_part(query_HNGD, key, value, part, step, scoring))
    out = merge.out_HNGD.to(query.dtype)
    return out.transpose(1, 2).reshape(num_heads, num_queries, value.shape[-1])


def _shared_part(
    query_HNGD: Tensor, key: Tensor, value: Tensor, part: Shared, step: TreeStep, scoring: Scoring
) -> tuple[Tensor, Tensor]:
    """Rows and query groups folded into one (n*G, D) matrix against keys that all of them see."""
    rows_HnGD = query_HNGD[:, part.rows]
    num_heads, num_rows, num_groups, width = rows_HnGD.shape
    rows = rows_HnGD.reshape(1, num_heads, num_rows * num_groups, width)
    near = step.near(part.rows, part.keys, scoring.window)
    keys, values = key[None, :, part.keys], value[None, :, part.keys]
    if near is None:
        out, lse = _partial(rows, keys, values, scoring)
    else:
        # A window may leave a row nothing of this part to see: only the written-out form says so.
        mask = near.repeat_interleave(num_groups, dim=0)
        out, lse = _explicit(rows, keys, values, scoring, mask)
    shape = (num_heads, num_rows, num_groups)
    return out.reshape(*shape, -1), lse.reshape(shape)


def _causal_part(
    query_HNGD: Tensor, key: Tensor, value: Tensor, part: Shared, step: TreeStep, scoring: Scoring
) -> tuple[Tensor, Tensor]:
    """A chunk's own tokens, each up to itself; key heads are expanded, not copied."""
    rows_HGnD = query_HNGD[:, part.rows].transpose(1, 2)
    shape = rows_HGnD.shape
    keys = key[:, None, part.keys].expand(-1, shape[1], -1, -1)
    values = value[:, None, part.keys].expand(-1, shape[1], -1, -1)
    near = step.near(part.rows, part.keys, scoring.window)
    if near is None:
        out, lse = _partial(rows_HGnD, keys, values, scoring, causal=True)
    else:
        out, lse = _partial(rows_HGnD, keys, values, scoring, mask=near.tril())
    return out.transpose(1, 2), lse.transpose(1, 2)


def _alone_part(
    query_HNGD: Tensor, key: Tensor, value: Tensor, part: Alone, step: TreeStep, scoring: Scoring
) -> tuple[Tensor, Tensor]:
    """Each row against keys of its own: rows become the batch."""
    rows_RHGD = query_HNGD[:, part.rows].transpose(0, 1)
    keys = key[:, part.keys_RL].transpose(0, 1)
    values = value[:, part.keys_RL].transpose(0, 1)
    mask = step.near_alone(part, scoring.window)[:, None, None]
    out, lse = _partial(rows_RHGD, keys, values, scoring, mask=mask)
    return out.transpose(0, 1), lse.transpose(0, 1)


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
