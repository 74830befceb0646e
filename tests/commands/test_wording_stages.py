"""`branchwise paraphrase` and `confide`: their files, what uses them, mistakes, and going on."""

import json
from pathlib import Path
from typing import Any

import pytest

from branchwise.cells.confiding import Confiding
from branchwise.config.stages import Needed, stage_file
from branchwise.data.groups_file import read_groups
from branchwise.results import RunRecord, read_json, read_rows
from branchwise.stages import GroupConfidence, GroupParaphrases
from tests.commands.small import Small, told

DEFINED = {
    "paraphrases": {"mine": {"kind": "generated", "number": 2, "max_new_tokens": 4, "attempts": 1}},
    "confidence": {"sure": {"kind": "self_agreement", "samples": 2, "wordings": 3, "max_new_tokens": 3}},
    "strategies": {
        "both": {
            "module": "logit_fusion",
            "needs": ["ask", "hook"],
            "options": {"rule": "weighted_avg", "wordings": 3},
            "paraphrases": "mine",
            "confidence": "sure",
        }
    },
}


@pytest.fixture
def worded(small: Small) -> Small:
    """The small experiment with a strategy that uses both stages."""
    define = {**small.content["define"], **DEFINED}
    small.change(define=define, strategies=["batch", "both"], groups_in_flight=1)
    return small


def paraphrase(small: Small, *words: object, name: str = "mine") -> Any:
    return small.run(
        "paraphrase",
        *("--paraphrases", name, "--dataset", "small", "--model", "random"),
        *("--groups", small.groups(), "--out", small.folder / "p.jsonl", *words),
    )


def confide(small: Small, *words: object, name: str = "sure") -> Any:
    return small.run(
        "confide",
        *("--confidence", name, "--dataset", "small", "--model", "random"),
        *("--groups", small.groups(), "--out", small.folder / "c.jsonl", *words),
    )


def test_both_stages_and_a_cell_that_uses_them(worded: Small) -> None:
    assert paraphrase(worded).exit_code == 0
    made = list(read_rows(worded.folder / "p.jsonl", GroupParaphrases))
    groups = read_groups(worded.groups())
    assert [row.group for row in made] == [group.id for group in groups]
    given = f"mine={worded.folder / 'p.jsonl'}"
    done = confide(worded, "--paraphrases", given)
    assert done.exit_code == 0, done.output
    sure = list(read_rows(worded.folder / "c.jsonl", GroupConfidence))
    for row, other, group in zip(made, sure, groups, strict=True):
        for mine, one, question in zip(row.questions, other.questions, group, strict=True):
            assert {w.text for w in one.wordings} == {question.text, *mine.kept}
    for file, needed in (
        ("p.jsonl", Needed("paraphrases", "mine")),
        ("c.jsonl", Needed("confidence", "sure", "mine")),
    ):
        header = json.loads((worded.folder / file).read_text().splitlines()[0])
        assert header["settings"] == stage_file(worded.experiment, needed, "small", "random").stem
    files = ("--paraphrases", worded.folder / "p.jsonl", "--confidence", worded.folder / "c.jsonl")
    out = worded.folder / "cell"
    cell = ("--dataset", "small", "--model", "random", "--strategy", "both", "--decoder", "tree")
    done = worded.run("generate", *cell, "--groups", worded.groups(), "--out", out, *files)
    assert done.exit_code == 0, done.output
    record = read_json(out / "run.json", RunRecord)
    assert set(record.totals_by_role) == {"answerer", "paraphrases", "confidence"}
    assert [run.before for run in record.groups] == list(zip(made, sure, strict=True))
    keys = ("--paraphrases", given, "--confidence", f"sure/mine={worded.folder / 'c.jsonl'}")
    words = ("--dataset", "small", "--model", "random", "--decoder", "tree", "--groups", worded.groups())
    done = worded.run("time", *words, "--out", worded.folder / "t.json", *keys)
    assert done.exit_code == 0, done.output
    said = told(worded.run("time", *words, "--out", worded.folder / "t.json", *keys[:2]))
    assert "weighs by the confidence sure; give --confidence sure/mine=FILE, the file of `branch" in said
    said = told(worded.run("time", *words, "--out", worded.folder / "t.json", "--confidence", "x"))
    assert "--confidence x is not NAME=FILE" in said


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        (paraphrase, {"name": "mien"}, "unknown paraphrases mien; did you mean mine"),
        (confide, {"name": "sur"}, "unknown confidence sur; did you mean sure"),
    ],
)
def test_unknown_names_are_one_line(worded: Small, command, words: dict, message: str) -> None:
    assert message in told(command(worded, **words))


@pytest.mark.parametrize(
    ("command", "words", "message"),
    [
        (paraphrase, ("--settings", "00000000"), "paraphrases mine of small has settings "),
        (confide, ("--settings", "00000000"), "confidence sure of small has settings "),
        (confide, ("--paraphrases", "mine"), "--paraphrases mine is not NAME=FILE"),
        (confide, ("--paraphrases", "mie=x"), "unknown paraphrases mie; did you mean mine"),
        (confide, ("--paraphrases", "mine=/no/file"), "/no/file does not exist"),
        (paraphrase, ("--dataset", "smal"), "unknown dataset smal; did you mean small"),
        (confide, ("--groups", "/no/groups"), "groups file /no/groups does not exist"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    worded: Small, command, words: tuple[str, ...], message: str
) -> None:
    assert message in told(command(worded, *words))
    assert not list(worded.folder.glob("*.journal.jsonl"))
    assert not list(worded.folder.glob("[pc].jsonl"))


def test_a_stopped_stage_goes_on_and_asks_nothing_twice(
    worded: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    original = Confiding.find

    async def spied(self: Confiding, group) -> GroupConfidence:
        asked.append(group.id)
        if len(asked) == 3:  # the first group once before, untimed; itself; then the second
            raise KeyboardInterrupt
        return await original(self, group)

    monkeypatch.setattr(Confiding, "find", spied)
    first, second = (group.id for group in read_groups(worded.groups()))
    stopped = confide(worded)
    assert stopped.exit_code == 130
    assert asked == [first, first, second]
    assert not (worded.folder / "c.jsonl").exists()
    (journal,) = worded.folder.glob(".c.jsonl*")
    kept = json.loads(journal.read_text())["record"]
    assert confide(worded).exit_code == 0
    assert asked[3:] == [second, second]
    row = next(iter(read_rows(worded.folder / "c.jsonl", GroupConfidence)))
    assert row.model_dump(mode="json") == kept
    assert not Path(journal).exists()


def test_one_group_is_worded_on_the_spot(worded: Small) -> None:
    words = ("--context", "Mara lives in Ashton.", "-q", "Where does Mara live?", "--strategy", "both")
    done = worded.run("ask", *words, "--model", "random", "--max-new-tokens", 3)
    assert done.exit_code == 0, done.output
    for stage in ("paraphrases", "confidence"):
        assert stage in done.output
