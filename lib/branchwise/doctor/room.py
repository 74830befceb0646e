"""Whether what an experiment needs fits the memory and the disks of this machine."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from branchwise.config import Experiment
from branchwise.doctor.fact import Fact, short, size
from branchwise.doctor.machine import free_memory
from branchwise.doctor.models import Hub
from branchwise.doctor.needs import (
    BESIDE_BYTES,
    Groups,
    ModelNeed,
    groups_of,
    hub_data,
    kv_bytes,
    needs_of,
    result_bytes,
)
from branchwise.files import cache_folder

_TEMPORARY_BYTES = 256 * 2**20
"""What compilers, archives and pages may put there for a while."""


def network(experiment: Experiment, hub: Hub) -> Iterator[Fact]:
    """Whether the hub can be reached, and whether that matters to the config's data."""
    waiting = list(hub_data(experiment))
    reason = hub.check()
    problem = ""
    if reason and waiting:
        verb = "is" if len(waiting) == 1 else "are"
        problem = (
            f"{', '.join(waiting)} {verb} read from the hub, which cannot be reached: go online once, or "
            "give `path:` to a local file"
        )
    found = f"not reachable ({reason})" if reason else "reachable"
    yield Fact(
        "hub", found if waiting else f"{found}; not needed for the config's data", problem, needed=True
    )


def room(experiment: Experiment, used: list[str], hub: Hub) -> Iterator[Fact]:
    """What the models that are used here and the results will take, beside what is free."""
    import torch

    on_gpu = torch.cuda.is_available()
    groups = groups_of(experiment)
    entries = experiment.catalogues.models
    here = [name for name in used if entries[name].is_here]
    needs = [
        needs_of(name, entries[name], not _on_gpu(entries[name].device, on_gpu), hub.sizes)
        for name in here
    ]
    for need in needs:
        on = _on_gpu(entries[need.name].device, on_gpu)
        free = torch.cuda.mem_get_info()[0] if on else free_memory()
        yield _memory(experiment, need, groups, free, on)
    yield from disks(experiment, needs, groups)


def _on_gpu(device: str, there_is_one: bool) -> bool:
    return there_is_one if device == "auto" else device.startswith("cuda")


def _memory(
    experiment: Experiment, need: ModelNeed, groups: Mapping[str, Groups], free: int | None, on_gpu: bool
) -> Fact:
    """What one cell of a model takes, beside what is free and what schedulers are asked for."""
    name = f"memory for {need.name}"
    if need.weights is None:
        return Fact(name, "unknown: its weights are not here, and the hub does not say")
    kv = kv_bytes(experiment, need, groups)
    cache = (
        "keys and values unknown until groups are prepared"
        if kv is None
        else f"keys and values {size(kv)}"
    )
    beside = 0 if on_gpu else BESIDE_BYTES
    total = need.weights + (kv or 0) + beside
    found = f"about {size(total)}: weights {size(need.weights)}, {cache}" + (
        ", the rest Python" if beside else ""
    )
    if free is not None and total > free:
        where = "GPU" if on_gpu else "machine"
        return Fact(
            name,
            found,
            f"{size(free)} are free: take a smaller model or dtype, fewer `groups_in_flight`, or another "
            f"{where}",
            needed=True,
        )
    asked = experiment.memory_mb * 10**6
    if not on_gpu and total > asked:
        write = f"write `memory_mb: {-(-total // 10**8) * 100}`"
        return Fact(
            name, found, f"a scheduler is asked for {experiment.memory_mb} MB: {write} in the config"
        )
    return Fact(name, found)


def disks(experiment: Experiment, needs: list[ModelNeed], groups: Mapping[str, Groups]) -> Iterator[Fact]:
    """Free room where results, caches and temporary files lie, beside what will be put there."""
    to_come = sum(need.to_come or 0 for need in needs)
    wanted = {
        "results": (Path(experiment.results), result_bytes(experiment, groups)),
        "converted models": (cache_folder() / "models", _converted(experiment, needs)),
        "hub's cache": (_hub_cache(), to_come),
        "temporary files": (Path(tempfile.gettempdir()), _TEMPORARY_BYTES),
    }
    for what, (folder, need) in wanted.items():
        place = _existing(folder)
        free = shutil.disk_usage(place).free
        found = f"{short(folder.absolute())}, {size(free)} free"
        found += _coming(need)
        problem = ""
        if need is not None and need > free:
            problem = f"{size(free)} are free, about {size(need)} needed: {_ELSEWHERE[what]}"
        elif not os.access(place, os.W_OK):
            problem = f"{place} cannot be written to: {_ELSEWHERE[what]}"
        yield Fact(what, found, problem, needed=True)


def _coming(need: int | None) -> str:
    if need is None:
        return ", need unknown until groups are prepared"
    return f", about {size(need)} needed" if need else ", nothing to come"


_ELSEWHERE = {
    "results": "free some, or name another folder with `results:`",
    "converted models": "free some, or name another folder with BRANCHWISE_CACHE",
    "hub's cache": "free some, or name another folder with HF_HOME",
    "temporary files": "free some, or name another folder with TMPDIR",
}


def _converted(experiment: Experiment, needs: list[ModelNeed]) -> int:
    """Bytes that GGUF files will be converted to, of those that are not yet."""
    from branchwise.decoding.models.converting import folder_for, what_is_wrong
    from branchwise.decoding.models.gguf import file_of

    total = 0
    for need in needs:
        entry = experiment.catalogues.models[need.name]
        file = file_of(entry) if entry.gguf is not None else None
        if file is not None and what_is_wrong(folder_for(file)) is not None:
            total += need.to_come or 0
    return total


def _hub_cache() -> Path:
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that there is."""
    folder = folder.absolute()
    while not folder.is_dir():
        folder = folder.parent
    return folder
