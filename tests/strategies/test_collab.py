"""Dependency-ordered answering: who waits for whom, what prompts say, and what it equals at its ends."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise

import pytest

from branchwise.api import TreeDecoder
from branchwise.cells.asker import Asker
from branchwise.cells.depending import Depending, check_control, find_all, generator_of
from branchwise.cells.found import row_of, with_found
from branchwise.cells.runner import GroupRunner
from branchwise.cells.staging import Kept
from branchwise.data.types import Group
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.constrained import constrained_to
from branchwise.decoding.loop import run
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.loading import load_model
from branchwise.decoding.reference import HFDecoder
from branchwise.decoding.requests import Rules
from branchwise.dependencies.controls import control_edges
from branchwise.dependencies.entries import ControlEntry, HeuristicEntry, LlmEntry
from branchwise.dependencies.graph import Edge, known_edges, with_edges
from branchwise.dependencies.llm import read_edges, reply_pattern
from branchwise.errors import UserError
from branchwise.prompts import PromptStyle
from branchwise.stages import GroupDependencies
from branchwise.strategies import load
from branchwise.trace import closure

GROUPS = list(
    make_groups(WorldsSpec(kinds=("two_hop",), group_size=6, num_groups=3, min_facts=8, seed=5))
)


@pytest.fixture(scope="module")
def loaded(root):
    return load_model(ModelEntry(path=str(root / "resources/models/tiny"), device="cpu"))


@pytest.fixture
def decoder(loaded) -> Iterator[TreeDecoder]:
    yield TreeDecoder(loaded.model, loaded.chat.tokenizer, kernel="dense")


LAYERS = {"collab_layers": ("collab", {"wait": "layers"})}


def runner(loaded, decoder, strategy: str) -> GroupRunner:
    module, options = LAYERS.get(strategy, (strategy, {}))
    return GroupRunner(load(module, options), decoder, loaded.chat, PromptStyle(), 12)


def without(group: Group) -> Group:
    return with_edges(group, [])


def chain(group: Group) -> Group:
    names = [question.id for question in group]
    return with_edges(group, [Edge(source=a, target=b) for a, b in pairwise(names)])


def raw(timed) -> list[str]:
    return [answered.raw for answered in timed.answers]


def shown(ask) -> str:
    """A prompt without its spaces: a branch's is decoded, and tokenizers differ on these."""
    return "".join(ask.prompt.split())


@pytest.mark.parametrize("strategy", ["collab", "collab_layers", "collab_see"])
def test_without_edges_it_is_batch_token_for_token(loaded, decoder, strategy: str) -> None:
    for group in GROUPS:
        batch = runner(loaded, decoder, "batch").once(without(group))
        collab = runner(loaded, decoder, strategy).once(without(group))
        ids = [[ask.completion.ids for ask in timed.asks] for timed in (batch, collab)]
        assert ids[0] == ids[1]
        assert [shown(ask) for ask in batch.asks] == [shown(ask) for ask in collab.asks]
        assert all(ask.after == () for ask in collab.asks)


def test_a_chain_waits_as_turns_do(loaded, decoder) -> None:
    group = chain(GROUPS[0])
    turns = runner(loaded, decoder, "sequential").once(group)
    for strategy in ("collab", "collab_layers", "collab_see"):
        collab = runner(loaded, decoder, strategy).once(group)
        assert [ask.after for ask in collab.asks] == [ask.after for ask in turns.asks]
    # By visibility a chain is the very conversation.
    seen = runner(loaded, decoder, "collab_see").once(group)
    assert raw(seen) == raw(turns)
    assert shown(seen.asks[-1]) == shown(turns.asks[-1])


def test_layers_change_when_and_not_what(loaded, decoder) -> None:
    for group in GROUPS:
        stream = runner(loaded, decoder, "collab").once(group)
        layered = runner(loaded, decoder, "collab_layers").once(group)
        assert raw(stream) == raw(layered)
        assert stream.forward_passes <= layered.forward_passes


