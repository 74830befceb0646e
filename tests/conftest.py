"""Fixtures that several test folders share. Nothing here needs the shipped model or a network."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import warm

ROOT = Path(__file__).parents[1]
# There is a worker for each core: threads of several would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No verdict depends on how busy a machine is.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Of one commit one verdict, where that is wanted: elsewhere other examples are drawn each time.
settings.register_profile("repeatable", settings.get_profile("patient"), derandomize=True)
settings.load_profile("repeatable" if os.environ.get("BRANCHWISE_REPEATABLE") else "patient")


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """A folder of real data sets (see README, "Tests"); tests that need it skip where it is absent."""
    folder = os.environ.get("BRANCHWISE_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("BRANCHWISE_DATA names no folder with real data sets")
    return Path(folder)


@pytest.fixture(scope="session")
def warm_programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a `python` and a `snakemake` that need not load packages (see `tests.warm`), or of
    the plain ones where such cannot be had.
    """
    if not warm.HAS_FORKS:
        yield Path(sys.executable).parent
        return
    with warm.server(tmp_path_factory.mktemp("warm")) as folder:
        yield folder


@pytest.fixture(scope="session")
def random_model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder with random weights and the tiny model's tokenizer."""
    import torch
    from transformers import Qwen3ForCausalLM

    from branchwise.decoding.models.chat import ChatTokenizer
    from branchwise.training.recipe import Shape
    from branchwise.training.tiny import build_model
    from branchwise.training.vocabulary import save_tokenizer

    folder = tmp_path_factory.mktemp("random_model")
    shape = Shape(num_layers=2, hidden_size=32, num_heads=2, head_dim=16, intermediate_size=64)
    save_tokenizer(folder, shape.max_positions)
    torch.manual_seed(0)
    model: Qwen3ForCausalLM = build_model(shape, ChatTokenizer.load(folder))
    model.save_pretrained(folder)
    return folder
