"""Pages: escaped, self-contained, usable by keyboard, and opened in a real browser."""

import shutil
from pathlib import Path

import pytest

from branchwise.data.types import Group, Question
from branchwise.reporting.pages import Page, make_page, page_name, write_pages
from branchwise.results import (
    AnswerRow,
    GroupDependencies,
    GroupRecord,
    GroupRun,
    QuestionScore,
)
from branchwise.trace import AskRecord, GroupTrace, Tokens

TOKENS = Tokens(sent=40, unique=10, cached=30, generated=3, padding=0)
ATTACK = "<script>document.title = 'owned'</script> Where does <b>Mara</b> & co live?"


def made_page(name: str = "w<1>/0") -> Page:
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
        candidates=(),
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
        wall_s=(0.03,),
        ideal_s=0.02,
        forward_passes=4,
        num_asks=4,
        tokens=TOKENS,
        tokens_by_role={"answerer": TOKENS},
        dependencies=found,
    )
    scores = {
        q.id: QuestionScore(
            **{"group": name, "question": q.id, "kind": "k", "guess": None, "lenient": 1},
            **{"em": float(q.id != "q3"), "em_strict": 1, "f1": 1, "well_formed": 1},
        )
        for q in questions
    }
    asks = tuple(
        AskRecord(
            **{"role": "answer", "questions": (q.id,), "after": (), "prompt": f"<|im_start|>{q.text}"},
            **{"raw": "<answer>x</answer>", "stop": "stop", "tokens": TOKENS, "num_steps": 1},
            **{"start_s": times[q.id][0], "end_s": times[q.id][1]},
        )
        for q in questions
    )
    record = GroupRecord(answers=rows, run=run, trace=GroupTrace(group=name, asks=asks))
    return make_page(group, record, scores, "cell <x>")


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
    tab.screenshot(path=tmp_path / "page.png", full_page=True)
    assert (tmp_path / "page.png").stat().st_size > 10_000
    tab.keyboard.press("ArrowRight")
    tab.wait_for_url("**/group-other.html")
    assert problems == []
    context.close()