def test_a_question_starts_when_what_it_needs_is_known(loaded, decoder) -> None:
    group = GROUPS[0]
    timed = runner(loaded, decoder, "collab").once(group)
    ends = {ask.questions[0].id: ask.completion.end_s for ask in timed.asks}
    for ask in timed.asks:
        (question,) = ask.questions
        waited = closure({n: a.after for n, a in enumerate(timed.asks)}, ask.after)
        assert {timed.asks[i].questions[0].id for i in waited} == set(question.needs)
        assert all(ask.completion.start_s >= ends[name] for name in question.needs)
        for name in question.needs:
            assert "Known:" in ask.prompt
            assert next(q.text for q in group if q.id == name) in ask.prompt


def test_layers_wait_for_all_of_the_layer_before(loaded, decoder) -> None:
    timed = runner(loaded, decoder, "collab_layers").once(GROUPS[0])
    first = [i for i, ask in enumerate(timed.asks) if not ask.after]
    assert all(list(ask.after) == first for i, ask in enumerate(timed.asks) if i not in first)


def test_a_thought_that_the_template_adds_is_not_repeated(loaded) -> None:
    """Qwen3's template opens an empty thought for the model and leaves it out of the history."""
    decoder = TreeDecoder(loaded.model, loaded.chat.tokenizer, kernel="dense")
    template = loaded.chat.tokenizer.chat_template
    opening = "{{ '<|im_start|>assistant\\n' }}"
    assert opening in template
    thinking = opening.replace("\\n' }}", "\\n<think>\\n\\n</think>\\n\\n' }}")
    loaded.chat.tokenizer.chat_template = template.replace(opening, thinking)
    try:
        timed = runner(loaded, decoder, "collab_see").once(chain(GROUPS[0]))
    finally:
        loaded.chat.tokenizer.chat_template = template
    assert all(ask.prompt.count("system") == 1 for ask in timed.asks)


def test_branches_leave_when_nobody_needs_them(loaded) -> None:
    """Without dependencies a budget that is enough for `batch` is enough here."""
    group = without(GROUPS[0])
    for strategy in ("batch", "collab_see"):
        small = TreeDecoder(loaded.model, loaded.chat.tokenizer, kernel="dense", max_cache_tokens=190)
        assert len(runner(loaded, small, strategy).once(group).answers) == 6
        assert small.slots_in_use == 0


def test_several_needs_are_joined_by_visibility(loaded, decoder) -> None:
    group = GROUPS[0]
    names = [question.id for question in group]
    joined = with_edges(group, [Edge(source=n, target=names[-1]) for n in names[:2]])
    timed = runner(loaded, decoder, "collab_see").once(joined)
    last = timed.asks[-1]
    assert last.questions[0].id == names[-1]
    assert len(last.after) == 2
    texts = [question.text for question in group]
    places = [last.prompt.replace(" ", "").find(t.replace(" ", "")) for t in (*texts[:2], texts[-1])]
    assert -1 < places[0] < places[1] < places[2]
    assert last.prompt.lstrip().startswith("<|im_start|>")
    # The passage and both earlier turns are in sight, and none was computed twice.
    assert last.completion.tokens.unique < 30 < last.completion.tokens.sent


def test_other_decoders_answer_in_order_too(loaded, decoder) -> None:
    reference = HFDecoder(loaded.model, loaded.chat.tokenizer)
    for strategy in ("collab", "collab_layers"):
        ours = runner(loaded, decoder, strategy).once(GROUPS[1])
        theirs = runner(loaded, reference, strategy).once(GROUPS[1])
        assert raw(ours) == raw(theirs)


def test_circles_are_refused(loaded, decoder) -> None:
    first, second = GROUPS[0].questions[:2]
    turned = first.model_copy(update={"needs": (second.id,)})
    circle = GROUPS[0].model_copy(
        update={"questions": (turned, second.model_copy(update={"needs": (first.id,)}))}
    )
    with pytest.raises(UserError, match="in a circle"):
        runner(loaded, decoder, "collab").once(circle)


