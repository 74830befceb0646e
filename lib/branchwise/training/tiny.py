"""Trains the tiny Qwen3 that ships with the repository, from nothing, on worlds.

What makes it learn to read (rather than to guess by type) in an hour on two cores: worlds without
shortcuts, several isolated branches per context, a warm-up on restated facts, attention heads that
start out looking at the tokens just before them, and Muon.
"""

import json
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from torch import Tensor, nn

from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.files import write_text
from branchwise.training.architecture import build_model
from branchwise.training.checkpoint import Checkpoint, changes, listed, set_weights
from branchwise.training.documents import Documents
from branchwise.training.drawing import draw_rows
from branchwise.training.lesson import Lesson, right_spans
from branchwise.training.muon import Muon
from branchwise.training.packing import Batch, batch_of
from branchwise.training.recipe import Run, TinyRecipe
from branchwise.training.start import FACTS, Finished, read_finished
from branchwise.training.vocabulary import save_tokenizer

LogLine = Callable[[str], None]
Progress = Callable[[int, int], None]


class Averages:
    """Running share of right answers per label, forgetting with a half-life of about 140."""

    def __init__(self, state: dict[str, list[float]] | None = None) -> None:
        self.state = state or {}

    def add(self, label: str, right: bool) -> None:
        total = self.state.setdefault(label, [0.0, 0.0])
        total[0] = total[0] * 0.995 + right
        total[1] = total[1] * 0.995 + 1

    def share(self, label: str) -> float:
        right, count = self.state.get(label, (0.0, 0.0))
        return right / count if count > 50 else 0.0

    def __str__(self) -> str:
        return " ".join(f"{label}={100 * self.share(label):.0f}" for label in sorted(self.state))


