"""What an experiment will need, from files whose sizes are known."""

import json
import struct
from math import prod
from pathlib import Path
from typing import Any

import pytest

from branchwise.config.identity import groups_name
from branchwise.data.groups_file import Preparation
from branchwise.decoding.models.entry import ModelEntry
from branchwise.doctor import needs, room
from branchwise.doctor.fact import Fact
from branchwise.doctor.models import Hub
from tests.finished import NUM_GROUPS, Finished

SHAPES = {"a": ("BF16", [10, 20]), "b": ("F32", [7])}
CONFIG = {"num_hidden_layers": 3, "num_attention_heads": 8, "num_key_value_heads": 2, "hidden_size": 64}


def model(folder: Path, config: dict[str, Any] = CONFIG) -> Path:
    """A folder with headers of weights, and no weights."""
    folder.mkdir()
    header = {
        name: {"dtype": kind, "shape": shape, "data_offsets": [0, 0]}
        for name, (kind, shape) in SHAPES.items()
    }
    data = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(data)) + data)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("dtype", "on_cpu", "weights", "kv"),
    [
        ("auto", True, 4 * 207, 2 * 3 * 2 * 8 * 4),
        ("auto", False, 2 * 200 + 4 * 7, 2 * 3 * 2 * 8 * 2),
        ("float16", True, 2 * 207, 2 * 3 * 2 * 8 * 2),
    ],
)
def test_weights_and_cache_of_a_folder(
    tmp_path: Path, dtype: Any, on_cpu: bool, weights: int, kv: int
) -> None:
    entry = ModelEntry(path=str(model(tmp_path / "m")), dtype=dtype)
    assert needs.needs_of("m", entry, on_cpu, {}) == ("m", weights, 0, kv)
    assert sum(prod(shape) for _, shape in SHAPES.values()) == 207


def test_a_folder_that_says_less(tmp_path: Path) -> None:
    odd = model(tmp_path / "odd", {"n_layer": 3})
    assert needs.needs_of("m", ModelEntry(path=str(odd)), True, {}).kv_of_token is None
    (odd / "model.safetensors").write_bytes(b"\xff" * 20)
    assert needs.needs_of("m", ModelEntry(path=str(odd)), True, {}).weights is None


def test_a_model_of_the_hub_as_the_hub_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    entry = ModelEntry(hub="nobody/nothing-of-the-kind")
    sizes = {"nobody/nothing-of-the-kind": {"BF16": 1000, "F32": 10}}
    assert needs.needs_of("m", entry, True, sizes) == ("m", 4 * 1010, 2040, None)
    assert needs.needs_of("m", entry, True, {}) == ("m", None, None, None)


def prepare(finished: Finished, size: int) -> None:
    """Files of groups of so many bytes."""
    for name in finished.experiment.datasets:
        path = finished.results / f"groups/{name}/{groups_name(finished.experiment, name)}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        header = Preparation(num_groups=NUM_GROUPS, num_questions=6).model_dump_json() + "\n"
        path.write_text(header + "x" * (size - len(header)))


def facts(finished: Finished) -> dict[str, Fact]:
    return {one.what: one for one in room.room(finished.experiment, ["tiny"], Hub())}


def test_results_and_cache_are_known_once_groups_are_prepared(tmp_path: Path) -> None:
    finished = Finished(tmp_path)
    said = facts(finished)
    assert "keys and values unknown until groups are prepared" in said["memory for tiny"].found
    assert "need unknown until groups are prepared" in said["results"].found
    prepare(finished, 20_000)
    groups = needs.groups_of(finished.experiment)
    assert groups["one"] == (NUM_GROUPS, 6, 10_000)
    # Four cells of six answers, each with its prompt twice and a bit.
    assert needs.result_bytes(finished.experiment, groups) == 4 * 6 * (1500 + 22_000)
    one = needs.ModelNeed("tiny", 1, 0, 100)
    tokens = 10_000 / 3 + 3 * (32 + 50)
    assert needs.kv_bytes(finished.experiment, one, groups) == round(16 * tokens * 100)
    said = facts(finished)
    assert "unknown" not in said["memory for tiny"].found + said["results"].found


def test_too_little_memory_and_disk_is_a_problem_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = Finished(tmp_path)
    assert not any(one.problem for one in facts(finished).values())
    monkeypatch.setattr(room, "free_memory", lambda: 2**20)

    class Usage:
        free = 1000

    monkeypatch.setattr(room.shutil, "disk_usage", lambda place: Usage)
    prepare(finished, 20_000)
    said = facts(finished)
    memory = said["memory for tiny"]
    assert memory.needed and memory.problem.startswith("1.0 MiB are free: take a smaller model or dtype")
    assert said["results"].problem.startswith(
        "0.0 MiB are free, about 0.5 MiB needed: free some, or name"
    )
    assert "TMPDIR" in said["temporary files"].problem


def test_a_scheduler_that_is_asked_for_too_little(tmp_path: Path) -> None:
    finished = Finished(tmp_path, memory_mb=300)
    memory = facts(finished)["memory for tiny"]
    assert not memory.needed
    assert memory.problem.startswith("a scheduler is asked for 300 MB: write `memory_mb: 700`")


def test_data_that_only_an_unreachable_hub_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Away(Hub):
        def check(self) -> str:
            return "no network"

    finished = Finished(tmp_path)
    (quiet,) = room.network(finished.experiment, Away())
    assert (quiet.found, quiet.problem) == (
        "not reachable (no network); not needed for the config's data",
        "",
    )
    finished.change(datasets=["squad_g5"])
    (told,) = room.network(finished.experiment, Away())
    assert told.needed
    assert told.problem.startswith(
        "squad_g5 is read from the hub, which cannot be reached: go online once"
    )


def test_a_hub_that_was_not_reached_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked = []

    class Session:
        def head(self, url: str, timeout: float) -> None:
            asked.append((url, timeout))
            raise OSError("no route")

    monkeypatch.setattr(huggingface_hub, "get_session", Session)
    hub = Hub()
    assert "no route" in hub.check() and "no route" in hub.check()
    assert len(asked) == 1 and asked[0][1] <= 10
