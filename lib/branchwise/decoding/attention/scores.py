"""Attention of some rows over some keys, and how parts of it become one.

Shape legend: B problems, A query heads, H key-value heads, G = A / H, N query tokens of a step, S key
slots in use, D head width, n and m the query tokens and keys of one part.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

Index = slice | Tensor
"""Positions along one dimension: a slice where they are consecutive, int64 otherwise."""

_MOST_SCORES = 2**26
"""Scores that the written-out form holds at once."""


class Scoring(NamedTuple):
    """What happens to a score before the softmax: scaled, then capped; and how far a token sees."""

    scale: float
    softcap: float | None
    window: int | None


class Mask(NamedTuple):
    """Which keys each row sees, bool, broadcastable to (n, m); and, where a device's own kernel wants
    it, the same as what is added to scores: fp32, or None where everything is seen.
    """

    seen: Tensor
    bias: Tensor | None

    @classmethod
    def of(cls, seen: Tensor) -> "Mask":
        """The two forms of one mask."""
        if bool(seen.all()):
            return cls(seen, None)
        bias = torch.zeros(seen.shape, device=seen.device).masked_fill_(~seen, -torch.inf)
        return cls(seen, bias)


def whole(query: Tensor, key: Tensor, value: Tensor, scoring: Scoring) -> Tensor:
    """One token that sees all keys: query (1, A, 1, D), key and value (1, H, S, D); (1, 1, A, D)."""
    num_heads, width = query.shape[1], query.shape[-1]
    # Query heads that share a key head become rows of one attention.
    rows = query.reshape(1, key.shape[1], -1, width)
    if scoring.softcap is None:
        out = functional.scaled_dot_product_attention(rows, key, value, scale=scoring.scale)
    else:
        out = explicit(rows, key, value, scoring, None)[0].to(query.dtype)
    return out.reshape(1, 1, num_heads, value.shape[-1])


def explicit(
    query: Tensor, key: Tensor, value: Tensor, scoring: Scoring, seen: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Attention written out: query (B, H, n, D), key (B, H, m, D), `seen` broadcastable to (n, m).

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
            part = seen if seen is None or seen.shape[-2] == 1 else seen[..., some, :]
            parts.append(explicit(query[..., some, :], key, value, scoring, part))
        return torch.cat([out for out, _ in parts], dim=-2), torch.cat([lse for _, lse in parts], dim=-1)
    scores = (query.float() @ key.float().transpose(-1, -2)) * scoring.scale
    if scoring.softcap is not None:
        scores = scoring.softcap * torch.tanh(scores / scoring.softcap)
    if seen is not None:
        scores = scores.masked_fill(~seen, -torch.inf)
    lse = scores.logsumexp(-1)
    weights = (scores - lse.clamp_min(torch.finfo(torch.float32).min)[..., None]).exp()
    return (weights.to(value.dtype) @ value).float(), lse


def partial(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scoring: Scoring,
    mask: Mask | None = None,
    causal: bool = False,
) -> tuple[Tensor, Tensor]:
    """Attention over some of the keys, by the device's own kernel where it can do this case.

    Shapes and result as for `explicit`; `mask` leaves every row something to see.
    """
    plain = scoring.softcap is None and query.shape[-1] == value.shape[-1]
    if plain and query.device.type == "cpu" and query.dtype == torch.float32:
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            query, key, value, 0.0, causal, attn_mask=mask and mask.bias, scale=scoring.scale
        )
    if plain and mask is None and _fits_cuda_flash(query):
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention(
            query, key, value, 0.0, causal, scale=scoring.scale
        )[:2]
        return out.float(), lse
    seen = mask and mask.seen
    if causal:
        seen = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device).tril()
    return explicit(query, key, value, scoring, seen)


def _fits_cuda_flash(query: Tensor) -> bool:
    half = query.dtype in (torch.float16, torch.bfloat16)
    if query.device.type != "cuda" or not half:
        return False
    width = query.shape[-1]
    return width % 8 == 0 and width <= 256 and torch.cuda.get_device_capability(query.device) >= (8, 0)


class Merge:
    """Joins parts of an attention: each row's output is the mean of its parts' outputs, weighted by
    the exponential of their log-sum-exp. All in fp32, whatever the parts were computed in.
    """

    def __init__(self, num_heads: int, num_queries: int, heads_per_kv: int, width: int, like: Tensor):
        shape = (num_heads, num_queries, heads_per_kv)
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
