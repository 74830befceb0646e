"""CTranslate2: a batch after a static prompt, whose state is computed once."""

import json
from collections.abc import Sequence
from pathlib import Path

from branchwise.bench.peers.base import Answers, Prompts, System, begins_alike
from branchwise.bench.peers.keeping import kept


class CTranslate2(System):
    """A group's prefix as its static prompt, and the rest of its prompts as a batch; group by group."""

    title = "CTranslate2"
    packages = ("ctranslate2",)

    def __init__(self, folder: Path, threads: int) -> None:
        import ctranslate2

        super().__init__(folder, threads)
        converted = kept(folder, "ctranslate2-1", lambda made: _convert(folder, made))
        self.generator = ctranslate2.Generator(
            str(converted), device="cpu", compute_type="float32", intra_threads=threads
        )
        self.words: list[str] = json.loads((converted / "vocabulary.json").read_text(encoding="utf-8"))

    def settings(self) -> dict[str, str]:
        return {
            "prefix": "the group's, as static_prompt, computed once for its prompts",
            "precision": "compute_type float32",
        }

    def answer(self, groups: Sequence[Prompts], num_shared: int, num_tokens: int) -> list[Answers]:
        # It has one level of what is shared, so that groups can only follow each other.
        self.ticks = []
        return [self._group(group, num_tokens) for group in groups]

    def _group(self, prompts: Prompts, num_tokens: int) -> Answers:
        cut = begins_alike(prompts)
        told = 0

        def heard(result: object) -> bool:
            nonlocal told
            told += 1
            if told % len(prompts) == 0:
                self.tick()
            return False

        results = self.generator.generate_batch(
            [[self.words[i] for i in prompt[cut:]] for prompt in prompts],
            static_prompt=[self.words[i] for i in prompts[0][:cut]],
            # Kept from call to call it would be found by none, and fill the memory.
            cache_static_prompt=False,
            include_prompt_in_result=False,
            max_length=num_tokens,
            # One that is not said: a least length would forbid the stop token, after which others go on.
            end_token=[len(self.words) - 1],
            callback=heard,
        )
        return [result.sequences_ids[0] for result in results]


def _convert(folder: Path, made: Path) -> None:
    from ctranslate2.converters import TransformersConverter
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    TransformersConverter(str(folder)).convert(str(made), force=True)
