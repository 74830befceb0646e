"""The list of faults is of the code as it is, and names tests that are there."""

from pathlib import Path

import pytest

from tests.mutation.faults import FAULTS, Fault, noticing, with_fault


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_a_fault_stands_in_its_file_and_is_python(fault: Fault, root: Path) -> None:
    changed = with_fault(fault)
    assert fault.old != fault.new
    compile(changed, fault.file, "exec")
    assert all((root / "tests" / test).is_file() for test in noticing(fault))


def test_every_room_of_the_mutants_names_files_that_are_there(root: Path) -> None:
    from tests.mutation.rooms import ROOMS

    for room in ROOMS.values():
        for module, tests in room.modules.items():
            assert (root / "lib/branchwise" / module).is_file()
            assert all((root / "tests" / test).exists() for test in tests)


def test_names_are_unique() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
