"""Which groups fit a model, before its weights are read."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from branchwise.cells.runner import GroupRunner
from branchwise.data.types import Group, Question
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.decoders.tree import TreeEntry
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.fitting import fit_of, length_warnings
from branchwise.decoding.models.source import ModelSource
from branchwise.errors import DoesNotFit, UserError
from branchwise.prompts import PromptStyle, everything, single
from branchwise.strategies import load
from branchwise.training.vocabulary import save_tokenizer

STYLE = PromptStyle()
GROUPS = list(make_groups(WorldsSpec(kinds=("look_up", "choice"), group_size=4, num_groups=6)))


def folder_of(folder: Path, **config) -> ModelEntry:
    """A model folder without any weights."""
    save_tokenizer(folder, 512)
    (folder / "config.json").write_text(json.dumps(config))
    return ModelEntry(path=str(folder))


def longest(chat: ChatTokenizer, group: Group) -> int:
    return max(len(chat.prompt_ids(single(group, question, STYLE))) for question in group)


def test_alone_is_exact_at_the_very_limit(tmp_path: Path) -> None:
    chat = ChatTokenizer.load(Path(folder_of(tmp_path).path))
    needs = sorted(longest(chat, group) + 8 for group in GROUPS)
    for limit in (needs[0] - 1, needs[2], needs[-1] - 1, needs[-1]):
        fit = fit_of(GROUPS, STYLE, folder_of(tmp_path, max_position_embeddings=limit), 8)
        beyond = [group for group in GROUPS if longest(chat, group) + 8 > limit]
        assert (fit.max_context, fit.num_groups, fit.num_questions) == (limit, 6, 24)
        assert (fit.alone.num_groups, fit.alone.num_questions) == (len(beyond), 4 * len(beyond))


def test_together_is_a_bound_and_not_a_wide_one(tmp_path: Path) -> None:
    chat = ChatTokenizer.load(Path(folder_of(tmp_path).path))
    for group in GROUPS:
        entry = folder_of(tmp_path, max_position_embeddings=100)
        bound = fit_of([group], STYLE, entry, 8).together.longest_tokens
        at_once = len(chat.prompt_ids(everything(group, STYLE))) + 8 * len(group)
        assert at_once <= bound <= at_once + 16 * len(group)


@pytest.mark.parametrize("strategy", ["batch", "all_in_one", "sequential"])
def test_what_is_said_to_fit_does(random_model_folder: Path, strategy: str) -> None:
    """Asked for real, on a decoder whose context is as long as the check says that it has to be."""
    source = ModelSource(ModelEntry(path=str(random_model_folder), device="cpu"))
    decoder = TreeEntry(kind="tree").make(source)
    runner = GroupRunner(load(strategy), decoder, source.loaded.chat, STYLE, 8, 1)
    entry = ModelEntry(path=str(random_model_folder))
    group = GROUPS[0].model_copy(update={"context": GROUPS[0].context * 12})
    fit = fit_of([group], STYLE, entry, 8)
    found = fit.alone if strategy == "batch" else fit.together
    decoder.max_context = found.longest_tokens
    assert runner.once(group).answers
    chat = source.loaded.chat
    decoder.max_context = longest(chat, group) + 7
    with pytest.raises(DoesNotFit, match="exceed the model's context"):
        runner.once(group)


def test_warnings_say_how_many_and_what_to_do(tmp_path: Path) -> None:
    small = folder_of(tmp_path / "small", max_position_embeddings=60)
    large = folder_of(tmp_path / "large", text_config={"max_position_embeddings": 100_000})
    long = Group(
        id="long",
        context="Mara lives in Oslo. " * 30,
        questions=tuple(Question(id=f"q{n}", text="Who?", golds=("x",)) for n in range(3)),
    )
    short = Group(id="short", questions=(Question(id="q", text="Who?", golds=("x",)),))
    alone, together = length_warnings(
        [long, short], {"small": (small, STYLE), "large": (large, STYLE)}, 4
    )
    assert alone.startswith(
        "1 of 2 groups (75 % of the questions) do not fit model small (60 tokens) when asked each"
    )
    assert "all at once or turn by turn; the longest, long, takes" in together
    assert "smaller groups" in together


def test_a_model_that_is_not_here_is_said_and_fails_nothing(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("[")
    models = {
        "gone": ModelEntry(path=str(tmp_path / "nowhere")),
        "far": ModelEntry(hub="nobody/nothing-of-this-name"),
        "broken": ModelEntry(path=str(broken)),
    }
    found = length_warnings(GROUPS, {name: (model, STYLE) for name, model in models.items()}, 8)
    assert [line.split(":")[0] for line in found] == [
        f"lengths were not checked against model {name}" for name in models
    ]
    with pytest.raises(UserError, match="not in the hub's cache"):
        fit_of(GROUPS, STYLE, models["far"], 8)


def test_small_groups_are_known_to_fit_without_a_tokenizer(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"max_position_embeddings": 32768}')
    code = (
        "import sys\n"
        "from branchwise.data.worlds import WorldsSpec, make_groups\n"
        "from branchwise.prompts.style import PromptStyle\n"
        "from branchwise.decoding.models.entry import ModelEntry\n"
        "from branchwise.decoding.models.fitting import fit_of\n"
        "groups = list(make_groups(WorldsSpec(kinds=('look_up',), group_size=4, num_groups=2)))\n"
        f"fit = fit_of(groups, PromptStyle(), ModelEntry(path={str(tmp_path)!r}), 8)\n"
        "assert fit.max_context == 32768 and fit.alone is None\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_context_that_a_config_leaves_to_its_type(tmp_path: Path) -> None:
    """GPT-2 calls it n_positions."""
    entry = folder_of(tmp_path, model_type="gpt2", n_positions=77)
    assert fit_of(GROUPS, STYLE, entry, 8).max_context == 77
