"""OpenVINO GenAI: continuous batching, with its cache of prefixes."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from branchwise.bench.peers.base import Answers, Prompts, System, begins_alike
from branchwise.bench.peers.keeping import kept
from branchwise.bench.peers.openvino_graph import write
from branchwise.bench.peers.weights import Weights

BLOCK = 32
"""Tokens in a block of its cache. With a cached prefix that is no multiple of it and two or more
prompts, 2026.4.1 gives wrong tokens."""
CACHE_GB = 2
MOST_STEP_TOKENS = 4096


class OpenVinoGenAI(System):
    """Each prefix asked first, cut to whole blocks, so that it is found computed; then all prompts."""

    title = "OpenVINO GenAI"
    packages = ("openvino-genai", "openvino")

    def __init__(self, folder: Path, threads: int) -> None:
        import openvino_genai as genai

        super().__init__(folder, threads)
        converted = kept(folder, "openvino-1", lambda made: write(Weights(folder), made))
        scheduling = genai.SchedulerConfig()
        scheduling.cache_size = CACHE_GB
        scheduling.enable_prefix_caching = True
        scheduling.max_num_batched_tokens = MOST_STEP_TOKENS
        exact = {"INFERENCE_PRECISION_HINT": "f32", "KV_CACHE_PRECISION": "f32"}
        given = {**exact, "INFERENCE_NUM_THREADS": threads}
        self.pipeline = genai.ContinuousBatchingPipeline(str(converted), scheduling, "CPU", given)
        self.genai: Any = genai
        self.number = 0

    def settings(self) -> dict[str, str]:
        return {
            "prefix": f"asked first, cut to a multiple of {BLOCK} tokens, and found in its cache",
            "pipeline": "ContinuousBatchingPipeline, by steps",
            "sizes": f"{MOST_STEP_TOKENS} tokens a step at most, {CACHE_GB} GB of cache",
            "precision": "INFERENCE_PRECISION_HINT f32, KV_CACHE_PRECISION f32",
        }

    def answer(self, groups: Sequence[Prompts], num_shared: int, num_tokens: int) -> list[Answers]:
        self.ticks = []
        cuts = [begins_alike(group) // BLOCK * BLOCK if len(group) > 1 else 0 for group in groups]
        # Prefixes that are asked together do not find each other's beginnings: what all share goes first.
        shared = num_shared // BLOCK * BLOCK
        if len(groups) > 1 and shared:
            self._run([groups[0][0][:shared]], 1)
        prefixes = [group[0][:cut] for group, cut in zip(groups, cuts, strict=True) if cut]
        if prefixes:
            self._run(prefixes, 1)
        answers = iter(self._run(list(chain.from_iterable(groups)), num_tokens, self.tick))
        return [[next(answers) for _ in group] for group in groups]

    def _run(self, prompts: Prompts, num_tokens: int, tick: Any = None) -> Answers:
        import numpy as np
        import openvino as ov

        config = self.genai.GenerationConfig()
        config.max_new_tokens = num_tokens
        # It wants a stop token, even one that it is to ignore.
        config.set_eos_token_id(0)
        config.ignore_eos = True
        handles = []
        for prompt in prompts:
            ids = ov.Tensor(np.array([prompt], dtype=np.int64))
            handles.append(self.pipeline.add_request(self.number, ids, config))
            self.number += 1
        answers: Answers = [[] for _ in prompts]
        while self.pipeline.has_non_finished_requests():
            self.pipeline.step()
            for answer, handle in zip(answers, handles, strict=True):
                if handle.can_read():
                    for output in handle.read().values():
                        answer += output.generated_ids
            if tick is not None and min(map(len, answers)) > len(self.ticks):
                tick()
        return answers
