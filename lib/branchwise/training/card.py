"""Measures the finished tiny model on held-out worlds and writes its model card."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from branchwise.cells.runner import Done, GroupRunner
from branchwise.data.types import Group, Question
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.decoders.tree import TreeEntry
from branchwise.decoding.loop import run
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.source import ModelSource
from branchwise.evaluation.metrics.squad import exact_match
from branchwise.evaluation.statistics import mean_interval
from branchwise.files import write_text
from branchwise.prompts import PromptStyle
from branchwise.strategies import Answered, load
from branchwise.training.recipe import TinyRecipe

SEED = 7001
"""Seed of the worlds that the card measures on; training draws from another stream."""

SPECS = {
    "look_up": WorldsSpec(kinds=("look_up",), num_groups=40, seed=SEED),
    "two_hop": WorldsSpec(kinds=("two_hop",), num_groups=40, min_facts=8, seed=SEED + 1),
    "follow_up": WorldsSpec(kinds=("follow_up",), num_groups=40, min_facts=8, seed=SEED + 2),
    "reverse": WorldsSpec(kinds=("reverse",), num_groups=40, seed=SEED + 3),
    "count": WorldsSpec(kinds=("count",), num_groups=60, min_facts=8, seed=SEED + 4),
    "compare": WorldsSpec(kinds=("compare",), num_groups=40, min_facts=8, seed=SEED + 5),
    "choice": WorldsSpec(kinds=("choice",), num_groups=40, seed=SEED + 6),
    "cloze": WorldsSpec(kinds=("cloze",), num_groups=40, seed=SEED + 7),
    "outline": WorldsSpec(kinds=("outline",), group_size=2, num_groups=40, seed=SEED + 8),
    "documents": WorldsSpec(kinds=("documents",), num_groups=40, min_facts=8, seed=SEED + 9),
}
"""What is measured: every kind in worlds of 6 to 10 facts, six questions each unless said."""

SPLITS: dict[str, dict[str, str]] = {
    "seen": {},
    "unseen names": {"names": "held_out"},
    "unseen wordings": {"wordings": "held_out"},
}
STRATEGIES = ("batch", "sequential", "all_in_one")
SKIPPED = {("unseen names", "all_in_one"), ("unseen wordings", "all_in_one")}
"""Left out, to keep the measurement short: the slowest strategy on the further splits."""


def measure(folder: Path, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Exact match per kind, strategy and split (see SPLITS), greedy; under `intervals`, by strategy, the
    bounds of each (see `evaluation.statistics`).

    `type_guess` is the expected score of a guess by type; `chain_guess`, of questions that go on from an
    answer, that of the best guess without it; `constant` that of always giving the most common answer; n
    the number of questions of the kind, `groups` how many worlds they are about.
    """
    source = ModelSource(ModelEntry(path=str(folder), device="cpu"))
    decoder = TreeEntry(kind="tree").make(source)
    results: dict[str, Any] = {}
    jobs = [(name, split) for name in SPECS for split in SPLITS]
    for number, (name, split) in enumerate(jobs, start=1):
        groups = list(make_groups(SPECS[name].model_copy(update=SPLITS[split])))
        scores, intervals = {}, {}
        for strategy in STRATEGIES:
            if (split, strategy) in SKIPPED:
                continue
            runner = GroupRunner(load(strategy), decoder, source.chat, PromptStyle(), max_new_tokens=32)
            right, of_group = _right(runner, groups, name)
            scores[strategy] = round(sum(right) / len(right), 4)
            _, *ends = mean_interval(right, of_group, bounds=(0.0, 1.0))
            intervals[strategy] = [round(end, 4) for end in ends]
        found = {**_baselines(groups, name), **scores, "intervals": intervals}
        results.setdefault(name, {})[split] = found
        progress(number, len(jobs))
    return results


def _asked(groups: list[Group], kind: str) -> list[Question]:
    """The questions of a kind; worlds told as several documents ask look-ups."""
    kind = "look_up" if kind == "documents" else kind
    return [question for group in groups for question in group if question.kind == kind]


def _baselines(groups: list[Group], kind: str) -> dict[str, float]:
    questions = _asked(groups, kind)
    counts: dict[str, int] = defaultdict(int)
    for question in questions:
        counts[question.golds[0]] += 1
    n = len(questions)
    guess = sum(question.guess or 0 for question in questions) / n
    num_groups = sum(bool(_asked([group], kind)) for group in groups)
    found = {
        "n": n,
        "groups": num_groups,
        "type_guess": round(guess, 4),
        "constant": round(max(counts.values()) / n, 4),
    }
    chained = [question.chain_guess for question in questions if question.chain_guess is not None]
    if len(chained) == n:
        found["chain_guess"] = round(sum(chained) / n, 4)
    return found


def _right(runner: GroupRunner, groups: list[Group], kind: str) -> tuple[list[float], list[str]]:
    """For each question of the kind, 1 or 0 for a right or wrong answer, and the id of its group."""
    wanted = {(g.id, q.id) for g in groups for q in _asked([g], kind)}
    right, of_group = [], []
    for group, answers in zip(groups, _asked_all(runner, groups), strict=True):
        for answered in answers:
            if (group.id, answered.question.id) in wanted:
                gold = answered.question.golds[0]
                answer = answered.reading.answer
                same = answer == gold if answered.question.options else exact_match(answer, gold)
                right.append(float(same and bool(answer)))
                of_group.append(group.id)
    return right, of_group


def _asked_all(runner: GroupRunner, groups: Sequence[Group]) -> list[list[Answered]]:
    """The answers of all groups, which are asked at once."""

    async def every() -> list[Done]:
        return await asyncio.gather(*map(runner.ask, groups))

    with runner.attached():
        return [done.answers for done in run(every(), runner.step)]


def write_card(folder: Path, recipe: TinyRecipe, facts: dict[str, Any], accuracy: dict[str, Any]) -> None:
    """Write accuracy.json and README.md beside the weights."""
    write_text(folder / "accuracy.json", json.dumps(accuracy, indent=1) + "\n")
    environment = Environment(
        loader=PackageLoader("branchwise.training"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.1f}"
    card = environment.get_template("card.md.jinja").render(
        recipe=recipe, facts=facts, accuracy=accuracy, strategies=STRATEGIES
    )
    write_text(folder / "README.md", card)
