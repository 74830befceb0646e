"""Mixers: what a branch's hidden state gains from those of its peers.

Shape legend: M states that are mixed in a pass, K states that they take from, D width, H heads, W width
of a head.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from branchwise.errors import UserError

if TYPE_CHECKING:
    from branchwise.decoding.mixers.entry import MixerEntry

FIRST_SCALE = {"attention": -3.0, "similarity": -5.0}
"""What the sigmoid of the learned scale is taken of at first, by kind, as published."""
FIRST_GATE = -3.0
STRANGERS = ("strangers_KD", "stranger_set_K", "stranger_column_K")
"""Tensors of a mixer with shuffled peers: states that were seen in training, and whose they were."""


class Columns(NamedTuple):
    """Which of M states are mixed: those of the same set (the branches of a group) and the same column
    (0 at the last token of the prompt, then one a token). All int64 (M,). `seed_M` draws strangers: it
    is the same for all of a set and says nothing of what else is decoded.
    """

    set_M: Tensor
    column_M: Tensor
    seed_M: Tensor


class Mixer(nn.Module):
    """One mixer. In training mode shuffled peers are those of another set of the same pass; in
    evaluation they are states kept from training, so that a group's answers are its own.
    """

    def __init__(self, entry: "MixerEntry", width: int) -> None:
        super().__init__()
        if entry.kind == "attention" and width % entry.heads:
            raise UserError(
                f"a mixer of {entry.heads} heads does not fit states of width {width}",
                "set `heads:` to a divisor of it",
            )
        self.entry = entry
        self.norm = nn.LayerNorm(width) if entry.normed else nn.Identity()
        if entry.peers == "nobody":
            # As many weights as the module that it is compared with has.
            inner = width * (2 if entry.kind == "attention" else 1)
            self.up, self.out = _linear(width, inner), _linear(inner, width)
        elif entry.kind == "attention":
            self.query, self.key, self.value = (_linear(width, width) for _ in range(3))
            self.out = _linear(width, width)
        else:
            self.likeness, self.out = _linear(width, width), _linear(width, width)
        nn.init.zeros_(self.out.weight)
        if entry.gate == "scale":
            self.scale = nn.Parameter(torch.tensor(FIRST_SCALE[entry.kind]))
        elif entry.gate == "gate":
            self.gate_in, self.gate_out = nn.Linear(2 * width, width // 4), nn.Linear(width // 4, width)
            nn.init.zeros_(self.gate_out.weight)
            nn.init.constant_(self.gate_out.bias, FIRST_GATE)
        if entry.peers == "shuffled":
            self.keep_strangers(torch.zeros(0, width), *(torch.zeros(0, dtype=torch.long),) * 2)

    def keep_strangers(self, states_KD: Tensor, set_K: Tensor, column_K: Tensor) -> None:
        """States that shuffled peers are drawn from, with whose they were: int64 sets from 0, columns."""
        for name, tensor in zip(STRANGERS, (states_KD, set_K, column_K), strict=True):
            self.register_buffer(name, tensor)

    def forward(self, states_MD: Tensor, columns: Columns) -> Tensor:
        """The states with what each takes from its peers (a control: from itself, or from nobody)."""
        dtype = self.out.weight.dtype
        own_MD = self.norm(states_MD.to(dtype))
        if self.entry.peers == "nobody":
            taken_MD = self.out(functional.gelu(self.up(own_MD)))
        else:
            others_KD, seen_MK = self._peers(own_MD, columns)
            weigh = self._attended if self.entry.kind == "attention" else self._alike
            # Where nobody is seen the softmax is over nothing: such a state takes nothing.
            taken_MD = weigh(own_MD, others_KD, seen_MK) * seen_MK.any(1)[:, None]
        return states_MD + (self._share(own_MD, taken_MD) * taken_MD).to(states_MD.dtype)

    def _peers(self, own_MD: Tensor, columns: Columns) -> tuple[Tensor, Tensor]:
        """The states that may be taken from (K, D), and which of them each state takes from, bool
        (M, K).
        """
        sets, column_M = columns.set_M, columns.column_M
        peers = self.entry.peers
        if peers == "self":
            return own_MD, torch.eye(len(own_MD), dtype=torch.bool, device=own_MD.device)
        if peers == "shuffled" and not self.training:
            strangers_KD, set_K, column_K = (getattr(self, name) for name in STRANGERS)
            number = max(1, int(set_K.max()) + 1 if len(set_K) else 1)
            drawn_M = columns.seed_M % number
            seen_MK = (drawn_M[:, None] == set_K) & (column_M[:, None] == column_K)
            return self.norm(strangers_KD.to(own_MD.dtype)), seen_MK
        wanted_M = _next_sets(sets) if peers == "shuffled" else sets
        seen_MM = (wanted_M[:, None] == sets) & (column_M[:, None] == column_M)
        seen_MM &= ~torch.eye(len(own_MD), dtype=torch.bool, device=own_MD.device)
        if peers == "shuffled":
            # A set alone in a pass has no strangers.
            seen_MM &= sets[:, None] != sets
        return own_MD, seen_MM

    def _attended(self, own_MD: Tensor, others_KD: Tensor, seen_MK: Tensor) -> Tensor:
        heads, width = self.entry.heads, own_MD.shape[1]

        def parted(rows: Tensor) -> Tensor:
            return rows.view(len(rows), heads, width // heads).transpose(0, 1)

        query_HMW, key_HKW = parted(self.query(own_MD)), parted(self.key(others_KD))
        weights_HMK = _softmax(query_HMW @ key_HKW.transpose(1, 2) * (width // heads) ** -0.5, seen_MK)
        taken_HMW = weights_HMK @ parted(self.value(others_KD))
        return self.out(taken_HMW.transpose(0, 1).reshape(len(own_MD), width))

    def _alike(self, own_MD: Tensor, others_KD: Tensor, seen_MK: Tensor) -> Tensor:
        own, others = (functional.normalize(self.likeness(rows), dim=-1) for rows in (own_MD, others_KD))
        return _softmax(own @ others.T, seen_MK) @ self.out(others_KD)

    def _share(self, own_MD: Tensor, taken_MD: Tensor) -> Tensor | float:
        if self.entry.gate == "none":
            return 1.0
        if self.entry.gate == "scale":
            return self.scale.sigmoid()
        inner = functional.gelu(self.gate_in(torch.cat([own_MD, taken_MD], dim=1)))
        return self.gate_out(inner).sigmoid()


def _linear(inputs: int, outputs: int) -> nn.Linear:
    linear = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(linear.weight, std=0.02)
    return linear


def _softmax(scores: Tensor, seen_MK: Tensor) -> Tensor:
    # The least number and not minus infinity: of a row that sees nobody it is finite, as its gradient.
    return scores.masked_fill(~seen_MK, torch.finfo(scores.dtype).min).softmax(-1)


def _next_sets(set_M: Tensor) -> Tensor:
    """Of each state the set after its own, the first after the last."""
    known, place_M = set_M.unique(return_inverse=True)
    return known.roll(-1)[place_M]
