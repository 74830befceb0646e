"""Gradients over packed trees: those of plain passes, and refused where a kernel has none."""

import pytest
import torch
from tests.architectures import BUILDERS, model_of

from branchwise.decoding.attention.interface import tree_attention
from branchwise.decoding.attention.kernels import KERNELS
from branchwise.decoding.attention.scores import Scoring
from branchwise.decoding.attention.step import TreeStep
from branchwise.decoding.held.cache import TreeCache
from branchwise.decoding.held.tree import TokenTree
from branchwise.errors import UserError
from branchwise.training.lesson import Lesson
from branchwise.training.packing import Row, batch_of
from branchwise.training.sequences import Document, Sequence, Span

TRUNK = [9, 10, 11, 12, 13]
BRANCHES = [[20, 21, 22, 23], [30, 31], [40, 41, 42]]


@pytest.mark.parametrize("architecture", [name for name in BUILDERS if name != "gpt_neox"])
def test_gradients_are_those_of_separate_passes(architecture: str) -> None:
    """A context once and its branches beside each other, against each branch by itself (2e-6 of the
    largest); windows and caps of scores among the architectures."""
    model = model_of(architecture)
    sequences = [
        Sequence([*TRUNK, *branch], [Span(len(TRUNK) + 1, len(branch) - 1, "x")], end=7)
        for branch in BRANCHES
    ]
    row = Row()
    row.add(Document([Sequence([50, 51, 52], [Span(1, 2, "x")])], "other"))
    row.add(Document(sequences, "group"))
    batch = batch_of([row], row.num_tokens + 4, 0)
    lesson = Lesson(model).eval()
    parameters = [p for p in model.parameters() if p.requires_grad]
    with lesson.attached():
        packed = torch.autograd.grad(lesson(batch).loss_sum, parameters)
    total = torch.zeros(())
    for ids, first in [([50, 51, 52], 1), *(([*TRUNK, *b, 7], len(TRUNK) + 1) for b in BRANCHES)]:
        logits = model(torch.tensor([ids]), use_cache=False).logits[0]
        targets = torch.tensor(ids[first:])
        total = total + torch.nn.functional.cross_entropy(
            logits[first - 1 : -1], targets, reduction="sum"
        )
    plain = torch.autograd.grad(total, parameters)
    for one, other in zip(packed, plain, strict=True):
        assert (one - other).abs().max() <= 2e-5 * max(1.0, float(other.abs().max()))


@pytest.mark.parametrize("kernel", ["cascade", "fused", "mixed", "flex"])
def test_a_kernel_without_gradients_says_so(kernel: str) -> None:
    """Their log-sum-exp has none: gradients were silently wrong."""
    tree = TokenTree(torch.device("cpu"))
    root = tree.add((), [1, 2, 3])
    tips = [tree.add((root,), [4]), tree.add((root,), [5])]
    pending = tree.pending(tips, 100)
    slots = tree.place(pending)
    step = TreeStep(
        tree, pending, slots, torch.tensor(slots), torch.tensor(pending.positions), tree.slots.high
    )
    one = KERNELS[kernel](TreeCache())
    one.begin(step)
    query, key, value = (torch.randn(1, 2, 5, 8, requires_grad=True) for _ in range(3))
    with pytest.raises(UserError, match=f"attention kernel {kernel} has no right gradients"):
        one.attend(query, key, value, Scoring(1.0, None, None))
    query, key, value = (tensor.detach()[:, :, : len(slots)] for tensor in (query, key, value))
    assert one.attend(query, key, value, Scoring(1.0, None, None)).shape == (1, len(slots), 2, 8)


def test_training_has_an_attention_of_its_own() -> None:
    model = model_of("qwen3")
    before = model.config._attn_implementation
    with tree_attention(model):
        assert model.config._attn_implementation != before
    assert model.config._attn_implementation == before
