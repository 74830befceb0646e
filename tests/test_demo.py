"""What the demo promises, on the model that ships and on random weights of four architectures.

`BRANCHWISE_EVERY=1` compares every group of the demo; by default one in ten.
"""

import json
import os
from functools import cache
from pathlib import Path

import pytest

from branchwise import TreeDecoder
from branchwise.cells.runner import GroupRunner
from branchwise.config import load_experiment
from branchwise.data.prepare import groups_of
from branchwise.data.types import Group
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.reference import HFDecoder
from branchwise.prompts import PromptStyle, single
from branchwise.strategies import load
from tests.architectures import model_of

pytestmark = pytest.mark.slow

TINY = Path("resources/models/tiny")
EVERY = int(os.environ.get("BRANCHWISE_EVERY", "10"))
BUDGET = 12


@cache
def demo_groups(root: Path) -> list[Group]:
    experiment = load_experiment([root / "config/demo.yaml"], root=root)
    entries = (experiment.catalogues.datasets[name] for name in experiment.datasets)
    return [group for entry in entries for group in groups_of(entry, pytest.fail)][::EVERY]


@pytest.mark.parametrize("name", ["tiny", "qwen2", "qwen3", "llama", "mistral"])
def test_batch_is_the_same_on_both_decoders_and_one_prompt_at_a_time(root: Path, name: str) -> None:
    chat = ChatTokenizer.load(root / TINY)
    if name == "tiny":
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(root / TINY).eval()
    else:
        model = model_of(name, len(chat.tokenizer), 1024)
    said = {}
    for decoder in (TreeDecoder(model, chat.tokenizer), HFDecoder(model, chat.tokenizer)):
        runner = GroupRunner(load("batch"), decoder, chat, PromptStyle(), BUDGET)
        said[type(decoder)] = [
            [ask.completion.ids for ask in runner.once(group).asks] for group in demo_groups(root)
        ]
    assert said[TreeDecoder] == said[HFDecoder]
    tree = TreeDecoder(model, chat.tokenizer)
    for group, together in zip(demo_groups(root), said[TreeDecoder], strict=True):
        for question, ids in zip(group, together, strict=True):
            prompt = chat.prompt_ids(single(group, question, PromptStyle()))
            alone = tree.complete([prompt], BUDGET)[0]
            assert alone == [i for i in ids if i not in tree.stop_ids]
    assert tree.slots_in_use == 0


def test_the_shipped_model_fits_and_its_card_is_of_these_weights(root: Path) -> None:
    files = list((root / TINY).iterdir())
    assert sum(path.stat().st_size for path in files) < 12 * 2**20
    facts = json.loads((root / TINY / "training.json").read_text())
    accuracy = json.loads((root / TINY / "accuracy.json").read_text())
    card = (root / TINY / "README.md").read_text()
    assert f"{facts['parameters']:,}" in card
    assert f"{100 * accuracy['look_up']['seen']['batch']:.1f}" in card


def test_the_model_reads_rather_than_guesses(root: Path) -> None:
    """Every accuracy beside its guess by type, and the leak alarm: a follow-up without its history
    must not be answerable."""
    accuracy = json.loads((root / TINY / "accuracy.json").read_text())
    look_up = accuracy["look_up"]["seen"]
    assert look_up["batch"] > look_up["type_guess"] + 0.4
    follow_up = accuracy["follow_up"]["seen"]
    assert follow_up["batch"] < follow_up["chain_guess"]
    assert follow_up["sequential"] > follow_up["batch"] + 0.3
    two_hop = accuracy["two_hop"]["seen"]
    assert two_hop["sequential"] > two_hop["chain_guess"] + 0.2


def test_committed_results_are_those_of_the_demo(root: Path) -> None:
    from branchwise.reporting.frames import load_results

    experiment = load_experiment([root / "config/demo.yaml"], root=root)
    results = load_results(experiment, root / "resources/demo/cells")
    assert set(results.scores) == set(experiment.cells)
