"""Looking at answers: joined with scores, filtered, sorted, harmless in a terminal, as a page."""

import re
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console
from tests.reporting.made import TOKENS, run_record

from branchwise.config import Cell, Experiment
from branchwise.config.identity import cell_identity, scores_path, scoring_identity
from branchwise.config.load import parse_experiment
from branchwise.errors import UserError
from branchwise.evaluation.score import score_cell
from branchwise.reporting.answer_page import write_answer_page
from branchwise.reporting.answer_tables import lines, show_answers, show_answers_of, summary
from branchwise.reporting.answers import Answer, answers_of, extremes, listed
from branchwise.reporting.finding import scores_of
from branchwise.reporting.frames import Results, load_scores
from branchwise.reporting.harmless import cut, on_a_line
from branchwise.reporting.verdicts import Verdict
from branchwise.results import AnswerRow, GroupRun, write_json, write_rows

ATTACK = "[red]Oslo[/red] <b>\x1b[31m\u202eoslO\tin the\r\nnorth"


def a_row(group: str, place: int, answer: str, **changes: object) -> AnswerRow:
    content = {
        **{"group": group, "question": f"id{place}", "text": f"Where is {ATTACK} {place}?", "kind": "k"},
        **{"answer_type": "span", "golds": ("Oslo", "Oslo", "the city"), "guess": None, "raw": answer},
        **{"answer": answer, "well_formed": True, "rule": "text", "asks": (0,), "tokens": TOKENS},
        **{"start_s": 0.0, "end_s": 0.1},
    }
    return AnswerRow(**(content | changes))


def an_answer(
    group: str, place: int, value: float | None, text: str = "Oslo", **changes: object
) -> Answer:
    verdict = None if value is None else Verdict("f1", value)
    return Answer(f"Q{place}", a_row(group, place, text, **changes), verdict)


def groups_of(values: Mapping[str, Sequence[float | None]]) -> dict[str, list[Answer]]:
    return {
        group: [an_answer(group, place, value) for place, value in enumerate(of, start=1)]
        for group, of in values.items()
    }


@pytest.fixture
def written(root: Path, tmp_path: Path) -> Experiment:
    """Three data sets and two strategies: batch is wrong in every second group, sequential never."""
    content = {
        "experiment": "made",
        "datasets": ["worlds_two_hop_g2", "worlds_two_hop_g4", "worlds_look_up_g6"],
        "models": ["tiny"],
        "strategies": ["sequential", "batch"],
        "decoders": ["tree"],
        "baseline": "batch",
        "results": str(tmp_path / "results"),
        "pages": 7,
    }
    experiment = parse_experiment(content, "made", root)
    for cell in experiment.cells:
        rows = [
            a_row(f"g{n}", place, "Rome" if cell.strategy == "batch" and n % 2 and place else "Oslo")
            for n in range(8)
            for place in range(2)
        ]
        free = {"forward_passes": 1, "num_asks": 1, "tokens": TOKENS, "tokens_by_role": {}}
        runs = [GroupRun(id=f"g{n}", num_questions=2, **free) for n in range(8)]
        identity, scoring = cell_identity(experiment, cell), scoring_identity(experiment, cell.dataset)
        path = Path(experiment.cells_folder) / scores_path(experiment, cell)
        run = run_record(cell, runs, TOKENS, identity)
        write_json(path, score_cell(rows, run, scoring))
        write_json(path.parent.parent / "run.json", run)
        write_rows(path.parent.parent / "answers.jsonl", rows, identity.about(cell._asdict()))
    return experiment


def results_of(experiment: Experiment) -> Results:
    scores, files = load_scores(experiment, Path(experiment.cells_folder))
    return Results(experiment, scores, files=files)


def printed(show, width: int = 80, **options: object) -> str:
    console = Console(width=width, file=StringIO(), highlight=False, **options)
    show(console)
    return console.file.getvalue()


# ----- joined and chosen -----


def test_answers_are_joined_with_their_scores(written: Experiment) -> None:
    file, scores = scores_of(written, "worlds_two_hop_g2/tiny/batch/tree", Path(written.cells_folder))
    groups = answers_of(file, scores)
    assert list(groups) == [f"g{n}" for n in range(8)]
    assert [(one.name, one.row.answer, one.is_wrong) for one in groups["g1"]] == [
        ("Q1", "Oslo", False),
        ("Q2", "Rome", True),
    ]
    assert groups["g1"][0].golds == "Oslo | the city"
    assert summary(scores, groups) == "4 of 16 answers wrong (exact match below 1); 8 groups"


