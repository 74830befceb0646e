"""What keys of servers share is each test's own."""

from collections.abc import Iterator

import pytest

from branchwise.serving import shared


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    shared._SHARED.clear()
    yield
    shared._SHARED.clear()
