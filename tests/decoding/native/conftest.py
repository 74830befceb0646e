"""The kernels' library, where this machine can build it."""

import ctypes

import pytest

from branchwise.decoding.native.library import library


@pytest.fixture(scope="session")
def built() -> ctypes.CDLL:
    found = library()
    if isinstance(found, str):
        pytest.skip(f"this machine cannot build the library: {found}")
    return found
