"""The options of the tree decoder, spelled here and nowhere else. Torch-free: the config reads it."""

from typing import Literal

from pydantic import Field

from branchwise.records import Record


class Grid2D(Record):
    """Two-dimensional positions: which rotary channels know the branch, and how strongly."""

    stride: int = Field(32, ge=0, description="x between two neighbouring children of a fork.")
    channels: tuple[int, ...] | None = Field(
        None,
        description="Rotary channels (0 turns fastest); null: the last quarter, the slowest.",
    )
    axis: Literal["interleaved", "x"] = Field(
        "interleaved",
        description="interleaved: of the channels every second one, beginning with the first, takes x; "
        "x: all of them.",
    )
    combine: Literal["add", "replace"] = Field(
        "add",
        description="add: such a channel turns with y + x (nothing changes at x = 0); replace: with x "
        "alone, as published (the trunk then loses its order there).",
    )


class TreeOptions(Record):
    """How the tree decoder computes; nothing here but `positions` and `grid` changes what it says."""

    kernel: Literal["auto", "dense", "cascade", "flex"] = Field(
        "auto",
        description="How attention is computed; auto: the fastest of a short self-test, named in "
        "run.json.",
    )
    positions: Literal["path", "shared", "grid2d"] = Field(
        "path",
        description="path: a child starts at its parent's end; shared: the children of a fork end "
        "together; grid2d: path along one axis, the branch along another.",
    )
    grid: Grid2D = Field(Grid2D(), description="Of grid2d; see below.")
    packed_weights: bool | None = Field(
        False,
        description="CPU: weights packed for few rows, for twice the memory; null: where a self-test "
        "finds it faster.",
    )
    compile_mode: Literal["default", "reduce-overhead"] | None = Field(
        None,
        description="torch.compile the decoding steps, in this mode (a minute at first; reduce-overhead: "
        "CUDA graphs on a GPU); null: run them as written.",
    )
    max_cache_tokens: int | None = Field(
        None, ge=1, description="Tokens in the cache, at most; branches over it wait."
    )
    max_step_tokens: int = Field(4096, ge=1, description="Tokens in one forward pass, at most.")
