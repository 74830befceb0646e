"""Map and reduce: what is read of a plan, who sees whom, what a plan that cannot be read comes to."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from tests.fakes import FakeDecoder, Words, group_of

from branchwise.cells.runner import GroupRunner, Timed, record_of
from branchwise.config.load import load_catalogues
from branchwise.data.types import Group
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.contract import Decoder
from branchwise.decoding.decoders.hf import HFEntry
from branchwise.decoding.decoders.tree import TreeEntry
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.source import ModelSource
from branchwise.decoding.requests import Request
from branchwise.prompts import PromptStyle
from branchwise.strategies import load, map_reduce
from branchwise.strategies.entry import StrategyEntry
from branchwise.strategies.map_reduce import steps_in
from branchwise.trace import Tokens

GROUP = next(iter(make_groups(WorldsSpec(kinds=("documents",), group_size=2, num_groups=1))))
PLAN = "<Goal> <Outline>1: Look left.</Outline> <Outline>2: Look right.</Outline> "
WORDS = {"outline": "Plan:", "path": "Step:", "conclusion": "So:"}


@pytest.mark.parametrize(
    ("plan", "steps"),
    [
        ("<Goal><Outline>1: a b</Outline><Outline>2. c</Outline></Goal>", ["a b", "c"]),
        ("<Outline>a\n<Outline>1.2: b\nmore\n", ["a", "b"]),
        ("<Outline>\n  a\n</Outline>\n<Outline> </Outline><Outline></Outline>", ["a"]),
        ("<Outline>a<Outline>b</Goal> c", ["a", "b"]),
        ("<Outline>3.5 metres or 2019?</Outline>", ["3.5 metres or 2019?"]),
        ("<Outline>1: </Outline>", []),
        ("1. a\n2. b", []),
        ("", []),
    ],
)
def test_steps_of_a_plan(plan: str, steps: list[str]) -> None:
    assert steps_in(plan) == steps


def scripted(plan: str, path: str = "<Path> a hill ") -> Callable[[Request], str]:
    """A model that plans, works out and answers by what its prompt ends in."""

    def says(request: Request) -> str:
        last = request.messages[-1]["content"]
        if last.endswith("Plan:"):
            return plan
        return path if last.startswith("Step:") else "both" if last.endswith("So:") else "plainly"

    return says


def asked_of(says: Callable[[Request], str], group: Group, **options: object) -> Timed:
    decoder = FakeDecoder(says, chat=Words())
    strategy = load("map_reduce", {**WORDS, **options})
    return GroupRunner(strategy, decoder, decoder.chat, PromptStyle(), 6).once(group)


def test_three_stages_by_requests() -> None:
    done = asked_of(scripted(PLAN), group_of(1), step_tokens=30)
    assert [ask.role for ask in done.asks] == ["outline", "branch", "branch", "answer"]
    assert [ask.after for ask in done.asks] == [(), (0,), (0,), (1, 2)]
    goal = "<Goal><Outline>1: Look left.</Outline> <Outline>2: Look right.</Outline></Goal>"
    said = [[message["content"] for message in ask.messages or ()][-2:] for ask in done.asks]
    assert said[0][-1].endswith("\nPlan:")
    assert said[1:] == [
        [goal, "Step: Look left."],
        [goal, "Step: Look right."],
        [goal, "<Path>a hill</Path>\n<Path>a hill</Path>\nSo:"],
    ]
    (answer,) = done.answers
    assert answer.reading.answer == "both"
    assert answer.raw == "\n".join([goal, *["<Path>a hill</Path>"] * 2, "<Conclusion>both</Conclusion>"])
    assert (answer.asks, answer.notes) == ((0, 1, 2, 3), ())


@pytest.mark.parametrize(
    ("plan", "note"),
    [
        ("I do not plan.", "no_outline"),
        ("<Goal><Outline></Outline></Goal>", "no_outline"),
        (PLAN + "<Outline>3: Look up.", "too_many_paths"),
    ],
)
def test_a_plan_that_cannot_be_read_is_noted_and_paid_for(plan: str, note: str) -> None:
    group = group_of(2)
    done = asked_of(scripted(plan), group, max_paths=2, step_tokens=30)
    assert [(one.raw, one.notes) for one in done.answers] == [("plainly", (note,))] * 2
    assert [ask.role for ask in done.asks] == ["outline", "outline", "answer", "answer"]
    record = record_of(group, done, pytest.fail)
    assert [row.tokens.generated for row in record.answers] == [len(plan.split()) + 1] * 2


def test_a_path_that_is_cut_off_is_noted() -> None:
    done = asked_of(scripted(PLAN, "a b c d e f g h"), group_of(1), step_tokens=8)
    # The plan has seven words, each path uses up its budget.
    assert done.answers[0].notes == ("path_cut_off",)


def test_every_language_has_words_of_its_own() -> None:
    texts = [text for words in map_reduce.WORDS.values() for text in words]
    assert len(set(texts)) == len(texts)
    for words in map_reduce.WORDS.values():
        # What shows the form of a plan can be read as one.
        assert len(steps_in(words.outline)) == 2
        assert "<Path>" in words.path
    options = map_reduce.Options(language="zh", path="Step:")
    assert options.words == map_reduce.WORDS["zh"]._replace(path="Step:")


@pytest.fixture(scope="module")
def source(random_model_folder: Path) -> ModelSource:
    return ModelSource(ModelEntry(path=str(random_model_folder), device="cpu"))


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Has every plan read as the given steps: a random model writes none."""
    return lambda *steps: monkeypatch.setattr(map_reduce, "steps_in", lambda plan: list(steps))


