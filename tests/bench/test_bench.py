"""The benchmark measures what it says; how long things take is nobody's assertion here."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.architectures import model_of
from typer.testing import CliRunner

from branchwise.bench import shapes
from branchwise.bench.floor import Cost, Machine
from branchwise.bench.layouts import LAYOUTS
from branchwise.bench.published import SHAPES
from branchwise.bench.runner import end_to_end, measure
from branchwise.bench.shapes import build
from branchwise.bench.studies import agreement, early_finish, one_row
from branchwise.commands.main import app
from branchwise.commands.registered import import_all
from branchwise.errors import UserError

CPU = torch.device("cpu")


def quiet(line: str) -> None:
    pass


@pytest.fixture(scope="module")
def model():
    model = model_of("qwen2")
    eos, model.generation_config.eos_token_id = model.generation_config.eos_token_id, None
    yield model
    model.generation_config.eos_token_id = eos


@pytest.fixture(scope="module")
def measured(model) -> dict[str, Any]:
    """All layouts at a prefix of 20 tokens with 3 branches, 5 steps."""
    return measure(model, [20], [3], 5, log=quiet)


def test_every_layout_says_the_same_tokens(measured: dict[str, Any]) -> None:
    assert [row["layout"] for row in measured["rows"]] == [layout.name for layout in LAYOUTS]
    assert all(row["same_tokens"] == 1 for row in measured["rows"])
    assert measured["bytes_per_s"] > 0 < measured["flop_per_s"]


def test_memory_is_counted_per_layout(model, measured: dict[str, Any]) -> None:
    """K (P + sum of branches) in one tree, B K (P + branch) in a batch."""
    rows = {row["layout"]: row for row in measured["rows"]}
    per_token = Cost.of(model).key_bytes
    # Six tokens of each branch were made; the last one's keys are not computed yet.
    assert rows["tree"]["kv_bytes"] == per_token * (20 + 3 * (16 + 5))
    assert rows["padded batch"]["kv_bytes"] == per_token * 3 * (20 + 16 + 5)


def test_work_with_early_ends_is_the_sum_of_lengths(model) -> None:
    result = early_finish(model, 20, 6, 2, 9, log=quiet)
    # The first token of each branch comes with the prompt, and the last is never fed back.
    assert result["uneven"]["rows"] == result["sum_of_lengths"] - 6
    assert result["all as long as the longest"]["rows"] == result["branches_times_longest"] - 6


def test_whole_runs_are_timed_for_each_layout(model) -> None:
    rows = end_to_end(model, 12, 2, 3, 2, LAYOUTS[1:3], log=quiet)
    assert [len(row["total_s_all"]) for row in rows] == [2, 2]


def test_bfloat16_is_compared_with_fp32_of_the_same_weights(model) -> None:
    before = model.dtype
    result = agreement(model, 12, 4, 6, log=quiet)
    assert 0 < result["tokens"] <= 1
    assert 0 <= result["branches"] <= result["tokens"]
    assert model.dtype == before


def test_costs_are_those_of_the_published_shape() -> None:
    """0.5 B: 12.3 kB of cache a token in bf16; lm_head is tied and read once a step."""
    model = build("qwen2.5-0.5b", torch.device("meta"), torch.bfloat16)
    cost = Cost.of(model)
    assert cost.key_bytes == 2 * 24 * 2 * 64 * 2
    assert 0.98e9 < cost.weight_bytes < 1.0e9
    slow = Machine(bytes_per_s=1e9, flop_per_s=1e15)
    expected = (cost.weight_bytes + cost.key_bytes * (2048 + 8 * 64)) / 1e9
    assert cost.step_floor_s(slow, 2048, 8, 64) == pytest.approx(expected)
    assert set(SHAPES) >= {"qwen2.5-0.5b", "qwen2.5-7b"}


def test_a_shape_beyond_all_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "_memory_of", lambda device: 2**30)
    with pytest.raises(
        UserError, match=r"takes 1\.8 GiB in float32, and cpu has 1\.0 GiB; give --layers"
    ):
        build("qwen2.5-0.5b", CPU, torch.float32)
    assert build("qwen2.5-0.5b", CPU, torch.float32, num_layers=1, vocabulary=64).num_parameters() > 0


def test_the_command_writes_a_result(tmp_path: Path) -> None:
    import_all()
    out = tmp_path / "deep" / "bench.json"
    arguments = "bench --layers 1 --vocabulary 64 --prefix 8 --branches 2 --steps 3 --layout tree --out"
    result = CliRunner().invoke(app, [*arguments.split(), str(out)])
    assert result.exit_code == 0, result.output
    (row,) = json.loads(out.read_text())["rows"]
    assert row["layout"] == "tree"
    wrong = CliRunner().invoke(app, ["bench", "--layers", "1", "--layout", "magic"])
    assert wrong.exit_code == 2


def test_one_row_is_timed_beside_generate_and_generate_beside_itself(model) -> None:
    result = one_row(model, 12, 5, repeats=2, log=quiet)["layouts"]
    assert set(result) == {"generate", "generate, again", "tree", "tree in torch"}
    assert result["generate"]["over_generate"] == 1
    assert all(len(one["step_s_all"]) == 2 for one in result.values())


def test_decoding_and_bench_run_on_a_bare_gpu_machine() -> None:
    """They import nothing that a machine with torch, transformers, typer and rich lacks."""
    script = (
        "import sys\n"
        "import branchwise.bench.command, branchwise.bench.runner, branchwise.bench.shapes\n"
        "import branchwise.decoding.engine, branchwise.decoding.reference\n"
        "import branchwise.decoding.models.chat\n"
        "mine = {m for m in sys.modules if m.startswith('branchwise')}\n"
        "rooms = ('branchwise.decoding', 'branchwise.bench')\n"
        "print(sorted(m for m in mine if not m.startswith(rooms)))\n"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "['branchwise', 'branchwise.errors', 'branchwise.files']"


def test_the_figure_has_every_layout_and_the_floor(model, tmp_path: Path) -> None:
    from branchwise.reporting.speed import draw_speed, write_speed

    result = measure(model, [8, 16], [1, 2], 3, LAYOUTS[-2:], log=quiet)
    axes = draw_speed(result).axes
    assert [axis.get_title() for axis in axes if axis.get_visible()] == [
        "prefix 8",
        "prefix 16",
        "2 branches",
    ]
    assert len(axes[0].get_lines()) == 3
    write_speed(result, tmp_path / "speed")
    assert (tmp_path / "speed.pdf").stat().st_size > 1000
    with pytest.raises(UserError, match="schema"):
        draw_speed(result | {"schema": 0})
