"""Tokens and hours of a plan, by small cases that were computed by hand, and beside what was measured."""

import json
from collections import Counter
from pathlib import Path

import pytest

from branchwise.config import Cell, load_experiment
from branchwise.reporting.planning.asking import asked_of, texts_of, work_of
from branchwise.reporting.planning.facts import Device, ModelSize, devices, model_sizes, size_of_model
from branchwise.reporting.planning.folders import size_in
from branchwise.reporting.planning.hours import Pace, decode_s, num_devices, prefill_s, training_s
from branchwise.reporting.planning.making import timed_runs
from branchwise.reporting.planning.sizes import Size, size_of
from branchwise.reporting.planning.work import HINT, SHAPES, TURN, Asked, Texts, Work
from branchwise.strategies.loading import names

TEXTS = Texts(head=10, context=100, each=20, answer=5, steps=50, questions=4)
MODEL = ModelSize(billions=1.5, embedding=0.5, layers=10, heads=4, kv_heads=2, head_dim=8)
DEVICE = Device(
    flop_per_s=1e12, bytes_per_s=1e9, bytes_per_weight=2, launch_s=0.0, is_gpu=True, source="made"
)


@pytest.mark.parametrize(
    ("module", "asked", "sent", "unique", "generated", "rows"),
    [
        ("all_in_one", Asked(), 190, 180, 20, 1),
        # 4 prompts of 130, and turns of 20 + 5 + 12 before them: 0 + 1 + 2 + 3.
        ("sequential", Asked(), 520 + 6 * (25 + TURN), 180 + 3 * TURN, 20, 1),
        ("batch", Asked(), 520, 180, 20, 4),
        ("mixed", Asked(), 520, 180, 20, 4),
        # The prompts of a question are the same.
        ("vote", Asked(copies=5), 2600, 180, 100, 20),
        ("per_prompt", Asked(copies=5), 2600, 500, 100, 20),
        ("logit_fusion", Asked(copies=2), 1040, 260, 40, 8),
        # One answer a question, whose prompt holds both wordings.
        ("attention_fusion", Asked(copies=2), 4 * 150, 260, 20, 4),
        # Three known answers of 25, and a prompt of 150 + 80 that says three edges of 12.
        ("collab", Asked(), 595, 255, 20, 2),
        ("collab", Asked(planned=256), 595 + 230, 255 + 230, 20 + 36, 2),
        ("collab", Asked(planned=10), 595 + 230, 255 + 230, 20 + 10, 2),
        ("plain", Asked(), 520 + 4 * HINT, 180 + 4 * HINT, 200, 4),
        ("plain", Asked(draft=True), 520 + 4 * HINT, 180 + 4 * HINT, 100, 4),
        ("outline", Asked(), 520 + 4 * HINT, 180 + 4 * HINT, 200, 20),
        ("outline", Asked(recompute=True), 720 + 4 * HINT, 380 + 4 * HINT, 200, 20),
    ],
)
def test_a_group_of_four_by_hand(
    module: str, asked: Asked, sent: float, unique: float, generated: float, rows: float
) -> None:
    work = SHAPES[module](TEXTS, asked)
    assert (work.sent, work.unique, work.generated, work.rows) == (sent, unique, generated, rows)
    more = work.times(3)
    assert (more.sent, more.generated, more.rows) == (3 * sent, 3 * generated, rows)


def test_one_question_alone_costs_the_same_by_every_way_of_asking() -> None:
    one = TEXTS._replace(questions=1)
    found = {name: SHAPES[name](one, Asked()) for name in ("all_in_one", "sequential", "batch", "collab")}
    assert {(work.sent, work.unique, work.generated) for work in found.values()} == {(130, 120, 5)}


def test_every_strategy_of_the_library_has_a_shape() -> None:
    assert set(names()) == set(SHAPES)


