"""A branch a document: what is one, what one gives, what permuting gives, and who sees whom."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from branchwise.cells.runner import GroupRunner, Timed, record_of
from branchwise.config.load import load_catalogues
from branchwise.data.types import Group, Question
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.contract import Decoder
from branchwise.decoding.decoders.tree import TreeEntry
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.source import ModelSource
from branchwise.prompts import PromptStyle, single
from branchwise.strategies import load
from branchwise.strategies.entry import StrategyEntry
from branchwise.strategies.experts import documents_in
from branchwise.trace import Tokens

GROUP = next(iter(make_groups(WorldsSpec(kinds=("documents",), group_size=3, num_groups=1))))
ONE = GROUP.model_copy(update={"context": documents_in(GROUP.context)[0]})
SHOT = Group(
    id="shot",
    context="Ada lives in Rome.",
    questions=(Question(id="s", text="Where does Ada live?", golds=("Rome",)),),
)
NAMES = ("experts", "experts_max", "experts_joined", "experts_joined_path")
FUSED, JOINED = NAMES[:2], NAMES[2:]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Document 1: a b.\nDocument 2: c.\n", ["Document 1: a b.", "Document 2: c."]),
        ("Passage 1:\na\n\nb\nPassage 2:\nc", ["Passage 1:\na\n\nb", "Passage 2:\nc"]),
        ("Read.\nDocument 1: a\nDocument 2: b", ["Read.\nDocument 1: a", "Read.\nDocument 2: b"]),
        ("See Document 1: it says a.", ["See Document 1: it says a."]),
        ("a\nb\n \n\nc\n", ["a\nb", "c"]),
        (" \n\n", []),
        ("", []),
    ],
)
def test_documents_of_a_context(text: str, found: list[str]) -> None:
    assert documents_in(text) == found


def test_lines_can_be_documents() -> None:
    assert documents_in("Rome: a city.\n\n Oslo: another.\n", "lines") == [
        "Rome: a city.",
        "Oslo: another.",
    ]


@given(st.lists(st.text("ab .", min_size=1).filter(str.strip), min_size=1, max_size=5))
def test_labelled_documents_are_found_again(texts: list[str]) -> None:
    documents = [f"Document {number}: {text.strip()}" for number, text in enumerate(texts, 1)]
    assert documents_in("\n".join(documents)) == documents


@pytest.fixture(scope="module")
def source(random_model_folder: Path) -> ModelSource:
    return ModelSource(ModelEntry(path=str(random_model_folder), device="cpu"))


@cache
def decoder_of(source: ModelSource) -> Decoder:
    return TreeEntry(kind="tree", kernel="dense").make(source)


@cache
def entry_of(name: str) -> StrategyEntry:
    return load_catalogues().strategies[name]


def asked(source: ModelSource, name: str, group: Group = GROUP, **style: object) -> Timed:
    """A group asked by a strategy of the catalogue, held to the verbs that its entry states."""
    entry, decoder = entry_of(name), decoder_of(source)
    strategy, needs = load(entry.module, entry.options), frozenset(entry.needs)
    return GroupRunner(strategy, decoder, source.chat, PromptStyle(**style), 5, needs).once(group)


def said(done: Timed) -> list[list[int]]:
    """The ids of each question's answer."""
    return [done.asks[one.asks[0]].completion.ids for one in done.answers]


@pytest.mark.parametrize("form", ["chat", "completion"])
@pytest.mark.parametrize("name", NAMES)
def test_one_document_is_plain_decoding(source: ModelSource, name: str, form: str) -> None:
    style = {"form": form, "prefilled": form == "completion", "shots": (SHOT,)}
    bare = ONE.questions[0]
    own = bare.model_copy(update={"id": "own", "context": ONE.context})
    for group in (ONE, Group(id="of their own", questions=(own, bare))):
        plain, one = (asked(source, which, group, **style) for which in ("batch", name))
        assert said(one) == said(plain)
        assert [a.raw for a in one.answers] == [a.raw for a in plain.answers]


