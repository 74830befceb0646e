"""A model of transformers for the systems that run in torch."""

from pathlib import Path

import torch
from transformers import GenerationConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from branchwise.bench.shapes import load


def loaded(folder: Path, threads: int) -> PreTrainedModel:
    """The model of a folder in float32 on the CPU, that never stops by itself."""
    torch.set_num_threads(threads)
    transformers_logging.disable_progress_bar()
    model = load(folder, torch.device("cpu"), torch.float32)
    model.generation_config = GenerationConfig()
    return model


def exactly(num_tokens: int) -> GenerationConfig:
    """Greedily so many tokens, whatever they are."""
    return GenerationConfig(max_new_tokens=num_tokens, do_sample=False, eos_token_id=None, pad_token_id=0)
