"""The stage of confidence: asked as per_prompt asks, agreeing samples counted, nothing else matters."""

import zlib
from pathlib import Path

import pytest
from tests.fakes import FakeDecoder, Words, group_of

from branchwise.cells import confiding as confiding_module
from branchwise.cells.asker import Asker, asker_of
from branchwise.cells.confiding import Confiding, confiding
from branchwise.cells.found import with_found
from branchwise.cells.runner import GroupRunner
from branchwise.cells.staging import Kept, find_alone, find_at_once
from branchwise.data.types import Group, Question
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.decoders.tree import TreeEntry
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.source import ModelSource
from branchwise.decoding.requests import Sampling
from branchwise.prompts import PromptStyle, Reading
from branchwise.stages import GroupConfidence
from branchwise.strategies import load
from branchwise.wordings.entries import SelfAgreementEntry

GROUPS = list(make_groups(WorldsSpec(kinds=("paraphrase",), group_size=2, num_groups=3)))
SHOT = Group(
    id="shot",
    context="Ada lives in Rome.",
    questions=(Question(id="s", text="Where does Ada live?", golds=("Rome",)),),
)


def nothing(done: int, total: int) -> None:
    """Progress that nobody sees."""


def entry(**changes) -> SelfAgreementEntry:
    return SelfAgreementEntry(kind="self_agreement", **{"samples": 4, "wordings": 3, **changes})


def by_hand(says, **changes) -> tuple[Confiding, FakeDecoder]:
    chat = Words()
    decoder = FakeDecoder(says, chat=chat)
    return Confiding("mine", entry(**changes), Asker(decoder, chat), PromptStyle(), "en"), decoder


def test_samples_that_agree_with_the_likeliest_answer_are_counted() -> None:
    """The likeliest is asked without sampling; of the others one contains it, and one is empty."""
    samples = iter(["in Oslo", "Rome", "", "oslo."])
    heard: list[Sampling] = []

    def says(request) -> str:
        heard.append(request.rules.sampling)
        return next(samples) if request.rules.sampling.temperature else "Oslo"

    finder, decoder = by_hand(says, max_new_tokens=7)
    row = find_alone(group_of(1), finder)
    (wording,) = row.questions[0].wordings
    assert (wording.text, wording.answer, wording.confidence) == ("What is 1?", "Oslo", 0.5)
    assert (row.group, row.generator, row.unfit) == ("g", "mine", None)
    assert heard[0] == Sampling()
    assert {(one.temperature, one.top_p) for one in heard[1:]} == {(1.0, 1.0)}
    assert len({one.seed for one in heard[1:]}) == 4
    assert decoder.heard == [("g", 7)] * 5


def test_own_words_first_then_paraphrases_by_the_entrys_seed() -> None:
    question = Question(
        id="q", text="Who?", golds=("x",), paraphrases=tuple(f"Who {n}?" for n in range(9))
    )
    group = Group(id="g", context="A.", questions=(question,))
    texts = [
        [one.text for one in find_alone(group, by_hand(lambda r: "x", **of)[0]).questions[0].wordings]
        for of in ({"wordings": 3}, {"wordings": 6}, {"wordings": 6, "seed": 1})
    ]
    assert texts[1][:3] == texts[0]
    assert [one[0] for one in texts] == ["Who?"] * 3
    assert texts[2] != texts[1]


def test_a_group_that_does_not_fit_says_so_and_is_not_asked() -> None:
    finder, decoder = by_hand(lambda request: "x")
    decoder.max_context = 5
    row = find_alone(group_of(2), finder)
    assert row.questions == ()
    assert "group g: a prompt of" in (row.unfit or "")
    assert (decoder.heard, row.tokens.sent, row.forward_passes) == ([], 0, 0)


# ----- on a model -----


@pytest.fixture(scope="module")
def source(random_model_folder: Path) -> ModelSource:
    return ModelSource(ModelEntry(path=str(random_model_folder), device="cpu"))


def found(source: ModelSource, groups: list[Group], most: int = 8, **changes) -> dict[str, object]:
    finder = confiding("mine", entry(**changes), asker_of(source), PromptStyle(), "en")
    rows = find_at_once(groups, finder, Kept(GroupConfidence), nothing, most)
    return {row.group: row.questions for row in rows}


def test_other_groups_in_flight_and_their_order_change_nothing(
    source: ModelSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By all that is said: a random model's answers are read as nothing."""

    def said(answer: str, samples: list[str], *_: str) -> float:
        return zlib.crc32("|".join([answer, *samples]).encode()) / 2**32

    monkeypatch.setattr(confiding_module, "reading_of", lambda text, *_: Reading(text, True))
    monkeypatch.setattr(confiding_module, "agreement", said)
    alone = found(source, GROUPS, 1)
    assert found(source, GROUPS[::-1], 8) == alone
    assert found(source, GROUPS, 8, temperature=3.0) != alone
    assert found(source, GROUPS[:1], 1, top_p=0.5)[GROUPS[0].id] != alone[GROUPS[0].id]


@pytest.mark.parametrize("style", [PromptStyle(), PromptStyle(form="completion", shots=(SHOT,))])
def test_the_likeliest_answers_are_those_of_per_prompt(source: ModelSource, style: PromptStyle) -> None:
    decoder = TreeEntry(kind="tree").make(source)
    strategy = load("per_prompt", {"wordings": 3})
    alone = GroupRunner(strategy, decoder, source.loaded.chat, style, 10).once(GROUPS[0])
    row = find_alone(GROUPS[0], confiding("mine", entry(samples=1), asker_of(source), style, "en"))
    for answer, one in zip(alone.answers, row.questions, strict=True):
        assert [(w.text, w.answer) for w in one.wordings] == [
            (w.text, w.reading.answer) for w in answer.wordings if w.reading
        ]


def test_what_is_found_weighs_the_wordings(source: ModelSource) -> None:
    """The surest wording alone: what it is answered with alone."""
    row = find_alone(
        GROUPS[0], confiding("mine", entry(temperature=3.0), asker_of(source), PromptStyle(), "en")
    )
    group = with_found(GROUPS[0], (row,))
    for question, one in zip(group, row.questions, strict=True):
        assert dict(question.confidences) == {w.text: w.confidence for w in one.wordings}
    decoder = TreeEntry(kind="tree", kernel="dense").make(source)
    for rule in ("weighted_avg", "weighted_max"):
        strategy = load("logit_fusion", {"wordings": 3, "rule": rule})
        done = GroupRunner(strategy, decoder, source.loaded.chat, PromptStyle(), 6).once(group)
        assert len(done.answers) == 2