@pytest.mark.parametrize("name", JOINED)
def test_the_same_document_twice_is_joined_to_plain_decoding(source: ModelSource, name: str) -> None:
    """Through the fork and the join, that is, which one document never takes."""
    twice = ONE.model_copy(update={"context": "Mara lives in Ashton.\n\nMara lives in Ashton."})
    once = ONE.model_copy(update={"context": "Mara lives in Ashton."})
    done = asked(source, name, twice)
    assert [one.verb for one in done.trace.branches] == ["open", "fork", "join", "join", "join"]
    assert said(done) == said(asked(source, "batch", once))


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_documents_changes_nothing(source: ModelSource, name: str) -> None:
    documents = documents_in(GROUP.context)
    assert len(documents) > 2
    first = said(asked(source, name))
    for order in (documents[::-1], [*documents[1:], documents[0]]):
        group = GROUP.model_copy(update={"context": "\n".join(order)})
        assert said(asked(source, name, group)) == first


@pytest.mark.parametrize("name", FUSED)
def test_every_document_is_asked_alone_and_all_say_the_same(source: ModelSource, name: str) -> None:
    documents = documents_in(GROUP.context)
    done = asked(source, name)
    for answer in done.answers:
        asks = [done.asks[number] for number in answer.asks]
        assert [[text in ask.prompt for text in documents] for ask in asks] == [
            [text == own for text in documents] for own in documents
        ]
        assert all(ask.completion.ids == asks[0].completion.ids for ask in asks)


@pytest.mark.parametrize(
    ("name", "fuse"),
    [
        ("experts", lambda logits: logits.mean(0)),
        ("experts_max", lambda logits: logits.log_softmax(-1).amax(0)),
    ],
)
def test_the_first_token_is_that_of_the_rule(
    source: ModelSource, name: str, fuse: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    first = [ids[0] for ids in said(asked(source, name))]
    for question, token in zip(GROUP, first, strict=True):
        logits = [
            source.loaded.model(torch.tensor([source.chat.prompt_ids(messages)])).logits[0, -1].double()
            for messages in (
                single(GROUP.model_copy(update={"context": one}), question, PromptStyle())
                for one in documents_in(GROUP.context)
            )
        ]
        assert fuse(torch.stack(logits)).argmax().item() == token


@pytest.mark.parametrize(("name", "positions"), [(JOINED[0], "shared"), (JOINED[1], "path")])
def test_where_joined_documents_stand(
    source: ModelSource, name: str, positions: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """shared: all end at the same place; path: all begin there."""
    decoder = decoder_of(source)
    fork, places = decoder.fork, []  # type: ignore[attr-defined]

    def spied(*given):
        branches = fork(*given)
        places.append([(one.tip.start, one.end) for one in branches])
        return branches

    monkeypatch.setattr(decoder, "fork", spied)
    texts = "Mara lives in Ashton.\n\nMara has a cat, and she works in Ashton."
    asked(source, name, GROUP.model_copy(update={"context": texts}))
    ((one, other),) = places
    assert (one[0] == other[0]) == (positions == "path")
    assert (one[1] == other[1]) == (positions == "shared")


@pytest.mark.parametrize("name", JOINED)
def test_joined_documents_are_encoded_once_and_apart(source: ModelSource, name: str) -> None:
    """Also where all of them begin and end alike."""
    documents = ["Mara lives in Ashton.", "Mara has a cat. Mara works in Ashton.", "Mara is in Ashton."]
    group = GROUP.model_copy(update={"context": "\n\n".join(documents)})
    done = asked(source, name, group)
    trunk, *others = done.trace.branches
    forks = [one for one in others if one.verb == "fork"]
    assert [one.text.strip() for one in forks] == documents
    assert all(one.parents == (0,) for one in forks)
    ends = [one for one in others if one.verb == "join"]
    assert [one.parents for one in ends] == [(1, 2, 3)] * len(group)
    for question, end in zip(group, ends, strict=True):
        for document, fork in zip(documents, forks, strict=True):
            alone = group.model_copy(update={"context": document})
            whole = source.chat.tokenizer.decode(
                source.chat.prompt_ids(single(alone, question, PromptStyle()))
            )
            assert trunk.text + fork.text + end.text == whole


@pytest.mark.parametrize("name", NAMES)
def test_every_token_is_paid_for(source: ModelSource, name: str) -> None:
    done = asked(source, name)
    record = record_of(GROUP, done, pytest.fail)
    whole = Tokens.total(row.tokens for row in record.answers)
    assert whole.sent == pytest.approx(record.run.tokens.sent)
    assert whole.generated == pytest.approx(record.run.tokens.generated)
    num_documents = len(documents_in(GROUP.context))
    assert [len(row.asks) for row in record.answers] == [num_documents if name in FUSED else 1] * 3
