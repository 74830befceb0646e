"""What else is to know about the tree decoder: many groups, early ends, bfloat16, continuous batching."""

import copy
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from transformers import PreTrainedModel

from branchwise.bench.floor import clock
from branchwise.bench.layouts import Tree
from branchwise.bench.runner import QUESTION_TOKENS, Log, draw
from branchwise.decoding.completing import CompletingEngine


def _prompts(model: PreTrainedModel, prefix: int, count: int, seed: int = 0) -> list[list[int]]:
    """Token ids of `count` prompts over one prefix, as `draw` gives them."""
    prefix_P, questions_BQ = draw(model, prefix, count, seed)
    return [[*prefix_P.tolist(), *question.tolist()] for question in questions_BQ]


def whole_paged(
    model: PreTrainedModel, prefix: int, count: int, num_tokens: int, log: Log = print
) -> dict[str, Any]:
    """Transformers' continuous batching, whole. It shares full pages of the prefix; its cache is
    sized by hand (left to itself it takes most of the machine's memory and warms up for minutes).
    """
    from transformers import ContinuousBatchingConfig, GenerationConfig

    prompts = _prompts(model, prefix, count)
    pages = count * (prefix + QUESTION_TOKENS + num_tokens) // 256 + 2 * count + 8
    config = GenerationConfig(max_new_tokens=num_tokens, do_sample=False, eos_token_id=-1, pad_token_id=0)
    batching = ContinuousBatchingConfig(
        num_blocks=pages, max_batch_tokens=max(prefix + QUESTION_TOKENS, 256)
    )
    started = clock(model.device)
    wall = time.perf_counter()
    # PreTrainedModel itself declares neither this nor `generate`.
    cast(Any, model).generate_batch(
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
    prompts = [_prompts(model, prefix, count, seed=group) for group in range(num_groups)]
    one = CompletingEngine(model)
    all_at_once = CompletingEngine(model)
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
    prefix_P, questions_BQ = draw(model, prefix, count)
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


@torch.no_grad()
def agreement(
    model: PreTrainedModel, prefix: int, count: int, num_tokens: int, log: Log = print
) -> dict[str, Any]:
    """How far bfloat16 answers agree with fp32 ones of the very same (bfloat16) weights, both greedy.

    `tokens`: the mean share of an answer before its first other token; `branches`: the share of
    answers that are the same throughout.
    """
    prompts = _prompts(model, prefix, count)
    half = cast(Any, copy.deepcopy(model)).to(torch.bfloat16)
    answers = {
        dtype: CompletingEngine(half.to(dtype), kernel="cascade").complete(prompts, num_tokens)
        for dtype in (torch.bfloat16, torch.float32)
    }
    shares = []
    for got, want in zip(*answers.values(), strict=True):
        same = [a == b for a, b in zip(got, want, strict=False)]
        shares.append((same.index(False) if False in same else len(same)) / max(len(got), len(want)))
    result = {"tokens": sum(shares) / count, "branches": shares.count(1.0) / count}
    log(
        f"bfloat16 against fp32, {count} answers of {num_tokens} tokens: {100 * result['tokens']:.0f} % "
        f"of an answer before its first other token, {100 * result['branches']:.0f} % of answers the same"
    )
    return {"prefix": prefix, "count": count, "num_tokens": num_tokens, **result}


@torch.inference_mode()
def one_row(
    model: PreTrainedModel, prefix: int, num_tokens: int, repeats: int = 7, log: Log = print
) -> dict[str, Any]:
    """One prompt alone: the tree's step beside that of transformers' `generate`, and `generate` against
    itself. In turn; a step is what `num_tokens` take over one token, divided by their number.
    """
    from transformers import GenerationConfig

    (prompt,) = _prompts(model, prefix, 1)
    ids = torch.tensor([prompt], device=model.device)

    def generate(count: int) -> Any:
        config = GenerationConfig(
            max_new_tokens=count, min_new_tokens=count, do_sample=False, eos_token_id=None, pad_token_id=0
        )
        mask = torch.ones_like(ids)
        return cast(Any, model).generate(input_ids=ids, attention_mask=mask, generation_config=config)

    works: dict[str, Callable[[int], Any]] = {"generate": generate, "generate, again": generate}
    # Without its own, the model has nowhere to stop before the number of tokens.
    own, model.generation_config = model.generation_config, GenerationConfig()
    try:
        in_torch = CompletingEngine(model, kernel="cascade", products="plain")
        for name, engine in {"tree": CompletingEngine(model), "tree in torch": in_torch}.items():
            works[name] = partial(engine.complete, [prompt])
        steps: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(repeats):
            for name, work in works.items():
                started = clock(model.device)
                work(1)
                middle = clock(model.device)
                work(num_tokens)
                more = clock(model.device) - middle - (middle - started)
                steps[name].append(more / (num_tokens - 1))
    finally:
        model.generation_config = own
    base = steps["generate"]
    result: dict[str, dict[str, Any]] = {}
    for name, all_s in steps.items():
        ratio = statistics.median(a / b for a, b in zip(all_s, base, strict=True))
        result[name] = {"step_s": statistics.median(all_s), "step_s_all": all_s, "over_generate": ratio}
        step_ms = 1e3 * result[name]["step_s"]
        log(f"P={prefix} one row, {name:18} step {step_ms:8.3f} ms  {ratio:.3f} of generate's")
    return {"prefix": prefix, "tokens": num_tokens, "layouts": result}
