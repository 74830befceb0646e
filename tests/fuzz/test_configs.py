"""Config files, catalogues and what stands on the command line: whatever they hold, the answer is a
UserError of one line or an experiment that can be planned.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from branchwise.commands.options import experiment_from
from branchwise.config import load_experiment
from branchwise.config.catalogues import CATALOGUES
from branchwise.config.identity import cell_settings
from branchwise.config.load import load_catalogues
from branchwise.config.yaml_files import parsed, read_yaml
from branchwise.errors import UserError
from branchwise.files import value_hash
from tests.conftest import ROOT
from tests.fuzz.hostile import PIECES, broken, cases, changed, in_time, nested, texts

CONFIGS = [
    path
    for path in sorted((ROOT / "config").glob("*.yaml"))
    if "experiment:" in path.read_text(encoding="utf-8")
]
CONTENTS = [read_yaml(path) for path in CONFIGS]
# Entries of a catalogue are few and short here, so that a change meets one of each kind.
SMALL = """
experiment: small
datasets: [own, made]
models: [tiny]
strategies: [batch, mine]
decoders: [tree, mine]
timed_groups: 1
exclude: [{strategy: mine, decoder: tree}]
roles: {planner: tiny, encoder: minilm}
checkpoints: {}
judge: {base_url: "http://localhost:1/v1", model: m}
judged: [own]
define:
  datasets:
    own: {source: jsonl, path: own.jsonl}
    made: {source: worlds, kinds: [look_up], group_size: 2, num_groups: 2}
  models: {mine: {path: some/model}, gone: {gguf: a.gguf, hub: a/b, revision: abc}}
  strategies: {mine: {module: vote, options: {samples: 3}}}
  decoders: {mine: {kind: tree, kernel: dense, sampling: {temperature: 0.7, top_p: 0.9, seed: 1}}}
  dependencies: {mine: {kind: llm, selection: comparison}}
  paraphrases: {mine: {kind: generated}}
  styles: {mine: {form: completion}}
