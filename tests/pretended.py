"""GPUs that are pretended: tensors that say they lie on one, compute on the CPU, and refuse to be mixed.

As on real ones, an operation takes tensors of one device; a CPU tensor is let through where torch lets it
be (a single number; indices). What is made with `device="cuda:1"` lies there, and `.to` brings over.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

CPU = torch.device("cpu")
COPIES = ("aten::_to_copy", "aten::to", "aten::copy_")


class OnDevice(Tensor):
    """`held`, on the CPU, with another device's name on it."""

    held: Tensor
    is_cpu = False
    is_cuda = True

    @staticmethod
    def __new__(cls, held: Tensor, device: torch.device) -> "OnDevice":
        # To torch itself it is on the CPU: of other devices it would ask for their drivers.
        return Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=CPU,
        )

    def __init__(self, held: Tensor, device: torch.device) -> None:
        self.held = held
        self._device = device

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """Where it says that it lies."""
        return self._device

    def to(self, *args: Any, **kwargs: Any) -> Tensor:  # type: ignore[override]
        """Torch would leave it where it is when it is brought to the CPU."""
        brought = [one for one in (*args, *kwargs.values()) if str(one) == "cpu"]
        return self.held.to(*args, **kwargs) if brought else super().to(*args, **kwargs)

    def cpu(self, *_: Any) -> Tensor:  # type: ignore[override]
        """The same on the CPU."""
        return self.held

    def tolist(self) -> Any:
        """Its numbers."""
        return self.held.tolist()

    def __repr__(self, **_: Any) -> str:
        return f"{self.device}: {self.held}"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


class _Pretending(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        # Of a mode of this kind torch knows that it needs no CUDA.
        self._mode_key = torch._C._TorchDispatchModeKey.FAKE

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


def computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """One operation, on the device that its tensors lie on or that it is told."""
    name = func._schema.name
    # Told in its place or by its name.
    told = {one.name: value for one, value in zip(func._schema.arguments, args, strict=False)} | kwargs
    tensors = _tensors((args, kwargs))
    if name not in COPIES:
        _check(name, tensors, takes_indices=name.startswith("aten::index"))
    if name == "aten::copy_":
        device = tensors[0].device
    elif told.get("device") is not None:
        device = torch.device(told["device"])
    else:
        device = next((one.device for one in tensors if isinstance(one, OnDevice)), CPU)
    bare_args, bare_kwargs = tree_map_only(torch.device, lambda _: CPU, _bare((args, kwargs)))
    with torch._C._DisableTorchDispatch():
        found = func(*bare_args, **bare_kwargs)
    if name.endswith("_") and isinstance(args[0], OnDevice):
        return args[0]
    if device == CPU:
        return found
    return tree_map_only(Tensor, lambda one: OnDevice(one, device), found)


def _check(name: str, tensors: list[Tensor], takes_indices: bool) -> None:
    """Raises RuntimeError for tensors of several devices."""
    devices = {one.device for one in tensors if isinstance(one, OnDevice)}
    bare = [one for one in tensors if not isinstance(one, OnDevice) and one.dim() > 0]
    if len(devices) > 1 or (devices and bare and not takes_indices):
        raise RuntimeError(f"{name}: tensors on {sorted({str(one.device) for one in tensors})}")


def _tensors(values: Any) -> list[Tensor]:
    return [one for one in tree_flatten(values)[0] if isinstance(one, Tensor)]


def _bare(values: Any) -> Any:
    return tree_map_only(OnDevice, lambda one: one.held, values)


@contextmanager
def pretended() -> Iterator[None]:
    """There are GPUs for as long as this lasts: `cuda:0`, `cuda:1` and so on."""
    lifted = torch._C._only_lift_cpu_tensors()
    torch._C._ensureCUDADeviceGuardSet()
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        with _Pretending():
            yield
    finally:
        torch._C._set_only_lift_cpu_tensors(lifted)


def laid(module: nn.Module, device: str) -> None:
    """Put all of a module on a device; of what several modules share only the first has a place."""
    for part in module.modules():
        for held in (part._parameters, part._buffers):
            for name, tensor in held.items():
                if tensor is not None and not isinstance(tensor, OnDevice):
                    there: Tensor = OnDevice(tensor.detach(), torch.device(device))
                    is_learned = isinstance(tensor, nn.Parameter)
                    held[name] = nn.Parameter(there, requires_grad=False) if is_learned else there
