"""Grouping: seeded, nested over sizes, never across passages; similarity without all pairs at once."""

import json
import random
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise.config.parts import entry_settings
from branchwise.data import similarity
from branchwise.data.prepare import groups_of, prepare_groups
from branchwise.data.similarity import clusters
from branchwise.data.sources.base import FileDataset
from branchwise.data.sources.cmb import CmbExamDataset
from branchwise.data.sources.quac import QuacDataset
from branchwise.data.sources.squad import SquadDataset
from branchwise.data.sources.triviaqa import TriviaqaDataset
from branchwise.data.spool import Counts
from branchwise.data.types import Group
from branchwise.errors import UserError

SIZES = (7, 3, 6, 1, 9)


@pytest.fixture(scope="module")
def squad_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five passages with 7, 3, 6, 1 and 9 questions."""

    def qa(passage: int, number: int) -> dict:
        return {"id": f"{passage}-{number}", "question": f"{number}?", "answers": [{"text": "word"}]}

    paragraphs = [
        {"context": f"passage {p} word", "qas": [qa(p, n) for n in range(size)]}
        for p, size in enumerate(SIZES)
    ]
    path = tmp_path_factory.mktemp("squad") / "squad.json"
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}))
    return path


def made(path: Path, **more) -> list[Group]:
    return list(groups_of(SquadDataset(source="squad", path=str(path), **more), pytest.fail))


def ids(groups: list[Group]) -> list[list[str]]:
    return [[question.id for question in group] for group in groups]


def flat(groups: list[Group]) -> list[str]:
    return sorted(question.id for group in groups for question in group)


@pytest.mark.parametrize("grouping", ["context", "chunk", "dialogue"])
def test_no_group_straddles_passages(squad_file: Path, grouping: str) -> None:
    """The published dips at group sizes 2 to 4 came from chunks that did."""
    # Error 12: chunks that straddle contexts.
    for size in (1, 2, 4, 20):
        groups = made(squad_file, grouping=grouping, group_size=size)
        assert len(groups) >= len(SIZES)
        for group in groups:
            passages = {question.id.split("-")[0] for question in group}
            assert passages == {group.context.split()[1]}
            assert len(group) <= size


def test_a_prefix_of_each_passage_is_nested_over_sizes(squad_file: Path) -> None:
    groups = {n: ids(made(squad_file, group_size=n, drawn_for=6)) for n in (1, 2, 4, 6)}
    assert [len(found) for found in groups.values()] == [3, 3, 3, 3]
    for small, large in ((1, 2), (2, 4), (4, 6)):
        for one, other in zip(groups[small], groups[large], strict=True):
            assert one == other[:small]


@pytest.mark.parametrize("grouping", ["chunk", "random", "subdomain"])
def test_cut_blocks_ask_the_same_questions_at_every_size(squad_file: Path, grouping: str) -> None:
    asked = [flat(made(squad_file, grouping=grouping, group_size=n, drawn_for=6)) for n in (1, 2, 3, 6)]
    assert asked[0]
    assert all(other == asked[0] for other in asked)


def test_samples_are_seeded_and_nested(squad_file: Path) -> None:
    def sample(count: int, seed: int = 0) -> list[list[str]]:
        return ids(made(squad_file, grouping="random", group_size=2, num_groups=count, seed=seed))

    assert sample(3) == sample(3)
    assert sample(5)[:3] == sample(3)
    assert sample(5) != sample(5, seed=1)
    groups = made(squad_file, grouping="random", group_size=4)
    assert flat(groups) == flat(made(squad_file, group_size=20))
    # Each question carries its own passage.
    assert all(q.context.split()[1] == q.id.split("-")[0] for group in groups for q in group)
    assert all(not group.context for group in groups)


def test_a_subdomain_is_never_left(tmp_path: Path) -> None:
    option = {"A": "x", "B": "y"}
    rows = [
        {"id": n, "question": f"{n}?", "answer": "A", "option": option, "exam_subject": f"s{n % 3}"}
        for n in range(20)
    ]
    path = tmp_path / "exam.json"
    path.write_text(json.dumps(rows))
    entry = CmbExamDataset(source="cmb_exam", path=str(path), grouping="subdomain", group_size=4)
    groups = list(groups_of(entry, pytest.fail))
    assert all(len({int(name) % 3 for name in group}) == 1 for group in ids(groups))
    assert sum(len(group) for group in groups) == 20


ORDERED = ["context", "chunk", "random", "subdomain"]


@pytest.mark.parametrize("grouping", ORDERED)
def test_a_shuffled_order_asks_the_same_questions(squad_file: Path, grouping: str) -> None:
    """Order alone differs from `kept`; it is the entry's seed's, and each group's own."""

    def order(**more) -> list[list[str]]:
        return ids(made(squad_file, grouping=grouping, group_size=6, **more))

    kept, shuffled = order(), order(question_order="shuffled")
    assert shuffled != kept
    assert list(map(sorted, shuffled)) == list(map(sorted, kept))
    assert shuffled == order(question_order="shuffled")
    if grouping in ("context", "chunk"):
        assert shuffled != order(question_order="shuffled", seed=1)
        assert order(question_order="shuffled", num_groups=2)[0] in shuffled


def test_shuffled_sizes_are_nested(squad_file: Path) -> None:
    def order(size: int, **more) -> list[list[str]]:
        return ids(made(squad_file, group_size=size, question_order="shuffled", **more))

    whole = order(6, drawn_for=6)
    for size in (1, 2, 4):
        assert order(size, drawn_for=6) == [group[:size] for group in whole]
        for small, large in zip(order(size), order(6), strict=True):
            assert set(small) <= set(large)
    chunked = [
        sorted(flat(made(squad_file, grouping="chunk", drawn_for=6, group_size=n))) for n in (2, 3)
    ]
    assert chunked[0] == chunked[1]


