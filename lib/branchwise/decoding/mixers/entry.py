"""What a mixer is, as recipes and checkpoints say it. Torch-free."""

from typing import Literal

from pydantic import Field, model_validator

from branchwise.records import Record


class MixerEntry(Record):
    """A module that adds to a branch's hidden state what it takes from those of its peers: the branches
    of the same group at the same step (cross-batch attention, Bridge, arXiv 2510.01143, and the modules
    published as `collab_hidden`). A new one changes nothing, bit for bit.
    """

    kind: Literal["attention", "similarity"] = Field(
        "attention",
        description="attention: queries, keys and values of the states; similarity: values of the "
        "states, weighted by the cosine of projected ones.",
    )
    peers: Literal["others", "self", "shuffled", "nobody"] = Field(
        "others",
        description="Whom a branch takes from. others: the branches that it is asked with. Controls with "
        "as many parameters, which no peer's state reaches: self: itself alone (self_only); shuffled: "
        "branches of another group (shuffled_peers); nobody: a two-layer network of its own state "
        "(parameter_matched).",
    )
    place: Literal["last", "after", "before"] = Field(
        "last",
        description="last: behind the whole network, as published: nothing mixed is ever read again; "
        "after, before: at the decoder layers `layers`; the mixed state goes on through the network, and "
        "later tokens see it.",
    )
    layers: tuple[int, ...] = Field(
        (), description="Decoder layers, from 0, each with a mixer of its own; none for `place: last`."
    )
    heads: int = Field(8, ge=1, description="attention: heads; they divide the width of the states.")
    gate: Literal["none", "scale", "gate"] = Field(
        "scale",
        description="How much is added. scale: one learned number, small at first; gate: a number for "
        "each channel, made of a branch's state (so of its question) and what it takes; none: all.",
    )
    normed: bool = Field(
        False, description="Whether states are normalised before they are compared and taken."
    )

    @model_validator(mode="after")
    def _places_fit(self) -> "MixerEntry":
        if (self.place == "last") == bool(self.layers):
            raise ValueError(
                "`layers` names where a mixer stands `after` or `before`; one at `place: last` has none"
            )
        if len(set(self.layers)) < len(self.layers) or any(layer < 0 for layer in self.layers):
            raise ValueError(f"layers {list(self.layers)}: name each once, from 0")
        return self