"""


def told(read: Any) -> Any:
    """What a reader gives; None where it says, in one line that names a remedy, why it gives nothing."""
    with in_time():
        try:
            return read()
        except UserError as error:
            assert error.problem and error.remedy
            assert len(str(error)) < 65_000, str(error)[:2000]
            # A terminal, or a log, can show it.
            str(error).encode("utf-8", "backslashreplace")
            return None


def planned(experiment: Any) -> None:
    """What is done with an experiment before anything runs: its cells have paths and settings."""
    if experiment is None:
        return
    for cell in experiment.cells[:3]:
        assert not cell.path.is_absolute()
        assert ".." not in cell.path.parts
        assert "\0" not in str(cell)
        told(lambda cell=cell: value_hash(cell_settings(experiment, cell)))


def _yaml(content: Any) -> bytes:
    return yaml.safe_dump(content, allow_unicode=False).encode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("configs")


@cases(0.35)
@given(data=st.data())
def test_a_config_that_is_changed(data: st.DataObject, folder: Path) -> None:
    content = data.draw(st.sampled_from([yaml.safe_load(SMALL), *CONTENTS]))
    content = data.draw(changed(content))
    path = folder / "changed.yaml"
    path.write_bytes(_yaml(content))
    planned(told(lambda: load_experiment([path])))


@cases(0.25)
@given(data=st.data())
def test_a_config_whose_bytes_are_changed(data: st.DataObject, folder: Path) -> None:
    content = data.draw(st.sampled_from([SMALL.encode(), *(path.read_bytes() for path in CONFIGS)]))
    path = folder / "broken.yaml"
    path.write_bytes(data.draw(broken(content)))
    planned(told(lambda: load_experiment([path])))


@cases(0.2)
@given(data=st.data())
def test_a_catalogue_that_is_changed(data: st.DataObject, folder: Path) -> None:
    axis = data.draw(st.sampled_from(CATALOGUES))
    whole = (ROOT / f"config/catalogues/{axis}.yaml").read_bytes()
    here = folder / "config/catalogues"
    here.mkdir(parents=True, exist_ok=True)
    for other in CATALOGUES:
        (here / f"{other}.yaml").write_bytes(b"{}")
    if data.draw(st.booleans()):
        whole = data.draw(broken(whole))
    else:
        entries = yaml.safe_load(whole) or {"a": {}}
        few = {name: entries[name] for name in data.draw(st.permutations(list(entries)))[:4]}
        whole = _yaml(data.draw(changed(few)))
    (here / f"{axis}.yaml").write_bytes(whole)
    told(lambda: load_catalogues(folder))


KEYS = st.one_of(
    st.sampled_from(
        "experiment datasets models strategies decoders exclude define roles judge checkpoints "
        "results figures style repeats smoke cached published max_new_tokens".split()
    ),
    texts,
)


@cases(0.2)
@given(key=KEYS, value=st.one_of(texts, st.sampled_from(PIECES).map(lambda one: one.decode("latin-1"))))
def test_a_key_that_is_set_by_hand(key: str, value: str) -> None:
    planned(told(lambda: experiment_from([], [f"{key}={value}"])))


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
MAPS = "a: &a {x: 1, y: 2}\n" + "".join(
    f"{after}: &{after} {{k: *{before}, l: *{before}, m: *{before}, n: *{before}}}\n"
    for before, after in zip("abcdefghijkl", "bcdefghijklm", strict=True)
)
PLACES = (
    "experiment",
    "datasets",
    "exclude",
    "define",
    "judge",
    "checkpoints",
    "roles",
    "max_new_tokens",
)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("bomb", "last"), [(BOMB, "i"), (MAPS, "m")], ids=["lists", "mappings"])
def test_a_small_file_that_unfolds_to_gigabytes(place: str, bomb: str, last: str, folder: Path) -> None:
    own = "".join(line for line in SMALL.splitlines(keepends=True) if not line.startswith(f"{place}:"))
    if place in ("define", "roles", "exclude", "judge", "checkpoints"):
        own = own.partition("exclude:")[0]
    path = folder / "bomb.yaml"
    path.write_text(f"{bomb}{own}\n{place}: *{last}\n", encoding="utf-8")
    assert told(lambda: load_experiment([path])) is None


@pytest.mark.parametrize("place", PLACES)
def test_a_value_that_holds_itself(place: str, folder: Path) -> None:
    own = "".join(
        line
        for line in SMALL.partition("exclude:")[0].splitlines(keepends=True)
        if not line.startswith(f"{place}:")
    )
    path = folder / "loop.yaml"
    for loop in ("&a [*a]", "&a {a: *a}", "&a {define: *a, datasets: [*a]}"):
        path.write_text(f"{own}\n{place}: {loop}\n", encoding="utf-8")
        assert told(lambda: load_experiment([path])) is None


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "a: " + "[" * 3000 + "]" * 3000, "- " * 5000, "{a: " * 3000]
)
def test_yaml_that_is_nested_too_deeply(text: str) -> None:
    with pytest.raises(UserError, match="deep"):
        parsed(text, "here")


@pytest.mark.parametrize(
    "text",
    [
        "2001-99-99",
        "!!int a",
        "!!float x",
        "0b",
        "1:99:999",
        "!!timestamp x",
        "!!binary é",
        "!!set [a]",
        "{[a]: 1}",
        "? {a: 1}\n: 2",
        "9" * 5000,
        "!!python/object/apply:os.system [id]",
        "\ud800",
        "\0",
        "!!omap [a]",
    ],
)
def test_yaml_whose_values_are_none(text: str) -> None:
    told(lambda: parsed(text, "here"))


def test_the_small_config_is_right(folder: Path) -> None:
    """What the tests above change is right before they change it."""
    path = folder / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    assert load_experiment([path]).cells
    assert len(CONTENTS) > 10
    assert nested(3) == [[[1]]]
