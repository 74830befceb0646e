"""How a group is asked: one short module a strategy, each an async generator named `strategy`."""

from branchwise.strategies.base import Answered, Desk, Reply, Strategy, load

__all__ = ["Answered", "Desk", "Reply", "Strategy", "load"]
