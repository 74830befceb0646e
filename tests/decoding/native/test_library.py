"""The library is built once for a processor and kept; where it cannot be had, the reason is told."""

from pathlib import Path

import pytest
import torch

from branchwise.decoding.native.library import library
from branchwise.decoding.products.linear import LinearProducts


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("BRANCHWISE_CACHE", str(tmp_path))
    library.cache_clear()
    yield tmp_path
    library.cache_clear()


def test_it_is_kept_and_not_built_again(anew: Path) -> None:
    if isinstance(library(), str):
        pytest.skip(f"this machine cannot build the library: {library()}")
    (kept,) = (anew / "kernels").iterdir()
    built_ns = kept.stat().st_mtime_ns
    library.cache_clear()
    assert not isinstance(library(), str)
    assert [path.stat().st_mtime_ns for path in (anew / "kernels").iterdir()] == [built_ns]


def test_a_file_that_is_no_library_is_built_again(anew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(library(), str):
        pytest.skip(f"this machine cannot build the library: {library()}")
    (kept,) = (anew / "kernels").iterdir()
    # Another folder: what is loaded from a path stays loaded.
    broken = anew / "other" / "kernels" / kept.name
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"cut short")
    monkeypatch.setenv("BRANCHWISE_CACHE", str(anew / "other"))
    library.cache_clear()
    assert not isinstance(library(), str)
    assert broken.read_bytes()[:4] == b"\x7fELF"


@pytest.mark.parametrize("compiler", ["/nowhere/cc", "false"])
@pytest.mark.parametrize("allowed", ["auto", "rows"])
def test_without_a_compiler_products_are_plain_and_say_why(anew, monkeypatch, compiler, allowed) -> None:
    monkeypatch.setenv("CC", compiler)
    products = LinearProducts(torch.nn.Linear(20, 30), allowed)
    assert products.layout.startswith("plain (") and compiler in products.layout
    assert not products.are_own
