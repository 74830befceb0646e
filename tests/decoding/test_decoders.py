"""The two decoders beside each other, on strategies and groups."""

from pathlib import Path

import pytest

from branchwise import TreeDecoder
from branchwise.cells.runner import GroupRunner, Timed
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.decoders.hf import HFEntry
from branchwise.decoding.decoders.tree import TreeEntry
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.source import ModelSource
from branchwise.errors import UserError
from branchwise.prompts import PromptStyle, single
from branchwise.strategies import load

GROUPS = list(make_groups(WorldsSpec(kinds=("two_hop", "choice"), num_groups=4, group_size=5)))


@pytest.fixture(scope="module")
def loaded(random_model_folder: Path) -> ModelSource:
    return ModelSource(ModelEntry(path=str(random_model_folder), device="cpu"))


def run(loaded: ModelSource, decoder: str, strategy: str, group, budget: int = 9) -> Timed:
    entry = TreeEntry(kind="tree") if decoder == "tree" else HFEntry(kind="hf")
    made = entry.make(loaded)
    return GroupRunner(load(strategy), made, loaded.loaded.chat, PromptStyle(), budget, 1).once(group)


@pytest.mark.parametrize("strategy", ["all_in_one", "sequential", "batch"])
def test_tree_and_hf_say_the_same(loaded: ModelSource, strategy: str) -> None:
    for group in GROUPS:
        tree, hf = run(loaded, "tree", strategy, group), run(loaded, "hf", strategy, group)
        assert [a.completion.ids for a in tree.asks] == [a.completion.ids for a in hf.asks]
        assert [a.reading for a in tree.answers] == [a.reading for a in hf.answers]


def test_batch_equals_one_prompt_at_a_time(loaded: ModelSource) -> None:
    decoder = TreeDecoder(loaded.loaded.model, loaded.loaded.chat.tokenizer)
    for group in GROUPS:
        together = [ask.completion.ids for ask in run(loaded, "tree", "batch", group).asks]
        for question, ids in zip(group, together, strict=True):
            prompt = loaded.loaded.chat.prompt_ids(single(group, question, PromptStyle()))
            alone = decoder.complete([prompt], max_new_tokens=9)[0]
            assert [i for i in ids if i not in decoder.stop_ids] == alone


def test_the_ledger_adds_up(loaded: ModelSource) -> None:
    for decoder in ("tree", "hf"):
        for strategy in ("all_in_one", "sequential", "batch"):
            timed = run(loaded, decoder, strategy, GROUPS[0])
            for ask in timed.asks:
                tokens = ask.completion.tokens
                assert tokens.sent == tokens.unique + tokens.cached
                assert tokens.generated == len(ask.completion.ids)
                assert decoder == "tree" or tokens.cached == 0
    tree = run(loaded, "tree", "batch", GROUPS[0])
    assert sum(ask.completion.tokens.cached for ask in tree.asks) > 0


def test_a_conversation_is_never_prefilled_twice(loaded: ModelSource) -> None:
    """Every later turn finds all earlier tokens in the tree, but for what was never computed."""
    timed = run(loaded, "tree", "sequential", GROUPS[0])
    before = None
    for ask in timed.asks:
        if before is not None:
            assert ask.completion.tokens.cached >= before.tokens.sent - 1
        before = ask.completion


def test_every_answer_has_its_own_budget(loaded: ModelSource) -> None:
    # Error 11: all answers share one answer's budget.
    group = GROUPS[0]
    together = run(loaded, "tree", "all_in_one", group, budget=7).asks[0].completion
    assert len(together.ids) <= 7 * len(group)
    assert together.stop == "stop" or len(together.ids) == 7 * len(group)
    for ask in run(loaded, "tree", "batch", group, budget=7).asks:
        assert len(ask.completion.ids) <= 7


def test_the_models_own_generation_config_changes_nothing(loaded: ModelSource) -> None:
    """`generate` fills open values from it: a repetition penalty there must not leak in."""
    # Error 29: sampling on one side, greedy on the other.
    expected = run(loaded, "hf", "batch", GROUPS[0])
    config = loaded.loaded.model.generation_config
    config.repetition_penalty, config.no_repeat_ngram_size = 1.8, 1
    try:
        again = run(loaded, "hf", "batch", GROUPS[0])
        assert loaded.loaded.model.generation_config is config
    finally:
        config.repetition_penalty, config.no_repeat_ngram_size = None, None
    assert [a.completion.ids for a in again.asks] == [a.completion.ids for a in expected.asks]


def test_a_prompt_beyond_the_context_is_refused(loaded: ModelSource) -> None:
    group = GROUPS[0].model_copy(update={"context": "Mara lives in Oslo. " * 3000})
    with pytest.raises(UserError, match=r"group \S+: a prompt of \d+ tokens .* context of 4096"):
        run(loaded, "tree", "batch", group)
    # The decoder is still good for the next group.
    assert run(loaded, "tree", "batch", GROUPS[1]).answers


def test_what_the_tree_decoder_refuses(loaded: ModelSource) -> None:
    decoder = TreeDecoder(loaded.loaded.model, loaded.loaded.chat.tokenizer)
    with pytest.raises(UserError, match="empty"):
        decoder.complete([[]], max_new_tokens=3)
    with pytest.raises(UserError, match="max_new_tokens is 0"):
        decoder.complete([[5]], max_new_tokens=0)
    with pytest.raises(UserError, match="kernel is 'magic'"):
        TreeDecoder(loaded.loaded.model, kernel="magic")


def test_strings_go_in_and_come_out(loaded: ModelSource) -> None:
    decoder = TreeDecoder(loaded.loaded.model, loaded.loaded.chat.tokenizer)
    texts = decoder.complete(["Mara lives in", "Mara works as"], max_new_tokens=4)
    assert all(isinstance(text, str) for text in texts)
    ids = [loaded.loaded.chat.encode(text) for text in ("Mara lives in", "Mara works as")]
    assert [loaded.loaded.chat.decode(out) for out in decoder.complete(ids, 4)] == texts


def test_tokens_are_told_as_they_are_made(loaded: ModelSource) -> None:
    made: dict[str, list[int]] = {}
    runner = GroupRunner(
        load("batch"),
        TreeEntry(kind="tree").make(loaded),
        loaded.loaded.chat,
        PromptStyle(),
        5,
        1,
    )
    timed = runner.once(
        GROUPS[0], lambda questions, token: made.setdefault(questions[0].id, []).append(token)
    )
    assert made == {ask.questions[0].id: ask.completion.ids for ask in timed.asks}
