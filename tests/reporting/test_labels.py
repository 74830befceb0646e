"""Labels are anybody's text: dollar signs, line breaks, Chinese. Every figure and table survives them."""

from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from branchwise.config.load import parse_experiment
from branchwise.reporting import style, tables
from branchwise.reporting.frames import Results, one_line, title

CHINESE = "逐个问答（简体）"


def titled(text: str) -> Figure:
    figure, axis = plt.subplots(layout="constrained")
    axis.set_title(text)
    axis.plot([1, 2], label=text)
    figure.legend()
    return figure


def drawn(text: str, folder: Path) -> None:
    with style.styled():
        style.save(titled(text), folder / "figure")


@pytest.fixture
def without_cjk(monkeypatch: pytest.MonkeyPatch):
    """As if the extra were not installed; what was found or said before is forgotten."""
    monkeypatch.setattr(style, "CJK_PACKAGE", "no_such_package")
    for cached in (style.cjk_family, style._say):
        cached.cache_clear()
    yield
    for cached in (style.cjk_family, style._say):
        cached.cache_clear()


@pytest.mark.parametrize("text", ["from $5 to $6 a question", r"$\frac$", "$", "50 % & x_y^2 \\alpha {"])
def test_dollar_signs_are_dollar_signs(text: str, tmp_path: Path) -> None:
    drawn(text, tmp_path)
    written = f"<!-- {text.replace('&', '&amp;')} -->"
    assert written in (tmp_path / "figure.svg").read_text()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one\ntwo", "one two"),
        (" a\r\n\tb\u2028c\u0085 ", "a b c"),
        ("bell\x07 and null\x00", "bell and null"),
        ("\n", ""),
        (CHINESE, CHINESE),
    ],
)
def test_a_label_is_one_line(text: str, line: str) -> None:
    assert one_line(text) == line


def test_labels_of_a_config_become_one_line_and_an_empty_one_the_key(root: Path) -> None:
    entry = {"module": "batch"}
    strategies = {"torn": {**entry, "label": "a\nb | $c$"}, "no_name": {**entry, "label": "\n"}}
    content = {
        "experiment": "made",
        "datasets": ["worlds_two_hop_g2"],
        "models": ["tiny"],
        "strategies": list(strategies),
        "decoders": ["tree"],
        "baseline": "torn",
        "define": {"strategies": strategies},
    }
    results = Results(parse_experiment(content, "made", root), {})
    assert results.label("strategy", "torn") == "a b | $c$"
    assert results.label("strategy", "no_name") == "no name"
    assert title("worlds_\ng2") == "worlds g2"


def test_chinese_has_a_font_where_the_extra_is_installed(tmp_path: Path, capfd, recwarn) -> None:
    if find_spec(style.CJK_PACKAGE) is None:
        pytest.skip("the extra cjk is not installed")
    drawn(f"{CHINESE} and Größe", tmp_path)
    assert style.cjk_family() == "Noto Sans SC"
    assert b"NotoSansSC" in (tmp_path / "figure.pdf").read_bytes()
    assert b"DejaVuSans" in (tmp_path / "figure.pdf").read_bytes()
    assert capfd.readouterr().err == ""
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_without_it_one_line_names_the_extra(without_cjk, tmp_path: Path, capfd, recwarn) -> None:
    for folder in ("one", "two"):
        drawn(f"{CHINESE} 汉字", tmp_path / folder)
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("warning: labels hold Chinese")
    assert "branchwise[cjk]" in line
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_what_no_font_has_is_named(tmp_path: Path, capfd, recwarn) -> None:
    style._say.cache_clear()
    drawn("Thai ก, \U00013000", tmp_path)
    (line,) = capfd.readouterr().err.splitlines()
    assert "no font here has ก \U00013000" in line
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_the_extra_changes_no_figure_without_chinese(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    drawn("plain, Größe", tmp_path / "with")
    monkeypatch.setattr(style, "cjk_family", lambda: None)
    drawn("plain, Größe", tmp_path / "without")
    for suffix in style.FORMATS:
        one, two = (tmp_path / folder / f"figure.{suffix}" for folder in ("with", "without"))
        assert one.read_bytes() == two.read_bytes()


def test_small_print_replaces_no_label(tmp_path: Path) -> None:
    with style.styled():
        figure = titled("x")
        figure.supxlabel("wall time")
        style.save(figure, tmp_path / "figure", about="cached results")
    text = (tmp_path / "figure.svg").read_text()
    assert "<!-- wall time" in text
    assert "<!-- cached results -->" in text


def test_a_markdown_table_holds_any_cell() -> None:
    frame = pd.DataFrame(
        {
            "name": ["a | b", "[x](y) $1$", "", "on\ntwo lines"],
            "EM | %": ["5.10 [4.00, 6.20]", "007", "1e5", "nan"],
            "n": [3, 10, 0, -1],
            "p": ["0.0500", "1.0000", "0.1", ""],
        }
    )
    lines = tables.markdown(frame).splitlines()
    assert len(lines) == 2 + len(frame)
    cells = [[cell.strip() for cell in line.replace("\\|", "¦").strip("|").split("|")] for line in lines]
    assert cells[0] == ["name", "EM ¦ %", "n", "p"]
    assert set("".join(cells[1])) <= set(":-")
    assert cells[2:] == [
        ["a ¦ b", "5.10 [4.00, 6.20]", "3", "0.0500"],
        ["[x](y) $1$", "007", "10", "1.0000"],
        ["", "1e5", "0", "0.1"],
        ["on two lines", "nan", "-1", ""],
    ]


def test_an_empty_table_still_has_its_head() -> None:
    assert tables.markdown(pd.DataFrame(columns=["a", "b"])).splitlines()[0].split() == list("|a|b|")
