"""Worlds: small made texts whose every answer, and every dependency between answers, is known."""

from branchwise.data.worlds.groups import KINDS, WorldsSpec, make_groups

__all__ = ["KINDS", "WorldsSpec", "make_groups"]
