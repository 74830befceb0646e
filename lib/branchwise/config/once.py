"""What an experiment says is worked out once: a plan asks the same of thousands of cells, again and
again.
"""

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar
from weakref import ref

from branchwise.config.types import Experiment

P = ParamSpec("P")
T = TypeVar("T")

_known: dict[int, tuple[ref[Experiment], dict[tuple, object]]] = {}
"""By the address of an experiment (another's once it is gone): the experiment, and what is known."""


def once(function: Callable[Concatenate[Experiment, P], T]) -> Callable[Concatenate[Experiment, P], T]:
    """A function of an experiment and hashable arguments that is called once for each of them; nobody may
    change what it gives. The files that an experiment names are taken to stay as they are meanwhile.
    """

    @wraps(function)
    def remembered(experiment: Experiment, *args: P.args, **kwargs: P.kwargs) -> T:
        known = _known_of(experiment)
        name = function, args, tuple(kwargs.items())
        if name not in known:
            known[name] = function(experiment, *args, **kwargs)
        return known[name]  # type: ignore[return-value]

    return remembered


def _known_of(experiment: Experiment) -> dict[tuple, object]:
    address = id(experiment)
    kept = _known.get(address)
    if kept is None or kept[0]() is not experiment:
        kept = _known[address] = ref(experiment, lambda _: _known.pop(address, None)), {}
    return kept[1]
