"""Lanes over time: what holds of every trace, and where the branches of known ones stand."""

from itertools import pairwise

import numpy as np
import pytest
import seaborn as sns
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_hex, to_rgb
from tests.reporting.made_traces import ask, in_turn, outlined

from branchwise.reporting.lanes import MOST_LANES, Lanes, caption_of, lanes_of
from branchwise.reporting.lanes_look import COLOURS, looks, luminance
from branchwise.reporting.lanes_page import lanes_on_page
from branchwise.trace import BranchRecord, GroupTrace


@st.composite
def traces(draw) -> GroupTrace:
    """Any tree with any asks, also such as no decoder would make: at any time, before their parents."""
    branches: list[BranchRecord] = []
    for number in range(draw(st.integers(0, 12))):
        verb = draw(st.sampled_from(("open", "fork", "join"))) if number else "open"
        most = {"open": 0, "fork": 1, "join": 4}[verb]
        earlier = st.lists(st.integers(0, number - 1), min_size=min(1, most), max_size=most, unique=True)
        parents = tuple(draw(earlier)) if most else ()
        branches.append(
            BranchRecord(verb=verb, parents=parents, text=draw(st.sampled_from(("", "a", "####b:"))))
        )
    asks = []
    for number in range(draw(st.integers(0, 20))):
        start, length = draw(st.floats(-5, 100)), draw(st.floats(0, 50))
        places = [None, *range(len(branches))]
        after = draw(st.lists(st.integers(0, number - 1), max_size=3)) if number else []
        more = {"questions": draw(st.sampled_from([(), ("a",), ("a", "b")])), "after": tuple(after)}
        role = draw(st.sampled_from(("answer", "branch", "plan")))
        asks.append(ask(role, "word", start, start + length, draw(st.sampled_from(places)), **more))
    return GroupTrace(group="g", asks=tuple(asks), branches=tuple(branches))


@given(traces(), st.integers(1, 30))
def test_what_holds_of_all_lanes(trace: GroupTrace, most: int) -> None:
    found = lanes_of(trace, most=most)
    places = range(len(found.labels))
    assert len(places) <= most
    assert all(
        bar.lane in places and 0 <= bar.start_ms <= bar.end_ms <= found.end_ms for bar in found.bars
    )
    assert all(mark.lane in places and 0 <= mark.at_ms <= found.end_ms for mark in found.marks)
    for lane in places:
        bars = sorted((b.start_ms, b.end_ms) for b in found.bars if b.lane == lane)
        assert all(one[1] <= other[0] for one, other in pairwise(bars))
    for one in found.connectors:
        assert 0 <= one.start_ms <= one.end_ms <= found.end_ms
        assert one.source in places and one.target in places
    if not found.num_left_out:
        assert sorted(bar.ask for bar in found.bars) == list(range(len(trace.asks)))
        assert len(found.marks) == len(trace.branches)
        num_parents = sum(len(b.parents) for b in trace.branches)
        assert sum(one.kind != "wait" for one in found.connectors) == num_parents
    assert bool(found.num_left_out) == ("Left out" in caption_of(found))


@given(traces())
def test_the_lanes_that_are_kept_are_those_of_the_whole(trace: GroupTrace) -> None:
    whole, cut = lanes_of(trace), lanes_of(trace, most=3)
    assert cut.labels == whole.labels[:3]
    assert cut.num_left_out == max(0, len(whole.labels) - 3)
    assert set(cut.bars) == {bar for bar in whole.bars if bar.lane < 3}
    assert set(cut.connectors) == {c for c in whole.connectors if max(c.source, c.target) < 3}


def bars_of(found: Lanes, lane: int) -> list[str]:
    return [bar.role for bar in found.bars if bar.lane == lane]


def test_joins_of_forks_go_on_in_the_lane_of_what_was_forked() -> None:
    found = lanes_of(outlined(["Mara", "Ben", "Sarel"], ["lives in Ashton"]))
    assert found.labels == ("Q1", "Mara:", "Ben:", "Sarel:", "Ashton:", "Kirkby:")
    assert bars_of(found, 0) == ["intro", "outline", "outline", "answer"]
    assert all(bars_of(found, lane) == ["branch"] for lane in range(1, 6))
    assert found.roles == ("intro", "outline", "branch", "answer")
    links = [(one.kind, one.source, one.target) for one in found.connectors]
    first = [("fork", 0, n) for n in (1, 2, 3)] + [("join", n, 0) for n in (1, 2, 3)]
    assert links == first + [("fork", 0, n) for n in (4, 5)] + [("join", n, 0) for n in (4, 5)]
    # A fork leaves when the titles are known, a join comes from where its branch ended.
    forks = [one for one in found.connectors if one.kind == "fork"]
    assert (forks[0].start_ms, forks[0].end_ms) == (260, 265)
    joins = [one for one in found.connectors if one.kind == "join"]
    assert [one.start_ms for one in joins[:3]] == [300, 397, 494]


def test_an_only_child_goes_on_in_its_parents_lane() -> None:
    """Titles one by one, each forked from the one before, are one lane; two children are two."""
    parents = [(), (0,), (1,), (2,), (0,)]
    branches = [
        BranchRecord(verb="fork" if above else "open", parents=above, text="a") for above in parents
    ]
    asks = [ask("outline", "word", number, number + 1.0, number) for number in range(len(parents))]
    found = lanes_of(GroupTrace(group="g", asks=tuple(asks), branches=tuple(branches)))
    lanes = [bar.lane for bar in sorted(found.bars, key=lambda bar: bar.ask)]
    assert lanes[1] == lanes[2] == lanes[3]
    assert len({lanes[0], lanes[1], lanes[4]}) == 3


