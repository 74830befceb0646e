"""Pages: escaped, self-contained, usable by keyboard, and opened in a real browser."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from tests.reporting.made_traces import outlined

from branchwise.data.types import Group, Question
from branchwise.dependencies.graph import Edge
from branchwise.reporting.pages import (
    CellLink,
    Page,
    make_page,
    page_name,
    times_of,
    write_experiment_index,
    write_page,
    write_pages,
)
from branchwise.reporting.waits import waited_for
from branchwise.results import (
    AnswerRow,
    GroupDependencies,
    GroupRecord,
    GroupRun,
    QuestionScore,
)
from branchwise.trace import AskRecord, GroupTrace, Tokens

TOKENS = Tokens(sent=40, unique=10, cached=30, generated=3, padding=0)
Matrix = tuple[tuple[float, ...], ...] | None
ATTACK = "<script>document.title = 'owned'</script> Where does <b>Mara</b> & co live?"


def made_page(
    name: str = "w<1>/0", primary: str = "em", matrix: Matrix = None, trace: GroupTrace | None = None
) -> Page:
    return make_page(*made_parts(name, matrix, trace), "cell <x>", primary)


def made_parts(
    name: str, matrix: Matrix = None, trace: GroupTrace | None = None
) -> tuple[Group, GroupRecord, dict[str, QuestionScore]]:
    """What a page is made of: the group, its record and its scores."""
    questions = (
        Question(id="q1", text="Who is the boss of Mara?", golds=("Otto",)),
        Question(id="q2", text=ATTACK, golds=("Ashton & <i>co</i>",), needs=("q1",)),
        Question(id="q3", text="Which pet?", golds=("cat",)),
        Question(id="q10", text="And the job?", golds=("baker",), needs=("q1", "q3")),
    )
    group = Group(id=name, context="Mara lives </pre></script> in Ashton.", questions=questions)
    times = {"q1": (0, 0.01), "q2": (0.01, 0.03), "q3": (0, 0.005), "q10": (0.01, 0.02)}
    rows = tuple(
        AnswerRow(
            **{"group": name, "question": q.id, "text": q.text, "kind": "k", "answer_type": "span"},
            **{"golds": q.golds, "guess": None, "raw": "<answer>x</answer>", "well_formed": True},
            **{"answer": q.golds[0] if q.id != "q3" else "", "asks": (i,)},
            **{"tokens": TOKENS, "start_s": times[q.id][0], "end_s": times[q.id][1]},
        )
        for i, q in enumerate(questions)
    )
    found = GroupDependencies(
        group=name,
        generator="llm",
        candidates=(
            Edge(source="q1", target="q2", confidence=0.83, why="q2 speaks of q1's <answer>"),
            Edge(source="q3", target="q1", confidence=0.2, why="q10 does not"),
        ),
        matrix=matrix,
        edges=(("q1", "q2"), ("q1", "q10"), ("q3", "q10")),
        known=(("q1", "q2"), ("q2", "q10")),
        tokens=TOKENS,
        forward_passes=1,
        wall_s=0.002,
        fallback="heuristic: no JSON <b>",
    )
    run = GroupRun(
        id=name,
        num_questions=4,
        forward_passes=4,
        num_asks=4,
        tokens=TOKENS,
        tokens_by_role={"answerer": TOKENS},
        dependencies=found,
    )
    scores = {
        q.id: QuestionScore(
            **{"group": name, "question": q.id, "kind": "k", "guess": None, "lenient": 1},
            **{"em": float(q.id != "q3"), "em_strict": 1, "f1": 0.25, "well_formed": 1},
            more={"rouge_l": None if q.id == "q1" else 0.5},
        )
        for q in questions
    }
    asks = tuple(
        AskRecord(
            **{
                "role": "answer",
                "questions": (q.id,),
                "after": (0,) if i % 2 else (),
                "prompt": f"<|im_start|>{q.text}",
            },
            **{"raw": "<answer>x</answer>", "stop": "stop", "tokens": TOKENS, "num_steps": 1},
            **{"start_s": times[q.id][0], "end_s": times[q.id][1]},
        )
        for i, q in enumerate(questions)
    )
    trace = trace or GroupTrace(group=name, asks=asks)
    return group, GroupRecord(answers=rows, run=run, trace=trace), scores


def written(page: Page, folder: Path) -> str:
    write_page(page, folder / "page.html")
    return (folder / "page.html").read_text(encoding="utf-8")


def test_a_page_holds_all_of_itself_and_escapes_all_text(tmp_path: Path) -> None:
    index = write_pages([made_page(), made_page("other")], tmp_path, "cell <x>", ["a fact"])
    text = (tmp_path / page_name("w<1>/0")).read_text()
    assert "<script>document.title" not in text
    assert "&lt;script&gt;document.title" in text
    assert "<b>Mara" not in text
    assert text.count("<script>") == 1
    for outside in ('src="', "http://", "https://", "@import", "url("):
        assert outside not in text.replace("url(#tip)", "")
    assert "3 of 4 right" in text
    assert "heuristic: no JSON &lt;b&gt;" in text
    assert f'href="{page_name("w<1>/0")}"' in index.read_text()


def test_edges_say_how_sure_and_why_in_short_names(tmp_path: Path) -> None:
    text = written(made_page(), tmp_path)
    assert "<title>Q2 needs Q1, confidence 0.83: Q2 speaks of Q1&#39;s &lt;answer&gt;</title>" in text
    assert "<title>Q4 needs Q3</title>" in text
    assert "<title>Q4 needs Q2 (known, not followed)</title>" in text
    rows = re.findall(r"<tr>(<td.*?)</tr>", text)
    cells = [re.sub(r"</td>(<td[^>]*>)?|<td[^>]*>", "|", row).strip("|") for row in rows]
    assert cells == [
        "Q2 needs Q1|0.83|followed|Q2 speaks of Q1&#39;s &lt;answer&gt;",
        "Q1 needs Q3|0.20|left out|Q4 does not",
    ]


def test_questions_are_q1_to_qn_with_their_ids_on_hover(tmp_path: Path) -> None:
    text = written(made_page(), tmp_path)
    for number, name in enumerate(("q1", "q2", "q3", "q10"), start=1):
        assert f'text-anchor="middle">Q{number}</text><title>Q{number}: {name}</title>' in text
        assert f'text-anchor="end">Q{number}<title>{name}</title></text>' in text
        assert f'title="{name}">Q{number}</abbr>' in text
    assert text.count('<rect class="node"') == 4
    assert text.count('<rect class="bar ') == 4


def test_an_attention_matrix_is_a_square_a_pair(tmp_path: Path) -> None:
    matrix = tuple(tuple(0.0 if i == j else (4 * i + j) / 100 for j in range(4)) for i in range(4))
    text = written(made_page(matrix=matrix), tmp_path)
    assert text.count('<rect class="square') == 12
    assert text.count('<rect class="square followed"') == 3
    assert "<title>Q2 needs Q1: 0.04 (followed)</title>" in text
    assert "<title>Q1 needs Q2: 0.01</title>" in text
    # The darkest is the greatest.
    shades = [float(shade) for shade in re.findall(r'fill-opacity="([\d.]+)"', text)]
    assert shades.index(max(shades)) == 11
    assert "square" not in written(made_page(), tmp_path).split("</style>")[1]


def test_a_graded_metric_shades_and_shows_its_number(tmp_path: Path) -> None:
    right = written(made_page(), tmp_path).split("</style>")[1]
    assert right.count('class="answer right"') == 3
    assert right.count('class="answer wrong"') == 1
    graded = written(made_page(primary="rouge_l"), tmp_path).split("</style>")[1]
    assert "mean ROUGE-L 0.50" in graded
    assert graded.count('class="answer graded" style="--share: 50%"') == 3
    assert graded.count("ROUGE-L 0.50</div>") == 3
    # One that the metric leaves out is neither right nor wrong.
    assert graded.count('<div class="answer">') == 1
    assert "mean F1 0.25" in written(made_page(primary="f1"), tmp_path)


def test_the_times_of_the_head_may_come_from_elsewhere() -> None:
    page = made_page()
    assert (page.times.wall, page.times.ideal, page.times.finding) == (30, 30, 2)
    assert (page.times.total, page.times.total_ideal) == (32, 32)
    assert not page.times.alone
    alone = times_of(0.5, 0.25, None, alone=True)
    assert (alone.total, alone.total_ideal, alone.alone) == (500, 250, True)


def test_cards_say_what_was_waited_for(tmp_path: Path) -> None:
    text = written(made_page(), tmp_path)
    assert text.count("after Q1 ·") == 2


def test_waits_go_through_asks_of_no_question() -> None:
    def ask(*after: int, questions: tuple[str, ...] = ()) -> AskRecord:
        return AskRecord(
            **{"role": "x", "questions": questions, "after": after, "prompt": "", "raw": ""},
            **{"stop": "stop", "tokens": TOKENS, "num_steps": 1, "start_s": 0, "end_s": 1},
        )

    trace = GroupTrace(group="g", asks=(ask(), ask(0), ask(1), ask(1, 2)))
    made_by = {"late": (3,), "first": (0,), "second": (2,), "never": ()}
    assert waited_for(trace, made_by) == {
        "late": ("first", "second"),
        "first": (),
        "second": ("first",),
        "never": (),
    }
    # One prompt of all questions waits for none of them.
    assert waited_for(GroupTrace(group="g", asks=(ask(),)), {"a": (0,), "b": (0,)}) == {"a": (), "b": ()}


def test_an_experiment_links_its_cells(tmp_path: Path) -> None:
    links = [
        CellLink(("d", "m", name, "tree"), f"d/m/{name}/tree/index.html", "F1 5 %", "19 of 20")
        for name in "ab"
    ]
    write_experiment_index(tmp_path / "index.html", "made <x>", links, 10)
    text = (tmp_path / "index.html").read_text()
    assert re.findall(r'<a href="(.*?)"', text) == [link.href for link in links]
    assert "made &lt;x&gt;" in text
    assert "2 cells" in text
    assert text.count('<td class="number">19 of 20</td>') == 2


def unscored(page: Page) -> Page:
    return replace(page, shown=tuple(replace(one, verdict=None) for one in page.shown))


def test_a_group_can_be_filtered_to_its_wrong_answers(tmp_path: Path) -> None:
    text = written(made_page(), tmp_path)
    body = text.split("</style>")[1]
    switch = '<input type="checkbox" id="only-wrong"><label for="only-wrong">'
    assert f"{switch}only wrong answers: 1 of 4 (exact match below 1)</label>" in body
    assert body.count('tabindex="0" class="fine"') == 3
    assert '<article id="q3" tabindex="0">' in body
    assert body.index(switch) < body.index("<article")
    # What a link names is seen in any case.
    assert "#only-wrong:checked ~ article.fine:not(:target)" in text
    # The metric leaves out Q1: it is neither right nor wrong.
    graded = written(made_page(primary="rouge_l"), tmp_path)
    assert "only wrong answers: 3 of 3 (ROUGE-L below 1)" in graded
    assert graded.count('tabindex="0" class="fine"') == 1
    assert 'type="checkbox"' not in written(unscored(made_page()), tmp_path)


def test_an_index_counts_wrong_answers_and_can_be_filtered_to_them(tmp_path: Path) -> None:
    fine = made_page("fine")
    right = next(one.verdict for one in fine.shown if one.verdict and not one.is_wrong)
    fine = replace(fine, shown=tuple(replace(one, verdict=right) for one in fine.shown))
    pages = [made_page(), fine, unscored(made_page("unknown"))]
    text = write_pages(pages, tmp_path, "cell <x>").read_text()
    body = text.split("</style>")[1]
    assert "only wrong answers: 1 of 8 (exact match below 1)</label>" in body
    assert body.index('id="only-wrong"') < body.index("<table>")
    assert body.count('<tr class="fine">') == 2
    # Under its group, where only wrong answers are asked for.
    assert body.count('<tr class="when-wrong">') == 1
    assert '<td class="number">Q3</td><td colspan="6" dir="auto">Which pet?' in body
    assert "(no answer) ✗</span>" in body and "right: cat</span>" in body
    assert "#only-wrong:not(:checked) ~ table .when-wrong" in text
    plain = write_pages([unscored(made_page())], tmp_path, "cell").read_text().split("</style>")[1]
    assert "only-wrong" not in plain and "<th>wrong</th>" not in plain


def test_branches_stand_in_lanes_below_the_timeline(tmp_path: Path) -> None:
    trace = outlined([ATTACK, "Ben"], ["a <b>baker</b> & co"])
    body = written(made_page(trace=trace), tmp_path).split("</style>")[1]
    assert body.index("<h2>Timeline</h2>") < body.index("<h2>Branches over time</h2>")
    assert body.count('<rect class="generated"') == len(trace.asks) == 8
    assert body.count('<line class="read"') == len(trace.branches) == 7
    assert body.count('<path class="connector fork"') == body.count('<path class="connector join"') == 4
    assert body.count('<div class="words label"') == 5
    for role in ("intro", "outline", "branch", "answer"):
        assert f"</span> {role}" in body
    assert "<script>document.title" not in body and "<b>baker" not in body
    assert "a &lt;b&gt;baker&lt;/b&gt; &amp; co</div>" in body
    assert "A lane a branch" in body


def test_lanes_lie_inside_of_their_drawing(tmp_path: Path) -> None:
    body = written(made_page(trace=outlined(list("abc"), ["a baker"])), tmp_path).split("</style>")[1]
    drawing = body[body.index('<svg class="lanes"') :].split("</svg>")[0]
    left, top, width, height = map(float, re.findall(r'viewBox="(.*?)"', drawing)[0].split())
    boxes = re.findall(
        r'<rect class="generated" x="(.*?)" y="(.*?)" width="(.*?)" height="(.*?)"', drawing
    )
    assert len(boxes) == 9
    for x, y, wide, high in (map(float, box) for box in boxes):
        assert x >= 0 and x + wide <= 1000.01 <= left + width
        assert top <= y and y + high <= top + height
    steps = re.findall(r'class="connector \w+" d="M(\S+) \S+ H(\S+) V\S+ H(\S+?)"', drawing)
    assert len(steps) == 10
    assert all(float(start) <= float(turn) <= float(end) for start, turn, end in steps)


def test_without_branches_the_timeline_stands_alone(tmp_path: Path) -> None:
    body = written(made_page(), tmp_path).split("</style>")[1]
    assert "Branches over time" not in body and 'class="lanes"' not in body


def test_no_name_of_a_group_leaves_the_folder() -> None:
    for name in ("../../etc/passwd", "index", "a/b\\c", "Größe"):
        assert "/" not in page_name(name)
        assert page_name(name).startswith("group-")
    names = ("血压", "肝脏", "a/b", "a_b", "x" * 300, "x" * 301)
    assert len({page_name(name) for name in names}) == len(names)
    assert all(len(page_name(name)) < 100 for name in names)


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium is installed")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


def test_a_real_browser_opens_it_offline(browser, tmp_path: Path) -> None:
    index = write_pages([made_page(), made_page("other")], tmp_path, "cell <x>")
    context = browser.new_context(offline=True)
    tab = context.new_page()
    problems: list[str] = []
    tab.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    tab.on("pageerror", lambda error: problems.append(str(error)))
    tab.on("requestfailed", lambda request: problems.append(request.url))
    tab.goto(index.as_uri())
    tab.click("text=w<1>/0")
    assert tab.title() == "w<1>/0 · Branchwise"
    assert "<script>document.title" in tab.locator("#q2").inner_text()
    assert tab.locator("svg rect.node").count() == 4
    assert tab.locator("path.edge").count() == 4
    assert tab.locator("path.edge.missed").count() == 1
    tab.keyboard.press("j")
    tab.keyboard.press("j")
    assert tab.evaluate("document.activeElement.id") == "q2"
    assert tab.locator("#q2 details").get_attribute("open") is None
    tab.keyboard.press("Enter")
    assert tab.locator("#q2 details pre").first.is_visible()
    tab.keyboard.press("k")
    assert tab.evaluate("document.activeElement.id") == "q1"
    tab.focus("#only-wrong")
    tab.keyboard.press("Space")
    assert [tab.locator(f"#q{n}").is_visible() for n in (1, 2, 3, 4)] == [False, False, True, False]
    tab.keyboard.press("j")
    assert tab.evaluate("document.activeElement.id") == "q3"
    tab.screenshot(path=tmp_path / "page.png", full_page=True)
    assert (tmp_path / "page.png").stat().st_size > 10_000
    tab.keyboard.press("ArrowRight")
    tab.wait_for_url("**/group-other.html")
    assert problems == []
    context.close()
