"""What the attention generator weighed stays with what it found, the way round that edges have."""

from types import SimpleNamespace

import pytest
import torch

from branchwise.cells.generators import attention
from branchwise.data.types import Group, Question
from branchwise.dependencies.entries import AttentionEntry

GROUP = Group(
    id="g", questions=tuple(Question(id=name, text=name, golds=("?",)) for name in ("one", "two"))
)


class Tokenizer:
    """A token a word."""

    cls_token_id, sep_token_id, model_max_length = 0, 1, 64

    def encode(
        self, text: str, add_special_tokens: bool, split_special_tokens: bool = False
    ) -> list[int]:
        return [5 + len(word) for word in text.split()]


class Encoder:
    """Its one head looks from the second question at the first, a little the other way."""

    config = SimpleNamespace(max_position_embeddings=64)

    def __call__(self, ids: torch.Tensor, output_attentions: bool) -> SimpleNamespace:
        weights = torch.zeros(1, 1, ids.shape[1], ids.shape[1])
        # [CLS] one [SEP] two [SEP]
        weights[..., 3, 1], weights[..., 1, 3] = 0.75, 0.125
        return SimpleNamespace(attentions=(weights,))


@pytest.mark.parametrize(
    ("direction", "matrix", "edge"),
    [
        ("needs", ((0.0, 0.125), (0.75, 0.0)), ("one", "two")),
        ("published", ((0.0, 0.75), (0.125, 0.0)), ("two", "one")),
    ],
)
def test_row_i_says_how_strongly_question_i_needs_each(
    direction: str, matrix: tuple, edge: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "load_encoder", lambda *args, **options: (Encoder(), Tokenizer()))
    entry = AttentionEntry(kind="attention", encoder="x", direction=direction)
    found = attention.generator(entry, None)(GROUP)
    assert found.facts["matrix"] == matrix
    assert [(one.source, one.target) for one in found.edges] == [edge]
