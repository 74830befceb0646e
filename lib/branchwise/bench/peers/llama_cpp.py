"""llama.cpp by its C interface: sequences that share the cells of their prefix."""

import ctypes
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from branchwise.bench.peers.base import Answers, Clock, Prompts, System, begins_alike
from branchwise.bench.peers.gguf_file import write
from branchwise.bench.peers.keeping import kept
from branchwise.bench.peers.weights import Weights

CELLS = 16384
MOST_SEQUENCES = 128
BATCH = 2048
MICRO_BATCH = 512
_SHARED = 0
"""The sequence that holds what all prompts share."""


class _Row(NamedTuple):
    """A token to be computed: where it stands, for which sequence, and whether its logits are wanted."""

    token: int
    position: int
    sequence: int
    wanted: bool


class LlamaCpp(System):
    """One prefill of a prefix, its cells given to each sequence that goes on from it; then batches."""

    title = "llama.cpp"
    packages = ("llama-cpp-python", "gguf")
    has_choice = True

    def __init__(self, folder: Path, threads: int) -> None:
        import llama_cpp

        super().__init__(folder, threads)
        self.lib: Any = llama_cpp
        converted = kept(folder, "gguf-1", lambda made: write(Weights(folder), made / "model.gguf"))
        # Kept alive: the library calls it.
        self.silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self.silent, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        path = str(converted / "model.gguf").encode()
        self.model = llama_cpp.llama_model_load_from_file(path, llama_cpp.llama_model_default_params())
        assert self.model, "a file that was just written can be loaded"
        self.num_words = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self.batch = llama_cpp.llama_batch_init(BATCH, 0, 1)
        self.context: Any = None
        self._open(flash=True)

    def _open(self, flash: bool) -> None:
        """An empty context, with flash attention or without."""
        lib = self.lib
        if self.context is not None:
            lib.llama_free(self.context)
        given = lib.llama_context_default_params()
        given.n_ctx, given.n_batch, given.n_ubatch = CELLS, BATCH, MICRO_BATCH
        given.n_seq_max = MOST_SEQUENCES
        given.n_threads = given.n_threads_batch = self.threads
        given.type_k = given.type_v = lib.GGML_TYPE_F32
        given.flash_attn_type = int(flash)
        given.kv_unified = True
        self.context = lib.llama_init_from_model(self.model, given)
        assert self.context, "a context of float32 keys and values"
        self.memory = lib.llama_get_memory(self.context)
        self.flash = flash
        self.shared: list[int] = []

    def warm_up(self, groups: Sequence[Prompts], num_shared: int, num_tokens: int) -> bool:
        """Whether flash attention is faster for this work."""
        taken: dict[bool, float] = {}
        for flash in (True, False):
            self._open(flash)
            started = Clock.now()
            self.answer(groups, num_shared, num_tokens)
            taken[flash] = Clock.now().cpu_s - started.cpu_s
        return taken[True] < taken[False]

    def choose(self, chosen: bool | None) -> None:
        super().choose(chosen)
        if chosen is not None and chosen != self.flash:
            self._open(chosen)

    def settings(self) -> dict[str, str]:
        return {
            "prefix": "computed once, its cells given to all that go on from it (llama_memory_seq_cp)",
            "batch": f"n_batch {BATCH}, n_ubatch {MICRO_BATCH}, kv_unified",
            "precision": "weights, type_k and type_v f32",
            "flash_attn": f"{'on' if self.flash else 'off'}, the faster in a warm-up of this work",
        }

    def answer(self, groups: Sequence[Prompts], num_shared: int, num_tokens: int) -> list[Answers]:
        self.ticks = []
        self._share(groups[0][0][:num_shared])
        owner: dict[int, tuple[int, list[int]]] = {}
        used = _SHARED + 1
        prompts = list(chain.from_iterable(groups))
        for group in groups:
            members = list(range(used, used + len(group)))
            used += len(group)
            cut = begins_alike(group) if len(group) > 1 else num_shared
            self._copy(_SHARED, members[0], num_shared)
            self._compute(self._rows(group[0][num_shared:cut], num_shared, members[0], False))
            for other in members[1:]:
                self._copy(members[0], other, cut)
            owner |= dict(zip(members, ((cut, prompt) for prompt in group), strict=True))
        rows = [
            row
            for sequence, (cut, prompt) in owner.items()
            for row in self._rows(prompt[cut:], cut, sequence, True)
        ]
        answers: Answers = [[] for _ in prompts]
        for number in range(num_tokens):
            told = self._compute(rows)
            for sequence, token in told.items():
                answers[sequence - 1].append(token)
            self.tick()
            rows = [
                _Row(told[sequence], len(prompt) + number, sequence, True)
                for sequence, (_, prompt) in owner.items()
            ]
        for sequence in owner:
            self.lib.llama_memory_seq_rm(self.memory, sequence, -1, -1)
        in_order = iter(answers)
        return [[next(in_order) for _ in group] for group in groups]

    def _share(self, ids: list[int]) -> None:
        """Hold what all prompts share, and what was shared before no longer."""
        if ids != self.shared:
            self.lib.llama_memory_seq_rm(self.memory, _SHARED, -1, -1)
            self._compute(self._rows(ids, 0, _SHARED, False))
            self.shared = ids

    def _copy(self, source: int, target: int, until: int) -> None:
        if until:
            self.lib.llama_memory_seq_cp(self.memory, source, target, 0, until)

    @staticmethod
    def _rows(ids: list[int], start: int, sequence: int, ends: bool) -> list[_Row]:
        """The rows of some tokens; of the last one logits are wanted where the prompt `ends` there."""
        last = start + len(ids) - 1
        return [_Row(i, at, sequence, ends and at == last) for at, i in enumerate(ids, start)]

    def _compute(self, rows: Sequence[_Row]) -> dict[int, int]:
        """Compute rows in batches; the likeliest next token of each sequence whose logits are wanted."""
        import numpy as np

        told = {}
        for begin in range(0, len(rows), BATCH):
            some = rows[begin : begin + BATCH]
            for index, row in enumerate(some):
                self.batch.token[index], self.batch.pos[index] = row.token, row.position
                self.batch.n_seq_id[index], self.batch.seq_id[index][0] = 1, row.sequence
                self.batch.logits[index] = row.wanted
            self.batch.n_tokens = len(some)
            code = self.lib.llama_decode(self.context, self.batch)
            assert code == 0, f"llama_decode gave {code}"
            for index, row in enumerate(some):
                if row.wanted:
                    logits = self.lib.llama_get_logits_ith(self.context, index)
                    array = np.ctypeslib.as_array(logits, shape=(self.num_words,))
                    told[row.sequence] = int(array.argmax())
        return told
