"""Commands as their users call them: ask, pages, data-card, list. On the tiny model that is shipped."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from branchwise.commands.list import Catalogue
from branchwise.commands.main import app
from branchwise.commands.registered import import_all
from branchwise.config.catalogues import CATALOGUES

import_all()
QUESTIONS = ("-q", "Where does Mara live?", "-q", "Who is the boss of Mara?")
CONTEXT = ("--context", "Mara lives in Ashton. The boss of Mara is Nilo.")
OWN = {
    "id": "first",
    "context": "Mara lives in Ashton. The boss of Mara is Nilo.",
    "questions": [
        {"id": "56f8c9719e9bad19000a04e0", "text": "Where does Mara live?", "golds": ["Ashton"]},
        {"id": "56f8c9719e9bad19000a04e1", "text": "Who is the boss of Mara?", "golds": ["Otto", "Ann"]},
    ],
}


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def branchwise(*words: str, status: int = 0) -> Result:
    result = CliRunner().invoke(app, words)
    assert result.exit_code == status, result.output
    return result


@pytest.fixture
def own(tmp_path: Path) -> str:
    """A data set of two groups, as an entry of a config by hand."""
    second = OWN | {"id": "second"}
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in (OWN, second)), encoding="utf-8")
    instruction = "Answer the question from the text."
    entry = {"source": "jsonl", "path": str(rows), "instruction": instruction}
    return f"define={json.dumps({'datasets': {'mine': entry}})}"


# ask


def test_ask_refuses_what_an_experiment_refuses(own: str) -> None:
    result = branchwise("ask", "--strategy", "vote", *CONTEXT, *QUESTIONS, status=2)
    assert "all of its samples are the same" in result.stderr
    result = branchwise("ask", "--decoder", "tree_choice", "--dataset", "mine", "--set", own, status=2)
    assert "mine is no choice" in result.stderr


def test_ask_answers_typed_questions() -> None:
    result = branchwise("ask", *CONTEXT, *QUESTIONS)
    assert result.stdout.splitlines() == [
        "q1\tWhere does Mara live?\tAshton",
        "q2\tWho is the boss of Mara?\tNilo",
    ]
    assert "no question waited for another" in result.stderr


def test_ask_says_which_question_waited_for_which() -> None:
    result = branchwise("ask", "--strategy", "sequential", *CONTEXT, *QUESTIONS)
    assert "q2 after q1" in result.stderr
    assert "q1 after" not in result.stderr


def test_ask_says_what_is_noted_of_an_answer() -> None:
    style = ("--set", "style=made_outline", "--max-new-tokens", "9")
    result = branchwise("ask", "--strategy", "outline", *style, *CONTEXT, *QUESTIONS[:2])
    assert "cut off" in result.stderr


def test_ask_takes_a_group_of_a_data_set_and_marks_what_is_right(own: str) -> None:
    result = branchwise(
        "ask", "--dataset", "mine", "--group", "second", "--set", own, "--strategy", "sequential"
    )
    first, second = (line.split("\t") for line in result.stdout.splitlines())
    assert first == ["56f8c9719e9bad19000a04e0", "Where does Mara live?", "Ashton", "✓", "Ashton"]
    assert second[2:] == ["Nilo", "✗", "Otto | Ann"]
    assert "Q2 after Q1" in result.stderr


def test_ask_puts_questions_as_the_data_set_does(own: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webbrowser.open", lambda url: True)
    branchwise("ask", "--dataset", "mine", "--set", own, "--show")
    page = Path("results/pages/ask.html").read_text(encoding="utf-8")
    assert "Answer the question from the text." in page
    assert "1 of 2 right" in page


def test_ask_reads_the_first_group_from_another_path(own: str, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps(OWN | {"id": "elsewhere", "context": "Mara lives in Kirkby."}) + "\n")
    result = branchwise("ask", "--dataset", "mine", "--set", own, "--path", str(other))
    assert "\tKirkby\t" in result.stdout.splitlines()[0]


def test_ask_follows_what_a_data_set_states_only_where_a_strategy_does() -> None:
    group = ("--dataset", "worlds_two_hop_g2", "--max-new-tokens", "4")
    assert "q2 after q1" in branchwise("ask", *group, "--strategy", "collab_gold").stderr
    assert "no question waited" in branchwise("ask", *group, "--strategy", "batch").stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("--dataset", "mine", "--group", "secnd"),
            "has no group secnd among its 2; the nearest: second",
        ),
        (("--dataset", "mine", *CONTEXT), "--dataset stands beside --context"),
        (("--group", "second", *CONTEXT, *QUESTIONS), "--group names no data set; give --dataset too"),
        (("--path", "x", *CONTEXT, *QUESTIONS), "--path names no data set"),
        (("--dataset", "worlds_two_hop_g2", "--path", "x"), "is made, not read; leave out --path"),
        (("--dataset", "squad_g55"), "did you mean squad_g5?"),
        ((*CONTEXT, *QUESTIONS, "--model", "tini"), "did you mean tiny?"),
        ((*CONTEXT, *QUESTIONS, "--model", "no-such-org/no-such-model"), "no-such-org/no-such-model"),
        ((*CONTEXT, "-q", " "), "question 1 is empty"),
    ],
)
def test_ask_says_what_is_wrong(words: tuple[str, ...], said: str, own: str) -> None:
    result = branchwise("ask", "--set", own, *words, status=2)
    assert said in result.stderr
    assert result.stderr.startswith("error: ")


# pages


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A cell that has run, and its groups."""
    folder = tmp_path_factory.mktemp("cell")
    world = {"source": "worlds", "kinds": ["two_hop"], "group_size": 4, "num_groups": 3}
    config = ["--set", f"define={json.dumps({'datasets': {'small': world}})}", "--set", "repeats=1"]
    groups, edges = folder / "groups.jsonl", folder / "edges.jsonl"
    names = ["--dataset", "small", "--model", "tiny"]
    branchwise("prepare", *config, "--dataset", "small", "--out", str(groups))
    made = ["--groups", str(groups), "--out", str(edges)]
    branchwise("depend", *config, *names, "--dependencies", "gold", *made)
    out = folder / "cell"
    branchwise(
        *("generate", *config, *names, "--strategy", "collab_gold", "--decoder", "tree"),
        *("--groups", str(groups), "--dependencies", str(edges), "--out", str(out)),
    )
    branchwise("evaluate", "cell", *config, "--cell", str(out), "--out", str(out / "s/scores.json"))
    return out, groups


