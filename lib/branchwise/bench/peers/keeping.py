"""What a model's folder was converted to, kept in the cache under the folder's checksum."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp

from branchwise.decoding.models.files import folder_hash
from branchwise.errors import UserError
from branchwise.files import cache_folder
from branchwise.locks import alone


def kept(folder: Path, form: str, convert: Callable[[Path], None]) -> Path:
    """The folder with what `convert` writes into an empty one, made where it is not there yet.

    `form` names what it is converted to, and is raised where what is written changes. Raises UserError
    where it cannot be written.
    """
    made = cache_folder() / "peers" / f"{form}-{folder_hash(folder)}"
    with alone(made.parent / f".{made.name}.lock", _say, f"converts {folder.name}"):
        if made.is_dir():
            return made
        _say(f"converting {folder.name} to {form}, once: {made}")
        temporary = Path(mkdtemp(dir=made.parent, prefix=f".{made.name}."))
        try:
            convert(temporary)
            temporary.rename(made)
        except OSError as error:
            raise UserError(
                f"{made} could not be written: {error.strerror or error}",
                "free some space, or set BRANCHWISE_CACHE to a folder with room",
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return made


def _say(text: str) -> None:
    print(text, file=sys.stderr)
