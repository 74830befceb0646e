"""Who sees whom, worked out from the parents of nodes alone: what recorded masks are held to."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from branchwise.decoding.attention.kernel import Kernel
from branchwise.decoding.held.tree import Node, TokenTree
from branchwise.decoding.recording import Recording, recorded


def above(node: Node) -> set[Node]:
    """A node and all from which it inherits."""
    found, left = set(), [node]
    while left:
        one = left.pop()
        found.add(one)
        left += one.parents
    return found


class Rule:
    """What each token has to see: of its own node and those above what was written no later."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[Node, int], int] = {}
        self.rows: list[set[int]] = []

    def note(self, kernel: Kernel) -> None:
        """One pass; its tokens are the last that each node holds."""
        nodes = kernel.step.pending.nodes
        places = {node: len(node.slots) - nodes.count(node) for node in nodes}
        computed = []
        for node in nodes:
            self.numbers[node, places[node]] = len(self.rows) + len(computed)
            computed.append((node, places[node]))
            places[node] += 1
        everywhere = kernel.step.tree.nodes.values()
        for node, place in computed:
            held = [(one, i) for one in above(node) for i in range(len(one.slots))]
            seen = {self.numbers[place] for place in held if place in self.numbers}
            row = {number for number in seen if number <= len(self.rows)}
            if node.together is not None and node.together.peeks:
                # And what stands at earlier positions in the branches beside it.
                peers = [one for one in everywhere if one.together is node.together]
                earlier = [(one, i) for one in peers for i in range(node.start + place - one.start)]
                row |= {self.numbers[at] for at in earlier if at in self.numbers}
            self.rows.append(row)

    def cut(self, top: Node, node: Node, length: int) -> None:
        """The first tokens of a node are another's now."""
        mine = {i: number for (one, i), number in self.numbers.items() if one is node}
        for i in mine:
            del self.numbers[node, i]
        for i, number in mine.items():
            self.numbers[(top, i) if i < length else (node, i - length)] = number


@contextmanager
def recorded_and_ruled(engine) -> Iterator[tuple[Recording, Rule]]:
    """A recording beside the rule."""
    rule, split = Rule(), TokenTree._split

    def noted_split(tree: TokenTree, node: Node, length: int) -> Node:
        top = split(tree, node, length)
        rule.cut(top, node, length)
        return top

    with pytest.MonkeyPatch.context() as patch, recorded(engine) as recording:
        patch.setattr(TokenTree, "_split", noted_split)

        def both(kernel: Kernel) -> None:
            recording.note(kernel)
            rule.note(kernel)

        engine.observe(both)
        yield recording, rule


def check(recording: Recording, rule: Rule) -> None:
    """What was recorded is what the rule says, token by token."""
    assert recording.tokens
    assert [set(token.seen) for token in recording.tokens] == rule.rows
    assert all(list(token.seen) == sorted(set(token.seen)) for token in recording.tokens)
    assert all(number in token.seen for number, token in enumerate(recording.tokens))
