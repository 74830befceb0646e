"""The training loop of all recipes, over packed trees, on one process or several.

A step's loss is the sum over all of its learned tokens, of all processes and passes, divided by their
number, and a step's rows are the same however many processes they are dealt out to: neither the number of
processes nor of passes changes what is learned. (But dropout is drawn pass by pass, and mixers with
strangers for peers, a control, take these from the groups that share their pass.)
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs, broadcast_object_list
from torch import Tensor

from branchwise.decoding.options import Grid2D
from branchwise.errors import UserError
from branchwise.training.checkpoint import Checkpoint, changes, listed, set_weights
from branchwise.training.curve import Curve, Point, Since
from branchwise.training.examples import Stream
from branchwise.training.lesson import Lesson, right_spans
from branchwise.training.optimising import rate_at
from branchwise.training.packing import Batch, num_learned, packed
from branchwise.training.parts import Trained
from branchwise.training.recipes import Placed, Recipe
from branchwise.training.sequences import Document
from branchwise.training.strangers import ROWS_OF_STRANGERS, check_strangers, keep_strangers

LogLine = Callable[[str], None]
Progress = Callable[[int, int], None]

POINTS = 100
"""Points of a curve, about."""


class NotANumberLossError(UserError):
    """A training whose loss is no number any more."""


@dataclass
class Progressed:
    """How far a training is: what a checkpoint holds beside tensors."""

    step: int = 0
    best_step: int = 0
    best_loss: float | None = None
    num_worse: int = 0
    num_tokens: int = 0
    train_s: float = 0.0
    is_over: bool = False
    points: list[Point] = field(default_factory=list)


class Trainer:
    """Trains what a recipe says of a model.

    `made_by` is everything that decides the result, as JSON data: a checkpoint that was made by anything
    else is put aside, and training starts anew.
    """

    def __init__(
        self,
        trained: Trained,
        train: Stream,
        held_out: Stream | None,
        work: Path,
        made_by: dict[str, Any],
        pad_id: int,
        accelerator: Accelerator | None = None,
    ) -> None:
        self.recipe: Recipe = trained.recipe
        self.trained = trained
        self.train_rows = train
        self.held_out = held_out.rows_in_order() if held_out is not None else []
        self.pad_id = pad_id
        self.made_by = made_by
        device = trained.model.device
        self.accelerator = accelerator or accelerator_of(device)
        if self.recipe.rows_per_step % self.accelerator.num_processes:
            raise UserError(
                f"the {self.recipe.rows_per_step} rows of a pass cannot be dealt out to "
                f"{self.accelerator.num_processes} processes",
                "set `rows_per_step` to a multiple of their number (`accumulate` makes steps larger)",
            )
        check_strangers(self.recipe, self._rows_of(0))
        self.lesson = Lesson(trained.model, trained.mixing, _grid(self.recipe))
        if self.recipe.recompute:
            trained.model.gradient_checkpointing_enable({"use_reentrant": False})
        self.pupil = self.accelerator.prepare_model(self.lesson)
        matrices = [p for p in trained.parameters.values() if p.ndim >= 2]
        others = [p for p in trained.parameters.values() if p.ndim < 2]
        groups = [
            {"params": matrices, "weight_decay": self.recipe.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.AdamW([group for group in groups if group["params"]], lr=0.0)
        self.work = work
        self.checkpoint = Checkpoint(work)
        self.progressed = Progressed()
        self.best: dict[str, Tensor] = {}
        self._since = Since()

    # ----- the loop -----

    def train(self, log: LogLine, progress: Progress) -> None:
        """Run to the recipe's last step, or until it gets no better, from the newest checkpoint where
        there is one; the best weights are in the model then.

        Raises NotANumberLossError, with the last sound checkpoint left in place.
        """
        resumed = self._restore(log)
        if resumed:
            log(f"resumed at step {self.progressed.step}")
        self.curve = Curve(self.work, self.progressed.points)
        with self.lesson.attached():
            if not resumed:
                self._look(log)
                self._save()
            while self.progressed.step < self.recipe.steps and not self.progressed.is_over:
                began = time.perf_counter()
                self._step()
                self.progressed.train_s += time.perf_counter() - began
                self._after_step(log)
                progress(self.progressed.step, self.recipe.steps)
            self._save()
            if self.best:
                set_weights(self.trained.parameters, self.best)
            if trained_mixing := self.trained.mixing:
                first = (
                    self._batch([self.train_rows.row(number)]) for number in range(ROWS_OF_STRANGERS)
                )
                keep_strangers(self.lesson, trained_mixing, first)

    def _after_step(self, log: LogLine) -> None:
        done, recipe = self.progressed, self.recipe
        last = done.step == recipe.steps
        if self.held_out and (done.step % recipe.look_every == 0 or last):
            self._look(log)
        elif done.step % max(1, recipe.steps // POINTS) == 0 or last:
            self._note(None, None)
        if done.step % recipe.save_every == 0:
            self._save()

    def _step(self) -> None:
        recipe, done = self.recipe, self.progressed
        # What is drawn (dropout) hangs on the step and the process: a resumed training draws the same.
        torch.manual_seed(hash((recipe.seed, done.step, self.accelerator.process_index)) % 2**63)
        self.pupil.train()
        micros = self._rows_of(done.step)
        total = sum(map(num_learned, self._all_rows_of(done.step)))
        rate = rate_at(recipe, done.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        loss_sum = torch.zeros((), device=self.accelerator.device)
        num_right = num_spans = num_tokens = 0
        for number, rows in enumerate(micros):
            batch = self._batch(rows)
            is_last = number == len(micros) - 1
            with _unsynced(self.accelerator, self.pupil, is_last), self._autocast():
                learned = self.pupil(batch)
                # Gradients of several processes are averaged, and what is wanted is their sum.
                share = learned.loss_sum * self.accelerator.num_processes / max(1, total)
                self.accelerator.backward(share)
            loss_sum += learned.loss_sum.detach()
            right = right_spans(batch, learned.right_N)
            num_right, num_spans = num_right + sum(right), num_spans + len(right)
            num_tokens += batch.num_tokens
        sums = torch.tensor([num_right, num_spans, num_tokens], device=self.accelerator.device)
        loss_sum, sums = self.accelerator.reduce(loss_sum, "sum"), self.accelerator.reduce(sums, "sum")
        norm = self.accelerator.clip_grad_norm_(list(self.trained.parameters.values()), recipe.clip)
        loss = float(loss_sum) / max(1, total)
        self._check_numbers(loss, float(norm))
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        done.step += 1
        right_n, spans_n, tokens_n = (int(one) for one in sums)
        done.num_tokens += tokens_n
        self._since.add(loss, right_n, spans_n, float(norm), rate)

    def _check_numbers(self, loss: float, norm: float) -> None:
        """Raises NotANumberLossError, naming the groups of the step."""
        if torch.isfinite(torch.tensor([loss, norm])).all():
            return
        rows = self._all_rows_of(self.progressed.step)
        names = [document.name for row in rows for document in row]
        shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        what = "gradient" if torch.isfinite(torch.tensor(loss)) else "loss"
        raise NotANumberLossError(
            f"the {what} of step {self.progressed.step + 1} is not a number, on groups {shown}; "
            f"{self._kept()}",
            "lower `rate`, raise `warmup`, or look at these groups",
        )

    def _kept(self) -> str:
        """Which checkpoint is left."""
        kept = self.checkpoint.progress()
        return (
            f"the checkpoint of step {kept['done']['step']} is kept" if kept else "nothing is saved yet"
        )

    def _autocast(self) -> AbstractContextManager[None]:
        """Passes in bfloat16, where the recipe says so."""
        is_half = self.recipe.precision == "bf16"
        return torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=is_half)

    # ----- rows -----

    def _rows_of(self, step: int) -> list[list[list[Document]]]:
        """The rows of a step that are this process's, by its passes."""
        accelerator = self.accelerator
        mine = self._all_rows_of(step)[accelerator.process_index :: accelerator.num_processes]
        size = self.recipe.rows_per_step // accelerator.num_processes
        return [mine[first : first + size] for first in range(0, len(mine), size)]

    def _all_rows_of(self, step: int) -> list[list[Document]]:
        count = self.recipe.rows_per_step * self.recipe.accumulate
        return [self.train_rows.row(number) for number in range(step * count, (step + 1) * count)]

    def _batch(self, rows: Sequence[list[Document]]) -> Batch:
        return packed(rows, self.pad_id).to(self.accelerator.device)

    # ----- looking at what was held out -----

    @torch.no_grad()
    def held_out_loss(self) -> tuple[float, float]:
        """The mean loss of a learned token of the held-out groups, and the share of answers all of whose
        tokens are the likeliest.
        """
        self.lesson.eval()
        if self.lesson.mixers is not None:
            # Strangers are kept at the end alone: until then shuffled peers are those of the pass.
            self.lesson.mixers.train()
        accelerator, size = self.accelerator, self.recipe.rows_per_step
        mine = self.held_out[accelerator.process_index :: accelerator.num_processes]
        sums = [0.0] * 4
        for first in range(0, len(mine), size):
            batch = self._batch(mine[first : first + size])
            with self._autocast():
                learned = self.lesson(batch)
            right = right_spans(batch, learned.right_N)
            found = [float(learned.loss_sum), len(batch.target_N), sum(right), len(right)]
            sums = [one + more for one, more in zip(sums, found, strict=True)]
        # Not every device has double precision.
        dtype = torch.float32 if accelerator.device.type == "mps" else torch.float64
        all_sums = torch.tensor(sums, dtype=dtype, device=accelerator.device)
        loss, tokens, right_n, spans = accelerator.reduce(all_sums, "sum").tolist()
        return loss / max(1.0, tokens), right_n / max(1.0, spans)

    def _look(self, log: LogLine) -> None:
        """Compare with the best so far, and keep what is better."""
        if not self.held_out:
            return
        loss, right = self.held_out_loss()
        if not torch.isfinite(torch.tensor(loss)):
            raise NotANumberLossError(
                f"the held-out loss after step {self.progressed.step} is not a number; {self._kept()}",
                "lower `rate`, or look at the held-out groups",
            )
        self._note(loss, right)
        done = self.progressed
        log(
            f"step {done.step}/{self.recipe.steps} {done.train_s:.0f} s held-out loss {loss:.4f}, "
            f"{100 * right:.1f} % of answers right"
        )
        if done.best_loss is None or loss < done.best_loss:
            done.best_loss, done.best_step, done.num_worse = loss, done.step, 0
            self.best = {n: p.detach().clone() for n, p in self.trained.parameters.items()}
        else:
            done.num_worse += 1
        if self.recipe.patience is not None and done.num_worse >= self.recipe.patience:
            done.is_over = True
            log(f"no better look since step {done.best_step}: the training ends early")

    def _note(self, held_out_loss: float | None, held_out_right: float | None) -> None:
        if not self.accelerator.is_main_process:
            self._since = Since()
            return
        done, since = self.progressed, self._since
        means = since.loss, since.right, held_out_loss, held_out_right, since.rate, since.norm
        self.curve.add(Point(done.step, *means, done.num_tokens, round(done.train_s, 3)))
        done.points = self.curve.points
        self._since = Since()

    # ----- checkpoints -----

    def _save(self) -> None:
        if self.accelerator.is_main_process:
            tensors = dict(self.trained.parameters)
            best = {f"best/{name}": tensor for name, tensor in self.best.items()}
            progress = {"made_by": self.made_by, "done": vars(self.progressed)}
            self.checkpoint.save({**tensors, **best}, {"adamw": self.optimiser}, progress)
        self.accelerator.wait_for_everyone()

    def _restore(self, log: LogLine) -> bool:
        """Go on from the checkpoint, if there is one and it was made by this very recipe. The first of
        several processes decides for all; they see the same folder.
        """
        decided: list[Any] = [None]
        if self.accelerator.is_main_process:
            decided = [self._decide(log)]
        broadcast_object_list(decided)
        if decided[0] is None:
            return False
        tensors = self.checkpoint.load({"adamw": self.optimiser})
        set_weights(self.trained.parameters, tensors)
        best = {name: value for name, value in tensors.items() if name.startswith("best/")}
        self.best = {name.removeprefix("best/"): value for name, value in best.items()}
        self.progressed = Progressed(**decided[0])
        # Nobody writes while somebody still reads.
        self.accelerator.wait_for_everyone()
        return True

    def _decide(self, log: LogLine) -> dict[str, Any] | None:
        """What to go on from; None to start anew, with a checkpoint that is damaged or of another recipe
        put aside.
        """
        progress = self.checkpoint.usable(log)
        if progress is None:
            return None
        if changed := changes(progress.get("made_by"), self.made_by):
            kept = self.checkpoint.put_aside()
            step = progress["done"]["step"]
            log(f"the checkpoint was made by another recipe: {listed(changed)}")
            log(f"starting anew; the old checkpoint, of step {step}, is kept in {kept}")
            return None
        return progress["done"]


def accelerator_of(device: torch.device) -> Accelerator:
    """The processes and the device that train. Several are started by torchrun."""
    # Processes wait for the first, which may wait for another training of the same folder.
    patient = InitProcessGroupKwargs(timeout=timedelta(days=7))
    return Accelerator(cpu=device.type == "cpu", kwargs_handlers=[patient])


def _unsynced(accelerator: Accelerator, pupil: Any, is_last: bool) -> AbstractContextManager[None]:
    """Gradients of all but the last pass of a step stay where they are."""
    return nullcontext() if is_last else accelerator.no_sync(pupil)


def _grid(recipe: Recipe) -> Grid2D | None:
    if isinstance(recipe, Placed) and recipe.positions.startswith("grid2d"):
        return Grid2D(**recipe.grid.model_dump())
    return None