def depending(loaded, decoder, entry) -> Depending:
    generate = generator_of(entry, Asker(decoder, loaded.chat))
    return Depending("test", entry, generate, lambda text: len(loaded.chat.encode(text)), states=True)


def test_the_stage_knows_its_cost_and_its_quality(loaded, decoder) -> None:
    gold = find_all(GROUPS, depending(loaded, decoder, ControlEntry(kind="gold")), lambda a, b: None)
    assert all(set(found.edges) == set(found.known) for found in gold)
    assert all(found.tokens.sent == found.forward_passes == 0 for found in gold)
    assert with_found(GROUPS[0], (gold[0],)) == GROUPS[0]
    words = depending(loaded, decoder, HeuristicEntry(kind="heuristic")).find(GROUPS[0])
    assert words.wall_s > 0
    with pytest.raises(UserError, match="no dependencies are known"):
        row_of(GROUPS[0], {}, GroupDependencies)


def test_controls_say_when_they_would_say_nothing() -> None:
    """On own data that state nothing they were `batch`; only their rows tell."""
    silent = [without(group) for group in GROUPS]
    for kind in ("gold", "random", "reverse"):
        entry = ControlEntry(kind=kind)
        check_control(entry, kind, GROUPS)
        with pytest.raises(UserError, match=f"dependencies {kind} are those that the data state"):
            check_control(entry, kind, silent)
    check_control(ControlEntry(kind="none"), "none", silent)
    check_control(HeuristicEntry(kind="heuristic"), "heuristic", silent)


def test_random_edges_are_as_many_as_stated() -> None:
    entry = ControlEntry(kind="random")
    for group in (*GROUPS, without(GROUPS[0])):
        assert len(control_edges(group, entry)) == len(known_edges(group))


def test_a_stage_that_was_stopped_goes_on(loaded, decoder, tmp_path) -> None:
    stage = depending(loaded, decoder, HeuristicEntry(kind="heuristic"))
    journal = tmp_path / "journal.jsonl"
    first = find_all(GROUPS[:2], stage, lambda a, b: None, Kept(GroupDependencies, journal, "x"))
    journal.write_text(journal.read_text() + '{"key": "cut o')
    again = find_all(GROUPS, stage, lambda a, b: None, Kept(GroupDependencies, journal, "x"))
    assert again[:2] == first
    assert len(journal.read_text().splitlines()) == 4


def test_a_planner_is_held_to_the_form_or_replaced_by_name(loaded, decoder) -> None:
    """The tiny model cannot plan; constrained, its reply is at least a plan."""
    held = depending(loaded, decoder, LlmEntry(kind="llm", max_new_tokens=200)).find(GROUPS[0])
    assert held.fallback is None
    assert read_edges(held.raw, ["q1", "q2", "q3", "q4", "q5", "q6"]).edges is not None
    assert held.tokens.sent > 50
    assert held.forward_passes > 5
    entry = LlmEntry(kind="llm", constrained=False, max_new_tokens=20)
    free = depending(loaded, decoder, entry).find(GROUPS[0])
    assert free.fallback.startswith("heuristic: ")
    assert free.tokens.sent > 50
    words = depending(loaded, decoder, HeuristicEntry(kind="heuristic")).find(GROUPS[0])
    assert free.edges == words.edges


def test_constrained_decoding_follows_any_pattern(loaded, decoder) -> None:
    pattern = reply_pattern(3, "order")
    hook = constrained_to(pattern, loaded.chat.tokenizer, decoder.stop_ids)

    async def several() -> list:
        branches = [decoder.open(loaded.chat.encode(text), "g") for text in ("Who?", "Where is it?")]
        rules = Rules(60, hooks=(hook,))
        return await asyncio.gather(*(decoder.generate(branch, rules) for branch in branches))

    for made in run(several(), decoder.step):
        assert made.stop == "stop"
        assert loaded.chat.decode(made.ids).startswith('{"order": ["Q')
