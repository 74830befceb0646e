"""The cascade in one compiled call a layer (see `branchwise.decoding.native.attend`).

Keys that rows share are read once for all of them, where they lie; nothing is gathered and nothing has to
be kept. fp32 on the CPU.
"""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from branchwise.decoding.attention.dense import Dense
from branchwise.decoding.attention.kernel import Kernel
from branchwise.decoding.attention.scores import Scoring
from branchwise.decoding.attention.segments import Segments
from branchwise.decoding.attention.step import Following, TreeStep
from branchwise.decoding.held.cache import TreeCache
from branchwise.decoding.models.facts import heads_of
from branchwise.decoding.native.attend import Arranged, Attend
from branchwise.decoding.native.library import library
from branchwise.errors import UserError


def why_not_fused(model: PreTrainedModel) -> str | None:
    """Why this kernel cannot serve a model on this machine; None where it can."""
    built = library()
    if isinstance(built, str):
        return f"it needs a C compiler: {built}"
    if model.device.type != "cpu" or model.dtype != torch.float32:
        return f"it is for fp32 on the CPU, and the model is {model.dtype} on {model.device.type}"
    heads, kv_heads, width = heads_of(model)
    return Attend(built).why_not(heads // kv_heads, width)


class Fused(Kernel):
    """Segments after `attention.segments`, all of them in one call. What branches see of each other when
    they peek only a mask can say: such steps go by that.
    """

    name = "fused"

    def __init__(self, cache: TreeCache) -> None:
        super().__init__(cache)
        built = library()
        if isinstance(built, str):
            raise UserError(f"kernel fused needs a C compiler: {built}", "use kernel cascade")
        self._call = Attend(built)
        self._dense = Dense(cache)
        self._segments: Segments | None = None
        self._following = Following()
        self._arranged: dict[tuple[int | None, int], Arranged] = {}

    def begin(self, step: TreeStep) -> None:
        super().begin(step)
        if step.peeks:
            self.forget()
            self.step = step
            self._dense.begin(step)
            return
        goes_on = self._following.goes_on(step)
        if not (goes_on and self._segments and self._segments.grow(step.slots)):
            self._segments = None
        self._arranged = {}

    def _attend(self, query: Tensor, key: Tensor, value: Tensor, scoring: Scoring) -> Tensor:
        assert self.step is not None, "begin() comes before every forward pass"
        if self.step.peeks:
            return self._dense._attend(query, key, value, scoring)
        if query.dtype != torch.float32 or not query.is_cpu:
            raise UserError(
                f"kernel fused is for fp32 on a CPU, and the model is {query.dtype} on {query.device}",
                "make the decoder anew after converting or moving a model",
            )
        heads_per_kv = query.shape[1] // key.shape[1]
        if why := self._call.why_not(heads_per_kv, max(query.shape[-1], value.shape[-1])):
            raise UserError(f"kernel fused cannot attend: {why}", "use kernel cascade")
        arranged = self._arrangement(scoring.window, heads_per_kv)
        return self._call(query, key, value, arranged, scoring.scale, scoring.softcap)

    # torch's own attention would be slower, and its last bits depend on the number of threads.
    _attend_all = _attend

    @property
    def knows_threads(self) -> bool:
        """Only where a mask is asked, which torch's attention takes."""
        return self.step is None or self.step.peeks

    def _arrangement(self, window: int | None, heads_per_kv: int) -> Arranged:
        """The step's segments, worked out when a layer first asks."""
        name = window, heads_per_kv
        if name not in self._arranged:
            step = self.step
            assert step is not None
            if self._segments is None:
                self._segments = Segments(step.pending)
            lists = self._segments.lists
            if window is not None and max(step.pending.positions) >= window:
                lists = self._segments.within(window, step.position_N, step.slot_positions)
            self._arranged[name] = self._call.arranged(lists, heads_per_kv)
        return self._arranged[name]

    def forget(self) -> None:
        super().forget()
        self._dense.forget()
        self._segments = None
        self._following.forget()
        self._arranged = {}
