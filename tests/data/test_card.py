"""The card of a data set."""

from pathlib import Path

from branchwise.config.load import load_catalogues
from branchwise.data.card import card

from .test_sources import local


def test_a_card_tells_source_licence_counts_and_examples(tmp_path: Path, root: Path) -> None:
    text = card("mine", local("drop", tmp_path))
    assert text.startswith("# mine\n")
    for part in (
        "licence: CC BY-SA 4.0",
        "groups: 1, questions: 3, rows left out: 0",
        "kinds: drop (span) 3",
        "`gold_spans` 1",
        "## Example 1",
        '"text": "How many crowns?"',
        "scored as drop",
    ):
        assert part in text
    worlds = card("worlds", load_catalogues(root).datasets["worlds_two_hop_g2"])
    assert "groups: 60, questions: 120" in worlds
    assert "## Example 2" in worlds
