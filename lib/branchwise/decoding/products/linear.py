"""By which product a model's linear modules multiply: the fastest of a short test, for few rows or many.

torch's own product reaches a fraction of the memory's speed for a few rows, and on some processors half
of the arithmetic's for many. `rows` is the project's own (`branchwise.decoding.native.rows`), `onednn`
oneDNN's on weights that were copied to its layout.

Shape legend: M rows, K columns of a row, N outputs.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import cycle
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional

from branchwise.decoding.native.library import library
from branchwise.decoding.native.rows import RowProduct
from branchwise.decoding.options import Products
from branchwise.decoding.pages import is_plain
from branchwise.decoding.products.onednn import ReorderedWeights
from branchwise.decoding.products.replacing import replaced_forwards
from branchwise.decoding.racing import race

_tried: dict[tuple, dict[str, dict[int, float]]] = {}
"""What was measured in this process, by number and size of the matrices, threads and products."""

Product = Callable[[Tensor], Tensor]
"""Rows (..., K) times a module's weights, plus its bias: (..., N)."""

TRIED_ROWS = 1, 2, 8, 32, 128, 512
"""Numbers of rows that the test multiplies by; the result for one holds up to the next."""
TRIED_OUTPUTS = 2048
"""Outputs of a matrix like the model's largest that it multiplies by, at most."""
TRIED_S = 0.15
"""Seconds for each number of rows, about."""
MOST_TURNS = 50
TRIED_BYTES = 1 << 26
"""Of weights that it multiplies by in turn, at most as many as the model has: a larger model's are not in
the processor's caches when their turn comes.
"""
CLEARLY = 0.75
"""Of the time of the project's own product, what another may take to be worth it: with the own one much
of a layer is computed in one call, and a row's result does not depend on what else is computed.
"""