def test_answers_that_are_not_kept_are_none_and_others_are_refused(written: Experiment) -> None:
    file, scores = scores_of(written, "worlds_two_hop_g2/tiny/batch/tree", Path(written.cells_folder))
    path = file.parent.parent / "answers.jsonl"
    other = next(p for p in Path(written.cells_folder).rglob("answers.jsonl") if "sequential" in str(p))
    path.write_text(other.read_text())
    with pytest.raises(UserError, match="is of cell .*sequential.*, not of .*batch"):
        answers_of(file, scores)
    path.unlink()
    assert answers_of(file, scores) is None
    assert answers_of(None, scores) is None


def test_wrong_means_below_one_and_unjudged_is_neither() -> None:
    groups = groups_of({"a": [1, 0.5, None], "b": [0, 1, 0.99]})
    assert [one.verdict.value for one in listed(groups, wrong=True)] == [0.5, 0, 0.99]
    worst = [one.verdict and one.verdict.value for one in listed(groups, worst_first=True)]
    assert worst == [0, 0.5, 0.99, 1, 1, None]
    best = [one.verdict and one.verdict.value for one in listed(groups, worst_first=False)]
    assert best == [1, 1, 0.99, 0.5, 0, None]
    # Equal ones as they came.
    assert [one.row.group for one in listed(groups, worst_first=False)][:2] == ["a", "b"]


def test_extremes_go_by_the_mean_then_by_id_and_share_no_group() -> None:
    values = {
        "f": [1, 1],
        "e": [0, 1],
        "d": [0, 0],
        "c": [1, 1],
        "b": [0.5, 0.5],
        "a": [1, None],
        "g": [0.9],
    }
    assert extremes(groups_of(values)) == (["d", "b", "e"], ["a", "c", "f"])
    assert extremes(groups_of({name: [0] for name in "dbca"})) == (["a", "b"], ["c", "d"])
    assert extremes(groups_of({"x": [1]})) == (["x"], [])
    assert extremes(groups_of({"x": [None], "y": [0], "z": [1]})) == (["y"], ["z"])
    assert extremes({}) == ([], [])


# ----- in a terminal -----


def test_text_is_on_one_line_and_moves_no_cursor() -> None:
    assert on_a_line(ATTACK) == r"[red]Oslo[/red] <b>\x1b[31m\u202eoslO in the north"
    assert on_a_line(" a \n\n b\u2028c\x00", " ↵ ") == r"a ↵  ↵ b ↵ c\x00"
    assert on_a_line("\ud800 \x9b\u2067 שלום 中文") == r"\ud800 \x9b\u2067 שלום 中文"
    assert cut("中文字", 6) == "中文字"
    assert cell_len(cut("中文字中", 6)) <= 6 and cut("中文字中", 6).endswith("…")


@pytest.mark.parametrize("width", [80, 120])
def test_answers_fit_the_terminal_and_their_text_stays_text(width: int) -> None:
    said = "The answer is [bold]Rome[/bold].\nBecause " + "so " * 400 + "END"
    answers = [
        an_answer("g" * 30, 1, 0.0, "Rome", raw=said, rule="phrase_explained"),
        an_answer("g" * 30, 2, 0.25, "中" * 300),
        an_answer("h", 3, 1.0, ""),
    ]
    text = printed(lambda console: show_answers(answers, "f1", console), width)
    assert "\x1b" not in text and "\u202e" not in text
    assert all(cell_len(line.rstrip()) <= width for line in text.splitlines())
    assert r"[red]Oslo[/red]" in text and "[bold]Rome[/bold]. ↵ Because" in text
    assert text.count("group ") == 2 and f"group {'g' * 30}" in text
    assert "0.25" in text and "(no answer)" in text and "F1" in text
    assert "END" not in text and "…" in text
    whole = printed(lambda console: show_answers(answers, "f1", console, whole=True), width)
    assert "END" in whole
    assert all(cell_len(line.rstrip()) <= width for line in whole.splitlines())


def test_a_piped_answer_is_a_line_of_eight_fields() -> None:
    said = "x " * 400 + "END"
    answers = [an_answer("g\t1", 1, 0.5, "Rome\n", raw=said), an_answer("g2", 2, None)]
    first, second = (line.split("\t") for line in lines(answers))
    text = r"Where is [red]Oslo[/red] <b>\x1b[31m\u202eoslO in the north 1?"
    assert first[:7] == ["g 1", "id1", text, "Oslo | the city", "Rome", "0.50", "text"]
    assert first[7].startswith("x x") and first[7].endswith("…")
    # The reply only where it says more; no number where there is none.
    assert second[5:] == ["", "text", ""]
    assert next(lines(answers, whole=True)).endswith("END")


