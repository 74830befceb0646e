"""`branchwise document`: config/README.md and config/schema.json from the types."""

from pathlib import Path
from typing import Annotated

import typer

from branchwise.commands.main import command
from branchwise.config.shipped import IS_INSTALLED, ROOT
from branchwise.errors import UserError


@command("document")
def document(
    root: Annotated[
        Path | None, typer.Option(help="The repository; default: the one that this library runs in.")
    ] = None,
) -> None:
    """Write the config reference and JSON schema anew."""
    from branchwise.config.document import documents
    from branchwise.files import write_text

    if root is None and IS_INSTALLED:
        raise UserError(
            "the files to be written are the repository's, and this library runs outside of it",
            "name the repository with --root",
        )
    for path, text in documents(root or ROOT).items():
        write_text(path, text)
        print(path)