def test_a_shuffled_order_hangs_on_nothing_but_ids(squad_file: Path, tmp_path: Path) -> None:
    """Not on the order of the file, nor on the passages around."""
    content = json.loads(squad_file.read_text())
    paragraphs = content["data"][0]["paragraphs"]
    content["data"][0]["paragraphs"] = paragraphs[::-1][:-1]
    for paragraph in paragraphs:
        paragraph["qas"].reverse()
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    more = {"group_size": 20, "question_order": "shuffled"}
    assert ids(made(other, **more)) == ids(made(squad_file, **more))[::-1][:-1]


@pytest.mark.parametrize(
    ("more", "sizes", "left_out"),
    [
        ({"min_questions": 6, "group_size": 3}, [3, 3, 3], 2),
        ({"min_questions": 1}, [5, 3, 5, 1, 5], 0),
        ({"grouping": "chunk", "min_questions": 2, "group_size": 3}, [3, 3, 3, 3, 3, 3, 3, 3], 2),
        ({"grouping": "random", "min_questions": 4, "group_size": 4}, [4] * 6, 1),
        ({"grouping": "chunk", "drawn_for": 7, "group_size": 4, "min_questions": 4}, [4, 4], 4 + 2),
        ({"min_questions": 6, "num_groups": 2}, [5, 5], 2),
    ],
)
def test_groups_with_too_few_questions_are_left_out_and_counted(
    squad_file: Path, more: dict, sizes: list[int], left_out: int
) -> None:
    counts = Counts()
    entry = SquadDataset(source="squad", path=str(squad_file), **more)
    assert [len(group) for group in groups_of(entry, pytest.fail, counts=counts)] == sizes
    assert counts.groups_left_out == left_out


def test_orders_and_sizes_that_make_no_sense_are_refused(squad_file: Path) -> None:
    quac = {"source": "quac", "path": "x", "question_order": "shuffled"}
    for grouping in ("dialogue", "context", "random"):
        with pytest.raises(ValueError, match="leans on those before it"):
            QuacDataset(**quac, grouping=grouping)
    with pytest.raises(ValueError, match="leans on those before it"):
        made(squad_file, grouping="dialogue", question_order="shuffled")
    with pytest.raises(ValueError, match=r"min_questions \(6\) is above group_size \(5\)"):
        made(squad_file, grouping="chunk", min_questions=6)
    with pytest.raises(UserError, match="no passage has 10 questions: lower drawn_for or min_questions"):
        prepare_groups(
            SquadDataset(source="squad", path=str(squad_file), min_questions=10),
            squad_file.parent / "groups.jsonl",
            pytest.fail,
        )


def test_order_and_least_size_are_part_of_what_groups_are(squad_file: Path) -> None:
    entry = SquadDataset(source="squad", path=str(squad_file))
    changes = {"question_order": "shuffled"}, {"min_questions": 2}
    others = [entry_settings(entry.model_copy(update=change)) for change in changes]
    assert entry_settings(entry) not in others
    assert others[0] != others[1]


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def all_pairs(vectors: np.ndarray, size: int, threshold: float, seed: int) -> list[list[int]]:
    """The published rule with the whole matrix of similarities."""
    matrix = np.round(vectors @ vectors.T, 5)
    order = list(range(len(vectors)))
    random.Random(seed).shuffle(order)
    free, found = set(order), []
    for start in order:
        if start not in free:
            continue
        near = [i for i in free if i != start and matrix[start, i] >= threshold]
        near = sorted(near, key=lambda i: (-matrix[start, i], i))[: size - 1]
        if near:
            found.append([start, *near])
            free -= {start, *near}
    return found


@settings(max_examples=40)
@given(st.integers(1, 60), st.integers(2, 6), st.floats(-0.2, 0.9), st.integers(0, 99))
def test_blockwise_clusters_are_those_of_all_pairs(
    count: int, size: int, threshold: float, seed: int
) -> None:
    vectors = unit(np.random.default_rng(seed).normal(size=(count, 4)))
    before = similarity._BLOCK_FLOATS
    similarity._BLOCK_FLOATS = 3 * count
    try:
        found = list(clusters(vectors, size, threshold, random.Random(seed)))
    finally:
        similarity._BLOCK_FLOATS = before
    expected = all_pairs(vectors, size, threshold, seed)
    assert found[: len(expected)] == expected
    assert sorted(chain.from_iterable(found)) == list(range(count))
    assert all(len(cluster) <= size for cluster in found)


def test_similar_questions_are_grouped(tmp_path: Path) -> None:
    topics = {"river": (1.0, 0.0), "king": (0.0, 1.0)}
    rows = [
        {"QuestionId": f"{topic}{n}", "Question": f"{topic} {n}?", "Answer": {"Value": "x"}}
        for n in range(3)
        for topic in topics
    ]
    path = tmp_path / "trivia.json"
    path.write_text(json.dumps({"Data": rows}))

    def embed(texts, count: int) -> np.ndarray:
        return unit(np.array([topics[text.split()[0]] for text in texts]))

    entry: FileDataset = TriviaqaDataset(
        source="triviaqa", path=str(path), grouping="similarity", group_size=3
    )
    groups = list(groups_of(entry, pytest.fail, embed))
    assert sorted(map(sorted, ids(groups))) == [
        [f"{topic}{n}" for n in range(3)] for topic in ("king", "river")
    ]
    with pytest.raises(ValueError, match="sentence encoder"):
        list(groups_of(entry, pytest.fail))