def test_a_join_at_the_time_of_another_has_a_lane_of_its_own() -> None:
    verbs = [("open", ()), ("fork", (0,)), ("fork", (0,)), ("join", (1, 2)), ("join", (1, 2))]
    branches = tuple(BranchRecord(verb=v, parents=p, text=f"text {n}") for n, (v, p) in enumerate(verbs))
    asks = tuple(ask("answer", "yes", 10, 20, n, questions=(f"q{n}",)) for n in (3, 4))
    found = lanes_of(GroupTrace(group="g", asks=asks, branches=branches))
    assert found.labels == ("Q1", "text 1", "text 2", "Q2")
    assert [bar.lane for bar in found.bars] == [0, 3]
    # What was only read stands before what goes on from it, in the order of the tree.
    at = [mark.at_ms for mark in found.marks]
    assert at[0] < at[1] == at[2] < at[3] == at[4] == 10


def test_what_was_only_read_does_not_stand_before_what_it_waited_for() -> None:
    verbs = [("open", ()), ("fork", (0,)), ("fork", (1,))]
    branches = tuple(BranchRecord(verb=v, parents=p, text="text") for v, p in verbs)
    asks = (ask("plan", "a", 0, 999, 0), ask("answer", "b", 1000, 1001, 2))
    found = lanes_of(GroupTrace(group="g", asks=asks, branches=branches))
    assert [mark.at_ms for mark in found.marks] == [0, 999, 1000]


def test_plain_asks_have_lanes_of_their_own() -> None:
    found = lanes_of(in_turn(4), {f"q{n}": f"question {n}" for n in range(4)})
    assert found.labels == tuple(f"question {n}" for n in range(4))
    assert not found.marks
    assert [(one.kind, one.source, one.target) for one in found.connectors] == [
        ("wait", n, n + 1) for n in range(3)
    ]
    assert caption_of(found).startswith("A lane an ask")
    assert lanes_on_page(in_turn(4), {}) is None


def test_a_busy_branch_gives_an_ask_a_lane_of_its_own() -> None:
    branches = (BranchRecord(verb="open", parents=(), text="text"),)
    asks = (ask("answer", "a", 0, 10, 0), ask("plan", "b", 5, 15, 0), ask("answer", "c", 10, 12, 0))
    found = lanes_of(GroupTrace(group="g", asks=asks, branches=branches))
    assert [bar.lane for bar in found.bars] == [0, 1, 0]
    assert found.labels == ("prompt", "plan")


def test_beyond_the_limit_lanes_are_left_out_and_counted() -> None:
    found = lanes_of(outlined([f"title {n}" for n in range(100)], ["body"]))
    assert len(found.labels) == MOST_LANES
    assert found.num_left_out == 103 - MOST_LANES
    assert f"Left out: the last {103 - MOST_LANES} of 103 lanes." in caption_of(found)


def test_an_empty_trace_has_no_lanes() -> None:
    found = lanes_of(GroupTrace(group="g", asks=()))
    assert (found.labels, found.bars, found.num_left_out) == ((), (), 0)
    assert found.end_ms > 0


def test_colours_are_of_the_palette_and_grey_tells_them_apart() -> None:
    assert set(COLOURS) <= {to_hex(colour) for colour in sns.color_palette("colorblind")}
    # As a printer without colours has them.
    greys = sorted(np.array([to_rgb(colour) for colour in COLOURS]) @ (0.299, 0.587, 0.114))
    assert min(np.diff(greys)) > 0.1
    # Words on them are legible: WCAG's contrast for small text.
    for look in looks([f"role {n}" for n in range(12)]).values():
        inks = luminance(look.ink[0] + 2 * look.ink[1:])
        bright, dark = max(inks, luminance(look.colour)), min(inks, luminance(look.colour))
        assert (bright + 0.05) / (dark + 0.05) >= 4.5


def test_answers_look_the_same_everywhere_and_no_two_roles_alike() -> None:
    assert looks(["branch", "answer"])["answer"] == looks(["answer"])["answer"]
    assert looks(["branch"])["branch"] == looks(["answer", "branch"])["branch"]
    assert len(set(looks(map(str, range(15))).values())) == 15


@pytest.mark.parametrize(
    ("text", "label"), [("####Mara:", "Mara:"), (" \n ", "branch"), ("a\x00b", "a\ufffdb")]
)
def test_a_forks_label_is_its_text_on_a_line(text: str, label: str) -> None:
    branches = (
        BranchRecord(verb="open", parents=(), text="text"),
        BranchRecord(verb="fork", parents=(0,), text=text),
    )
    trace = GroupTrace(group="g", asks=(ask("branch", "a", 0, 1, 1),), branches=branches)
    assert lanes_of(trace).labels == ("prompt", label)


def test_a_fork_of_no_words_that_generates_nothing_is_called_a_fork() -> None:
    branches = (
        BranchRecord(verb="open", parents=(), text="text"),
        BranchRecord(verb="fork", parents=(0,), text="\n"),
    )
    assert lanes_of(GroupTrace(group="g", asks=(), branches=branches)).labels == ("prompt", "fork")
