"""Trains the tiny Qwen3 that ships with the repository, from nothing, on worlds.

What makes it learn to read (rather than to guess by type) in an hour on two cores: worlds without
shortcuts, several isolated branches per context, a warm-up on restated facts, attention heads that
start out looking at the tokens just before them, and Muon.
"""

import itertools
import json
import math
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from transformers import Qwen3Config, Qwen3ForCausalLM

from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.training.documents import Documents
from branchwise.training.muon import Muon
from branchwise.training.packing import Batch, draw_batch
from branchwise.training.recipe import Shape, TinyRecipe
from branchwise.training.vocabulary import save_tokenizer

LogLine = Callable[[str], None]
Progress = Callable[[int, int], None]


def build_model(shape: Shape, chat: ChatTokenizer) -> Qwen3ForCausalLM:
    """A Qwen3 with random weights, look-back heads preset."""
    config = Qwen3Config(
        vocab_size=len(chat.tokenizer),
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        num_key_value_heads=shape.num_heads,
        head_dim=shape.head_dim,
        intermediate_size=shape.intermediate_size,
        max_position_embeddings=shape.max_positions,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=chat.tokenizer.eos_token_id,
        pad_token_id=chat.tokenizer.pad_token_id,
    )
    model = Qwen3ForCausalLM(config)
    _preset_look_back(model, shape)
    return model


