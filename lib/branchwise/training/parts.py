"""What a recipe trains of a model: which parameters, and how they are written as a checkpoint."""

import json
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from branchwise.decoding.mixers.mixing import Mixing
from branchwise.decoding.models.weights import reason_of
from branchwise.decoding.trained.folder import ADAPTER, MIXERS, WEIGHTS, Part
from branchwise.errors import UserError
from branchwise.training.recipes import LoraEntry, Recipe

MIXERS_PREFIX = "mixers."


class Trained:
    """A model with what a recipe trains of it: adapters put in, mixers made, the output matrix parted
    from the embeddings, everything else frozen.

    `parameters` are those that train, by name: the model's own, and `mixers.` before those of the mixers.
    All are fp32. `num_before` counts those that the model had.
    """

    def __init__(self, recipe: Recipe, model: PreTrainedModel) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.model = model
        model.requires_grad_(False)
        if recipe.precision == "fp32":
            cast(nn.Module, model).float()
        self.num_before = sum(parameter.numel() for parameter in model.parameters())
        self._head = self._head_name() if recipe.trains_head or recipe.trains_all else None
        if recipe.trains_head:
            self._part_head()
        self._adapter: Any = None
        own = {id(parameter) for parameter in model.parameters()}
        if recipe.lora_entry is not None:
            if self._head and self._head.rpartition(".")[2] in recipe.lora_entry.targets:
                raise UserError(
                    f"the output matrix {self._head} is to be trained and to get an adapter, too",
                    "take it out of `lora.targets`",
                )
            self._adapter = _adapted(model, recipe.lora_entry)
        self.mixing = Mixing(model, recipe.mixer_entry) if recipe.mixer_entry is not None else None
        self.parameters: dict[str, nn.Parameter] = {}
        for name, parameter in model.named_parameters():
            if id(parameter) not in own or recipe.trains_all or self._is_head(name):
                self.parameters[name] = parameter
        if self.mixing is not None:
            mixers = self.mixing.modules.named_parameters()
            self.parameters |= {f"{MIXERS_PREFIX}{name}": parameter for name, parameter in mixers}
        for parameter in self.parameters.values():
            # Masters: what an optimiser adds is lost in half precision.
            parameter.data = parameter.data.float()
            parameter.requires_grad_(True)

    def _is_head(self, name: str) -> bool:
        return self.recipe.trains_head and name == f"{self._head}.weight"

    def _head_name(self) -> str:
        head = self.model.get_output_embeddings()
        found = next((name for name, module in self.model.named_modules() if module is head), None)
        if found is None:
            raise UserError(
                f"{type(self.model).__name__} has no output matrix of its own", "train an adapter instead"
            )
        return found

    def _part_head(self) -> None:
        """Give an output matrix that is the embeddings', too, a copy of its own."""
        head = cast(nn.Linear, self.model.get_output_embeddings())
        embeddings = cast(nn.Embedding, self.model.get_input_embeddings())
        if head.weight is embeddings.weight:
            head.weight = nn.Parameter(head.weight.detach().clone(), requires_grad=False)
            self.model.config.tie_word_embeddings = False

    @property
    def parts(self) -> tuple[Part, ...]:
        """What a checkpoint of it holds."""
        recipe = self.recipe
        found: list[Part] = []
        if recipe.lora_entry is not None:
            found.append("adapter")
        if recipe.trains_all:
            found.append("weights")
        elif recipe.trains_head:
            found.append("head")
        return (*found, "mixers") if self.mixing is not None else tuple(found)

    def save(self, folder: Path) -> list[str]:
        """Write what was trained; returns the names of the files."""
        names: list[str] = []
        if self._adapter is not None:
            # Without a look at the hub for the model's vocabulary.
            self._adapter.save_pretrained(
                str(folder), safe_serialization=True, save_embedding_layers=False
            )
            (folder / "README.md").unlink(missing_ok=True)
            # Where the model lies is no business of its adapter's; which it is, says checkpoint.json.
            config = folder / ADAPTER[0]
            content = json.loads(config.read_text()) | {"base_model_name_or_path": None}
            config.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")
            names += ADAPTER
        weights = self._own_weights()
        if weights:
            save_file(weights, folder / WEIGHTS)
            names.append(WEIGHTS)
        if self.mixing is not None:
            tensors = {
                name: tensor.detach().cpu().clone()
                for name, tensor in self.mixing.modules.state_dict().items()
            }
            save_file(tensors, folder / MIXERS)
            names.append(MIXERS)
        return names

    def _own_weights(self) -> dict[str, Tensor]:
        """The trained ones of the model's own parameters, under each name that they have."""
        learns = {id(parameter) for name, parameter in self.parameters.items() if "lora_" not in name}
        return {
            # An adapter's layer holds the matrix that it stands around.
            name.replace(".base_layer.", "."): parameter.detach().cpu().clone()
            for name, parameter in self.model.named_parameters(remove_duplicate=False)
            if id(parameter) in learns
        }


def _adapted(model: PreTrainedModel, entry: LoraEntry) -> Any:
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=entry.rank,
        lora_alpha=cast(int, entry.alpha),
        lora_dropout=entry.dropout,
        target_modules=list(entry.targets),
        bias="none",
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise UserError(
            f"an adapter does not fit {type(model).__name__}: {reason_of(error)}",
            "correct `lora.targets` in the recipe: names of its linear layers",
        ) from None
