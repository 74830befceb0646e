"""`branchwise generate`: what is refused before a model is loaded. (How it runs: tests/cells.)"""

import json
from pathlib import Path

import pytest
from typer.testing import Result

from branchwise.config import Cell
from branchwise.config.identity import cell_folder
from branchwise.results import RunRecord, read_json
from tests.commands.small import Small, told


def generate(small: Small, *words: object, strategy: str = "batch", decoder: str = "tree") -> Result:
    return small.run(
        "generate",
        *("--dataset", "small", "--model", "random", "--strategy", strategy, "--decoder", decoder),
        *("--groups", small.groups(), "--out", small.folder / "cell", *words),
    )


def with_a_long_group(small: Small) -> str:
    """Make the second group longer than the model; its id."""
    path = small.groups()
    lines = path.read_text().splitlines()
    group = json.loads(lines[2])
    lines[2] = json.dumps(group | {"context": "word " * 9000})
    path.write_text("\n".join(lines) + "\n")
    return group["id"]


def test_a_group_that_does_not_fit_is_left_out_unless_strict(small: Small) -> None:
    long = with_a_long_group(small)
    strict = generate(small, "--strict")
    assert strict.exit_code == 2
    assert f"error: group {long}: a prompt of" in strict.stderr
    assert not (small.folder / "cell").exists()
    done = generate(small)
    assert done.exit_code == 0, done.output
    assert f"left out: group {long}: a prompt of" in done.stderr
    record = read_json(small.folder / "cell/run.json", RunRecord)
    assert [one.group for one in record.left_out] == [long]
    assert (record.num_groups, len(record.groups)) == (1, 1)


def test_the_folders_name_is_what_settings_asks_for(small: Small) -> None:
    name = cell_folder(small.experiment, Cell("small", "random", "batch", "tree")).name
    assert generate(small, "--settings", name).exit_code == 0
    assert (small.folder / "cell/answers.jsonl").is_file()
    small.change(max_new_tokens=5)
    assert "small/random/batch/tree has settings " in told(generate(small, "--settings", name))


@pytest.mark.parametrize(
    ("options", "words", "message"),
    [
        ({"strategy": "bach"}, (), "unknown strategy bach; did you mean batch"),
        ({"decoder": "tre"}, (), "unknown decoder tre; did you mean tree"),
        ({}, ("--model", "randm"), "unknown model randm; did you mean random"),
        ({}, ("--dataset", "smal"), "unknown dataset smal; did you mean small"),
        ({}, ("--groups", "/no/groups"), "groups file /no/groups does not exist"),
        ({"strategy": "collab_gold_see", "decoder": "hf"}, (), "collab_gold_see/hf is impossible"),
        ({"strategy": "collab_gold"}, (), "strategy collab_gold follows gold dependencies; give --dep"),
        ({}, ("--dependencies", "/no/file"), "strategy batch follows no dependencies; leave out"),
        (
            {"strategy": "collab_gold"},
            ("--dependencies", "/no/file"),
            "/no/file does not exist",
        ),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(
    small: Small, options: dict[str, str], words: tuple[str, ...], message: str
) -> None:
    assert message in told(generate(small, *words, **options))
    assert not (small.folder / "cell").exists()


def test_dependencies_of_another_name_are_refused(small: Small, tmp_path: Path) -> None:
    out = tmp_path / "none.jsonl"
    words = ("--dataset", "small", "--model", "random", "--dependencies", "none")
    assert small.run("depend", *words, "--groups", small.groups(), "--out", out).exit_code == 0
    said = told(generate(small, "--dependencies", out, strategy="collab_gold"))
    assert str(out) in said
