"""Whether a checkpoint was read whole: what transformers fills up or leaves out without an error."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from branchwise.errors import UserError

_FEW = 3


def reason_of(error: BaseException) -> str:
    """One line on an error of a library: its first sentence, with its type where that says little."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    text = " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]
    return f"{type(error).__name__}: {text}" if " " not in text else text


@contextmanager
def quiet_report() -> Iterator[None]:
    """Keeps transformers from printing its table of keys: what is wrong there is raised or noted here."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def check_complete(info: Mapping[str, Any], name: str, spare: Collection[str] = ()) -> tuple[str, ...]:
    """Raise UserError where weights of a model are missing from its checkpoint or have another shape.

    `info` is what `from_pretrained` gives for `output_loading_info=True, ignore_mismatched_sizes=True`:
    it counts neither tied weights nor what the architecture allows to be left out. Keys that start with
    one of `spare` may be missing. Returns plain sentences on weights that no layer takes.
    """
    missing = sorted(key for key in info["missing_keys"] if not key.startswith(tuple(spare)))
    if missing:
        raise UserError(
            f"the checkpoint {name} lacks {_counted(missing)}: layers would be left at random",
            "download it whole, or correct config.json (num_hidden_layers, tie_word_embeddings, "
            "architectures)",
        )
    shapes = sorted((key, list(saved), list(made)) for key, saved, made in info["mismatched_keys"])
    if shapes:
        key, saved, made = shapes[0]
        raise UserError(
            f"{len(shapes)} weights of the checkpoint {name} have another shape than config.json says, "
            f"first {key}: {saved} instead of {made}",
            "take config.json and weights of the same model",
        )
    unused = sorted(info["unexpected_keys"])
    return (f"the checkpoint holds {_counted(unused)}, which the model does not use",) if unused else ()


def _counted(keys: list[str]) -> str:
    """How many weights, and the names of the first."""
    more = ", ..." if len(keys) > _FEW else ""
    plural = "weight" if len(keys) == 1 else "weights"
    return f"{len(keys)} {plural} ({', '.join(keys[:_FEW])}{more})"
