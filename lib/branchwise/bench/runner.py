"""Runs every layout in turn on the same work, and writes what was measured."""

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import PreTrainedModel

from branchwise.bench.floor import Cost, Machine, clock, measure_machine
from branchwise.bench.layouts import LAYOUTS, Layout, Tree
from branchwise.decoding.engine import TreeDecoder

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


def _draw(model: PreTrainedModel, prefix: int, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
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
    prefix_P, questions_BQ = _draw(model, prefix, count)
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
        row = {
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
    prefix_P, questions_BQ = _draw(model, prefix, count)
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


def whole_paged(
    model: PreTrainedModel, prefix: int, count: int, num_tokens: int, log: Log = print
) -> dict[str, Any]:
    """Transformers' continuous batching, whole. It shares full pages of the prefix; its cache is
    sized by hand (left to itself it takes most of the machine's memory and warms up for minutes).
    """
    from transformers import ContinuousBatchingConfig, GenerationConfig

    prefix_P, questions_BQ = _draw(model, prefix, count)
    prompts = [[*prefix_P.tolist(), *question.tolist()] for question in questions_BQ]
    pages = count * (prefix + QUESTION_TOKENS + num_tokens) // 256 + 2 * count + 8
    config = GenerationConfig(max_new_tokens=num_tokens, do_sample=False, eos_token_id=-1, pad_token_id=0)
    batching = ContinuousBatchingConfig(
        num_blocks=pages, max_batch_tokens=max(prefix + QUESTION_TOKENS, 256)
    )
    started = clock(model.device)
    wall = time.perf_counter()
    model.generate_batch(
        prompts,
        generation_config=config,
        continuous_batching_config=batching,
        warmup=False,
        progress_bar=False,
    )
    wall_s = time.perf_counter() - wall
    log(f"P={prefix} B={count} L={num_tokens} generate_batch             {wall_s:8.3f} s (wall)")
    more = {"prefix": prefix, "branches": count, "tokens": num_tokens}
    return {
        "layout": "generate_batch",
        **more,
        "wall_s": wall_s,
        "thread_s": clock(model.device) - started,
    }


@torch.no_grad()
def in_flight(
    model: PreTrainedModel,
    num_groups: int,
    prefix: int,
    count: int,
    num_tokens: int,
    log: Log = print,
) -> dict[str, Any]:
    """Many groups of `count` questions: one after the other, then all at once; answers of a fixed
    length. Also what the tree holds at most, at the end, and after doing it again.
    """
    groups = [_draw(model, prefix, count, seed=group) for group in range(num_groups)]
    prompts = [
        [[*prefix_P.tolist(), *question.tolist()] for question in questions_BQ]
        for prefix_P, questions_BQ in groups
    ]
    one = TreeDecoder(model, packed_weights=None)
    all_at_once = TreeDecoder(model, kernel="cascade", packed_weights=None)
    one.complete(prompts[0], 2)
    started = clock(model.device)
    separate = [one.complete(some, num_tokens) for some in prompts]
    one_s = clock(model.device) - started
    held, seconds, passes = [], [], []
    together: list = []
    for _ in range(2):
        before, started = all_at_once.num_forward_passes, clock(model.device)
        together = all_at_once.complete_groups(prompts, num_tokens)
        seconds.append(clock(model.device) - started)
        passes.append(all_at_once.num_forward_passes - before)
        held.append((all_at_once.slots_in_use, all_at_once.peak_tokens, all_at_once.cache_bytes))
    log(
        f"{num_groups} groups of {count}: one at a time {one_s:.2f} s (kernel {one.kernel}), in flight "
        f"{min(seconds):.2f} s, {one_s / min(seconds):.1f} x; slots at the end {held[-1][0]}"
    )
    return {
        "groups": num_groups,
        "prefix": prefix,
        "branches": count,
        "tokens": num_tokens,
        "kernel_one_at_a_time": one.kernel,
        "one_at_a_time_s": one_s,
        "in_flight_s": seconds,
        "in_flight_passes": passes,
        "same_tokens": together == separate,
        "slots_peak_bytes_after_each": held,
    }


@torch.no_grad()
def early_finish(
    model: PreTrainedModel, prefix: int, count: int, shortest: int, longest: int, log: Log = print
) -> dict[str, Any]:
    """Branches of uneven lengths: token rows computed and time, beside what no early end would cost."""
    device = model.device
    prefix_P, questions_BQ = _draw(model, prefix, count)
    generator = torch.Generator().manual_seed(count)
    lengths = torch.randint(shortest, longest + 1, (count,), generator=generator).tolist()
    results = {}
    for name, given in (("uneven", lengths), ("all as long as the longest", [max(lengths)] * count)):
        work = Tree(model, prefix_P, questions_BQ)
        work.lengths = given
        work.prefill()
        before, started = work.decoder.num_rows, clock(device)
        while work.decoder.step():
            pass
        results[name] = {"rows": work.decoder.num_rows - before, "decode_s": clock(device) - started}
        log(f"{name:28} {results[name]['rows']:6} rows  {results[name]['decode_s']:8.3f} s")
    return {
        "prefix": prefix,
        "lengths": lengths,
        "sum_of_lengths": sum(lengths),
        "branches_times_longest": count * max(lengths),
        **results,
    }
