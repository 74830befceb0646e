"""Plain text as training documents: the paragraphs of a text as a trunk and its branches.

As published the last paragraphs of a text are branches beside each other, every token learned; here each
from the one before it in its own branch, where the published code took the neighbour in the packed row.
"""

import json
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from branchwise.data.passages import passage_hash
from branchwise.decoding.models.text import prompt_ids_of
from branchwise.decoding.models.weights import reason_of
from branchwise.errors import UserError
from branchwise.training.recipes import ColumnsRecipe
from branchwise.training.sequences import Document, Sequence, Span

HELD_OUT = 10
"""One text in so many, the last ones, is not trained on."""


class Texts(NamedTuple):
    """What is trained on, and what is looked at."""

    trained: list[str]
    looked_at: list[str]


def texts_of(recipe: ColumnsRecipe, log: Callable[[str], None]) -> Texts:
    """The texts of a recipe that have two paragraphs at least, each once. Raises UserError where there
    are none.
    """
    if recipe.hub and recipe.revision is None:
        log(f"data set {recipe.hub} has no pinned `revision`: whatever is newest is read")
    found = _from_file(Path(recipe.texts)) if recipe.texts else _from_hub(recipe)
    some = dict.fromkeys(islice(found, recipe.most_texts))
    texts = [text for text in some if len(paragraphs(text)) >= 2]
    if len(texts) < 2:
        raise UserError(
            f"{recipe.texts or recipe.hub} has {len(texts)} texts of two paragraphs or more",
            "give at least two: paragraphs are parted by line breaks, texts of a .txt by two blank lines",
        )
    count = max(1, len(texts) // HELD_OUT)
    trained = texts[:-count]
    known = {passage_hash(one) for text in trained for one in paragraphs(text)}
    # What is said in the others, too, tells nothing of what was learned.
    looked_at = [
        text for text in texts[-count:] if not known & {passage_hash(one) for one in paragraphs(text)}
    ]
    return Texts(trained, looked_at)


def _from_file(path: Path) -> Iterator[str]:
    if not path.is_file():
        raise UserError(f"file of texts {path} does not exist", "correct `texts:` in the recipe")
    with path.open(encoding="utf-8") as file:
        if path.suffix != ".jsonl":
            yield from re.split(r"\n[ \t]*\n[ \t]*\n", file.read())
            return
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _text_of(line, f"{path}, line {number}")


def _text_of(line: str, where: str) -> str:
    try:
        text = json.loads(line)["text"]
        if isinstance(text, str):
            return text
    except (ValueError, KeyError, TypeError):
        pass  # told below, like a text that is none
    raise UserError(f"{where}: no JSON object with `text`", "mend the line, or leave it out")


def _from_hub(recipe: ColumnsRecipe) -> Iterator[str]:
    from datasets import load_dataset

    assert recipe.hub is not None
    try:
        rows: Any = load_dataset(
            recipe.hub, recipe.hub_config, split="train", revision=recipe.revision, streaming=True
        )
        for row in rows:
            if isinstance(row["text"], str):
                yield row["text"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"data set {recipe.hub} could not be read from the hub: {reason_of(error)}",
            "go online once, or give `texts:`, a local file",
        ) from error


def paragraphs(text: str) -> list[str]:
    """The lines of a text that say something."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def columns_of(text: str, name: str, recipe: ColumnsRecipe, tokenizer: Any) -> Document:
    """The first paragraphs as the trunk (`recipe.trunk`, or half of all where there are more than twice
    as many), each of the others as a branch that ends as texts do.
    """
    found = paragraphs(text)
    size = min(max(recipe.trunk, len(found) // 2), len(found) - 1)
    trunk = prompt_ids_of(tokenizer, "\n\n".join(found[:size]) + "\n\n")
    end = tokenizer.eos_token_id
    sequences = [Sequence(trunk, [Span(1, len(trunk) - 1, "trunk")])]
    for paragraph in found[size:]:
        ids = list(tokenizer.encode(paragraph + "\n\n", add_special_tokens=False))
        sequences.append(Sequence(ids, [Span(0, len(ids), "branch")], (0,), end))
    return Document(sequences, name, peeks=recipe.peek)
