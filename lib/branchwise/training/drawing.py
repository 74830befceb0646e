"""Rows for the tiny model: documents of a stage of its curriculum, drawn until a row is full."""

from branchwise.training.documents import Documents
from branchwise.training.packing import Row, packed_length
from branchwise.training.recipe import Stage
from branchwise.training.sequences import Document, Sequence

_MAX_WAITING = 4


def draw_rows(documents: Documents, stage: Stage, num_rows: int, row_tokens: int) -> list[Row]:
    """Rows filled with documents of `stage`.

    A document too long for what is left of a row waits for the next one, so that long documents are
    as frequent in training as the stage says; only what waits at the end is lost. Of a document of
    several sequences those that have no room are left out, from the last on.
    """
    waiting: list[list[Sequence]] = []
    return [_fill_row(documents, stage, row_tokens, waiting) for _ in range(num_rows)]


def _fill_row(documents: Documents, stage: Stage, row_tokens: int, waiting: list[list[Sequence]]) -> Row:
    row = Row()
    for sequences in list(waiting):
        if packed_length(sequences) <= row_tokens - row.num_tokens:
            row.add(Document(sequences))
            waiting.remove(sequences)
    for _ in range(12):
        room = row_tokens - row.num_tokens
        if room < row_tokens * 0.12 or len(waiting) > _MAX_WAITING:
            break
        sequences = documents.draw(stage)
        while len(sequences) > 1 and packed_length(sequences) > room:
            sequences.pop()
        if not any(sequence.spans for sequence in sequences) or packed_length(sequences) > row_tokens:
            continue
        if packed_length(sequences) <= room:
            row.add(Document(sequences))
        else:
            waiting.append(sequences)
    return row
