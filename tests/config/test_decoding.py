"""Sampling and forms in a config: what does not go together is told before anything runs."""

from pathlib import Path

import pytest

from branchwise.commands.options import cell_from
from branchwise.config.identity import cell_folder
from branchwise.config.load import parse_experiment
from branchwise.errors import UserError

BASE = {
    "experiment": "trial",
    "datasets": ["worlds_two_hop_g2"],
    "models": ["tiny"],
    "strategies": ["batch"],
    "decoders": ["tree"],
}


def parse(root: Path, **changes):
    return parse_experiment({**BASE, **changes}, "trial.yaml", root)


def own(**decoder):
    return {"define": {"decoders": {"mine": decoder}}, "decoders": ["mine"]}


CHOICE = {"kind": "tree", "constrain": "choice"}


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        (
            {"strategies": ["vote", "batch"]},
            ["strategy vote on a decoder without sampling", "give decoder tree a `sampling:`"],
        ),
        (
            {"decoders": ["tree_choice"]},
            ["tree_choice holds answers to letters", "worlds_two_hop_g2 is no choice"],
        ),
        (
            {"datasets": ["cmb_exam_random_g5"], "decoders": ["tree_choice"]},
            ["tree_choice allows one letter", "set `several: true`"],
        ),
        (
            {"strategies": ["outline", "batch"], "decoders": ["tree_json"]},
            ["outline writes answers in a form of its own", "tree_json holds them to another (json)"],
        ),
        (own(kind="hf", constrain="json"), ["kind hf holds no answers to a form", "use kind tree"]),
        (own(kind="tree", constrain="jsn"), ["constrain", "jsn", "'choice', 'json' or 'regex'"]),
        (own(kind="tree", constrain="regex"), ["`pattern` belongs to `constrain: regex`"]),
        (own(kind="tree", pattern="a"), ["`pattern` belongs to `constrain: regex`"]),
        (own(kind="tree", constrain="json", several=True), ["`several` belongs to `constrain: choice`"]),
        (own(kind="tree", constrain="regex", pattern="["), ["'['", "unclosed character class"]),
        (own(kind="tree", constrain="regex", pattern=""), ["is satisfied by no answer"]),
        (own(kind="tree", constrain="regex", pattern="(?=a)b"), ["without look-around"]),
        (own(kind="tree", sampling={"temperature": 0}), ["sampling.temperature is 0", "0.001"]),
        (own(kind="hf", sampling={"top_p": 1.5}), ["sampling.top_p is 1.5", "write 1 or less"]),
        (own(kind="hf", sampling={"topk": 5}), ["unknown key", "topk", "did you mean top_k"]),
    ],
)
def test_what_does_not_go_together_is_told_in_one_line(root: Path, changes: dict, parts) -> None:
    with pytest.raises(UserError) as caught:
        parse(root, **changes)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message, message


def test_what_goes_together_is_planned_as_cells_of_their_own(root: Path) -> None:
    decoders = ["tree", "tree_json", "sampled", "sampled_hf"]
    experiment = parse(
        root,
        decoders=decoders,
        strategies=["batch", "vote"],
        exclude=[{"strategy": "vote", "decoder": ["tree", "tree_json"]}],
    )
    assert len(experiment.cells) == 6
    assert len({cell_folder(experiment, cell).name for cell in experiment.cells}) == 6
    several = parse(
        root, **own(**CHOICE, several=True), datasets=["cmb_exam_random_g5", "worlds_choice_g6"]
    )
    assert len(several.cells) == 2


def test_cached_results_of_a_vote_are_read_whatever_the_decoder(root: Path) -> None:
    assert parse(root, strategies=["vote", "batch"], cached=True).cells


def test_a_cell_named_on_the_command_line_is_held_to_the_same(root: Path) -> None:
    experiment = parse(root)
    with pytest.raises(UserError, match="command line: cell .*/vote/hf: .* decoder without sampling"):
        cell_from(experiment, "worlds_two_hop_g2", "tiny", "vote", "hf")
    assert cell_from(experiment, "worlds_two_hop_g2", "tiny", "vote", "sampled_hf").strategy == "vote"