def test_pages_of_a_cell(cell: tuple[Path, Path], tmp_path: Path) -> None:
    folder, groups = cell
    out = tmp_path / "pages"
    words = ("pages", "--cell", str(folder), "--groups", str(groups), "--out", str(out))
    result = branchwise(*words, "--limit", "2", "--above", "../index.html")
    assert result.stdout.strip() == str(out / "index.html")
    written = sorted(path.name for path in out.glob("group-*.html"))
    assert len(written) == 2
    index = (out / "index.html").read_text(encoding="utf-8")
    assert all(f'href="{name}"' in index for name in written)
    assert 'href="../index.html"' in index
    assert "2 of 3 groups" in index
    page = (out / written[0]).read_text(encoding="utf-8")
    assert page.count('<rect class="node"') == 4
    assert page.count('<path class="edge"') == 2
    assert page.count("<td>followed</td>") == 2
    assert "stated by the data" in page
    assert " of 4 right" in page


def test_pages_refuse_other_groups(cell: tuple[Path, Path], tmp_path: Path) -> None:
    folder, _ = cell
    other = tmp_path / "other.jsonl"
    branchwise("prepare", "--dataset", "worlds_two_hop_g2", "--out", str(other))
    words = ("pages", "--cell", str(folder), "--groups", str(other), "--out", str(tmp_path / "out"))
    assert "has no answers to all of group" in branchwise(*words, status=2).stderr


# data-card


def test_a_data_card_counts_and_shows(own: str) -> None:
    text = branchwise("data-card", "mine", "--set", own).stdout
    assert text.startswith("# mine")
    assert "Where does Mara live?" in text
    for fact in ("groups", "questions"):
        assert any("2" in line or "4" in line for line in text.splitlines() if fact in line.lower())


def test_a_data_card_of_an_unknown_set_names_the_nearest() -> None:
    assert "did you mean squad_g5?" in branchwise("data-card", "squad_g6", status=2).stderr


# list


def test_list_prints_what_the_catalogues_hold(own: str) -> None:
    lines = branchwise("list", "--set", own).stdout.splitlines()
    rows = [line.split("\t") for line in lines]
    assert {len(row) for row in rows} == {5}
    found = {(row[0], row[1]): row[2:] for row in rows}
    assert {key[0] for key in found} == {*CATALOGUES}
    assert found["datasets", "mine"][:2] == ["mine", "jsonl"]
    assert found["models", "tiny"][:2] == ["tiny Qwen3 (1.4 M)", "folder"]
    label, module, description = found["strategies", "collab_gold_layers"]
    assert (label, module) == ("collab gold layers", "collab")
    assert description.startswith("In the order of dependencies: each question waits")
    assert 'options {"wait": "layers"}' in description
    assert all(row[4] for row in rows if row[0] != "decoders")


def test_list_of_one_catalogue_as_json() -> None:
    found = json.loads(branchwise("list", "decoders", "--json").stdout)
    assert {one["name"] for one in found} >= {"tree", "hf"}
    assert {one["catalogue"] for one in found} == {"decoders"}
    assert set(found[0]) == {"catalogue", "name", "label", "kind", "description"}


def test_list_names_the_catalogues_that_there_are() -> None:
    assert tuple(Catalogue) == CATALOGUES
    output = branchwise("list", "pages", status=2).stderr
    assert "datasets" in output
    assert "dependencies" in output


# -h


def commands() -> list[tuple[str, ...]]:
    from typer.main import get_command

    found: list[tuple[str, ...]] = [()]
    for name, one in get_command(app).commands.items():  # type: ignore[attr-defined]
        found.append((name,))
        found += [(name, inner) for inner in getattr(one, "commands", ())]
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_h_is_help_everywhere(words: tuple[str, ...]) -> None:
    short, long = (branchwise(*words, option).stdout for option in ("-h", "--help"))
    assert short == long
    assert "Usage:" in short
