"""Runs every layout in turn on the same work, and writes what was measured."""

import platform
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import PreTrainedModel

from branchwise.bench.floor import Cost, Machine, clock, measure_machine
from branchwise.bench.layouts import LAYOUTS, Layout

SCHEMA = 1
QUESTION_TOKENS = 16

Log = Callable[[str], None]


def machine_name(device: torch.device) -> str:
    """The processor that times were measured on."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def draw(model: PreTrainedModel, prefix: int, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A random prefix (P,) and questions (B, Q), int64; the same for the same sizes and seed."""
    generator = torch.Generator().manual_seed((seed * 10**6 + prefix) * 1000 + count)
    size = model.config.vocab_size
    prefix_P = torch.randint(0, size, (prefix,), generator=generator)
    questions_BQ = torch.randint(0, size, (count, QUESTION_TOKENS), generator=generator)
    return prefix_P.to(model.device), questions_BQ.to(model.device)


def measure(
    model: PreTrainedModel,
    prefixes: Sequence[int],
    branches: Sequence[int],
    num_steps: int,
    layouts: Sequence[type[Layout]] = LAYOUTS,
    log: Log = print,
    save: Callable[[dict[str, Any]], None] = lambda result: None,
) -> dict[str, Any]:
    """Every layout at every prefix length and number of branches: one result, as JSON data.

    `save` is called with what there is after each point, so that a stop loses little.
    """
    device, dtype = model.device, model.dtype
    machine = measure_machine(device, dtype)
    log(f"{machine.bytes_per_s / 1e9:.1f} GB/s, {machine.flop_per_s / 1e9:.0f} GFLOP/s, {dtype}")
    cost = Cost.of(model)
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "machine": machine_name(device),
        "device": device.type,
        "threads": torch.get_num_threads(),
        "dtype": str(dtype).removeprefix("torch."),
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "bytes_per_s": machine.bytes_per_s,
        "flop_per_s": machine.flop_per_s,
        "cost": cost.as_dict(),
        "question_tokens": QUESTION_TOKENS,
        "num_steps": num_steps,
        "rows": [],
    }
    for prefix in prefixes:
        for count in branches:
            result["rows"] += _measure_point(model, machine, cost, prefix, count, num_steps, layouts, log)
            save(result)
    return result


@torch.no_grad()
def _measure_point(
    model: PreTrainedModel,
    machine: Machine,
    cost: Cost,
    prefix: int,
    count: int,
    num_steps: int,
    layouts: Sequence[type[Layout]],
    log: Log,
) -> list[dict[str, Any]]:
    device = model.device
    prefix_P, questions_BQ = draw(model, prefix, count)
    works = [layout(model, prefix_P, questions_BQ) for layout in layouts]
    prefill_s: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    point = {"prefix": prefix, "branches": count}
    for work in list(works):
        started = clock(device)
        try:
            work.prefill()
        except torch.OutOfMemoryError as error:
            # All layouts of a point are alive at once: on a full GPU the greediest ones drop out.
            works.remove(work)
            rows.append({"layout": work.name, **point, "error": str(error).splitlines()[0]})
            log(f"P={prefix} B={count} {work.name:26} out of memory")
            torch.cuda.empty_cache()
            continue
        prefill_s[work.name] = clock(device) - started
    step_s: dict[str, list[float]] = {work.name: [] for work in works}
    # In turn, so that whatever slows the machine down for a while slows all of them down.
    for _ in range(num_steps):
        for work in works:
            started = clock(device)
            work.advance()
            step_s[work.name].append(clock(device) - started)
    floor_s = cost.step_floor_s(machine, prefix, count, QUESTION_TOKENS + num_steps // 2)
    reference = [answer[: num_steps + 1] for answer in works[0].answers()] if works else []
    for work in works:
        step = statistics.median(step_s[work.name])
        given = [answer[: num_steps + 1] for answer in work.answers()]
        pairs = zip(given, reference, strict=True)
        agree = [a == b for got, want in pairs for a, b in zip(got, want, strict=False)]
        row: dict[str, Any] = {
            "layout": work.name,
            **point,
            "prefill_s": prefill_s[work.name],
            "step_s": step,
            "step_s_all": step_s[work.name],
            "tokens_per_s": count / step,
            "floor_s": floor_s,
            "fraction_of_floor": floor_s / step,
            "kv_bytes": work.cache_tokens() * cost.key_bytes,
            "counters": work.counters(),
            **work.notes(),
            "same_tokens": sum(agree) / len(agree),
            "same_as": works[0].name,
        }
        rows.append(row)
        log(
            f"P={prefix} B={count} {work.name:26} prefill {row['prefill_s']:8.3f} s  "
            f"step {1e3 * step:8.2f} ms  {count / step:8.1f} tokens/s  "
            f"KV {row['kv_bytes'] / 2**20:8.1f} MiB  floor {100 * floor_s / step:3.0f} %  "
            f"same {100 * row['same_tokens']:3.0f} %"
        )
    return rows


@torch.no_grad()
def end_to_end(
    model: PreTrainedModel,
    prefix: int,
    count: int,
    num_tokens: int,
    repeats: int,
    layouts: Sequence[type[Layout]],
    log: Log = print,
) -> list[dict[str, Any]]:
    """Prefill and `num_tokens` for every branch, whole, each layout `repeats` times in turn."""
    device = model.device
    prefix_P, questions_BQ = draw(model, prefix, count)
    times: dict[str, list[float]] = {layout.name: [] for layout in layouts}
    for _ in range(repeats):
        for layout in layouts:
            work = layout(model, prefix_P, questions_BQ)
            started = clock(device)
            work.prefill()
            for _ in range(num_tokens - 1):
                work.advance()
            times[layout.name].append(clock(device) - started)
    rows = []
    for name, all_s in times.items():
        wall = statistics.median(all_s)
        log(f"P={prefix} B={count} L={num_tokens} {name:26} {wall:8.3f} s")
        more = {"prefix": prefix, "branches": count, "tokens": num_tokens}
        rows.append({"layout": name, **more, "total_s": wall, "total_s_all": all_s})
    return rows
