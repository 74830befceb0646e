"""`snakemake --report`, in a real browser without a network: all that a run made can be seen in it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from branchwise.config.load import load_experiment
from branchwise.reporting import figures_of, tables_of
from tests.workflow.project import snakemake

PICTURES = [f"figures/{kind}/small_g2/random/batch/tree/first.svg" for kind in ("lanes", "masks")]
ASKED = ["all", "pages", *PICTURES]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def report(finished: Path) -> Path:
    done = snakemake(finished, *ASKED)
    assert done.returncode == 0, done.stderr
    done = snakemake(finished, *ASKED, "--report", "report.html")
    # Jobs whose record is missing have no run times: snakemake warns of each.
    assert done.returncode == 0 and "Missing metadata" not in done.stderr, done.stderr
    return finished / "report.html"


class Reader:
    """Somebody who clicks through a report, and what goes wrong meanwhile."""

    def __init__(self, browser: Any, report: Path) -> None:
        self.tab = browser.new_context(offline=True, viewport={"width": 1300, "height": 900}).new_page()
        self.problems: list[str] = []
        self.tab.on(
            "console", lambda said: self.problems.append(said.text) if said.type == "error" else None
        )
        self.tab.on("pageerror", lambda error: self.problems.append(str(error)))
        self.tab.on("requestfailed", lambda request: self.problems.append(request.url))
        self.tab.on("download", lambda download: self.problems.append(f"download of {download.url[:60]}"))
        self.address = report.as_uri()

    def entries(self, category: str) -> list[str]:
        """What a category lists: the last word of each line."""
        self.tab.goto(self.address)
        self.tab.click(f"text={category}")
        self.tab.wait_for_selector("tbody tr")
        return [row.split("\t")[-2].strip() for row in self.tab.locator("tbody tr").all_inner_texts()]

    def press(self, entry: int, what: str) -> None:
        """Press a sign of an entry: `eye` or `information-circle`."""
        self.tab.locator("tbody tr").nth(entry).locator(f'a[iconname="{what}"]').click()


@pytest.fixture(scope="module")
def reader(report: Path) -> Iterator[Reader]:
    sync_api = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("no Chromium is installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield Reader(browser, report)
        browser.close()


@pytest.fixture(autouse=True)
def nothing_goes_wrong(reader: Reader) -> Iterator[None]:
    yield
    assert reader.problems == []


def test_it_begins_by_saying_what_it_is(reader: Reader) -> None:
    reader.tab.goto(reader.address)
    reader.tab.wait_for_selector("text=Experiment trial")
    text = reader.tab.inner_text("body")
    assert "2 strategies on 2 data sets" in text
    for category in ("Answers", "Branches over time", "Figures", "Masks", "Pages", "Tables"):
        assert category in text


def test_every_figure_is_a_picture_with_a_caption(reader: Reader, report: Path) -> None:
    experiment = load_experiment([report.parent / "config/trial.yaml"], root=report.parent)
    wanted = [name.replace("_", " ") for name in figures_of(experiment)]
    assert reader.entries("Figures") == sorted(wanted)
    for category in ("Figures", "Branches over time", "Masks"):
        for number, _ in enumerate(reader.entries(category)):
            reader.press(number, "eye")
            picture = reader.tab.locator('img[src*=".svg;base64"]').last
            picture.wait_for()
            assert picture.evaluate("image => image.complete && image.naturalWidth") > 100
        # The sign of information leaves the list.
        reader.press(0, "information-circle")
        reader.tab.wait_for_selector("text=Description")
        caption = reader.tab.inner_text("body").partition("DESCRIPTION")[2].partition("SIZE")[0]
        assert len(caption.split()) > 5 and "{{" not in caption


def test_every_table_can_be_read(reader: Reader, report: Path) -> None:
    experiment = load_experiment([report.parent / "config/trial.yaml"], root=report.parent)
    assert reader.entries("Tables") == sorted(tables_of(experiment))
    for number, name in enumerate(sorted(tables_of(experiment))):
        reader.press(number, "eye")
        page = reader.tab.frame_locator("iframe").last
        page.locator(f"h1:text-is('{name}')").wait_for()
        if (report.parent / f"results/tables/trial/{name}.csv").read_text().count("\n") > 1:
            assert page.locator("tbody tr").count() > 0
        written = (report.parent / f"results/tables/trial/{name}.md").read_text().split()
        assert written[-1] in page.locator("body").inner_text(), "what stands under it is missing"


@pytest.mark.parametrize("category", ["Answers", "Pages"])
def test_pages_are_shown(category: str, reader: Reader) -> None:
    assert len(reader.entries(category)) == 1
    reader.press(0, "eye")
    page = reader.tab.frame_locator("iframe").last
    page.locator("h1").wait_for()
    assert "small" in page.locator("body").inner_text()


def test_it_has_the_run_times_of_all_jobs(reader: Reader, report: Path) -> None:
    reader.tab.goto(reader.address)
    reader.tab.click("text=Statistics")
    reader.tab.locator("canvas").nth(1).wait_for()
    assert reader.tab.locator("canvas").count() == 2
    text = report.read_text(encoding="utf-8")
    for rule in (
        "prepare",
        "generate",
        "time",
        "evaluate",
        "tables",
        "draw",
        "cell_pages",
        "lanes",
        "mask",
    ):
        assert f'"rule": "{rule}"' in text, rule
    assert text.count('"runtime":') >= 20