class LinearProducts:
    """How the linear modules of a model multiply while it is `attached`.

    Only those that hold a plain matrix, fp32 on the CPU, are changed. `layout` says in words what they
    use, and where that is torch's own product alone, why; `self_test` has the seconds of each product by
    number of rows. `compiles`: the model goes through torch.compile.
    """

    def __init__(self, model: nn.Module | None, allowed: Products, compiles: bool = False) -> None:
        modules = () if model is None or allowed == "plain" else model.modules()
        self._linears = [module for module in modules if is_plain_linear(module)]
        self._has_others = model is None or any(_has_matrix(module) for module in model.modules())
        self._compiles = compiles
        self._copies = ReorderedWeights()
        self._products: dict[str, Callable[[nn.Linear], Product]] = {}
        self.self_test: dict[str, dict[int, float]] = {}
        self._chosen: list[tuple[int, str]] = [(TRIED_ROWS[0], "plain")]
        why = ""
        if self._linears:
            self._products, why = offered(allowed, self._copies)
            self._chosen = self._choose(allowed)
        self.layout = _told(self._chosen) + (f" ({why})" if why else "")

    def _choose(self, allowed: Products) -> list[tuple[int, str]]:
        """From how many rows on which product is used."""
        if allowed == "rows":
            return [(1, "rows" if "rows" in self._products else "plain")]
        largest = max(self._linears, key=lambda m: m.weight.numel() if m.out_features < 2**16 else 0)
        shape = min(largest.out_features, TRIED_OUTPUTS), largest.in_features
        model_bytes = sum(module.weight.nbytes for module in self._linears)
        count = max(1, min(TRIED_BYTES, model_bytes) // (4 * shape[0] * shape[1]))
        key = (count, *shape, torch.get_num_threads(), tuple(self._products))
        if key not in _tried:
            _tried[key] = self._times(count, *shape)
        self.self_test = _tried[key]
        own = "rows" if "rows" in self._products else "plain"
        chosen: list[tuple[int, str]] = []
        # Another from some number of rows on, not in between: too short a test would choose by chance.
        for num_rows in reversed(TRIED_ROWS):
            times = {name: seconds[num_rows] for name, seconds in self.self_test.items()}
            best = min(times, key=times.__getitem__)
            if times[best] > CLEARLY * times[own]:
                break
            chosen.insert(0, (num_rows, best))
        if len(chosen) < len(TRIED_ROWS):
            chosen.insert(0, (TRIED_ROWS[0], own))
        return [one for n, one in enumerate(chosen) if n == 0 or one[1] != chosen[n - 1][1]]

    def _times(self, count: int, num_outputs: int, depth: int) -> dict[str, dict[int, float]]:
        """Seconds of each product by number of rows, on so many matrices like the model's largest."""
        weights = torch.ones(count, num_outputs, depth)
        products = {name: [of(_module(one)) for one in weights] for name, of in self._products.items()}
        found: dict[str, dict[int, float]] = {name: {} for name in products}
        for num_rows in TRIED_ROWS:
            rows = torch.randn(num_rows, depth)
            works = {name: _in_turn(each, rows) for name, each in products.items()}
            for name, seconds in race(works, rows.device, TRIED_S, MOST_TURNS).items():
                found[name][num_rows] = seconds
        # The samples' copies are not the model's.
        self._copies.forget()
        return found

    @property
    def are_own(self) -> bool:
        """Whether the project's own product is used for some number of rows."""
        return any(name == "rows" for _, name in self._chosen)

    @property
    def are_only_own(self) -> bool:
        """Whether it is used whatever the number of rows, and all of the model's matrices are multiplied
        by it: then no product depends on the number of rows or of threads.
        """
        return self._chosen == [(1, "rows")] and not self._has_others

    def is_own(self, num_rows: int) -> bool:
        """Whether it is used for so many."""
        for least, name in reversed(self._chosen):
            if num_rows >= least:
                return name == "rows"
        return False

    def refresh(self) -> None:
        """Copy all weights anew: for writes through `.data` to a few of them, which nothing shows."""
        self._copies.forget()

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The model multiplies by what was chosen, for as long as this lasts.

        A module that computes in a way of its own by now is left alone.
        """
        if self._chosen == [(1, "plain")]:
            yield
            return
        still = [module for module in self._linears if is_plain_linear(module)]
        if any(name == "onednn" for _, name in self._chosen):
            for module in still:
                self._copies.of(module)
        forwards = {module: self._forward(module) for module in still}
        if self._compiles:
            # Products are given addresses, of which torch.compile does not know that they are in use.
            forwards = {m: torch.compiler.disable(forward) for m, forward in forwards.items()}
        with replaced_forwards(forwards):
            yield

    def _forward(self, module: nn.Linear) -> Product:
        depth = module.in_features
        plain, products = _plain(module), self._products
        steps = self._chosen[::-1]
        # Made when they are first needed: most parts of whole modules never are.
        made: dict[str, Product] = {}

        def forward(rows: Tensor) -> Tensor:
            num_rows = rows.numel() // depth
            if rows.shape[-1] == depth and is_plain(rows):
                for least, name in steps:
                    if num_rows >= least:
                        if name not in made:
                            made[name] = products[name](module)
                        return made[name](rows)
            return plain(rows)

        return forward


def _module(weight_NK: Tensor) -> nn.Linear:
    """A module that multiplies by these weights, where they are."""
    num_outputs, depth = weight_NK.shape
    module = nn.Linear(depth, num_outputs, bias=False, device="meta")
    module.weight = nn.Parameter(weight_NK, requires_grad=False)
    return module


def _in_turn(products: Sequence[Product], rows: Tensor) -> Callable[[], Tensor]:
    """A function that multiplies rows by one product after the other, one a call."""
    turns = cycle(products)
    return lambda: next(turns)(rows)


def _plain(module: nn.Linear) -> Product:
    return lambda rows: functional.linear(rows, module.weight, module.bias)


def offered(
    allowed: Products, copies: ReorderedWeights
) -> tuple[dict[str, Callable[[nn.Linear], Product]], str]:
    """Products that may be used, by name; and why the project's own is not among them, if it is not."""
    products: dict[str, Callable[[nn.Linear], Product]] = {"plain": _plain}
    if allowed == "onednn" and torch.backends.mkldnn.is_available():
        products["onednn"] = partial(_by_copies, copies)
    built = library()
    if isinstance(built, str):
        return products, built
    by_rows = RowProduct(built)
    products["rows"] = lambda module: by_rows.of(module.weight, module.bias)
    return products, ""


def _by_copies(copies: ReorderedWeights, module: nn.Linear) -> Product:
    reordered, bias = copies.of(module), module.bias

    def product(rows: Tensor) -> Tensor:
        flat = rows.reshape(-1, rows.shape[-1])
        out = torch.ops.mkldnn._linear_pointwise(flat, reordered, bias, "none", [], "")
        return out.view(*rows.shape[:-1], out.shape[-1])

    return product


def other_products(module: nn.Linear) -> list[Product]:
    """All products that a module could multiply by instead of torch's own."""
    if not is_plain_linear(module):
        return []
    products, _ = offered("onednn", ReorderedWeights())
    return [of(module) for name, of in products.items() if name != "plain"]


def is_plain_linear(module: nn.Module) -> TypeGuard[nn.Linear]:
    """Whether a module multiplies by a plain matrix of its own, fp32 on the CPU, and does only that.

    Not subclasses of Linear, replaced functions, or weights that are a subclass's (quantised) or made
    anew at every call (a norm of weights): what they compute is their own.
    """
    if type(module) is not nn.Linear or "forward" in vars(module) or module._forward_pre_hooks:
        return False
    weight = module._parameters.get("weight")
    if type(weight) is not nn.Parameter or weight.layout != torch.strided:
        return False
    return weight.is_cpu and weight.dtype == torch.float32 and weight.is_contiguous()


def _has_matrix(module: nn.Module) -> bool:
    """Whether a module multiplies by a matrix of its own in a way that is not replaced."""
    if is_plain_linear(module) or isinstance(module, nn.Embedding):
        return False
    return any(parameter.dim() > 1 for parameter in module.parameters(recurse=False))


def _told(chosen: Sequence[tuple[int, str]]) -> str:
    """`rows`, or `rows; plain from 128 rows on`."""
    (_, first), *others = chosen
    return "; ".join([first, *(f"{name} from {least} rows on" for least, name in others)])
