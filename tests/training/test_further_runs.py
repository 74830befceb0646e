"""Further runs: each starts from finished weights, with chance and optimisers of its own."""

import json
import random
import shutil
from collections import Counter
from pathlib import Path
from statistics import mean

import pytest
import torch
from pydantic import ValidationError
from typer.testing import CliRunner

from branchwise.config.load import load_catalogues, validated
from branchwise.data.prepare import groups_of
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.errors import UserError
from branchwise.prompts import PromptStyle, assistant, everything, numbered
from branchwise.training.documents import Documents, reply_to
from branchwise.training.recipe import Run, Shape, Stage, TinyRecipe
from branchwise.training.start import read_finished
from branchwise.training.tiny import TinyTrainer
from branchwise.training.vocabulary import save_tokenizer

STAGE = Stage(
    name="small", layouts={"single": 1, "everything": 1}, kinds={"look_up": 1}, min_facts=3, max_facts=5
)
FURTHER = Run(
    num_steps=4,
    rows_per_step=1,
    row_tokens=192,
    matrix_lr=0.01,
    warmup_steps=2,
    stages=(STAGE.model_copy(update={"one_kind": {"choice": 0.5}}),),
)
LAST = FURTHER.model_copy(update={"num_steps": 2})
RECIPE = TinyRecipe(
    num_steps=4,
    rows_per_step=1,
    row_tokens=160,
    checkpoint_steps=3,
    warmup_steps=1,
    shape=Shape(num_layers=2, hidden_size=32, num_heads=2, head_dim=16, intermediate_size=32),
    stages=(STAGE,),
    further=(FURTHER, LAST),
)


def ignore(*_: object) -> None:
    pass


def weights_of(trainer: TinyTrainer) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trainer.model.named_parameters()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def from_nothing(tmp_path_factory: pytest.TempPathFactory) -> TinyTrainer:
    """All three runs, straight through."""
    trainer = TinyTrainer(RECIPE, tmp_path_factory.mktemp("straight"))
    trainer.train(ignore, ignore)
    return trainer


@pytest.fixture
def run1(from_nothing: TinyTrainer, tmp_path: Path) -> Path:
    """A copy of what the first run ended in."""
    return shutil.copytree(from_nothing.work / "run1", tmp_path / "run1")


def stopped(trainer: TinyTrainer, stop_at: int) -> None:
    """Train until that many steps of all runs are done."""

    def progress(done: int, total: int) -> None:
        assert total == 10
        if done == stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.train(ignore, progress)


@pytest.mark.parametrize(
    ("stop_at", "goes_on"),
    [
        (2, "step 1/4"),
        (4, "resumed at step 3 of run 1"),
        (5, "resumed at step 0 of run 2"),
        (8, "resumed at step 3 of run 2"),
        (10, "resumed at step 0 of run 3"),
    ],
)
def test_training_stopped_in_any_run_goes_on_to_the_same_weights(
    from_nothing: TinyTrainer, tmp_path: Path, stop_at: int, goes_on: str
) -> None:
    stopped(TinyTrainer(RECIPE, tmp_path), stop_at)
    again = TinyTrainer(RECIPE, tmp_path)
    lines: list[str] = []
    again.train(lines.append, ignore)
    assert lines[0].startswith(goes_on)
    assert same(weights_of(again), weights_of(from_nothing))


@pytest.mark.parametrize("finished", [1, 2])
def test_from_finished_weights_the_runs_are_those_of_a_training_from_nothing(
    from_nothing: TinyTrainer, tmp_path: Path, finished: int
) -> None:
    """So what was done in several sittings is what the recipe says."""
    start = read_finished(from_nothing.work / f"run{finished}", RECIPE)
    trainer = TinyTrainer(RECIPE, tmp_path, start=start)
    lines: list[str] = []
    trainer.train(lines.append, ignore)
    assert f"run {finished + 1} starts from the weights {start.weights}" in lines[0]
    assert same(weights_of(trainer), weights_of(from_nothing))
    runs, straight = (
        [{**run, "train_s": 0} for run in t.facts()["runs"]] for t in (trainer, from_nothing)
    )
    assert runs == straight
    assert [run["steps"] for run in runs] == [4, 4, 2]


