"""`branchwise document`: config/README.md and config/schema.json from the types."""

from pathlib import Path
from typing import Annotated

import typer

from branchwise.commands.main import command
from branchwise.config.catalogues import ROOT


@command("document")
def document(
    root: Annotated[Path, typer.Option(help="The repository.")] = ROOT,
) -> None:
    """Write the config reference and JSON schema anew."""
    from branchwise.config.document import documents
    from branchwise.files import write_text

    for path, text in documents(root).items():
        write_text(path, text)
        print(path)
