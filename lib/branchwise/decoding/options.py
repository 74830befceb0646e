"""The options of the tree decoder, spelled here and nowhere else: names, values, defaults, words.

The catalogue's entry and the config reference are made of them (`decoders.base.record_of`). Plain
dataclasses, so that decoding needs nothing but torch and transformers.
"""

from dataclasses import dataclass, field
from typing import Any, Literal


def option(default: Any, description: str, least: int | None = None) -> Any:
    """A field with what a reader of the config has to know of it; `least` is its smallest value."""
    return field(default=default, metadata={"description": description, "ge": least})


Layout = Literal["path", "shared", "consecutive"]
"""Where the children of a fork stand: each where its parent ends; so that all end together; or each where
the one before it ends."""

Positions = Literal["path", "shared", "grid2d", "grid2d_shared"]
"""Where they stand by a decoder's option, which knows two-dimensional ones too."""


def layout_of(positions: Positions) -> Layout:
    """Where the children of a fork stand along the line of positions."""
    return "shared" if positions.endswith("shared") else "path"


Kernel = Literal["auto", "dense", "cascade", "fused", "mixed", "flex"]
"""How attention is computed; see `TreeOptions.kernel`."""

Products = Literal["auto", "plain", "rows", "onednn"]
"""Whose products the linear modules of a model are; see `TreeOptions.products`."""

Fusion = Literal["avg", "max", "prob_avg", "weighted_avg", "weighted_max"]
"""avg: mean of the logits, that is the geometric mean of the probabilities. max: the greatest of a word's
probabilities, so that the branch that is surest of one decides. prob_avg: mean of the probabilities.
weighted_avg: mean of the logits by the branches' weights. weighted_max: the logits of the branch with the
greatest weight alone (of several the one opened first)."""


@dataclass(frozen=True)
class Grid2D:
    """Two-dimensional positions: which rotary channels know the branch, and how strongly."""

    stride: int = option(32, "x between two neighbouring children of a fork.", least=0)
    channels: tuple[int, ...] | None = option(
        None, "Rotary channels (0 turns fastest); null: the last quarter, the slowest."
    )
    axis: Literal["interleaved", "x"] = option(
        "interleaved",
        "interleaved: of the channels every second one, beginning with the first, takes x; x: all.",
    )
    combine: Literal["add", "replace"] = option(
        "add",
        "add: such a channel turns with y + x (nothing changes at x = 0); replace: with x alone, as "
        "published (the trunk then loses its order there).",
    )


@dataclass(frozen=True)
class TreeOptions:
    """How the tree decoder computes; nothing here but `positions` and `grid` changes what it says."""

    kernel: Kernel = option(  # noqa: RUF009 (it is frozen)
        "auto",
        "How attention is computed. fused: the cascade in one compiled call a layer (fp32 on a CPU with "
        "a C compiler); mixed: dense, and cascade in steps of many groups; auto: the fastest of a short "
        "self-test, mixed where that is dense; named in run.json.",
    )
    positions: Positions = option(  # noqa: RUF009
        "path",
        "path: a child starts at its parent's end; shared: the children of a fork end together; grid2d: "
        "path along one axis, the branch along another; grid2d_shared: shared along the one (as "
        "published).",
    )
    grid: Grid2D = option(Grid2D(), "Of grid2d; see below.")  # noqa: RUF009 (it is frozen)
    products: Products = option(  # noqa: RUF009 (it is frozen)
        "auto",
        "CPU, fp32: by what weights are multiplied. auto: torch's product or the project's own, which "
        "needs a C compiler and no copy of the weights, as a self-test finds for each number of rows; "
        "plain: torch's; rows: the project's own; onednn: as auto, and oneDNN's too, for twice the "
        "memory of the weights.",
    )
    compile_mode: Literal["default", "reduce-overhead"] | None = option(
        None,
        "torch.compile the decoding steps, in this mode (a minute at first; reduce-overhead: CUDA graphs "
        "on a GPU); null: run them as written.",
    )
    max_cache_tokens: int | None = option(
        None, "Tokens in the cache, at most; branches over it wait.", least=1
    )
    max_step_tokens: int = option(4096, "Tokens in one forward pass, at most.", least=1)
