"""Sentence embeddings: padding changes nothing, order is kept, and the packaged MiniLM is sensible."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from branchwise.encoders import sentences
from branchwise.encoders.loading import packaged_minilm
from branchwise.encoders.sentences import sentence_embedder
from branchwise.errors import UserError

WORDS = "who built the mill by river and kept old inn where".split()


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "?", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(vocabulary), intermediate_size=32, **shape)
    BertModel(config).save_pretrained(folder)
    return folder


def test_a_text_has_one_vector_whatever_stands_beside_it(
    encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentences, "_BATCH", 2)
    monkeypatch.setattr(sentences, "_WINDOW", 4)
    embed = sentence_embedder(str(encoder))
    texts = [" ".join(WORDS[: n % 7 + 1]) + "?" for n in range(11)]
    together = embed(iter(texts), len(texts))
    alone = np.concatenate([embed([text], 1) for text in texts])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert together.dtype == np.float32


def test_an_encoder_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="could not be loaded"):
        sentence_embedder(str(tmp_path / "none"))


@pytest.mark.skipif(packaged_minilm() is None, reason="the extra `minilm` is not installed")
def test_minilm_finds_like_questions_alike() -> None:
    texts = ["Who wrote Emma?", "Who is the author of Emma?", "How tall is the tower?"]
    vectors = sentence_embedder()(texts, 3)
    assert vectors[0] @ vectors[1] > 0.7 > 0.4 > vectors[0] @ vectors[2]
