"""Mixers in a model, where their entry puts them, for as long as they are attached.

Shape legend: B rows, T tokens of a row, M mixed states, D width.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from branchwise.decoding.mixers.modules import Columns, Mixer
from branchwise.decoding.models.usable import check_on_one_device
from branchwise.errors import UserError

if TYPE_CHECKING:
    from branchwise.decoding.mixers.entry import MixerEntry


class Mixed(NamedTuple):
    """The states of a pass that are mixed: their rows and places, int64 (M,), and with which others."""

    row_M: Tensor
    place_M: Tensor
    columns: Columns


class Mixing:
    """The mixers of one model. Before each pass `aim` says what is mixed in it; without that a pass is
    the model's own.
    """

    def __init__(self, model: PreTrainedModel, entry: "MixerEntry") -> None:
        check_on_one_device(model, "mixing")
        self.entry = entry
        self.model = model
        width = model.config.get_text_config().hidden_size
        layers = decoder_layers(model)
        if beyond := [layer for layer in entry.layers if layer >= len(layers)]:
            raise UserError(
                f"mixers stand at layers {beyond}, and the model has {len(layers)}",
                f"set `layers:` to some of 0 to {len(layers) - 1}",
            )
        self.modules = nn.ModuleList(Mixer(entry, width) for _ in entry.layers or (None,))
        # A base that is frozen in a smaller dtype still gets mixers that can learn.
        self.modules.to(model.device, torch.float32).eval()
        self._mixed: Mixed | None = None
        self.observer: Callable[[int, Tensor, Columns], None] | None = None
        """Shown the number of each mixer, its states (M, D) before mixing, and their columns."""

    def aim(self, mixed: Mixed | None) -> None:
        """Set what the coming pass mixes; None: nothing."""
        self._mixed = mixed

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The mixers are in the model for as long as this lasts."""
        with ExitStack() as stack:
            layers = decoder_layers(self.model)
            for number, layer in enumerate(self.entry.layers):
                stack.callback(self._hook(layers[layer], number).remove)
            if self.entry.place == "last":
                hook = self.model.base_model.register_forward_hook(self._behind)
                stack.callback(hook.remove)
            stack.callback(self.aim, None)
            yield

    def _hook(self, layer: nn.Module, number: int) -> Any:
        if self.entry.place == "after":
            return layer.register_forward_hook(lambda _, __, out: self._in_output(out, number))

        def before(_: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
            if args:
                return (self._changed(args[0], number), *args[1:]), kwargs
            return args, kwargs | {"hidden_states": self._changed(kwargs["hidden_states"], number)}

        return layer.register_forward_pre_hook(before, with_kwargs=True)

    def _in_output(self, out: Any, number: int) -> Any:
        if isinstance(out, tuple):
            return (self._changed(out[0], number), *out[1:])
        return self._changed(out, number)

    def _behind(self, _: nn.Module, __: Any, out: Any) -> Any:
        out.last_hidden_state = self._changed(out.last_hidden_state, 0)
        return out

    def _changed(self, states_BTD: Tensor, number: int) -> Tensor:
        """The states with those that are mixed changed."""
        mixed = self._mixed
        if mixed is None:
            return states_BTD
        states_MD = states_BTD[mixed.row_M, mixed.place_M]
        if self.observer is not None:
            self.observer(number, states_MD, mixed.columns)
        new_MD = cast(Mixer, self.modules[number])(states_MD, mixed.columns)
        return states_BTD.index_put((mixed.row_M, mixed.place_M), new_MD)


def decoder_layers(model: nn.Module) -> nn.ModuleList:
    """The decoder layers of a model. Raises UserError where they are not found."""
    count = model.config.get_text_config().num_hidden_layers  # type: ignore[union-attr,operator]
    base = cast(nn.Module, model.base_model)
    for module in base.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise UserError(
        f"no list of {count} decoder layers was found in {type(model).__name__}",
        "mix at `place: last`, behind the whole network",
    )
