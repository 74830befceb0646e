"""What is learned of a batch: the loss of a model over packed trees, by the logits of decoding.

Shape legend: B rows, T tokens of a row, N learned tokens, D width, V words of the vocabulary.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, cast

from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel

from branchwise.decoding.attention.interface import tree_attention
from branchwise.decoding.held.positions import GridRotary
from branchwise.decoding.mixers.mixing import Mixing
from branchwise.decoding.options import Grid2D
from branchwise.training.attention import PackedAttention
from branchwise.training.packing import Batch


class Learned(NamedTuple):
    """What came of a batch: the sum of the cross-entropies of its learned tokens, in nats, and which of
    them were the likeliest, bool (N,).
    """

    loss_sum: Tensor
    right_N: Tensor


class Lesson(nn.Module):
    """A model with all that learns beside it, so that whoever wraps it (for several processes) sees every
    parameter. `grid`: two-dimensional positions.
    """

    def __init__(
        self, model: PreTrainedModel, mixing: Mixing | None = None, grid: Grid2D | None = None
    ) -> None:
        super().__init__()
        self.model = model
        self.mixers = None if mixing is None else mixing.modules
        self._mixing = mixing
        self._rotary = None if grid is None else GridRotary(model, grid)

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The tree's attention, mixers and two-dimensional positions in the model, for as long as this
        lasts.
        """
        with ExitStack() as stack:
            stack.enter_context(tree_attention(self.model))
            if self._rotary is not None:
                stack.enter_context(self._rotary.attached())
            if self._mixing is not None:
                stack.enter_context(self._mixing.attached())
            yield

    def forward(self, batch: Batch) -> Learned:
        """See `Learned`; in fp32, whatever the model computes in."""
        logits_NV = self.logits(batch)
        loss_sum = functional.cross_entropy(logits_NV, batch.target_N, reduction="sum")
        return Learned(loss_sum, logits_NV.argmax(-1) == batch.target_N)

    def logits(self, batch: Batch) -> Tensor:
        """Logits of the learned tokens, fp32 (N, V), as the model itself makes them of its states."""
        if self._mixing is not None:
            self._mixing.aim(batch.mixed)
        if self._rotary is not None:
            self._rotary.aim(batch.x_BT)
        attention = PackedAttention(batch)
        with _only_learned(self.model, batch):
            out = self.model(
                input_ids=batch.ids_BT,
                position_ids=batch.positions_BT,
                use_cache=False,
                tree_kernel=attention,
            )
        assert attention.num_calls, "the model computed its attention by itself"
        return out.logits[0].float()


@contextmanager
def _only_learned(model: PreTrainedModel, batch: Batch) -> Iterator[None]:
    """The output matrix is given the states that predict a learned token, and no others: (1, N, D)."""

    def gather(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        (states_BTD,) = args
        return (states_BTD[batch.row_N, batch.place_N][None],)

    hook = cast(nn.Module, model.get_output_embeddings()).register_forward_pre_hook(gather)
    try:
        yield
    finally:
        hook.remove()


def right_spans(batch: Batch, right_N: Tensor) -> list[bool]:
    """Of each span whether all of its tokens were right."""
    right = right_N.cpu()
    return [bool(right[span.first : span.first + span.length].all()) for span in batch.spans]
