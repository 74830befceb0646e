"""The matrix product of a few rows, built from `rows.c` by the machine's own C compiler.

A decoding step multiplies every weight matrix by one row a branch. For 8 rows that can go at the speed
of memory; torch's own product reaches a third of it and oneDNN's packed one a half (measured on AVX2).

Shape legend: M rows, K columns of a row, N outputs.
"""

import ctypes
import os
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

SOURCE = Path(__file__).with_name("rows.c")
FLAGS = "-O3 -march=native -funroll-loops -ffp-contract=off -fopenmp -fPIC".split()
"""Without contraction: the source fuses by name, and what it does not fuse stays as written."""
OPENMP = re.compile(r"/lib(?:gomp|iomp5|omp)\b[^/]*\.so[^/]*$")
BUILD_S = 60
"""Seconds after which a compiler is given up."""


class RowKernel:
    """The loaded library. A row's result is the same to the last bit whatever else is computed."""

    def __init__(self, library: ctypes.CDLL) -> None:
        pointer, size = ctypes.c_void_p, ctypes.c_ssize_t
        library.multiply.argtypes = [
            pointer, pointer, size, size, size, pointer, pointer, ctypes.c_int
        ]  # fmt: skip
        library.multiply.restype = None
        self._multiply = library.multiply
        self._lanes, self._block = library.lanes(), library.block()

    def pack(self, weight: Tensor) -> Tensor:
        """Weights, fp32 (N, K), in the order in which they are read, flat; N is rounded up."""
        missing = -len(weight) % self._lanes
        padded = functional.pad(weight, (0, 0, 0, missing))
        panels = len(padded) // self._lanes
        blocks = padded.split(self._block, dim=1)
        in_order = [b.reshape(panels, self._lanes, -1).transpose(1, 2).reshape(-1) for b in blocks]
        return torch.cat(in_order)

    def __call__(self, rows: Tensor, packed: Tensor, num_outputs: int) -> Tensor:
        """Rows, fp32 (M, K) on the CPU, times packed weights: (M, N)."""
        rows = rows.contiguous()
        num_rows, depth = rows.shape
        width = packed.numel() // depth
        turned = rows.new_empty(rows.numel())
        out = rows.new_empty(num_rows, width)
        self._multiply(
            rows.data_ptr(),
            packed.data_ptr(),
            num_rows,
            depth,
            width,
            turned.data_ptr(),
            out.data_ptr(),
            torch.get_num_threads(),
        )
        return out if width == num_outputs else out[:, :num_outputs]


def _share_openmp() -> None:
    """Let the library find the OpenMP runtime that torch has loaded: a second one in the process would
    have threads of its own, in the way of torch's.
    """
    columns = (line.split(maxsplit=5) for line in Path("/proc/self/maps").read_text().splitlines())
    loaded = dict.fromkeys(path for *_, path in columns if OPENMP.search(path))
    # Where another package has brought its own, torch's is the one below torch.
    torch_folder = str(Path(torch.__file__).parent)
    for path in sorted(loaded, key=lambda path: not path.startswith(torch_folder)):
        ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL)
        return
    raise OSError("torch has no OpenMP runtime loaded")


@cache
def row_kernel() -> RowKernel | str:
    """The kernel, built once a process; or, in a line, why this machine cannot have it.

    It is built anew each time (in well under a second), because its instructions are this very
    processor's and a folder may be shared by several. The compiler is `CC` of the environment, or `cc`.
    """
    compiler = os.environ.get("CC", "cc")
    try:
        with tempfile.TemporaryDirectory() as folder:
            return _build(compiler, Path(folder))
    except subprocess.CalledProcessError as error:
        return f"{compiler} failed: {error.stderr.decode(errors='replace').splitlines()[:1]}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)


def _build(compiler: str, folder: Path) -> RowKernel:
    object_file, library = folder / "rows.o", folder / "rows.so"
    # Linked without -fopenmp, which would bring in the compiler's own runtime.
    for arguments in (
        [*FLAGS, "-c", str(SOURCE), "-o", str(object_file)],
        ["-shared", str(object_file), "-o", str(library)],
    ):
        subprocess.run([compiler, *arguments], check=True, capture_output=True, timeout=BUILD_S)
    _share_openmp()
    return RowKernel(ctypes.CDLL(str(library)))
