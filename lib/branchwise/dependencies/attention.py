"""Dependencies read off an encoder's attention: all questions in one pass, [CLS] q1 [SEP] q2 [SEP] ...

The score of a pair (i, j) is the share of question i's attention that lands on question j: summed over
j's tokens, averaged over i's, over heads, and over layers. "i attends to j" is read as "i needs j";
the published code reads it the other way round, which `direction: published` gives.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from branchwise.data.types import Group
from branchwise.dependencies.graph import Edge
from branchwise.errors import UserError

Direction = Literal["needs", "published"]
Pool = Literal["mean", "max"]
Rule = Literal["relative", "absolute"]


class Packed(NamedTuple):
    """All questions in one sequence: ids (T,), and for each question the places of its tokens."""

    ids: list[int]
    spans: list[range]
    num_cut: int


def pack(texts: Sequence[str], tokenizer: Any, max_tokens: int, max_question_tokens: int) -> Packed:
    """Questions between separators. All keep the same share of room where there is too little; none
    vanishes (the published code cut off whatever stood beyond the encoder's length). Raises UserError
    where they do not fit at all.
    """
    room = (max_tokens - 1) // len(texts) - 1
    if room < 1:
        raise UserError(
            f"{len(texts)} questions do not fit into an encoder of {max_tokens} tokens",
            "use smaller groups",
        )
    if tokenizer.cls_token_id is None or tokenizer.sep_token_id is None:
        raise UserError("the encoder's tokenizer has no [CLS] or no [SEP]", "name a BERT-like encoder")
    ids = [tokenizer.cls_token_id]
    spans, num_cut = [], 0
    for text in texts:
        # A question may spell [SEP]: that is text.
        tokens = tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        kept = tokens[: min(room, max_question_tokens)]
        num_cut += len(kept) < len(tokens)
        spans.append(range(len(ids), len(ids) + len(kept)))
        ids += [*kept, tokenizer.sep_token_id]
    return Packed(ids, spans, num_cut)


@torch.inference_mode()
def attention_shares(
    model: Any, packed: Packed, layers: Sequence[int] | None, head_pool: Pool, layer_pool: Pool
) -> Tensor:
    """Shares (Q, Q), fp32: row i holds how much of question i's attention lands on each question.

    `layers` are indices (negative from the end), None for all. Attention to separators counts for
    nobody, so rows sum to less than one; the diagonal is 0.
    """
    found = model(torch.tensor([packed.ids]), output_attentions=True).attentions
    wanted = range(len(found)) if layers is None else layers
    if not wanted or not all(-len(found) <= layer < len(found) for layer in wanted):
        raise UserError(
            f"layers {list(wanted)} of an encoder with {len(found)}",
            f"give some of {-len(found)} to {len(found) - 1}, or null for all",
        )
    chosen = [found[layer] for layer in wanted]
    weights_LHTT = torch.stack([layer[0] for layer in chosen]).float()
    weights_LTT = weights_LHTT.mean(1) if head_pool == "mean" else weights_LHTT.amax(1)
    weights_TT = weights_LTT.mean(0) if layer_pool == "mean" else weights_LTT.amax(0)
    owner_TQ = torch.zeros(len(packed.ids), len(packed.spans))
    for number, span in enumerate(packed.spans):
        owner_TQ[list(span), number] = 1
    landed_QQ = owner_TQ.T @ weights_TT @ owner_TQ / owner_TQ.sum(0).clamp(min=1)[:, None]
    return landed_QQ.fill_diagonal_(0)


def attention_edges(
    group: Group, shares_QQ: Tensor, rule: Rule, threshold: float, direction: Direction
) -> list[Edge]:
    """Edges of the pairs with share enough.

    absolute: at least `threshold`, and the share is the edge's confidence. relative: at least `threshold`
    times the mean share of all pairs, since the more questions there are, the less attention is left for
    each; the confidence is share / (share + mean), 0.5 for the mean itself.
    """
    names = [question.id for question in group]
    mean = float(shares_QQ.sum()) / max(1, len(names) * (len(names) - 1))
    least = threshold * mean if rule == "relative" else threshold
    edges = []
    for i, j in (shares_QQ >= least).nonzero().tolist():
        share = float(shares_QQ[i, j])
        if i == j or (rule == "relative" and not share):
            continue
        source, target = (names[j], names[i]) if direction == "needs" else (names[i], names[j])
        confidence = share / (share + mean) if rule == "relative" else share
        why = f"{names[i]} attends to {names[j]}: {share:.3f}, the mean is {mean:.3f}"
        edges.append(Edge(source=source, target=target, confidence=confidence, why=why))
    return edges
