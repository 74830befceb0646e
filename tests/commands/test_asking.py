"""Files that `branchwise ask` is given."""

from pathlib import Path

import pytest

from branchwise.commands.asking import given_group
from branchwise.errors import UserError


def test_context_and_questions_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("context: Ann lives in Rome.\nquestions: [Where does Ann live?, Who lives there?]\n")
    group = given_group(None, (), file)
    assert group.context == "Ann lives in Rome."
    assert [question.text for question in group.questions] == ["Where does Ann live?", "Who lives there?"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("context: a\ncontext: b\nquestions: [c]", "line 2: key context stands twice; leave one of them"),
        ("context: a\nquestion: [c]", "unknown key question (and 1 more); did you mean questions?"),
        ("context: a", "key questions is missing; add it"),
        ("context: a\nquestions: []", "key questions is []; give at least 1"),
        ("context: a\nquestions: b", "key questions is 'b', not a list; write [b]"),
        ("context: a\nquestions: [1]", "key questions.0 is 1; write a text"),
        ("context: [", "is not valid YAML"),
        ("- a", "does not hold a mapping"),
    ],
)
def test_a_mistake_in_it_is_one_line(text: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as found:
        given_group(None, (), file)
    assert told in str(found.value) and "own.yaml" in str(found.value) and "\n" not in str(found.value)


def test_a_file_that_is_not_there_is_told_with_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").touch()
    with pytest.raises(
        UserError, match=r"question file .*owns\.yaml does not exist; did you mean .*own\.yaml"
    ):
        given_group(None, (), tmp_path / "owns.yaml")