def test_seconds_by_hand() -> None:
    """A thousand prompt tokens: 2 * 1e9 operations each, at half of 1e12 a second; 100 tokens in ten
    rows: ten passes over 2e9 bytes of weights, at half of 1e9 bytes a second.
    """
    work = Work(sent=3000, unique=1000, generated=100, rows=10, shared=0, own=0)
    pace = Pace(DEVICE, efficiency=0.5, shares=True, groups_at_once=1)
    assert prefill_s(work, MODEL, pace) == pytest.approx(4.0)
    assert prefill_s(work, MODEL, pace._replace(shares=False)) == pytest.approx(12.0)
    assert decode_s(work, MODEL, pace) == pytest.approx(40.0)
    assert decode_s(work, MODEL, pace._replace(groups_at_once=5)) == pytest.approx(8.0)
    # Keys: 2 * 10 layers * 2 heads * 8 * 2 bytes = 640 a token; of 1000 shared ones a row reads a tenth.
    seen = work._replace(shared=1000, own=20)
    assert decode_s(seen, MODEL, pace) == pytest.approx(40.0 + 2e-9 * 100 * 640 * 120)
    apart = decode_s(seen, MODEL, pace._replace(shares=False))
    assert apart == pytest.approx(40.0 + 2e-9 * 100 * 640 * 1020)
    # No pass is faster than its layers can be started.
    slow = DEVICE.model_copy(update={"launch_s": 1.0})
    assert decode_s(work, MODEL, pace._replace(device=slow)) == pytest.approx(10 * 10 * 1.0)
    assert training_s(1000, MODEL, DEVICE, 0.5, whole=False) == pytest.approx(8.0)
    assert training_s(1000, MODEL, DEVICE, 0.5, whole=True) == pytest.approx(12.0)


def test_a_model_that_does_not_fit_takes_several_devices() -> None:
    assert num_devices(MODEL, DEVICE) == 1
    # 1.2 * 1.5 billion * 2 bytes are 3.6 GB.
    needed = {
        gb: num_devices(MODEL, DEVICE.model_copy(update={"memory_gb": gb})) for gb in (4, 3.6, 2, 1)
    }
    assert needed == {4: 1, 3.6: 1, 2: 2, 1: 4}