@torch.no_grad()
def _preset_look_back(model: Qwen3ForCausalLM, shape: Shape) -> None:
    """Heads 0-2 of layer 0 start by attending 1, 2 and 3 tokens back, head 0 of layer 1 one back.

    With dimension 0 of every embedding constant, a query made of that constant and a key made of the
    same constant rotated by RoPE by d positions peak at distance d.
    """
    model.model.embed_tokens.weight[:, 0] = 0.1
    dim, half = shape.head_dim, shape.head_dim // 2
    for layer, distances in ((0, (1, 2, 3)), (1, (1,))):
        attention = model.model.layers[layer].self_attn
        attention.q_norm.weight.fill_(1.7)
        attention.k_norm.weight.fill_(1.7)
        for head, distance in enumerate(distances[: shape.num_heads]):
            for weight, turns in ((attention.q_proj.weight, 0), (attention.k_proj.weight, 1)):
                rows = slice(head * dim, (head + 1) * dim)
                weight[rows] *= 0.3
                weight[rows, 0] = 0
                for channel in range(5):
                    angle = shape.rope_theta ** (-channel / half) * distance * turns
                    weight[head * dim + channel, 0] = math.cos(angle)
                    weight[head * dim + half + channel, 0] = math.sin(angle)
    for layer in model.model.layers[2:]:
        layer.self_attn.q_norm.weight.fill_(1.4)
        layer.self_attn.k_norm.weight.fill_(1.4)


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
    """Holds what a checkpoint holds: weights, optimiser state, step, stage, chance, averages."""

    def __init__(self, recipe: TinyRecipe, folder: Path, device: str = "cpu") -> None:
        self.recipe = recipe
        self.folder = folder
        self.device = torch.device(device)
        save_tokenizer(folder, recipe.shape.max_positions)
        self.chat = ChatTokenizer.load(folder)
        torch.manual_seed(recipe.seed)
        self.model = build_model(recipe.shape, self.chat)
        cast(nn.Module, self.model).to(self.device)
        self.rng = random.Random(f"tiny/{recipe.seed}")
        self.documents = Documents(self.chat, self.rng)
        named = list(self.model.named_parameters())
        self.matrices = [p for n, p in named if p.ndim == 2 and "embed" not in n]
        others = [p for n, p in named if p.ndim != 2 or "embed" in n]
        self.muon = Muon(self.matrices, lr=recipe.matrix_lr)
        self.adamw = torch.optim.AdamW(others, lr=recipe.other_lr, betas=(0.9, 0.98), weight_decay=0.0)
        self.step = self.stage = self.stage_begin = self.num_tokens = self.num_answers = 0
        self.train_s = 0.0
        self.averages = Averages()
        self.body = self._body
        if recipe.compile:
            self.body = torch.compile(self._body, dynamic=False)

    def _body(self, ids_BT: Tensor, positions_BT: Tensor, mask_B1TT: Tensor) -> Tensor:
        """Last hidden states (B, T, hidden) under an additive float mask."""
        return self.model.model(
            input_ids=ids_BT,
            attention_mask=mask_B1TT,
            position_ids=positions_BT,
            use_cache=False,
        ).last_hidden_state

    def train(self, log: LogLine, progress: Progress) -> None:
        """Run to the recipe's last step, from the newest checkpoint where there is one.

        A checkpoint of another recipe is put aside, and `log` hears why.
        """
        if self._restore(log):
            log(f"resumed at step {self.step}")
        recipe = self.recipe
        while self.step < recipe.num_steps:
            started = time.perf_counter()
            loss = self._train_step()
            self.train_s += time.perf_counter() - started
            self.step += 1
            progress(self.step, recipe.num_steps)
            if self.step % 50 == 0 or self.step == 1:
                stage = recipe.stages[self.stage]
                log(
                    f"step {self.step}/{recipe.num_steps} {self.train_s:.0f} s stage {stage.name} "
                    f"loss {loss:.3f} {self.averages}"
                )
                self._advance(log)
            if self.step % recipe.checkpoint_steps == 0:
                self._save()

    def _advance(self, log: LogLine) -> None:
        stage = self.recipe.stages[self.stage]
        if self.stage + 1 == len(self.recipe.stages):
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
        recipe = self.recipe
        warm = min(1.0, (self.step + 1) / max(1, recipe.warmup_steps))
        left = 1 - self.step / recipe.num_steps
        return warm * min(1.0, left / recipe.decay_share if recipe.decay_share else 1.0)

    def _train_step(self) -> float:
        recipe = self.recipe
        stage = recipe.stages[self.stage]
        pad = self.chat.tokenizer.pad_token_id
        batch = draw_batch(self.documents, stage, recipe.rows_per_step, recipe.row_tokens, pad)
        loss, right_BT = self._loss(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        share = self._lr_share()
        for optimiser, rate in ((self.muon, recipe.matrix_lr), (self.adamw, recipe.other_lr)):
            for group in optimiser.param_groups:
                group["lr"] = rate * share
            optimiser.step()
        self.model.zero_grad(set_to_none=True)
        for row, start, length, label in batch.spans:
            self.averages.add(label, bool(right_BT[row, start : start + length].all()))
        self.num_tokens += int((batch.ids_BT != pad).sum())
        self.num_answers += len(batch.spans)
        return float(loss.detach())

    def _loss(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean cross-entropy of the learned tokens, each predicted from the token before it in its
        own branch; and which of them were right, bool (B, T) on the CPU.
        """
        ids_BT = batch.ids_BT.to(self.device)
        # Padding rows see nothing; -1e9 instead of -inf keeps their (unused) softmax finite.
        mask_B1TT = torch.zeros(batch.mask_B1TT.shape).masked_fill_(~batch.mask_B1TT, -1e9)
        hidden_BTD = self.body(ids_BT, batch.positions_BT.to(self.device), mask_B1TT.to(self.device))
        rows, columns = batch.learned_BT.nonzero(as_tuple=True)
        hidden_ND = hidden_BTD[rows, batch.previous_BT[rows, columns]]
        logits_NV = self.model.lm_head(hidden_ND)
        targets_N = ids_BT[rows, columns]
        right_BT = torch.zeros(batch.ids_BT.shape, dtype=torch.bool)
        right_BT[rows, columns] = (logits_NV.argmax(-1) == targets_N).cpu()
        return functional.cross_entropy(logits_NV, targets_N), right_BT

    @property
    def _checkpoint(self) -> Path:
        return self.folder / "checkpoint"

    def _save(self) -> None:
        """Write the checkpoint beside the old one, then put it in its place."""
        new = self.folder / "checkpoint.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        tensors = {f"model.{n}": p.detach() for n, p in self.model.named_parameters()}
        for name, optimiser in (("muon", self.muon), ("adamw", self.adamw)):
            for index, state in optimiser.state_dict()["state"].items():
                tensors |= {f"{name}.{index}.{key}": value for key, value in state.items()}
        save_file({k: v.contiguous().cpu() for k, v in tensors.items()}, new / "state.safetensors")
        progress = {
            "recipe": self.recipe.model_dump(mode="json"),
            "rng": self.rng.getstate(),
            "averages": self.averages.state,
            **{key: getattr(self, key) for key in _COUNTERS},
        }
        (new / "progress.json").write_text(json.dumps(progress))
        shutil.rmtree(self._checkpoint, ignore_errors=True)
        new.replace(self._checkpoint)

    def _restore(self, log: LogLine) -> bool:
        """Continue from the checkpoint, if there is one and it was made by this very recipe."""
        if not (self._checkpoint / "progress.json").exists():
            return False
        progress = json.loads((self._checkpoint / "progress.json").read_text())
        if changed := _changes(progress["recipe"], self.recipe.model_dump(mode="json")):
            kept = self._put_aside()
            log(f"the checkpoint was made by another recipe: {_listed(changed)}")
            log(f"starting anew; the old checkpoint, of step {progress['step']}, is kept in {kept}")
            return False
        tensors = load_file(self._checkpoint / "state.safetensors", device=str(self.device))
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(tensors[f"model.{name}"])
        for name, optimiser in (("muon", self.muon), ("adamw", self.adamw)):
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in tensors.items():
                owner, *rest = key.split(".")
                if owner == name:
                    state.setdefault(int(rest[0]), {})[rest[1]] = value
            groups = optimiser.state_dict()["param_groups"]
            optimiser.load_state_dict({"state": state, "param_groups": groups})
        version, internal, gauss = progress["rng"]
        self.rng.setstate((version, tuple(internal), gauss))
        self.averages = Averages(progress["averages"])
        for key in _COUNTERS:
            setattr(self, key, progress[key])
        return True

    def _put_aside(self) -> Path:
        """Give the checkpoint's folder the next free number, so that no later one takes its place."""
        numbers = itertools.count(1)
        kept = next(p for n in numbers if not (p := self.folder / f"checkpoint.{n}").exists())
        return self._checkpoint.rename(kept)

    def export(self, folder: Path) -> None:
        """Write the finished model as transformers reads it, whole or not at all, and keep the
        checkpoint (it is cheap, and measuring may still be stopped).
        """
        new = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        save_tokenizer(new, self.recipe.shape.max_positions)
        self.model.save_pretrained(new)
        folder.mkdir(parents=True, exist_ok=True)
        for path in new.iterdir():
            path.replace(folder / path.name)
        new.rmdir()

    def facts(self) -> dict[str, Any]:
        """How the training went, for the model card."""
        return {
            "parameters": sum(p.numel() for p in self.model.parameters()),
            "vocabulary": len(self.chat.tokenizer),
            "steps": self.step,
            "tokens": self.num_tokens,
            "answers": self.num_answers,
            "train_s": round(self.train_s, 1),
            "device": self.device.type,
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
            "training_accuracy": {
                label: round(self.averages.share(label), 4) for label in sorted(self.averages.state)
            },
        }


_COUNTERS = ("step", "stage", "stage_begin", "num_tokens", "num_answers", "train_s")
_MOST_LISTED = 12


def _changes(old: Any, new: Any, at: str = "") -> list[str]:
    """What differs between two recipes as JSON data, each as "key: old -> new"."""
    parts: dict[str, tuple[Any, Any]] = {}
    if isinstance(old, dict) and isinstance(new, dict):
        parts = {f"{at}.{key}": (old.get(key), new.get(key)) for key in dict.fromkeys([*old, *new])}
    elif isinstance(old, list) and isinstance(new, list):
        pairs = enumerate(itertools.zip_longest(old, new))
        parts = {f"{at}[{number}]": pair for number, pair in pairs}
    if not parts:
        return [] if old == new else [f"{at.lstrip('.')}: {json.dumps(old)} -> {json.dumps(new)}"]
    return [change for key, (one, other) in parts.items() for change in _changes(one, other, key)]


def _listed(changes: list[str]) -> str:
    more = len(changes) - _MOST_LISTED
    return "; ".join(changes[:_MOST_LISTED]) + (f"; and {more} more" if more > 0 else "")
