"""Decoders that a config can name: one module each, found by being here.

A module defines a subclass of `DecoderSettings` with `kind: Literal["<name>"]`; the catalogue, the config
reference and the code hashes know it from then on. Nothing heavy is imported until one is made.
"""

import pkgutil
from importlib import import_module
from typing import get_args

from branchwise.decoding.decoders.base import DecoderSettings


def _classes() -> dict[str, type[DecoderSettings]]:
    found: dict[str, type[DecoderSettings]] = {}
    for info in pkgutil.iter_modules(__path__):
        module = import_module(f"{__name__}.{info.name}")
        for value in vars(module).values():
            if (
                isinstance(value, type)
                and issubclass(value, DecoderSettings)
                and "kind" in value.model_fields
                and not value.__name__.startswith("_")
            ):
                (name,) = get_args(value.model_fields["kind"].annotation)
                found[name] = value
    return dict(sorted(found.items()))


DECODERS = _classes()
"""Kind of a decoder -> the type of its catalogue entries."""