def test_sizes_of_models_are_those_of_the_shipped_shapes(root: Path) -> None:
    """Those that the library knows by their config.json, one of them a file of this repository."""
    from branchwise.bench.published import SHAPES as PUBLISHED

    known = {
        "qwen2.5-0.5b": "Qwen/Qwen2.5-0.5B-Instruct",
        "qwen2.5-7b": "Qwen/Qwen2.5-7B-Instruct",
        "qwen3-4b": "Qwen/Qwen3-4B",
        "llama-3.1-8b": "meta-llama/Llama-3.1-8B-Instruct",
        "smollm2-135m": "HuggingFaceTB/SmolLM2-135M-Instruct",
    }
    shapes = {model_sizes()[hub]: PUBLISHED[name] for name, hub in known.items()}
    tiny = json.loads((root / "resources/models/tiny/config.json").read_text())
    for size, shape in {**shapes, model_sizes()["tiny"]: tiny}.items():
        heads = shape["num_attention_heads"]
        assert size.layers == shape["num_hidden_layers"] and size.heads == heads
        assert size.kv_heads == shape["num_key_value_heads"]
        assert size.head_dim == shape.get("head_dim", shape["hidden_size"] // heads)
        assert size.num_weights == pytest.approx(_num_weights(shape), rel=0.02)


def test_a_model_in_a_folder_is_as_large_as_its_files(root: Path, tmp_path: Path) -> None:
    found, stated = size_in(root / "resources/models/tiny"), model_sizes()["tiny"]
    assert found is not None and found.num_weights == pytest.approx(stated.num_weights, rel=0.02)
    assert found.model_copy(update={"billions": stated.billions}) == stated
    # 5e9 bytes of bfloat16, with two tables of 1000 x 64; a file of holes is as large as it says.
    config = {
        **{"num_hidden_layers": 2, "num_attention_heads": 8, "hidden_size": 64, "vocab_size": 1000},
        **{"tie_word_embeddings": False, "torch_dtype": "bfloat16"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    with (tmp_path / "model-00001.safetensors").open("wb") as file:
        file.truncate(5_000_000_000)
    two = ModelSize(billions=2.5, embedding=64e-6, layers=2, heads=8, kv_heads=8, head_dim=8)
    assert size_in(tmp_path) == two
    for text in ("{", "[]", "{}", json.dumps({**config, "torch_dtype": "int4"})):
        (tmp_path / "config.json").write_text(text)
        assert size_in(tmp_path) is None
    assert size_in(tmp_path / "nowhere") is None


def _num_weights(shape: dict[str, int]) -> float:
    """Of a gated network, without the norms: what a pass multiplies by."""
    hidden, heads = shape["hidden_size"], shape["num_attention_heads"]
    width = shape.get("head_dim", hidden // heads)
    attention = 2 * hidden * width * (heads + shape["num_key_value_heads"])
    layer = attention + 3 * hidden * shape["intermediate_size"]
    return shape["num_hidden_layers"] * layer + shape["vocab_size"] * hidden


def test_every_model_with_weights_in_the_catalogue_has_a_size(root: Path) -> None:
    entries = load_experiment([root / "config/demo.yaml"]).catalogues.models
    without = [name for name, one in entries.items() if one.is_here and size_of_model(name, one) is None]
    assert without == []
    assert all(device.source for device in devices().values())


def test_a_thinking_model_uses_up_its_budget_and_samples_are_counted(root: Path) -> None:
    config = root / "config/demo.yaml"
    experiment = load_experiment([config], {"models": ["qwen3-4b", "qwen3-4b-thinking"]})
    size = Size(1, 4, 100, 0, 20, 5, None, "made")
    cell = Cell(experiment.datasets[0], "qwen3-4b", "batch", "tree")
    plain, thinking = (
        texts_of(experiment, cell._replace(model=name), size) for name in experiment.models
    )
    assert (plain.answer, thinking.answer) == (5 + 8, experiment.max_new_tokens)
    assert asked_of(experiment, "vote").copies == 5 and asked_of(experiment, "per_prompt").copies == 5
    assert asked_of(experiment, "collab_llm").planned == 256
    assert asked_of(experiment, "outline_recompute").recompute
    assert asked_of(experiment, "chain_of_draft").draft


def test_times_are_taken_of_repeats_and_a_warm_up_twice_of_the_baseline(root: Path) -> None:
    changes = {"strategies": ["batch", "sequential"], "decoders": ["tree"], "repeats": 3}
    experiment = load_experiment([root / "config/demo.yaml"], {**changes, "exclude": []})
    by_strategy = {cell.strategy: count for cell, count in timed_runs(experiment).items()}
    assert by_strategy == {"batch": 8, "sequential": 4}
    experiment = load_experiment(
        [root / "config/demo.yaml"], {**changes, "timed_groups": 0, "exclude": []}
    )
    assert timed_runs(experiment) == Counter()


def test_it_is_near_what_was_measured_on_a_real_model(root: Path) -> None:
    """SmolLM2-135M on 50 groups of SQuAD (resources/real): what was sent within a tenth, what had to be
    computed and was said within a fifth, where replies are answers.
    """
    experiment = load_experiment([root / "config/real_squad.yaml"])
    size = size_of(experiment, "squad_real_g5")
    checked = 0
    for file in (root / "resources/real/cells").rglob("scores.json"):
        scores = json.loads(file.read_text())
        cell = Cell(**scores["cell"])
        if cell not in experiment.cells:
            continue
        work = work_of(experiment, cell, size)
        measured = {name: scores["metrics"][name]["value"] for name in ("sent", "unique", "generated")}
        assert work.sent == pytest.approx(measured["sent"], rel=0.1), cell
        if cell.strategy in ("batch", "sequential"):
            assert work.unique == pytest.approx(measured["unique"], rel=0.25), cell
            assert work.generated == pytest.approx(measured["generated"], rel=0.2), cell
        checked += 1
    assert checked == 5