def test_a_run_ends_with_the_baselines_worst_and_best_groups(written: Experiment) -> None:
    results = results_of(written)
    text = printed(lambda console: show_answers_of(results, console, "--config my.yaml"))
    assert "sequential" not in text
    heads = re.findall(r"^(?:worlds|worst|best).*", text, re.MULTILINE)
    assert heads[:7] == [
        "worlds_two_hop_g2/tiny/batch/tree: worst and best groups",
        *(f"worst, mean exact match 0.50: g{n}" for n in (1, 3, 5)),
        *(f"best, mean exact match 1.00: g{n}" for n in (0, 2, 4)),
    ]
    assert len(heads) == 14
    assert "2 of 3 data sets and models; more: " in text
    assert "branchwise show worlds_look_up_g6/tiny/batch/tree --wrong --config my.yaml" in text
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines() if "branchwise" not in line)
    for path in Path(written.cells_folder).rglob("answers.jsonl"):
        path.unlink()
    assert printed(lambda console: show_answers_of(results, console)) == ""


# ----- by name -----


def test_a_cell_is_named_by_its_axes_or_by_a_folder(written: Experiment) -> None:
    cells = Path(written.cells_folder)
    name = "worlds_two_hop_g4/tiny/batch/tree"
    file, scores = scores_of(written, name, cells)
    assert scores.cell == Cell(*name.split("/"))._asdict()
    for folder in (cells / name, file.parent.parent, file.parent):
        assert scores_of(written, str(folder), cells)[0] == file


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("worlds_two_hop_g4/tiny/batsh/tree", "no strategy batsh in made; did you mean batch?"),
        ("worlds_two_hop_g44/tiny/batch/tree", "did you mean worlds_two_hop_g4?"),
        ("worlds_two_hop_g4/tiny/batch", "the nearest: worlds_two_hop_g4/tiny/batch/tree"),
        ("nowhere", "nowhere is no folder and no cell"),
    ],
)
def test_a_wrong_name_is_told_the_nearest(written: Experiment, given: str, said: str) -> None:
    with pytest.raises(UserError) as told:
        scores_of(written, given, Path(written.cells_folder))
    assert said in str(told.value)
    assert "\n" not in str(told.value)


def test_a_folder_of_several_scorings_must_say_which(written: Experiment) -> None:
    cells, name = Path(written.cells_folder), "worlds_two_hop_g4/tiny/batch/tree"
    file, scores = scores_of(written, name, cells)
    write_json(file.parent.parent / "other/scores.json", scores)
    with pytest.raises(UserError, match="holds results of several settings"):
        scores_of(written, str(cells / name), cells)
    assert scores_of(written, str(file.parent), cells)[0] == file


# ----- as a page -----


def test_the_page_sets_strategies_side_by_side_and_filters_without_a_script(written: Experiment) -> None:
    path = write_answer_page(results_of(written), Path(written.results))
    text = path.read_text(encoding="utf-8")
    assert "<script" not in text and "http" not in text and "src=" not in text
    assert "[red]Oslo[/red] &lt;b&gt;" in text and "<b>" not in text
    body = text.split("</style>")[1]
    # Of eight groups seven are shown: g1, g3 and g5 are wrong in one question each, in every data set.
    assert "only questions that some strategy got wrong: 9 of 42</label>" in body
    assert body.count("3 of 14 questions with a wrong answer (exact match below 1); 1 more group is") == 3
    assert body.count('<tbody class="fine">') == 3 * 4
    assert body.count('<tr class="fine">') == 3 * 11
    assert body.count('class="answer wrong"') == 9
    assert body.count('class="answer right"') == 2 * 42 - 9
    assert re.findall(r'<th scope="col">(.*?)</th>', body)[:4] == [
        "question",
        "gold",
        "sequential",
        "batch",
    ]
    # The switch stands before all that it hides, as a sibling.
    assert body.index('<input type="checkbox" id="only-wrong">') < body.index("<section")
    assert "#only-wrong:checked ~ * .fine" in text


def test_the_page_says_where_no_answers_are_kept(written: Experiment) -> None:
    for path in Path(written.cells_folder).rglob("answers.jsonl"):
        path.unlink()
    text = write_answer_page(results_of(written), Path(written.results)).read_text(encoding="utf-8")
    assert "No answers are kept beside these scores" in text
    assert "<table" not in text and 'type="checkbox"' not in text
