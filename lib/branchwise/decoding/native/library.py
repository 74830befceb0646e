"""The kernels' library, built from the C files of this folder by the machine's own compiler.

Its instructions are this very processor's. It is kept in the user's cache, under a name that says what it
was built from, by what and for which processor; and built anew where any of that is another.
"""

import ctypes
import hashlib
import os
import platform
import re
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import torch

from branchwise.files import cache_folder

FOLDER = Path(__file__).parent
FLAGS = "-O3 -march=native -ffp-contract=off -fopenmp -fPIC".split()
"""Without contraction: the sources fuse by name, and what they do not fuse stays as written."""
_OWN_FIRST = ["-Wl,-Bsymbolic"] if sys.platform.startswith("linux") else []
"""What the sources call is theirs, whatever else a process has under such a name."""
OPENMP = re.compile(r"/lib(?:gomp|iomp5|omp)\b[^/]*\.so[^/]*$")
BUILD_S = 120
"""Seconds after which a compiler is given up."""


@cache
def library() -> ctypes.CDLL | str:
    """The library, loaded once a process; or, in a line, why this machine cannot have it.

    The compiler is `CC` of the environment, or `cc`.
    """
    compiler = os.environ.get("CC", "cc")
    try:
        path = _built(compiler)
        _share_openmp()
        try:
            return ctypes.CDLL(str(path))
        except OSError:
            # A file that was kept and is no library: a disk's fault, or an older system's.
            path.unlink()
            return ctypes.CDLL(str(_built(compiler)))
    except subprocess.CalledProcessError as error:
        return f"{compiler} failed: {error.stderr.decode(errors='replace').splitlines()[:1]}"
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)


def _built(compiler: str) -> Path:
    """The library's file, built if there is none yet for these sources, compiler and processor."""
    asked = subprocess.run([compiler, "--version"], check=True, capture_output=True, timeout=BUILD_S)
    parts = [path.read_bytes() for path in sorted((*FOLDER.glob("*.c"), *FOLDER.glob("*.h")))]
    parts += [" ".join([*FLAGS, *_OWN_FIRST]).encode(), asked.stdout, _processor().encode()]
    name = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    kept = _kept_in() / f"{name}.so"
    if kept.exists():
        return kept
    with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
        objects = []
        for source in sorted(FOLDER.glob("*.c")):
            objects.append(str(Path(folder) / f"{source.stem}.o"))
            _run([compiler, *FLAGS, "-c", str(source), "-o", objects[-1]])
        # Linked without -fopenmp, which would bring in the compiler's own runtime.
        made = Path(folder) / "kernels.so"
        _run([compiler, "-shared", *_OWN_FIRST, *objects, "-lm", "-o", str(made)])
        made.replace(kept)
    return kept


def _kept_in() -> Path:
    """Where the library is kept; a folder of this process alone where the cache cannot be written to."""
    folder = cache_folder() / "kernels"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except OSError:
        # As told: it is then built for this process alone.
        pass
    return Path(tempfile.mkdtemp(prefix="branchwise-kernels-"))


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=BUILD_S)


def _processor() -> str:
    """What tells this processor's instructions from another's."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    told = [line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))]
    return "\n".join(dict.fromkeys(told)) or f"{platform.machine()} {platform.processor()}"


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
