"""How tables look in a terminal."""

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text


def empty_table(title: str = "") -> Table:
    """A table without frames that leaves as much room as it can to what stands in it."""
    return Table(
        title=Text(title) if title else None,
        title_justify="left",
        title_style="",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
