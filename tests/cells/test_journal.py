"""A killed cell goes on where it stopped, and never with results of other settings."""

from pathlib import Path

from branchwise.cells.journal import Journal
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.results import GroupRecord, GroupRun
from branchwise.trace import GroupTrace, Tokens

GROUPS = list(make_groups(WorldsSpec(kinds=("look_up",), num_groups=3)))
TOKENS = Tokens(sent=1, unique=1, cached=0, generated=1, padding=0)


def record(name: str) -> GroupRecord:
    run = GroupRun(
        id=name,
        num_questions=1,
        forward_passes=1,
        num_asks=1,
        tokens=TOKENS,
        tokens_by_role={},
    )
    return GroupRecord(answers=(), run=run, trace=GroupTrace(group=name, asks=()))


def test_what_was_written_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "deep/journal.jsonl"
    Journal(path, {"a": 1}).append(GROUPS[0], record("one"))
    Journal(path, {"a": 1}).append(GROUPS[1], record("two"))
    journal = Journal(path, {"a": 1})
    assert [journal.get(group) for group in GROUPS] == [record("one"), record("two"), None]
    journal.remove()
    assert not path.exists()


def test_another_setting_or_another_group_is_another_key(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    Journal(path, {"budget": 24}).append(GROUPS[0], record("one"))
    assert Journal(path, {"budget": 25}).get(GROUPS[0]) is None
    changed = GROUPS[0].model_copy(update={"context": GROUPS[0].context + " More."})
    assert Journal(path, {"budget": 24}).get(changed) is None


def test_a_line_that_a_kill_cut_off_costs_only_itself(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, {})
    for group, name in zip(GROUPS, ("one", "two", "three"), strict=True):
        journal.append(group, record(name))
    path.write_bytes(path.read_bytes()[:-30])
    journal = Journal(path, {})
    assert journal.num_broken == 1
    assert journal.get(GROUPS[1]) == record("two")
    assert journal.get(GROUPS[2]) is None
    journal.append(GROUPS[2], record("three"))
    assert Journal(path, {}).get(GROUPS[2]) == record("three")
