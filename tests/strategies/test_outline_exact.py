"""What an outlined answer computes, on the shipped model in fp32: as if each part were asked alone.

Shape legend: N visible tokens, V words of the vocabulary.
"""

from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import pytest
import torch
from tests.architectures import greedy
from torch import Tensor

from branchwise.cells.desk import GroupDesk
from branchwise.config.shipped import ROOT
from branchwise.data.types import Group
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.branches import Branch
from branchwise.decoding.decoders.tree import TreeEntry
from branchwise.decoding.loop import run
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.source import ModelSource
from branchwise.decoding.requests import Hook
from branchwise.prompts import PromptStyle
from branchwise.prompts.outlining import MARK
from branchwise.strategies import load
from branchwise.strategies.base import Answered

STYLE = PromptStyle(answer_format="free", outline="made")
SPEC = WorldsSpec(kinds=("profiles",), group_size=1, num_groups=2, min_facts=20, max_facts=30, seed=5)
GROUPS = list(make_groups(SPEC))


@cache
def source() -> ModelSource:
    return ModelSource(ModelEntry(path=str(ROOT / "resources/models/tiny"), device="cpu"))


class Heard(NamedTuple):
    """A piece of an answer: what its branch saw, what was said, and the logits of its first token."""

    role: str
    seen: list[int]
    ids: list[int]
    logits_V: Tensor
    plain_V: Tensor


class Listening(GroupDesk):
    """Notes every piece, beside what a plain pass over the visible tokens says."""

    heard: list[Heard]

    async def generate(self, branch: Branch, questions: Any = (), **how: Any) -> Any:
        seen, plain_V = branch.token_ids, plain_logits(branch)
        found: list[Tensor] = []

        def note(members: Any, logits_RV: Tensor) -> Tensor:
            found.append(logits_RV[0].clone())
            return logits_RV

        # First, so that it sees what the model says, and not what is left of it.
        how["rules"] = replace(how["rules"], hooks=(Hook(note), *how["rules"].hooks))
        reply = await super().generate(branch, questions, **how)
        self.heard.append(Heard(how["role"], seen, list(reply.ids), found[0], plain_V))
        return reply


@torch.no_grad()
def plain_logits(branch: Branch) -> Tensor:
    """The logits (V,) behind a branch, by one pass of the plain model over all that it sees."""
    nodes: dict = {}

    def visit(node: Any) -> None:
        for parent in node.parents:
            visit(parent)
        nodes[node] = None

    visit(branch.tip)
    ids = [token for node in nodes for token in node.tokens]
    positions = [node.start + i for node in nodes for i in range(len(node.tokens))]
    owners = [node for node in nodes for _ in node.tokens]
    sees = {node: {node, *node.ancestors()} for node in nodes}
    mask_NN = torch.tensor(
        [[k <= q and owners[k] in sees[owners[q]] for k in range(len(ids))] for q in range(len(ids))]
    )
    added_11NN = torch.zeros(mask_NN.shape).masked_fill_(~mask_NN, -1e9)[None, None]
    out = reference()(
        input_ids=torch.tensor([ids]),
        position_ids=torch.tensor([positions]),
        attention_mask=added_11NN,
        use_cache=False,
    )
    return out.logits[0, -1]


@cache
def reference() -> Any:
    """The model once more: the decoder's own is in its hands meanwhile."""
    return ModelSource(ModelEntry(path=str(ROOT / "resources/models/tiny"), device="cpu")).loaded.model


def answered(group: Group, **options: Any) -> tuple[Answered, list[Heard]]:
    decoder: Any = TreeEntry(kind="tree").make(source())
    desk = Listening(group, decoder, source().chat, STYLE, 220)
    desk.heard = []

    async def script() -> Answered:
        (one,) = [one async for one in load("outline", options)(group, desk)]
        decoder.close(desk)
        return one

    with decoder.attached():
        found = run(script(), decoder.step)
    assert decoder.slots_in_use == 0
    return found, desk.heard


def said(piece: Heard) -> list[int]:
    """What was said, without the end of the turn."""
    end = reference().config.eos_token_id
    return piece.ids[:-1] if piece.ids[-1:] == [end] else piece.ids


CASES = [{}, {"see_titles": True}, {"positions": "shared"}, {"join": "recompute"}]


@pytest.mark.parametrize("options", CASES, ids=str)
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.id)
def test_each_piece_goes_on_as_a_plain_pass_over_what_it_sees(group: Group, options: dict) -> None:
    found, heard = answered(group, **options)
    assert found.raw.count(MARK) >= 4
    for piece in heard:
        torch.testing.assert_close(piece.logits_V, piece.plain_V, atol=1e-4, rtol=0)


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.id)
def test_isolated_branches_equal_the_same_branches_alone(group: Group) -> None:
    _, heard = answered(group)
    branches = [piece for piece in heard if piece.role == "branch"]
    assert len(branches) >= 3
    prompt = heard[0].seen
    for piece in branches:
        assert piece.seen[: len(prompt)] == prompt
        assert said(piece) == greedy(reference(), piece.seen, len(piece.ids))


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.id)
def test_computed_anew_it_is_a_fresh_prompt(group: Group) -> None:
    """All branches as one text, and what follows as the plain model goes on from that."""
    _, heard = answered(group, join="recompute")
    end = heard[-1]
    assert end.role == "answer"
    mark = source().chat.encode(MARK)
    bodies = [[*p.seen[len(heard[0].seen) :], *p.ids] for p in heard if p.role == "branch"]
    inside = [token for body in bodies for token in (body[:-1] if body[-1:] == mark else body)]
    assert end.seen == [*heard[0].seen, *inside, *source().chat.encode(MARK + "%%%%")]
    assert said(end) == greedy(reference(), end.seen, len(end.ids))
