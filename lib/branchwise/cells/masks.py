"""The attention mask of one group as its cell's decoder used it."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from branchwise.cells import provenance
from branchwise.cells.found import unfit_of
from branchwise.cells.job import CellJob
from branchwise.cells.labels import Labels
from branchwise.cells.making import Workshop
from branchwise.cells.runner import Done
from branchwise.data.types import Group
from branchwise.decoding.decoders.base import DecoderSettings
from branchwise.decoding.held.tree import Node
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.decoding.recording import Recording, recorded
from branchwise.errors import UserError
from branchwise.masks import MaskRecord, Segment, runs_of
from branchwise.prompts.style import PromptStyle
from branchwise.stages import Before

RECORDED = "dense"
"""The kernel of which masks are recorded: it takes the matrix itself."""


def record_mask(job: CellJob, group: Group, before: Before, warn: Callable[[str], None]) -> MaskRecord:
    """Ask one group as the cell does, alone, and note what every token saw; `before` is what stages gave
    for it.

    Raises UserError for a decoder without a tree, and for one whose entry names another kernel.
    """
    job = replace(job, decoder=_recordable(job))
    torch.set_num_threads(job.threads)
    runner, _ = Workshop().runner_of(job, unfit_of({group.id: before}))
    for note in runner.decoder.notes:
        warn(note)
    with recorded(runner.decoder) as recording:
        done = runner.once(group)
    chat = runner.chat
    assert chat is not None, "a tree decoder has its model here"
    return mask_record(recording, group, done, job.style, chat, job.cell)


def _recordable(job: CellJob) -> DecoderSettings:
    """The decoder with the kernel that is recorded, where its entry leaves the choice open."""
    kernel = getattr(job.decoder, "kernel", None)
    name = job.cell["decoder"]
    if kernel is None:
        raise UserError(f"decoder {name} has no tree, so no mask of one", "use decoder tree")
    if kernel not in ("auto", RECORDED):
        raise UserError(
            f"masks are recorded of kernel {RECORDED}, and decoder {name} names {kernel}",
            f"use a decoder with `kernel: auto` or `kernel: {RECORDED}`; every kernel computes the same",
        )
    return job.decoder.model_copy(update={"kernel": RECORDED})


def mask_record(
    recording: Recording,
    group: Group,
    done: Done,
    style: PromptStyle,
    chat: ChatTokenizer,
    cell: dict[str, str],
) -> MaskRecord:
    """The file of what was recorded while `group` was asked alone."""
    tokens = recording.tokens
    nodes = list(dict.fromkeys(token.node for token in tokens))
    place = {node: number for number, node in enumerate(nodes)}
    labels = Labels(recording, group, done, style)
    segments = []
    for node in nodes:
        mine = [token for token in tokens if token.node is node]
        # A token that was computed again is said once.
        ids = list({token.position: token.id for token in mine}.values())
        text = chat.tokenizer.decode(ids)
        is_shared = mine[0].group is None
        segment = Segment(
            label=labels.of(node, text, is_shared),
            kind="generated" if node in recording.made else "prompt",
            parents=_parents(node, place),
            group=None if is_shared else group.id,
            text=text,
        )
        segments.append(segment)
    commit, dirty = provenance.commit()
    return MaskRecord(
        cell=cell,
        group=group.id,
        commit=commit,
        dirty=dirty,
        kernel=RECORDED,
        window=recording.window,
        windows=tuple(sorted(recording.windows)),
        segments=tuple(segments),
        tokens=tuple(_texts(recording, chat)),
        ids=tuple(token.id for token in tokens),
        segment=tuple(place[token.node] for token in tokens),
        positions=tuple(token.position for token in tokens),
        x=tuple(token.x for token in tokens),
        passes=tuple(token.forward_pass for token in tokens),
        seen=tuple(runs_of(token.seen) for token in tokens),
    )


def _parents(node: Node, place: dict[Node, int]) -> tuple[int, ...]:
    """The nearest segments above a node; roots without tokens are none."""
    found: dict[int, None] = {}
    for parent in node.parents:
        found |= dict.fromkeys((place[parent],) if parent in place else _parents(parent, place))
    return tuple(found)


def _texts(recording: Recording, chat: ChatTokenizer) -> Iterator[str]:
    """The text of every token, with the blank that it begins with where another stands before it."""
    before: dict[Node, int] = {}
    for token in recording.tokens:
        last = before.get(token.node)
        before[token.node] = token.id
        alone = chat.tokenizer.decode([token.id])
        if last is None:
            yield alone
            continue
        pair, ahead = chat.tokenizer.decode([last, token.id]), chat.tokenizer.decode([last])
        # Of a character whose bytes are parted the pair says another thing.
        yield pair.removeprefix(ahead) if pair.startswith(ahead) else alone
