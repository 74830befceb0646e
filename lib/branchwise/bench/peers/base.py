"""What every system is asked to do, and how it is found by name."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from itertools import takewhile
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

Prompts = Sequence[list[int]]
Answers = list[list[int]]

EXTRA = "pip install -e .[peers]"
"""What installs the systems that are not the project's own."""


class Clock(NamedTuple):
    """A moment: processor time of all threads of this process, and time on the wall."""

    cpu_s: float
    wall_s: float

    @classmethod
    def now(cls) -> "Clock":
        """The moment of the call."""
        return cls(time.process_time(), time.perf_counter())


class System(ABC):
    """A decoder with a model loaded, that answers greedily and stops at the number of tokens alone.

    Made from a model's folder, in float32. `ticks` are the moments at which all prompts had got a first
    token, a second and so on, in the last call; empty where a system does not say.
    """

    title: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    """What pip calls the packages whose versions count, the one that has to be installed first."""

    has_choice: ClassVar[bool] = False
    """Whether its warm-up chooses something: it is then given all that a work has at once."""

    def __init__(self, folder: Path, threads: int) -> None:
        self.folder = folder
        self.threads = threads
        self.ticks: list[Clock] = []
        self.chosen: Any = None

    @abstractmethod
    def answer(self, groups: Sequence[Prompts], num_shared: int, num_tokens: int) -> list[Answers]:
        """The first `num_tokens` tokens after each prompt of the groups, which are all there at once.

        The prompts of a group begin alike; the first `num_shared` tokens are those of all prompts.
        """

    def warm_up(self, groups: Sequence[Prompts], num_shared: int, num_tokens: int) -> Any:
        """A work like one that is to be timed; what was chosen for that, where there is a choice."""
        self.answer(groups, num_shared, num_tokens)

    def choose(self, chosen: Any) -> None:
        """Before a work is timed: what its warm-up had chosen."""
        self.chosen = chosen

    @abstractmethod
    def settings(self) -> dict[str, str]:
        """What it was told and what it chose, in words: it stands in the result."""

    def needed_mib(self) -> float | None:
        """What it had to hold at once, at most: the weights, and keys and values of every token once.
        None where a system does not say.
        """
        return None

    def tick(self) -> None:
        """All prompts have got one more token."""
        self.ticks.append(Clock.now())


SYSTEMS: dict[str, str] = {
    "tree": "tree:TreeSystem",
    "transformers": "transformers_cached:CachedPrefix",
    "padded_batch": "transformers_batch:PaddedBatch",
    "openvino_genai": "openvino_genai:OpenVinoGenAI",
    "ctranslate2": "ctranslate2:CTranslate2",
    "llama_cpp": "llama_cpp:LlamaCpp",
}
"""Where the class of each system is, in the order of the tables. The first is what others are held
against, the second whose tokens theirs are compared with.
"""


def system_class(name: str) -> type[System]:
    """The class of a system; what it needs is imported when one is made."""
    module, _, cls = SYSTEMS[name].partition(":")
    return getattr(import_module(f"branchwise.bench.peers.{module}"), cls)


def missing(name: str) -> str | None:
    """The package that a system lacks here; None where it can run."""
    for package in system_class(name).packages:
        try:
            version(package)
        except PackageNotFoundError:
            return package
    return None


def begins_alike(prompts: Prompts) -> int:
    """How many tokens all prompts begin with, and each has one of its own after them."""
    alike = takewhile(lambda column: len(set(column)) == 1, zip(*prompts, strict=False))
    return min(sum(1 for _ in alike), min(map(len, prompts)) - 1)
