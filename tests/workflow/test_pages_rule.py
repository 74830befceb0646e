"""Pages of a whole experiment: on request, one folder a cell, and none of the default run's business."""

import re
from pathlib import Path

import pytest

from tests.workflow.project import copy_project, planned, snakemake, trial, write_config

pytestmark = pytest.mark.slow


def test_pages_of_an_experiment(root: Path, tmp_path: Path, random_model_folder: Path) -> None:
    copy_project(root, tmp_path)
    content = trial(random_model_folder, datasets=["small_g2"], decoders=["tree"], exclude=[], pages=2)
    write_config(tmp_path, "trial.yaml", content)
    done = snakemake(tmp_path, "pages")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "results/pages/trial"
    links = re.findall('<a href="(.*?)"', (folder / "index.html").read_text(encoding="utf-8"))
    assert links == [f"small_g2/random/{name}/tree/index.html" for name in ("sequential", "batch")]
    for link in links:
        index = folder / link
        inner = re.findall('<a href="(.*?)"', index.read_text(encoding="utf-8"))
        assert (index.parent / inner[0]).resolve() == folder / "index.html"
        assert len(inner) == 3
        assert all((index.parent / name).is_file() for name in inner)
    assert planned(tmp_path, "pages") == {}
    assert not {"pages", "cell_pages"} & set(planned(tmp_path))
    style = tmp_path / "lib/branchwise/reporting/templates/style.css.jinja"
    style.write_text(style.read_text() + ".more { color: red; }\n")
    assert planned(tmp_path, "pages") == {"pages": 1, "cell_pages": 2}
