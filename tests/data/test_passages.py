"""Whether training has seen what is evaluated, by passages."""

import json
from pathlib import Path

import pytest

from branchwise.data.passages import check_apart, passages_of, tenth_of
from branchwise.data.prepare import groups_of
from branchwise.data.sources.squad import SquadDataset
from branchwise.data.types import Group, Question
from branchwise.errors import UserError


def group(name: str, context: str = "", text: str = "Who?", own: str | None = None) -> Group:
    return Group(
        id=name, context=context, questions=(Question(id="q", text=text, golds=("a",), context=own),)
    )


def test_the_same_passage_is_one_however_it_is_written() -> None:
    seen = passages_of(group("a", "Mara lives in Ashton."))
    for context in ("mara lives in  ashton", "Mara lives in Ashton!\n", "ＭARA lives in Ashton."):
        with pytest.raises(UserError, match="group b of data set d was seen by t"):
            check_apart(seen, [group("b", context)], "data set d", "t")
    check_apart(seen, [group("b", "Mara lives in Langdale.")], "data set d", "t")


def test_of_questions_without_a_passage_the_words_count() -> None:
    seen = passages_of(group("a", text="Who is Mara?"))
    with pytest.raises(UserError, match="was seen by"):
        check_apart(seen, [group("b", text="who is mara")], "d", "t")
    # With a passage the same words are another question.
    check_apart(seen, [group("b", "A text.", "Who is Mara?")], "d", "t")
    own = passages_of(group("a", own="Mara lives in Ashton."))
    with pytest.raises(UserError, match="was seen by"):
        check_apart(own, [group("b", "Mara lives in Ashton.")], "d", "t")


def test_tenths_part_a_file_by_passage(tmp_path: Path) -> None:
    paragraphs = [
        {
            "context": f"Text {number} says so.",
            "qas": [
                {
                    "id": f"{number}-{n}",
                    "question": f"Q{n}?",
                    "answers": [{"text": "so", "answer_start": 0}],
                }
                for n in range(3)
            ],
        }
        for number in range(60)
    ]
    file = tmp_path / "squad.json"
    file.write_text(json.dumps({"data": [{"title": "T", "paragraphs": paragraphs}]}))

    def contexts(tenths: tuple[int, ...] | None) -> set[str]:
        entry = SquadDataset(source="squad", path=str(file), group_size=3, tenths=tenths)
        return {one.context for one in groups_of(entry, pytest.fail)}

    parts = [
        contexts((number,))
        for number in range(10)
        if any(tenth_of(p["context"]) == number for p in paragraphs)
    ]
    assert sum(map(len, parts)) == 60
    assert set.union(*parts) == contexts(None)
    assert contexts((0, 1, 2, 3, 4)) | contexts((5, 6, 7, 8, 9)) == contexts(None)
    assert not contexts((0, 1)) & contexts((2, 3))
    with pytest.raises(ValueError, match="parts are numbered 0 to 9"):
        SquadDataset(source="squad", path=str(file), tenths=(10,))
