"""Trainings of seconds, on a model of random weights: what tests of the trainer share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from branchwise.data.types import Group
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.loading import Loaded, load_model
from branchwise.prompts import PromptStyle
from branchwise.training.making import TrainingJob, make_checkpoint
from branchwise.training.recipes import Recipe, TrainingEntry

SHORT: dict[str, Any] = {
    "datasets": ["seen"],
    "held_out": ["unseen"],
    "steps": 4,
    "rows_per_step": 2,
    "row_tokens": 256,
    "rate": 0.01,
    "look_every": 2,
    "save_every": 1,
}
MIXER = {"place": "after", "layers": [0], "heads": 4, "gate": "gate"}
RECIPES: dict[str, dict[str, Any]] = {
    "head": {"kind": "head"},
    "lora": {"kind": "lora", "lora": {"dropout": 0.1}},
    "lora_beside": {"kind": "lora", "lora": {"rank": 4, "merged": False, "targets": ["q_proj"]}},
    "lora_head": {"kind": "lora_head"},
    "mixer": {"kind": "mixer"},
    "mixer_frozen": {"kind": "mixer", "head": False, "mixer": MIXER},
    "mixer_trained": {"kind": "mixer", "base": "trained", "head": False, "mixer": MIXER},
    "self_only": {"kind": "mixer", "head": False, "mixer": {**MIXER, "peers": "self"}},
    "shuffled_peers": {"kind": "mixer", "head": False, "mixer": {**MIXER, "peers": "shuffled"}},
    "parameter_matched": {"kind": "mixer", "head": False, "mixer": {**MIXER, "peers": "nobody"}},
    "similarity": {"kind": "mixer", "head": False, "mixer": {**MIXER, "kind": "similarity"}},
    "lora_mixer": {"kind": "lora_mixer"},
    "branches": {"kind": "branches", "positions": "grid2d", "grid": {"stride": 7}},
    "branches_full": {"kind": "branches", "full": True},
    "branches_peek": {"kind": "branches", "peek": True, "positions": "shared"},
}
TEXTS = "\n\n\n".join(
    "\n".join(f"The cat of {name} is {n} and the dog is {n + number}." for n in range(4))
    for number, name in enumerate(("Mara", "Kofel", "Dino", "Roso", "Junus"))
)


def recipe_of(name: str, **changes: Any) -> Recipe:
    """A recipe by its name here, with changes."""
    return TypeAdapter(TrainingEntry).validate_python({**SHORT, **RECIPES[name], **changes})


def columns_recipe(texts: Path, **changes: Any) -> Recipe:
    """A recipe of plain texts, which are written to a file."""
    texts.write_text(TEXTS)
    plain = {key: value for key, value in SHORT.items() if key not in ("datasets", "held_out")}
    content = {**plain, "kind": "columns", "texts": str(texts), **changes}
    return TypeAdapter(TrainingEntry).validate_python(content)


def groups(seed: int, count: int = 8, **changes: Any) -> list[Group]:
    """Groups of look-ups."""
    spec = {"kinds": ("look_up",), "group_size": 3, "num_groups": count, "min_facts": 3, "max_facts": 4}
    return list(make_groups(WorldsSpec(**{**spec, "seed": seed, **changes})))


def model(folder: Path) -> Loaded:
    """A model of its own."""
    return load_model(ModelEntry(path=str(folder), device="cpu"))


def job_of(recipe: Recipe, name: str = "trial", train: Sequence[Group] | None = None) -> TrainingJob:
    """The job of a recipe."""
    style = PromptStyle()
    return TrainingJob(
        name=name,
        recipe=recipe,
        model_name="random",
        train={"seen": groups(71) if train is None else train} if recipe.datasets else {},
        held_out={"unseen": groups(72, 3)} if recipe.held_out else {},
        styles={"seen": style, "unseen": style},
        settings={"recipe": recipe.model_dump(mode="json")},
    )


def trained(
    folder: Path, recipe: Recipe, place: Path, train: Sequence[Group] | None = None, stop_at: int = 0
) -> list[str]:
    """Train into `place/out`, stopped like by an interrupt after step `stop_at`; what was said."""
    lines: list[str] = []

    def progress(done: int, of: int) -> None:
        if done == stop_at:
            raise KeyboardInterrupt

    job = job_of(recipe, train=train)
    make_checkpoint(job, model(folder), place / "work", place / "out", lines.append, progress)
    return lines
