"""How a group is asked: one short module a strategy, each with an async generator named `strategy`."""

from branchwise.strategies.base import Answered, Desk, Reply, Strategy
from branchwise.strategies.loading import load

__all__ = ["Answered", "Desk", "Reply", "Strategy", "load"]