class TinyTrainer:
    """Holds what a checkpoint holds: weights, optimiser state, run, step, stage, chance, averages.

    With `start` the recipe's first runs are not done but taken: their finished weights are read, and
    training begins with the run after them. Each run has a seed of its own, so that both ways lead from
    the same weights to the same weights.
    """

    def __init__(
        self, recipe: TinyRecipe, work: Path, device: str = "cpu", start: Finished | None = None
    ) -> None:
        self.recipe = recipe
        self.work = work
        self.checkpoint = Checkpoint(work)
        self.device = torch.device(device)
        self.start = start
        self._learn_words(0)
        torch.manual_seed(recipe.seed)
        self.model = build_model(recipe.shape, self.chat)
        cast(nn.Module, self.model).to(self.device)
        self.finished_runs: list[dict[str, Any]] = []
        self.lesson = Lesson(self.model)
        self._begin(0)

    def _begin(self, run_index: int) -> None:
        """Set out on a run: the weights stay, and all else is fresh and the run's own."""
        self._grow(run_index)
        self.run_index = run_index
        # Without a number the first run draws what it drew when it was the only one.
        seed = f"tiny/{self.recipe.seed}" + (f"/run{run_index}" if run_index else "")
        self.rng = random.Random(seed)
        self.documents = Documents(self.chat, self.rng)
        named = list(self.model.named_parameters())
        matrices = [p for n, p in named if p.ndim == 2 and "embed" not in n]
        others = [p for n, p in named if p.ndim != 2 or "embed" in n]
        self.muon = Muon(matrices, lr=self.run.matrix_lr)
        self.adamw = torch.optim.AdamW(others, lr=self.run.other_lr, betas=(0.9, 0.98), weight_decay=0.0)
        self.step = self.stage = self.stage_begin = self.num_tokens = self.num_answers = 0
        self.train_s = 0.0
        self.averages = Averages()

    def _learn_words(self, run_index: int) -> None:
        """The tokenizer as it is by the time of a run."""
        save_tokenizer(self.work, self.recipe.shape.max_positions, self.recipe.added(run_index))
        self.chat = ChatTokenizer.load(self.work)

    def _grow(self, run_index: int) -> None:
        """Give the model a row for each word that the vocabulary has gained by a run: the mean of all
        others and a little chance, so that no two are alike.
        """
        self._learn_words(run_index)
        size = len(self.chat.tokenizer)
        old = cast(Tensor, self.model.get_input_embeddings().weight).shape[0]
        if size == old:
            return
        self.model.resize_token_embeddings(size, mean_resizing=False)
        weight_VD = cast(Tensor, self.model.get_input_embeddings().weight).detach()
        chance = torch.Generator().manual_seed(self.recipe.seed + run_index)
        noise = torch.randn(size - old, weight_VD.shape[1], generator=chance).to(weight_VD)
        weight_VD[old:] = weight_VD[:old].mean(0) + 0.1 * weight_VD[:old].std(0) * noise

    @property
    def run(self) -> Run:
        """The run that is going on."""
        return self.recipe.runs[self.run_index]

    @property
    def _optimisers(self) -> dict[str, torch.optim.Optimizer]:
        return {"muon": self.muon, "adamw": self.adamw}

    def train(self, log: LogLine, progress: Progress) -> None:
        """Run to the recipe's last step, from the newest checkpoint where there is one.

        A checkpoint of another recipe, or of other weights to start from, is put aside, and `log` hears
        why. The finished weights of each run but the last are written to a folder `run1`, `run2` ...
        """
        if self._restore(log):
            log(f"resumed at step {self.step} of run {self.run_index + 1}")
        elif self.start:
            self._go_on_from(self.start, log)
        with self.lesson.attached():
            self._train_runs(log, progress)

    def _train_runs(self, log: LogLine, progress: Progress) -> None:
        """The run that is going on, and those after it."""
        self._train_run(log, progress)
        while self.run_index + 1 < len(self.recipe.runs):
            folder = self.work / f"run{self.run_index + 1}"
            self.export(folder)
            self._go_on_from(read_finished(folder, self.recipe), log)
            self._train_run(log, progress)

    def _go_on_from(self, finished: Finished, log: LogLine) -> None:
        """Set out on the run after the finished ones, from their weights."""
        self._grow(len(finished.runs) - 1)
        finished.load_into(self.model)
        self.finished_runs = finished.runs
        self._begin(len(finished.runs))
        self._save()
        log(f"run {self.run_index + 1} starts from the weights {finished.weights} in {finished.folder}")

    def _train_run(self, log: LogLine, progress: Progress) -> None:
        run = self.run
        all_steps = [one.num_steps for one in self.recipe.runs]
        steps_before = sum(all_steps[: self.run_index])
        while self.step < run.num_steps:
            started = time.perf_counter()
            loss = self._train_step()
            self.train_s += time.perf_counter() - started
            self.step += 1
            progress(steps_before + self.step, sum(all_steps))
            if self.step % 50 == 0 or self.step == 1:
                log(
                    f"step {self.step}/{run.num_steps} {self.train_s:.0f} s stage "
                    f"{run.stages[self.stage].name} loss {loss:.3f} {self.averages}"
                )
                self._advance(log)
            if self.step % self.recipe.checkpoint_steps == 0:
                self._save()

    def _advance(self, log: LogLine) -> None:
        stage = self.run.stages[self.stage]
        if self.stage + 1 == len(self.run.stages):
            return
        reached = bool(stage.until) and all(
            self.averages.share(label) > share for label, share in stage.until.items()
        )
        steps = self.step - self.stage_begin
        if reached or (stage.max_steps is not None and steps >= stage.max_steps):
            self.stage += 1
            self.stage_begin = self.step
            self.averages = Averages()
            log(f"stage {stage.name} ends after {steps} steps")

    def _lr_share(self) -> float:
        """Linear warm-up, then constant, then linear decay to zero."""
        run = self.run
        warm = min(1.0, (self.step + 1) / max(1, run.warmup_steps))
        left = 1 - self.step / run.num_steps
        return warm * min(1.0, left / run.decay_share if run.decay_share else 1.0)

    def _train_step(self) -> float:
        run = self.run
        stage = run.stages[self.stage]
        rows = draw_rows(self.documents, stage, run.rows_per_step, run.row_tokens)
        batch = batch_of(rows, run.row_tokens, self.chat.tokenizer.pad_token_id)
        loss, right = self._loss(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        share = self._lr_share()
        for optimiser, rate in ((self.muon, run.matrix_lr), (self.adamw, run.other_lr)):
            for group in optimiser.param_groups:
                group["lr"] = rate * share
            optimiser.step()
        self.model.zero_grad(set_to_none=True)
        for span, is_right in zip(batch.spans, right, strict=True):
            self.averages.add(span.label, is_right)
        self.num_tokens += batch.num_tokens
        self.num_answers += len(batch.spans)
        return float(loss.detach())

    def _loss(self, batch: Batch) -> tuple[Tensor, list[bool]]:
        """Mean cross-entropy of the learned tokens, each predicted from the token before it in its
        own branch; and of each span whether all of it was right.
        """
        learned = self.lesson(batch.to(self.device))
        return learned.loss_sum / len(batch.target_N), right_spans(batch, learned.right_N)

    def _made_by(self) -> dict[str, Any]:
        """What a checkpoint must have been made by for training to go on from it."""
        made_by = self.recipe.model_dump(mode="json")
        return made_by | {"start": self.start and self.start.weights}

    def _save(self) -> None:
        progress = {
            "made_by": self._made_by(),
            "rng": self.rng.getstate(),
            "averages": self.averages.state,
            **{key: getattr(self, key) for key in _SAVED},
        }
        self.checkpoint.save(dict(self.model.named_parameters()), self._optimisers, progress)

    def _restore(self, log: LogLine) -> bool:
        """Continue from the checkpoint, if there is one and it was made by this very recipe."""
        progress = self.checkpoint.usable(log)
        if progress is None:
            return False
        if changed := changes(progress.get("made_by"), self._made_by()):
            kept = self.checkpoint.put_aside()
            log(f"the checkpoint was made by another recipe: {listed(changed)}")
            log(f"starting anew; the old checkpoint, of step {progress['step']}, is kept in {kept}")
            return False
        self._begin(progress["run_index"])
        tensors = self.checkpoint.load(self._optimisers)
        set_weights(dict(self.model.named_parameters()), tensors)
        version, internal, gauss = progress["rng"]
        self.rng.setstate((version, tuple(internal), gauss))
        self.averages = Averages(progress["averages"])
        for key in _SAVED:
            setattr(self, key, progress[key])
        return True

    def export(self, folder: Path) -> None:
        """Write the model as transformers reads it, and how it was trained, whole or not at all; keep
        the checkpoint (it is cheap, and measuring may still be stopped).
        """
        new = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        save_tokenizer(new, self.recipe.shape.max_positions, self.recipe.added(self.run_index))
        self.model.save_pretrained(new)
        write_text(new / FACTS, json.dumps(self.facts(), indent=1) + "\n")
        folder.mkdir(parents=True, exist_ok=True)
        for path in new.iterdir():
            path.replace(folder / path.name)
        new.rmdir()

    def _run_facts(self) -> dict[str, Any]:
        """How the run that is going on has gone so far."""
        return {
            "steps": self.step,
            "tokens": self.num_tokens,
            "answers": self.num_answers,
            "train_s": round(self.train_s, 1),
            "device": self.device.type,
            "threads": torch.get_num_threads(),
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
            "training_accuracy": {
                label: round(self.averages.share(label), 4) for label in sorted(self.averages.state)
            },
        }

    def facts(self) -> dict[str, Any]:
        """How the training went, run by run, for the model card."""
        return {
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "vocabulary": len(self.chat.tokenizer),
            "runs": [*self.finished_runs, self._run_facts()],
        }


_SAVED = (
    "run_index",
    "finished_runs",
    "step",
    "stage",
    "stage_begin",
    "num_tokens",
    "num_answers",
    "train_s",
)
