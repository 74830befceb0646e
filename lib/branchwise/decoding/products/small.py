"""What a layer computes beside its products and attention, in one call each: norms and gated units.

A module is known by what it does, not by its name or model: it has the parts of such a module, and on
random rows it gives what the formula gives. Whatever is changed or wrapped is left alone.

Shape legend: rows (..., K).
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from branchwise.decoding.native.library import library
from branchwise.decoding.native.norms import Norm
from branchwise.decoding.native.rows import GatedProduct
from branchwise.decoding.pages import is_plain
from branchwise.decoding.products.linear import LinearProducts, is_plain_linear
from branchwise.decoding.products.replacing import replaced_forwards

OFFSETS = 0.0, 1.0
"""What is added to a norm's weights: most have none, some (Gemma's) are stored around zero."""
_TRIED_ROWS = 3
_HOOKS = "_forward_pre_hooks", "_forward_hooks"


class SmallOperations:
    """The norms and gated units of a model, while it is `attached`: those that multiply by `products`
    where these are the project's own. `count` says how many of each.
    """

    def __init__(self, model: nn.Module | None, products: LinearProducts) -> None:
        self._products = products
        self._norms: dict[nn.Module, float] = {}
        self._gates: list[nn.Module] = []
        built = library()
        if model is None or isinstance(built, str) or not products.are_own:
            return
        self._norm, self._gated = Norm(built), GatedProduct(built)
        for module in model.modules():
            if is_norm(module) and (offset := self._offset_of(module)) is not None:
                self._norms[module] = offset
            elif _is_gate(module) and self._is_formula(module):
                self._gates.append(module)

    @property
    def count(self) -> dict[str, int]:
        """How many modules of each kind are computed in one call."""
        return {"norms": len(self._norms), "gated units": len(self._gates)}

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The model computes them so for as long as this lasts."""
        forwards: dict[nn.Module, Callable[[Tensor], Tensor]] = {}
        for module, offset in self._norms.items():
            if is_norm(module):
                forwards[module] = self._norm_forward(module, offset)
        for module in self._gates:
            if _is_gate(module):
                forwards[module] = self._gate_forward(module)
        with replaced_forwards(forwards):
            yield

    def _norm_forward(self, module: Any, offset: float) -> Callable[[Tensor], Tensor]:
        plain, weight = module.forward, module.weight
        normed, width = self._norm.of(weight, eps_of(module), offset), len(weight)

        def forward(rows: Tensor) -> Tensor:
            if is_plain(rows) and rows.is_contiguous() and rows.shape[-1] == width:
                return normed(rows)
            return plain(rows)

        return forward

    def _gate_forward(self, module: Any) -> Callable[[Tensor], Tensor]:
        plain, gate = module.forward, module.gate_proj
        gated = self._gated.of(gate.weight, module.up_proj.weight, module.down_proj.weight)
        depth, is_own = gate.in_features, self._products.is_own

        def forward(rows: Tensor) -> Tensor:
            if is_plain(rows) and rows.shape[-1] == depth and is_own(rows.numel() // depth):
                return gated(rows)
            return plain(rows)

        return forward

    @torch.inference_mode()
    def _offset_of(self, module: Any) -> float | None:
        """What a norm adds to its weights; None where it computes something else."""
        rows = random_rows(len(module.weight))
        made = given_by(module, rows)
        for offset in OFFSETS:
            if are_same(made, self._norm.of(module.weight, eps_of(module), offset)(rows)):
                return offset
        return None

    @torch.inference_mode()
    def _is_formula(self, module: Any) -> bool:
        """Whether a module is silu(gate) * up, taken down again."""
        rows = random_rows(module.gate_proj.in_features)
        parts = module.gate_proj, module.up_proj, module.down_proj
        return are_same(given_by(module, rows), self._gated.of(*(part.weight for part in parts))(rows))


def random_rows(width: int) -> Tensor:
    """A few rows (3, width) to try a module on, the same each time."""
    return torch.randn(_TRIED_ROWS, width, generator=torch.Generator().manual_seed(0))


def given_by(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
    """What a module gives; None where it wants to be called another way, and so is not what it looks."""
    try:
        return module(*args, **kwargs)
    except Exception:
        return None


def are_same(one: Any, other: Tensor) -> bool:
    """Up to the rounding of fp32 sums."""
    if not isinstance(one, Tensor):
        return False
    most = float(one.abs().max())
    return one.shape == other.shape and torch.allclose(one, other, rtol=1e-5, atol=1e-5 * most)


def is_left_alone(module: Any) -> bool:
    """Whether a module computes in a way of its own already, or somebody watches it."""
    return "forward" in vars(module) or any(getattr(module, hooks) for hooks in _HOOKS)


def eps_of(module: Any) -> float:
    """What keeps a norm from dividing by zero; no number where it has none."""
    return getattr(module, "variance_epsilon", getattr(module, "eps", math.nan))


def is_norm(module: Any) -> bool:
    """Whether a module looks like a norm: a vector of weights, and what keeps it from dividing by 0."""
    weight = module._parameters.get("weight")
    is_alone = list(module._parameters) == ["weight"] and not module._modules
    if not is_alone or type(weight) is not nn.Parameter or weight.dim() != 1 or is_left_alone(module):
        return False
    return eps_of(module) > 0 and weight.is_cpu and weight.dtype == torch.float32


def _is_gate(module: Any) -> bool:
    """Whether a module looks like a gated unit: three plain matrices without bias, and an activation."""
    parts = {"gate_proj", "up_proj", "down_proj"}
    if not parts <= module._modules.keys() or is_left_alone(module) or module._parameters:
        return False
    others = [part for name, part in module._modules.items() if name not in parts]
    linear = [module._modules[name] for name in parts]
    if any(list(part.parameters()) for part in others):
        return False
    return all(is_plain_linear(part) and part.bias is None and not part._forward_hooks for part in linear)
