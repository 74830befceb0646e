"""Sentence embeddings: mean of the last hidden states over real tokens, at unit length.

This is what all-MiniLM-L6-v2 was trained for (Reimers and Gurevych, 2019); any BERT-like encoder works.
"""

from collections.abc import Callable, Iterable
from itertools import islice

import numpy as np
import torch

from branchwise.encoders.loading import load_encoder, packaged_minilm

HUB_MINILM = "sentence-transformers/all-MiniLM-L6-v2"
_BATCH = 128
_WINDOW = 64 * _BATCH
_MAX_TOKENS = 256


def sentence_embedder(name: str | None = None) -> Callable[[Iterable[str], int], np.ndarray]:
    """A function (texts, how many) -> unit vectors, float32 (n, dim).

    `name` is a folder or hub id; without it the packaged MiniLM is taken, or the hub's. Texts are
    taken from the iterable as they are needed; those of a window are sorted by length, so that little
    is padded. Raises UserError where the encoder cannot be had.
    """
    packaged = packaged_minilm()
    model, tokenizer = load_encoder(name or (str(packaged) if packaged else HUB_MINILM))

    @torch.inference_mode()
    def embed(texts: Iterable[str], count: int) -> np.ndarray:
        vectors_ND = np.empty((count, model.config.hidden_size), dtype=np.float32)
        texts = iter(texts)
        for start in range(0, count, _WINDOW):
            window = list(islice(texts, _WINDOW))
            order = sorted(range(len(window)), key=lambda i: len(window[i]))
            for first in range(0, len(order), _BATCH):
                chosen = order[first : first + _BATCH]
                vectors_BD = _embed_batch(model, tokenizer, [window[i] for i in chosen])
                vectors_ND[[start + i for i in chosen]] = vectors_BD.numpy()
        return vectors_ND

    return embed


def _embed_batch(model, tokenizer, texts: list[str]) -> torch.Tensor:
    """Unit vectors (B, D) of a batch of texts."""
    encoded = tokenizer(
        texts,
        padding=True,
        truncation=True,
        max_length=_MAX_TOKENS,
        return_tensors="pt",
        split_special_tokens=True,  # a text may spell [SEP]
    )
    hidden_BTD = model(**encoded).last_hidden_state
    weight_BT1 = encoded["attention_mask"][..., None].float()
    mean_BD = (hidden_BTD * weight_BT1).sum(1) / weight_BT1.sum(1).clamp(min=1)
    return torch.nn.functional.normalize(mean_BD, dim=-1)
