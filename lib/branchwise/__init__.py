"""Branchwise: parallel decoding of related questions, reproducible."""

__version__ = "0.1.0"
