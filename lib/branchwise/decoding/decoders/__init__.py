"""Decoders that a config can name: one module each, found by being here.

A module defines a subclass of `DecoderSettings` with `kind: Literal["<name>"]`; the catalogue, the config
reference and the code hashes know it from then on. Nothing heavy is imported until one is made.
"""

from branchwise.decoding.decoders.base import DecoderSettings
from branchwise.registry import types_in

DECODERS = types_in(__name__, __path__, DecoderSettings, "kind")
"""Kind of a decoder -> the type of its catalogue entries."""
