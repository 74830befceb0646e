"""`branchwise lanes`: a figure from what a cell keeps, without torch, and what is refused."""

from pathlib import Path

import pytest

from tests.commands.small import Small, told, without_torch

NAME = "own/random/collab_gold_see/tree"


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory, random_model_folder: Path) -> Small:
    """A cell with branches, where the workflow puts it."""
    from branchwise.config.identity import scores_path

    folder = tmp_path_factory.mktemp("lanes")
    more = {"strategies": ["batch", "collab_gold_see"], "results": str(folder / "results")}
    small = Small(folder, random_model_folder, **more)
    cell = next(one for one in small.experiment.cells if str(one) == NAME)
    scores = folder / "results/cells" / scores_path(small.experiment, cell)
    axes = [word for axis, name in cell._asdict().items() for word in (f"--{axis}", name)]
    groups, found = small.groups("own"), folder / "found.jsonl"
    depend = ("depend --dependencies gold --dataset own --model random", "--groups", groups)
    made = ("--groups", groups, "--dependencies", found, "--out", scores.parent.parent)
    for done in (
        small.run(*depend, "--out", found),
        small.run("generate", *axes, *made),
        small.run("evaluate cell", "--cell", scores.parent.parent, "--out", scores),
    ):
        assert done.exit_code == 0, done.output
    return small


def test_a_cell_is_drawn_by_its_name_and_by_its_folder(answered: Small, tmp_path: Path) -> None:
    done = without_torch("lanes", NAME, "--config", answered.config, "--out", tmp_path / "named")
    assert f"figure in {tmp_path / 'named'}.svg, .pdf and .png" in done.stderr
    svg = (tmp_path / "named.svg").read_text(encoding="utf-8")
    assert "fork, only read:" in svg and "answer, " in svg
    folder = answered.folder / "results/cells" / NAME
    done = answered.run("lanes", folder, "--group", "g", "--out", tmp_path / "found")
    assert done.exit_code == 0, done.output
    for suffix in ("svg", "pdf", "png"):
        one, other = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("named", "found"))
        assert one == other


def test_what_lanes_refuse_is_one_line(answered: Small, tmp_path: Path) -> None:
    def problem(*words: object) -> str:
        return told(answered.run("lanes", *words, "--out", tmp_path / "none"))

    assert "has no group nobody among its 1; the first are: g" in problem(NAME, "--group", "nobody")
    assert "no strategy batsh in trial" in problem("own/random/batsh/tree")
    assert "does not exist; run the stage" in problem("own/random/batch/tree")
    trace = next((answered.folder / "results/cells" / NAME).glob("*/trace.jsonl"))
    kept = trace.read_bytes()
    trace.unlink()
    assert f"the trace of {NAME} is not kept beside its scores" in problem(NAME)
    trace.write_bytes(kept)
    assert not list(tmp_path.iterdir())
