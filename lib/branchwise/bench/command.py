"""The benchmark's command; torch is imported when it runs."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from branchwise.bench.published import SHAPES
from branchwise.errors import UserError


def bench(
    shape: Annotated[str, typer.Option(help=f"One of: {', '.join(SHAPES)}.")] = "qwen2.5-0.5b",
    layers: Annotated[int | None, typer.Option(help="Cut the model to so many layers.")] = None,
    vocabulary: Annotated[int | None, typer.Option(help="Cut the vocabulary to so many words.")] = None,
    prefix: Annotated[list[int], typer.Option(help="Prefix lengths, in tokens.")] = [512, 2048],  # noqa: B006
    branches: Annotated[list[int], typer.Option(help="Numbers of branches.")] = [1, 8, 32],  # noqa: B006
    steps: Annotated[int, typer.Option(min=3, help="Decoding steps timed in each layout.")] = 15,
    layout: Annotated[
        list[str] | None, typer.Option(help="Time only these layouts; a wrong name lists them all.")
    ] = None,
    whole: Annotated[
        int, typer.Option(min=0, help="Also time prefill and so many tokens together; 0: do not.")
    ] = 0,
    uneven: Annotated[bool, typer.Option(help="Also time branches that end early.")] = False,
    paged: Annotated[bool, typer.Option(help="Also time transformers' generate_batch.")] = False,
    groups: Annotated[
        int, typer.Option(min=0, help="Also time so many groups, one at a time and in flight.")
    ] = 0,
    agree: Annotated[
        int, typer.Option(min=0, help="Also compare so many tokens in bfloat16 with fp32; 0: do not.")
    ] = 0,
    alone: Annotated[
        int,
        typer.Option(min=0, help="Also time one prompt's steps beside generate's, so many; 0: do not."),
    ] = 0,
    path: Annotated[
        Path | None, typer.Option(help="A model folder instead of a shape with random weights.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
    dtype: Annotated[
        str, typer.Option(help="float32, bfloat16, or auto: what the device is made for.")
    ] = "auto",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
    peers: Annotated[
        bool,
        typer.Option(
            help="Instead: OpenVINO GenAI, CTranslate2, llama.cpp and transformers beside the tree, on a "
            "real model in float32 on the CPU; of the other options these go with it: --path, "
            "--layout (systems), --threads, --out, --rounds, --squad, --figure."
        ),
    ] = False,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds of --peers.")] = 3,
    squad: Annotated[
        Path | None, typer.Option(help="SQuAD's dev-v1.1.json for --peers; else made text.")
    ] = None,
    figure: Annotated[
        Path | None, typer.Option(help="Draw --peers to this file (.pdf, .svg or .png).")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the result to this JSON file.")] = None,
) -> None:
    """Time the tree decoder beside every baseline, on a true architecture with random weights.

    A row a layout: prefill, decoding step, tokens a second, memory of the cache, and the fraction of
    the floor, with bandwidth and FLOP/s measured in this process. Ratios between layouts of one run
    mean something; times of a CPU say nothing about a GPU.
    """
    if peers:
        from branchwise.bench.peers.command import bench_peers

        bench_peers(path, squad, rounds, threads, layout, out, figure)
        return
    import torch

    from branchwise.bench.layouts import ExpandedBatch, PaddedBatch, SequentialReuse, Tree, by_name
    from branchwise.bench.runner import end_to_end, measure
    from branchwise.bench.shapes import build, load
    from branchwise.bench.studies import agreement, early_finish, in_flight, one_row, whole_paged

    log = Console(stderr=True, highlight=False, soft_wrap=True).print
    torch.set_num_threads(threads)
    cuda = torch.cuda.is_available() if device == "auto" else device == "cuda"
    if cuda and not torch.cuda.is_available():
        raise UserError("device is cuda, but torch sees no GPU", "give --device cpu")
    if dtype == "auto":
        dtype = "bfloat16" if cuda else "float32"
    if dtype not in ("float32", "bfloat16"):
        raise UserError(f"dtype is {dtype!r}", "give float32, bfloat16 or auto")
    place = torch.device("cuda" if cuda else "cpu")
    chosen = by_name(layout, place)
    kind = getattr(torch, dtype)
    model = load(path, place, kind) if path else build(shape, place, kind, layers, vocabulary)
    cuts = [f"{layers} layers"] * (layers is not None) + [f"{vocabulary} words"] * (
        vocabulary is not None
    )
    size = sum(p.numel() for p in model.parameters()) / 1e6
    log(f"{path or shape}, {size:.0f} M parameters" + (f", cut to {' and '.join(cuts)}" if cuts else ""))
    about = {"shape": path.name if path else shape, "layers": layers, "vocabulary": vocabulary}
    result: dict[str, Any] = dict(about)

    def save(measured: dict) -> None:
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps({**about, **measured}, indent=1) + "\n")

    result |= measure(model, prefix, branches, steps, chosen, log, save)
    longest, most = max(prefix), max(branches)
    if whole:
        some = (SequentialReuse, PaddedBatch, ExpandedBatch, Tree)
        result["whole"] = end_to_end(model, longest, min(most, 8), whole, 3, some, log)
    if paged:
        result["paged"] = whole_paged(model, longest, min(most, 8), whole or 32, log)
    if uneven:
        result["uneven"] = early_finish(model, longest, most, 8, 128, log)
    if groups:
        result["in_flight"] = in_flight(model, groups, min(prefix), min(most, 8), whole or 32, log)
    if alone:
        result["one_row"] = one_row(model, min(prefix), max(alone, 2), log=log)
    if agree:
        result["agreement"] = agreement(model, min(prefix), min(most, 8), agree, log)
    save(result)
    if out is not None:
        log(f"written to {out}")