@cache
def decoder_of(source: ModelSource, kind: str) -> Decoder:
    tree = TreeEntry(kind="tree", kernel="dense")
    return (tree if kind == "tree" else HFEntry(kind="hf")).make(source)


@cache
def entry_of(join: str) -> StrategyEntry:
    return load_catalogues().strategies[{"see": "map_reduce_see", "requests": "map_reduce"}[join]]


def runner(source: ModelSource, join: str, kind: str = "tree", **style: object) -> GroupRunner:
    entry, decoder = entry_of(join), decoder_of(source, kind)
    strategy = load(entry.module, {**entry.options, **WORDS})
    needs = frozenset(entry.needs)
    return GroupRunner(strategy, decoder, source.chat, PromptStyle(**style), 6, needs)


def test_by_requests_every_decoder_says_the_same(source: ModelSource, plans) -> None:
    plans("Look left.", "Look right.", "Look up.")
    tree, hf = (runner(source, "requests", kind).once(GROUP) for kind in ("tree", "hf"))
    said = [[(ask.role, ask.completion.ids) for ask in done.asks] for done in (tree, hf)]
    assert said[0] == said[1]
    assert [one.raw for one in tree.answers] == [one.raw for one in hf.answers]


@pytest.mark.parametrize("form", ["chat", "completion"])
def test_seen_paths_are_branches_that_the_conclusion_joins(source: ModelSource, plans, form: str) -> None:
    plans("Look left.", "Look right.")
    done = runner(source, "see", form=form, prefilled=form == "completion").once(GROUP)
    record = record_of(GROUP, done, pytest.fail)
    for answer in done.answers:
        asks = [done.asks[number] for number in answer.asks]
        assert [ask.role for ask in asks] == ["outline", "branch", "branch", "answer"]
        outline, left, right, end = (ask.branch or 0 for ask in asks)
        verbs = [record.trace.branches[number] for number in (outline, left, right, end)]
        assert [one.verb for one in verbs] == ["open", "fork", "fork", "join"]
        # Behind each part stands its closing tag, which as a stop text left the branch.
        closed = [record.trace.branches[number] for one in verbs[1:] for number in one.parents]
        assert [one.text for one in closed] == ["</Goal>", "</Goal>", "</Path>", "</Path>"]
        assert [one.parents for one in closed] == [(outline,), (outline,), (left,), (right,)]
        assert "Look left." in verbs[1].text
        assert "Look right." in verbs[2].text
        assert [asks[number].after for number in (1, 2)] == [(answer.asks[0],)] * 2
        assert asks[3].after == answer.asks[1:3]
    whole = Tokens.total(row.tokens for row in record.answers)
    assert whole.sent == pytest.approx(record.run.tokens.sent)


def test_a_path_does_not_see_the_others(source: ModelSource, plans) -> None:
    def path() -> list[int]:
        done = runner(source, "see").once(GROUP)
        return next(ask.completion.ids for ask in done.asks if "Look left." in ask.prompt)

    plans("Look left.")
    alone = path()
    plans("Look up.", "Look left.", "Look down at what there is.")
    assert path() == alone


def test_one_path_that_is_seen_is_plain_decoding(
    source: ModelSource, plans, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans("Look left.")
    seeing = runner(source, "see")
    prompts: list[list[int]] = []
    generate = seeing.decoder.generate  # type: ignore[attr-defined]

    def spied(branch, *rest):
        prompts.append(branch.token_ids)
        return generate(branch, *rest)

    monkeypatch.setattr(seeing.decoder, "generate", spied)
    done = seeing.once(GROUP)
    assert len(prompts) == len(done.asks) == 3 * len(GROUP)
    for ids, ask in zip(prompts, done.asks, strict=True):
        made = source.loaded.model.generate(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            max_new_tokens=len(ask.completion.ids),
            do_sample=False,
        )
        assert made[0, len(ids) :].tolist() == ask.completion.ids
