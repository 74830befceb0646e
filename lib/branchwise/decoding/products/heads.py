"""Attention modules whose queries, keys and values are made in one call.

A module is known by what it does, not by its name or model: it has the parts of such a module, and on
random rows it hands the attention function what the one call makes, and makes of the answer what one
product makes. Whatever is changed or wrapped is left alone, as is what has other parts (positions for a
part of a head, gates, layers without positions).

Shape legend: A query heads, H key-value heads, N rows, K columns of a row, D head width.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from branchwise.decoding.attention.interface import attention
from branchwise.decoding.attention.scores import Scoring
from branchwise.decoding.models.facts import cache_name
from branchwise.decoding.native.library import library
from branchwise.decoding.native.project import Project, Projection
from branchwise.decoding.pages import is_plain
from branchwise.decoding.products.linear import LinearProducts, is_plain_linear
from branchwise.decoding.products.replacing import replaced_forwards
from branchwise.decoding.products.small import (
    OFFSETS,
    are_same,
    eps_of,
    given_by,
    is_left_alone,
    is_norm,
    random_rows,
)

_ROWS, _FAR = 3, 10**6
_NAMES = "q_proj", "k_proj", "v_proj", "o_proj"
_NORMS = "q_norm", "k_norm"


class _Known(NamedTuple):
    """What was found of a module: what its norms add to their weights, and how it scores."""

    offset: float
    scoring: Scoring


class _Probe:
    """Stands for an attention kernel, and notes what it is given."""

    def __init__(self, like: Tensor) -> None:
        self._like = like
        self.given: tuple[Tensor, Tensor, Tensor] | None = None
        self.scoring: Scoring | None = None

    def attend(self, query: Tensor, key: Tensor, value: Tensor, scoring: Scoring) -> Tensor:
        """The same for all."""
        self.given, self.scoring = (query, key, value), scoring
        return self._like


class ProjectedHeads:
    """The attention modules of a model that are computed so, while it is `attached`; they multiply by the
    project's own product, where `products` does. `count` says how many, once it was attached.
    """

    def __init__(self, model: nn.Module | None, products: LinearProducts) -> None:
        self._products = products
        built = library()
        self._project = None if isinstance(built, str) else Project(built)
        self._looks: list[nn.Module] = []
        if model is not None and products.are_own:
            self._looks = [module for module in model.modules() if _looks_so(module)]
        self._known: dict[nn.Module, _Known] | None = None

    @property
    def count(self) -> int:
        """How many modules are computed in one call."""
        return len(self._known or {})

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The model computes them so for as long as this lasts. The tree's attention is in it already."""
        if self._known is None:
            found = {module: self._found(module) for module in self._looks}
            self._known = {module: known for module, known in found.items() if known is not None}
        still = {module: known for module, known in self._known.items() if _looks_so(module)}
        with replaced_forwards({module: self._forward(module, known) for module, known in still.items()}):
            yield

    def _forward(self, module: Any, known: _Known) -> Callable[..., Any]:
        plain, parts, layer = module.forward, module._modules, module.layer_idx
        width, depth, is_own = module.head_dim, parts["q_proj"].in_features, self._products.is_own
        projected = self._projected(module, known.offset)
        scale, softcap, window = known.scoring
        cache_is = cache_name(type(module))

        def forward(
            hidden_states: Tensor,
            position_embeddings: tuple[Tensor, Tensor],
            attention_mask: Tensor | None = None,
            tree_kernel: Any = None,
            **kwargs: Any,
        ) -> tuple[Tensor, None]:
            shape = hidden_states.shape
            cos, sin = position_embeddings
            turned = (1, shape[1], width)
            fits = len(shape) == 3 and shape[0] == 1 and shape[2] == depth and is_plain(hidden_states)
            cache = kwargs.get(cache_is)
            if not fits or not is_own(shape[1]) or cache is None or cos.shape != turned:
                return plain(
                    hidden_states=hidden_states,
                    position_embeddings=position_embeddings,
                    attention_mask=attention_mask,
                    tree_kernel=tree_kernel,
                    **kwargs,
                )
            query, key, value = projected(hidden_states, cos, sin)
            key, value = cache.update(key, value, layer)
            out, _ = attention(module, query, key, value, None, tree_kernel, scale, window, softcap)
            return parts["o_proj"](out.reshape(1, shape[1], -1)), None

        return forward

    def _projected(
        self, module: Any, offset: float
    ) -> Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]:
        assert self._project is not None
        parts = module._modules
        norms = [parts[name].weight if name in parts else None for name in _NORMS]
        eps = eps_of(parts[_NORMS[0]]) if norms[0] is not None else 0.0
        of_qkv = [
            Projection(parts[name].weight, parts[name].bias, norm)
            for name, norm in zip(_NAMES[:3], (*norms, None), strict=True)
        ]
        return self._project.of((of_qkv[0], of_qkv[1], of_qkv[2]), module.head_dim, eps, offset)

    @torch.inference_mode()
    def _found(self, module: Any) -> _Known | None:
        """How a module scores, and what its norms add; None where it does something else."""
        query_proj, width = module.q_proj, module.head_dim
        rows = random_rows(query_proj.in_features)[None, :_ROWS]
        angles = random_rows(width // 2)[None, :_ROWS].repeat(1, 1, 2)
        cos, sin = angles.cos(), angles.sin()
        like = random_rows(query_proj.out_features)[:_ROWS].view(1, _ROWS, -1, width)
        probe = _Probe(like)
        made = given_by(
            module,
            hidden_states=rows,
            position_embeddings=(cos, sin),
            attention_mask=None,
            # Far away: what else depends on positions (scores of long texts, in some) shows there.
            position_ids=torch.arange(_FAR, _FAR + _ROWS)[None],
            tree_kernel=probe,
        )
        if not isinstance(made, tuple) or probe.given is None or probe.scoring is None:
            return None
        if not are_same(made[0], module.o_proj(like.reshape(1, _ROWS, -1))):
            return None
        for offset in OFFSETS:
            made = self._projected(module, offset)(rows, cos, sin)
            if all(are_same(*pair) for pair in zip(probe.given, made, strict=True)):
                return _Known(offset, probe.scoring)
        return None


def _looks_so(module: Any) -> bool:
    """Whether a module looks like such an attention: four plain matrices, perhaps norms of queries and
    keys, and nothing else that holds weights.
    """
    parts = module._modules
    if not set(_NAMES) <= parts.keys() or is_left_alone(module) or module._parameters:
        return False
    width, layer = getattr(module, "head_dim", None), getattr(module, "layer_idx", None)
    if not isinstance(width, int) or not isinstance(layer, int) or width % 2:
        return False
    linear = [parts[name] for name in _NAMES]
    norms = [parts[name] for name in _NORMS if name in parts]
    others = [part for name, part in parts.items() if name not in (*_NAMES, *_NORMS)]
    if any(list(part.parameters()) for part in others if part is not None) or len(norms) == 1:
        return False
    if not all(is_norm(norm) and len(norm.weight) == width for norm in norms):
        return False
    if len({eps_of(norm) for norm in norms}) > 1:
        return False
    return all(is_plain_linear(part) and not part._forward_hooks for part in linear)
