"""Branchwise: parallel decoding of related questions, reproducible."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["TreeDecoder", "__version__"]

if TYPE_CHECKING:
    from branchwise.api import TreeDecoder


def __getattr__(name: str) -> Any:
    """Import the decoder, and torch with it, only when it is asked for."""
    if name == "TreeDecoder":
        from branchwise.api import TreeDecoder

        return TreeDecoder
    raise AttributeError(f"module 'branchwise' has no attribute {name!r}")
