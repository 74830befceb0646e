"""The picture of a mask: its rows, bins, labels and hovers, from the file alone."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from branchwise.masks import MaskRecord, Segment, runs_of
from branchwise.reporting.mask_figure import draw_mask, write_mask
from branchwise.reporting.mask_labels import LINE_PT, MOST_LABELS_IN, marks_of, spread
from branchwise.reporting.mask_rows import MOST_ROWS, bin_size, binned, matrix, order_of, parts
from branchwise.reporting.style import COLUMN_IN, plt, styled


def record_of(segments: list[Segment], segment: list[int], seen: list[tuple[int, ...]], **more):
    """A record of tokens t0, t1, ..."""
    size = len(segment)
    facts = {
        "cell": {"dataset": "d", "model": "m", "strategy": "s", "decoder": "tree"},
        "group": "g",
        "commit": None,
        "dirty": None,
        "kernel": "dense",
        "window": None,
        "windows": (),
    }
    return MaskRecord(
        **(facts | more),
        segments=tuple(segments),
        tokens=tuple(f"t{n}" for n in range(size)),
        ids=tuple(range(size)),
        segment=tuple(segment),
        positions=tuple(range(size)),
        x=(0,) * size,
        passes=(0,) * size,
        seen=tuple(runs_of(row) for row in seen),
    )


def part(label: str, *parents: int, kind: str = "prompt", text: str = "text") -> Segment:
    return Segment(label=label, kind=kind, parents=parents, group="g", text=text)


@pytest.fixture
def small() -> MaskRecord:
    """A prompt of two tokens, and two answers below it that take turns."""
    segments = [
        part("context", text='<|user|> R&D\'s \x00 "text"'),
        part("answer 1", 0, kind="generated"),
        part("answer 2", 0, kind="generated"),
    ]
    seen = [(0,), (0, 1), (0, 1, 2), (0, 1, 3), (0, 1, 2, 4), (0, 1, 3, 5)]
    return record_of(segments, [0, 0, 1, 2, 1, 2], seen)


def stacked(count: int, tokens: int = 1, kind: str = "generated") -> MaskRecord:
    """Answers that see themselves alone."""
    size = count * tokens
    rows = [tuple(range(n - n % tokens, n + 1)) for n in range(size)]
    labels = [part(f"Q{n % 7 + 1} {'answer' if n % 2 else 'reply'}", kind=kind) for n in range(count)]
    return record_of(labels, [n // tokens for n in range(size)], rows)


def test_rows_stand_by_segment(small: MaskRecord) -> None:
    assert order_of(small) == [0, 1, 2, 4, 3, 5]
    assert [tuple(one) for one in parts(small)] == [(0, 0, 2), (1, 2, 4), (2, 4, 6)]
    expected = [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 0, 0, 1, 0],
        [1, 1, 0, 0, 1, 1],
    ]
    assert matrix(small).astype(int).tolist() == expected


def test_rows_may_stand_as_computed(small: MaskRecord, tmp_path: Path) -> None:
    assert order_of(small, "computed") == list(range(6))
    assert [tuple(one) for one in parts(small, "computed")] == [
        (0, 0, 2),
        *((1 + n % 2, 2 + n, 3 + n) for n in range(4)),
    ]
    expected = [[number in seen for number in range(6)] for seen in map(unfolded, small.seen)]
    assert matrix(small, "computed").tolist() == expected
    write_mask(small, tmp_path / "one", "computed")
    svg = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert svg.count("answer 2 (generated, 2 tokens, pass 1); sees: context") == 2


def unfolded(runs: tuple[tuple[int, int], ...]) -> set[int]:
    return {number for first, end in runs for number in range(first, end)}


@given(st.integers(1, 60), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_a_bin_is_the_share_of_its_pairs(size: int, step: int, seed: int) -> None:
    values = np.random.default_rng(seed).random((size, size)) < 0.5
    shares = binned(values, step)
    num = -(-size // step)
    assert shares.shape == (num, num)
    for row in range(num):
        for column in range(num):
            block = values[row * step : (row + 1) * step, column * step : (column + 1) * step]
            assert shares[row, column] == pytest.approx(block.mean())


@pytest.mark.parametrize(("tokens", "size"), [(1, 1), (400, 1), (401, 2), (800, 2), (801, 3)])
def test_as_few_tokens_to_a_bin_as_fit(tokens: int, size: int) -> None:
    assert bin_size(tokens) == size
    assert -(-tokens // size) <= MOST_ROWS


@pytest.mark.parametrize(("tokens", "pixels"), [(300, 300), (500, 250)])
def test_the_picture_has_a_pixel_a_bin_and_says_so(tokens: int, pixels: int) -> None:
    record = stacked(1, tokens)
    with styled():
        figure = draw_mask(record)
    (axis,) = (one for one in figure.axes if one.get_label() == "mask")
    (image,) = axis.images
    assert image.get_array().shape == (pixels, pixels, 3)
    assert image.get_array()[0, -1].tolist() == [1, 1, 1]
    caption = " ".join(" ".join(text.get_text() for text in figure.texts).split())
    assert (f"{tokens} tokens in bins of 2: a bin's shade" in caption) == (tokens > MOST_ROWS)
    assert figure.get_figwidth() == COLUMN_IN
    plt.close(figure)


def test_windows_are_said() -> None:
    for facts, said in (
        ({"windows": (9,)}, "Some layers narrow it to a window of 9 positions."),
        ({"windows": (9,), "window": 9}, "All layers have a window; this is that of 9 positions."),
    ):
        record = stacked(1, 4).model_copy(update=facts)
        with styled():
            figure = draw_mask(record)
        assert said in " ".join(" ".join(text.get_text() for text in figure.texts).split())
        plt.close(figure)


def test_the_svg_says_what_segments_hold(small: MaskRecord, tmp_path: Path) -> None:
    write_mask(small, tmp_path / "one")
    svg = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert '&lt;|user|&gt; R&amp;D\'s \ufffd "text"</title>' in svg
    assert "<|user|>" not in svg
    assert "answer 2 (generated, 2 tokens, pass 1); sees: context" in svg
    assert all((tmp_path / f"one.{suffix}").stat().st_size for suffix in ("pdf", "png"))
    write_mask(small, tmp_path / "two")
    for suffix in ("svg", "pdf", "png"):
        one, two = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("one", "two"))
        assert one == two


def test_every_segment_has_a_label_where_there_is_room(small: MaskRecord) -> None:
    marks = marks_of(small, parts(small))
    assert [mark.text for mark in marks] == ["context", "answer 1", "answer 2"]
    assert [(mark.first, mark.end) for mark in marks] == [(0, 2), (2, 4), (4, 6)]


def test_many_labels_are_drawn_together() -> None:
    wordings = [part(f"wording {n}") for n in range(1, 41)]
    record = record_of([part("context"), *wordings], list(range(41)), [(n,) for n in range(41)])
    marks = marks_of(record, parts(record))
    assert [mark.text for mark in marks] == ["context", "wordings 1 to 40"]
    assert marks[1].num_segments == 40
    record = stacked(60)
    assert [mark.text for mark in marks_of(record, parts(record))] == ["60 answers"]
    record = stacked(60, kind="prompt")
    marks = marks_of(record, parts(record))
    assert len(marks) == int(MOST_LABELS_IN * 72 / LINE_PT)
    with styled():
        figure = draw_mask(record)
    assert "longest of 60 segments" in " ".join(text.get_text() for text in figure.texts)
    plt.close(figure)


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0.1, 1)), min_size=1, max_size=20))
def test_labels_keep_their_distance(pairs: list[tuple[float, float]]) -> None:
    wanted = sorted(place for place, _ in pairs)
    heights = [height for _, height in pairs]
    room = max(10.0, sum(heights))
    found = spread(wanted, heights, room)
    edges = [(y - height / 2, y + height / 2) for y, height in zip(found, heights, strict=True)]
    assert edges[0][0] >= -1e-9
    assert edges[-1][1] <= room + 1e-9
    assert all(above[1] <= below[0] + 1e-9 for above, below in pairwise(edges))


def test_what_does_not_fit_together_is_refused(small: MaskRecord) -> None:
    content = small.model_dump()
    for wrong in ({"ids": (1,)}, {"segment": (0, 0, 1, 2, 1, 9)}, {"seen": (((0, 7),),) * 6}):
        with pytest.raises(ValidationError):
            MaskRecord(**(content | wrong))
