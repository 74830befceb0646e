"""Outlined answers, whatever a model says: what they come to, what is noted, and what sees what."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from branchwise.data.types import Group, Question
from branchwise.decoding.requests import Hook, Rules
from branchwise.prompts import PromptStyle
from branchwise.prompts.outlining import Block, points, read_outline
from branchwise.strategies import load
from branchwise.strategies.base import Answered, Reply

GROUP = Group(id="g", questions=(Question(id="q", text="Q?", golds=("x",), answer="text"),))
STYLE = PromptStyle(answer_format="free", outline="made")
GAPPED = PromptStyle(answer_format="free", outline="en")
DOTS = "......"


@dataclass(eq=False)
class Held:
    """A branch of letters: its ids are their numbers."""

    text: str

    @property
    def token_ids(self) -> list[int]:
        return [ord(letter) for letter in self.text]

    @property
    def num_tokens(self) -> int:
        return len(self.text)


@dataclass
class Scripted:
    """A desk whose model says what `says` has it say, by its role and what it sees."""

    says: Callable[[str, str], str]
    style: PromptStyle = STYLE
    budget: int = 1000
    context: int = 10**6
    stop_texts: tuple[str, ...] = ()
    asked: list[tuple[str, str]] = field(default_factory=list)
    rules_of: list[Rules] = field(default_factory=list)
    released: list[Held] = field(default_factory=list)
    num_made: int = 0
    may_ban = True

    def rules(self, questions: Sequence[Question]) -> Rules:
        return Rules(self.budget, stop_texts=self.stop_texts)

    def held_to(self, pattern: str) -> Hook:
        return Hook(lambda members, logits_RV: logits_RV)

    def tokens_like(self, pattern: str) -> frozenset[int]:
        return frozenset({46})

    def room(self, branch: Held) -> int:
        return self.context - len(branch.text)

    def release(self, branch: Held) -> None:
        self.released.append(branch)

    def _text(self, said: Any) -> str:
        return said if isinstance(said, str) else "".join(map(chr, said))

    def open(self, prompt: Any, like: Any = ()) -> Held:
        return Held("P>" if isinstance(prompt[0], dict) else self._text(prompt))

    def fork(self, branch: Held, texts: Sequence[Any], positions: Any = None) -> list[Held]:
        return [Held(branch.text + self._text(text)) for text in texts]

    def join(self, branches: Sequence[Held], text: Any) -> Held:
        return Held("&".join(branch.text for branch in branches) + self._text(text))

    async def generate(
        self, branch: Held, questions: Any = (), *, role: str = "answer", rules: Any
    ) -> Reply:
        assert not any(branch is gone for gone in self.released)
        said = self.says(role, branch.text)
        self.asked.append((role, branch.text))
        self.rules_of.append(rules)
        found = sorted((said.index(s), -len(s), s) for s in rules.stop_texts if s in said)
        is_said = found and found[0][0] + len(found[0][2]) <= rules.max_new_tokens
        at, _, stop = found[0] if is_said else (None, 0, None)
        is_over = at is not None or len(said) < rules.max_new_tokens
        text = said[: rules.max_new_tokens] if at is None else said[:at]
        branch.text += text
        ids = Held(text + (stop or "")).token_ids
        self.num_made += len(ids)
        return Reply(len(self.asked) - 1, text, ids, is_over=is_over, stop_text=stop)

    async def ask(self, messages: Any, questions: Any = (), *, rules: Any = None, **_: Any) -> Reply:
        self.rules_of.append(rules)
        self.asked.append(("plain", "P>"))
        return Reply(len(self.asked) - 1, "all in one go")


def answer(
    says: Callable[[str, str], str],
    style: PromptStyle = STYLE,
    budget: int = 5000,
    context: int = 10**6,
    stop_texts: tuple[str, ...] = (),
    **options: Any,
) -> tuple[Answered, Scripted]:
    desk = Scripted(says, style, budget, context, stop_texts)

    async def all_of() -> list[Answered]:
        return [one async for one in load("outline", options)(GROUP, desk)]

    (answered,) = asyncio.run(all_of())
    return answered, desk


def scripted(
    titles: Sequence[str] = ("A", "B"),
    intro: str = "####",
    end: str = " so.",
    body: Callable[[str], str] = lambda title: f" of {title}####",
) -> Callable[[str, str], str]:
    """A model that outlines as it is meant to: its intro, each title, each body, and the end."""

    def says(role: str, seen: str) -> str:
        if role == "intro":
            return intro
        if role == "outline":
            said = seen.rpartition(">")[2].count(DOTS)
            return f" {titles[said]}:" if said < len(titles) else " %%%%"
        if role == "branch":
            return body(seen.rpartition("####")[2].rstrip(":"))
        return end

    return says


def test_an_answer_branches_and_joins() -> None:
    answered, desk = answer(scripted())
    assert answered.raw == "####A: of A####B: of B####%%%% so."
    assert answered.notes == ()
    assert answered.reading.answer == answered.raw
    assert answered.asks == tuple(range(len(desk.asked)))
    assert desk.asked == [
        ("intro", "P>"),
        ("outline", "P>####"),
        ("outline", f"P>#### A:{DOTS}####"),
        ("outline", f"P>#### A:{DOTS}#### B:{DOTS}####"),
        ("branch", "P>####A:"),
        ("branch", "P>####B:"),
        # Nothing of the marks that ended the branches.
        ("answer", "P>####A: of A&P>####B: of B####%%%%"),
    ]


def test_branches_computed_anew_stand_one_behind_the_other() -> None:
    _, desk = answer(scripted(), join="recompute")
    assert desk.asked[-1] == ("answer", "P>####A: of A####B: of B####%%%%")


def test_branches_may_see_the_titles_of_the_others() -> None:
    answered, desk = answer(scripted(), see_titles=True)
    titles = f"P>#### A:{DOTS}#### B:{DOTS}####%%%%"
    assert [seen for role, seen in desk.asked if role == "branch"] == [
        titles + "####A:",
        titles + "####B:",
    ]
    assert answered.raw == "####A: of A####B: of B####%%%% so."


def test_gaps_stand_between_blocks_and_colons_are_kept() -> None:
    def says(role: str, seen: str) -> str:
        if role == "intro":
            return "我逐个看：\n"
        if role == "outline":
            return "%%%%" if seen.count(DOTS) == 2 else f"第{seen.count(DOTS)}：x"
        return " 内容\n\n####" if role == "branch" else "\n\n完"

    answered, desk = answer(says, GAPPED)
    assert answered.raw == "我逐个看：\n\n####第0： 内容\n\n####第1： 内容\n\n####%%%%\n\n完"
    assert ("branch", "P>我逐个看：\n\n####第0：") in desk.asked


def test_an_answer_may_open_further_blocks() -> None:
    def says(role: str, seen: str) -> str:
        if role == "answer":
            return " more ####" if seen.count("%%%%") == 1 else " done."
        return scripted()(role, seen.replace("%%%% more", ">"))

    answered, _ = answer(says)
    assert answered.raw == ("####A: of A####B: of B####%%%% more ####A: of A####B: of B####%%%% done.")


WRITTEN = "#### A: one#### B: two####%%%% so."


@pytest.mark.parametrize(
    ("titles", "notes"),
    [
        (["A"], ("one_branch",)),
        (["A", "B", "A"], ("repeated_title",)),
        (["#A", "B"], ("outline_in_an_outline",)),
        (["A", "#"], ("empty_title", "outline_in_an_outline", "one_branch")),
        ([f"t{number}" for number in range(200)], ("too_many_branches", "written_in_one_go")),
    ],
)
def test_broken_titles_are_noted(titles: list[str], notes: tuple[str, ...]) -> None:
    answered, _ = answer(scripted(titles))
    assert answered.notes == notes
    assert (answered.raw == "all in one go") == ("written_in_one_go" in notes)


def test_two_hundred_branches_where_they_are_allowed() -> None:
    answered, desk = answer(scripted([f"t{number}" for number in range(200)]), max_branches=200)
    assert Counter(role for role, _ in desk.asked)["branch"] == 200
    assert answered.notes == ()


@pytest.mark.parametrize(
    ("body", "notes"),
    [
        ("####", ("empty_branch",)),
        (" a%%%% b####", ("outline_in_an_outline",)),
        (" " + "a" * 9000, ("branch_cut_off",)),
        (" a", ()),  # the model ends its turn there
    ],
)
def test_broken_bodies_are_noted(body: str, notes: tuple[str, ...]) -> None:
    answered, _ = answer(scripted(body=lambda _: body))
    assert tuple(note for note in answered.notes if note != "cut_off") == notes
    assert "####%%%%" in answered.raw


def test_titles_without_an_end_are_those_that_there_are() -> None:
    def says(role: str, seen: str) -> str:
        if role == "outline" and DOTS in seen:
            return "x" * 100
        return scripted()(role, seen)

    answered, _ = answer(says)
    assert answered.notes == ("no_end_of_the_titles", "one_branch")
    assert answered.raw == "####A: of A####%%%% so."


def test_a_mark_in_a_word_is_text() -> None:
    """Where blocks have a gap before them; else it may be told from nothing."""
    bodies = {"": " C####", "####": " it is\n\n####"}

    def says(role: str, seen: str) -> str:
        if role == "branch":
            return bodies["####" if seen.endswith("C####") else ""]
        return scripted()(role, seen.replace("\n\n", ""))

    answered, _ = answer(says, GAPPED)
    assert "####A: C#### it is\n\n####B: C#### it is\n\n####%%%%" in answered.raw
    assert answered.notes == ("mark_in_a_word",)


@pytest.mark.parametrize(
    ("said", "raw", "notes"),
    [
        ("Just so.", "Just so.", ("no_outline",)),
        ("Well: " + WRITTEN, "Well: " + WRITTEN, ("blocks_written_out",)),
        ("Well: #### A: one#### B: two", "Well: #### A: one#### B: two", ("no_end_of_the_titles",)),
        (f"#### A:{DOTS}#### B:{DOTS}####%%%%", "####A: of A####B: of B####%%%% so.", ()),
        (f"#### A：{DOTS}\n\n#### B：…\n\n####%%%%", "####A： of A：####B： of B：####%%%% so.", ()),
        ("####%%%% so.", "####%%%% so.", ("blocks_written_out",)),
    ],
)
def test_what_a_model_writes_freely(said: str, raw: str, notes: tuple[str, ...]) -> None:
    """What is written out is the answer already, and costs nothing more."""

    def says(role: str, seen: str) -> str:
        if role == "branch":
            return scripted()(role, seen)
        if "&" in seen:
            return " so."
        return said[len(seen) - len("P>") :]

    answered, _ = answer(says, grammar="free")
    assert (answered.raw, answered.notes) == (raw, notes)


def test_all_of_an_answer_has_one_budget() -> None:
    """Each branch once had it whole. What short ones leave, long ones go on with."""
    bodies = {"A": " a####", "B": " " + "b" * 400, "C": " " + "c" * 400}
    said: Counter[str] = Counter()

    def says(role: str, seen: str) -> str:
        if role != "branch":
            return scripted("ABC")(role, seen)
        title, _, before = seen.rpartition("####")[2].partition(":")
        said[title] += 1
        return bodies[title][len(before) :]

    answered, desk = answer(says, budget=300)
    assert desk.num_made <= 300
    assert answered.notes == ("branch_cut_off", "cut_off")
    lengths = [len(block.body) for block in read_outline(answered.raw[4:]).blocks]
    assert lengths[0] == 2 and lengths[1] == lengths[2] > 120
    assert said["A"] == 1 and said["B"] > 1


def test_where_the_context_ends_an_answer_is_cut_off_and_kept() -> None:
    answered, _ = answer(scripted(body=lambda _: " " + "a" * 400), context=200)
    assert answered.notes == ("branch_cut_off", "cut_off")
    assert answered.raw.startswith("####A: aaa")


def test_stop_texts_of_a_prompt_style_end_an_answer_and_are_no_marks() -> None:
    says = scripted(end=" so.\nAnd more", body=lambda title: f" of {title}\nfoo")
    answered, _ = answer(says, stop_texts=("\n",))
    assert answered.raw == "####A: of A####B: of B####%%%% so."
    assert answered.notes == ()


def test_a_gap_before_a_mark_is_no_part_of_the_body() -> None:
    """It stayed in the branch, and stood there twice."""

    def says(role: str, seen: str) -> str:
        if role == "branch":
            return " of it\n\n####"
        return scripted(intro="Well:")(role, seen.replace("\n\n", ""))

    for join, between in (("see", "\n\n####%%%%"), ("recompute", "\n\n####B:")):
        _, desk = answer(says, GAPPED, join=join)
        role, seen = desk.asked[-1]
        assert role == "answer"
        assert f" of it{between}" in seen and "\n\n\n" not in seen


def test_the_end_may_be_said_twice() -> None:
    """Models say it behind the one that is given: no further block, and what follows is kept."""

    def says(role: str, seen: str) -> str:
        if role == "answer":
            return "####" if seen.endswith("####%%%%") and seen.count("%%%%") == 1 else " so."
        if role == "outline" and "%%%%" in seen:
            return "%%%%"
        return scripted()(role, seen)

    answered, _ = answer(says)
    assert answered.raw == "####A: of A####B: of B####%%%%####%%%% so."
    assert answered.notes == ()


def test_behind_the_last_block_an_answer_goes_on_without_another() -> None:
    def says(role: str, seen: str) -> str:
        if role == "answer":
            return " more ####A: plain####%%%% done."
        return scripted()(role, seen)

    answered, _ = answer(says, max_blocks=1)
    assert answered.raw == "####A: of A####B: of B####%%%% more ####A: plain####%%%% done."
    assert answered.notes == ("too_many_blocks",)


def test_an_ellipsis_may_come_where_titles_may_and_nowhere_else() -> None:
    for grammar, allowed in (("enforced", {"outline"}), ("free", {"outline", "answer"})):
        said = iter(["####", f" A:{DOTS}#### B:{DOTS}####%%%%", " a####", " b####", " so."])
        says = scripted() if grammar == "enforced" else lambda *_, said=said: next(said)
        _, desk = answer(says, grammar=grammar)
        pairs = zip(desk.asked, desk.rules_of, strict=True)
        assert {role for (role, _), rules in pairs if not rules.banned_ids} == allowed


def test_branches_are_let_go_of_once_nothing_goes_on_from_them() -> None:
    _, desk = answer(scripted())
    assert len({id(branch) for branch in desk.released}) == len(desk.released)
    gone = {branch.text for branch in desk.released}
    assert {"P>", "P>####A: of A", "P>####B: of B"} <= gone


def test_repeated_titles_of_a_free_outline_are_noted() -> None:
    said = iter(["####", f" A:{DOTS}#### A:{DOTS}####%%%%", " a####", " b####", " so."])
    answered, _ = answer(lambda role, seen: next(said), grammar="free")
    assert answered.notes == ("repeated_title",)
    assert answered.raw == "####A: a####A: b####%%%% so."


@pytest.mark.parametrize(
    ("text", "blocks", "is_titles"),
    [
        ("the pear costs two.####%%%%", [("the pear costs two.", "", "")], False),
        (f"Step 10:30 sharp:{DOTS}####%%%%", [("Step 10:30 sharp", DOTS, ":")], True),
        ("A: 3:1####B：x####%%%%", [("A", " 3:1", ":"), ("B", "x", "：")], False),
    ],
)
def test_titles_end_at_a_colon_that_is_no_part_of_a_number(text, blocks, is_titles) -> None:
    found = read_outline(text)
    assert [tuple(block) for block in found.blocks] == blocks
    assert found.is_titles == is_titles


pieces = st.lists(
    st.sampled_from(["####", "%%%%", DOTS, ":", "：", "\n\n", " ", "A", "title", "#", "词", "...", "%"]),
    max_size=12,
).map("".join)


@settings(max_examples=300)
@given(
    said=st.dictionaries(st.sampled_from(["intro", "outline", "branch", "answer"]), pieces),
    grammar=st.sampled_from(["enforced", "free"]),
    join=st.sampled_from(["see", "recompute"]),
    style=st.sampled_from([STYLE, GAPPED]),
    sees=st.booleans(),
)
def test_nothing_that_a_model_says_ends_a_run(said, grammar, join, style, sees) -> None:
    answered, desk = answer(
        lambda role, _: said.get(role, ""), style, 40, grammar=grammar, join=join, see_titles=sees
    )
    assert answered.asks == tuple(range(len(desk.asked)))
    assert len(answered.notes) == len(set(answered.notes))


@settings(max_examples=200)
@given(pieces)
def test_any_text_is_read_as_an_outline(text: str) -> None:
    found = read_outline(text)
    assert found.has_end == ("%%%%" in text)
    assert all("####" not in block.title + block.body for block in found.blocks)


def test_points_of_a_list() -> None:
    said = "Outline:\n1. Look left\n 2) Look right: at once\n3、看\n- 4. **Up**\nfoo 5. no"
    assert points(said) == ["Look left", "Look right", "看", "Up"]
    assert points("No list. 1. here") == []


def test_a_block_is_written_with_one_blank() -> None:
    assert str(Block("A", "  of A \n")) == "####A: of A"
    assert str(Block("A", "")) == "####A:"