def test_runs_from_finished_weights_can_be_stopped(
    from_nothing: TinyTrainer, run1: Path, tmp_path: Path
) -> None:
    start = read_finished(run1, RECIPE)
    stopped(TinyTrainer(RECIPE, tmp_path / "work", start=start), 8)
    again = TinyTrainer(RECIPE, tmp_path / "work", start=start)
    lines: list[str] = []
    again.train(lines.append, ignore)
    assert lines[0] == "resumed at step 3 of run 2"
    assert same(weights_of(again), weights_of(from_nothing))


def test_a_checkpoint_from_other_weights_is_put_aside(run1: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    start = read_finished(run1, RECIPE)
    TinyTrainer(RECIPE, work, start=start).train(ignore, ignore)
    other = start._replace(runs=[start.runs[0] | {"weights": "0123"}])
    lines: list[str] = []
    TinyTrainer(RECIPE, work, start=other).train(lines.append, ignore)
    assert f'start: "{start.weights}" -> "0123"' in lines[0]
    assert (work / "checkpoint.1/state.safetensors").exists()


def test_a_further_run_warms_up_and_decays_by_itself(from_nothing: TinyTrainer, tmp_path: Path) -> None:
    trainer = TinyTrainer(RECIPE, tmp_path, start=read_finished(from_nothing.work / "run1", RECIPE))
    with trainer.lesson.attached():
        trainer._train_step()
    assert trainer.muon.state
    trainer._begin(1)
    assert not trainer.muon.state
    assert not trainer.adamw.state
    assert trainer.averages.state == {}
    shares = []
    for step in range(FURTHER.num_steps):
        trainer.step = step
        shares.append(trainer._lr_share())
    assert shares == pytest.approx([0.5, 1.0, 1.0, 0.25 / 0.35])
    trainer.step = 1
    with trainer.lesson.attached():
        trainer._train_step()
    assert trainer.muon.param_groups[0]["lr"] == pytest.approx(FURTHER.matrix_lr)


def test_what_was_written_before_there_were_several_runs_is_a_first_run(run1: Path) -> None:
    facts = json.loads((run1 / "training.json").read_text())
    (run,) = facts.pop("runs")
    (run1 / "training.json").write_text(json.dumps(facts | run))
    assert read_finished(run1, RECIPE).runs[0].keys() == {*run, "weights"}


def _all_runs(folder: Path) -> TinyRecipe:
    facts = json.loads((folder / "training.json").read_text())
    runs = [facts["runs"][0] | {"steps": run.num_steps} for run in RECIPE.runs]
    (folder / "training.json").write_text(json.dumps(facts | {"runs": runs}))
    return RECIPE


def _without(name: str, folder: Path) -> TinyRecipe:
    (folder / name).unlink()
    return RECIPE


@pytest.mark.parametrize(
    ("prepare", "problem"),
    [
        (lambda folder: RECIPE.model_copy(update={"further": ()}), r"all runs of the recipe \(1\)"),
        (lambda folder: RECIPE.model_copy(update={"num_steps": 5}), r"\[4\] steps, .* \[5, 4, 2\]"),
        (lambda folder: _without("model.safetensors", folder), "no model.safetensors"),
        (lambda folder: _without("training.json", folder), "no training.json"),
        (_all_runs, r"all runs of the recipe \(3\)"),
    ],
)
def test_a_folder_that_no_run_goes_on_from_is_refused(run1: Path, prepare, problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        read_finished(run1, prepare(run1))


def test_weights_of_another_shape_are_refused(run1: Path, tmp_path: Path) -> None:
    shape = RECIPE.shape.model_copy(update={"intermediate_size": 48})
    recipe = RECIPE.model_copy(update={"shape": shape})
    trainer = TinyTrainer(recipe, tmp_path / "work", start=read_finished(run1, recipe))
    with pytest.raises(UserError, match="not of the recipe's shape .*mlp"):
        trainer.train(ignore, ignore)


def test_the_command_takes_the_folder_and_writes_model_and_card(
    run1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from branchwise.commands import registered
    from branchwise.commands.main import app
    from branchwise.training import card

    registered.import_all()

    row = {"n": 6, "groups": 2, "type_guess": 0.5, "constant": 0.1, "batch": 0.5}
    row["intervals"] = {"batch": [0.1, 0.9]}
    monkeypatch.setattr(card, "measure", lambda folder, progress: {"look_up": {"seen": row}})
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "out"
    recipe.write_text(RECIPE.model_dump_json())
    paths = {"--recipe": recipe, "--work": tmp_path / "work", "--out": out, "--from": run1}
    arguments = [str(part) for pair in paths.items() for part in pair]
    result = CliRunner().invoke(app, ["train", *arguments, "--device", "cpu", "--threads", "1"])
    assert result.exit_code == 0, result.output
    facts = json.loads((out / "training.json").read_text())
    text = (out / "README.md").read_text()
    assert facts["runs"][0]["weights"] in text
    assert "| look up | seen | 2 | 6 | 50.0 |  | 10.0 | 50.0 [10.0, 90.0] |" in text
    assert ChatTokenizer.load(out)


def test_documents_of_one_kind_ask_it_alone(tmp_path: Path) -> None:
    save_tokenizer(tmp_path, 512)
    documents = Documents(ChatTokenizer.load(tmp_path), random.Random(0))
    stage = STAGE.model_copy(update={"one_kind": {"choice": 0.25}, "layouts": {"everything": 1}})
    drawn = [documents.draw(stage) for _ in range(200)]
    kinds = [{span.label for sequence in document for span in sequence.spans} for document in drawn]
    counts = Counter(frozenset(labels) for labels in kinds)
    assert set(counts) == {frozenset({"everything:choice"}), frozenset({"everything:look_up"})}
    assert 30 <= counts[frozenset({"everything:choice"})] <= 70


@pytest.mark.parametrize("shares", [{"choice": 0.7, "cloze": 0.4}, {"choice": -0.1}])
def test_shares_of_documents_are_shares(shares: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="shares of all documents"):
        Stage(**{**STAGE.model_dump(), "one_kind": shares})


def test_a_stage_of_choices_alone_holds_six_in_one_prompt_as_long_as_the_evaluated(root: Path) -> None:
    """No text of the first recipe did, and its model answered a third of six choices at once wrongly."""
    chat = ChatTokenizer.load(root / "resources/models/tiny")
    (*_, last) = validated(TinyRecipe, root / "config/tiny_model.yaml").stages
    update = {"one_kind": {"choice": 0.3}, "stated_only": 0.3, "min_questions": 4}
    evaluated = []
    for group in groups_of(load_catalogues(root).datasets["worlds_choice_g6"], pytest.fail):
        reply = numbered([reply_to(question) for question in group.questions])
        messages = [*everything(group, PromptStyle()), assistant(reply)]
        evaluated.append(len(chat.encode(chat.prompt_text(messages, generate=False))))
    documents = Documents(chat, random.Random(0))
    stage = last.model_copy(update=update)
    drawn = [sequence for _ in range(300) for sequence in documents.draw(stage)]
    choices = [[span.label for span in s.spans].count("everything:choice") for s in drawn]
    lengths = [len(s.ids) for s, count in zip(drawn, choices, strict=True) if count >= 6]
    assert len(lengths) > 0.02 * len(drawn)
    assert max(lengths) > mean(evaluated)
    assert max(*evaluated, *lengths) <= 512
