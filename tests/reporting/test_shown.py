"""Tables in a terminal of any width."""

from io import StringIO

import pandas as pd
import pytest
from rich.console import Console

from branchwise.reporting.shown import show_cells


@pytest.mark.parametrize("width", [30, 80, 200])
def test_tables_of_cells_keep_every_number_and_name(width: int) -> None:
    """What does not fit is wider than the terminal; names alone are folded."""
    frame = pd.DataFrame(
        {
            "dataset": ["squad_validation", "worlds_two_hop_g8"],
            "strategy": ["collab_attention_layered", "batch"],
            "decoder": ["tree", "transformers_server"],
            "state": ["", "done"],
            "groups": ["10,570", "60"],
            "asked": ["1,190,000", "480"],
            "sent": ["16.4 M", "130 k"],
            "prefill": ["15 k", "20 k"],
            "hours": ["0.00098", "12.5"],
            "cost": ["1.34 USD", ""],
            "by": ["smoke test, 1 group", "model"],
        }
    )
    file = StringIO()
    show_cells(frame, Console(file=file, width=width))
    said = file.getvalue()
    numbers = [
        cell for name in ("groups", "asked", "sent", "prefill", "hours", "cost") for cell in frame[name]
    ]
    assert all(number in said for number in numbers) and "\u2026" not in said
    letters = "".join(said.split())
    assert all(name in letters for name in ("squad_validation", "batch", "tree"))
    assert "collab_att" in said and "transforme" in said
