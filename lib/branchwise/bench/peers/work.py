"""What is measured: groups one at a time, groups in flight, a long prefix, one prompt alone.

All systems get the same token ids. A round puts a token of its own before every prompt, so that nothing
is found computed from an earlier round, and all systems do it anew.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from branchwise.errors import UserError

if TYPE_CHECKING:
    from branchwise.data.types import Group
    from branchwise.decoding.models.chat import ChatTokenizer

Ids = list[int]
QUESTION_TOKENS = 16


class Sizes(NamedTuple):
    """How much there is to do; the defaults are what is published."""

    groups: int = 20
    group_size: int = 5
    group_tokens: int = 24
    prefix: int = 2048
    branches: int = 8
    long_tokens: int = 32
    alone_prefix: int = 512
    alone_tokens: int = 32


@dataclass(frozen=True)
class Work:
    """Groups of prompts, of which the first `num_shared` tokens are those of all, and how many tokens
    each is to get. `at_once`: the groups are all there from the start; else one follows the other.
    """

    name: str
    title: str
    groups: list[list[Ids]]
    num_shared: int
    num_tokens: int
    at_once: bool

    def marked(self, token: int, most_groups: int | None = None) -> "Work":
        """The same with a token before every prompt; cut to the first groups."""
        groups = [[[token, *prompt] for prompt in group] for group in self.groups[:most_groups]]
        # Told of a single shared token, the tree would hold that one apart.
        shared = self.num_shared + 1 if self.num_shared else 0
        return Work(self.name, self.title, groups, shared, self.num_tokens, self.at_once)

    def about(self) -> dict[str, Any]:
        """What the result says of it."""
        prompts = [prompt for group in self.groups for prompt in group]
        return {
            "name": self.name,
            "title": self.title,
            "groups": len(self.groups),
            "prompts": len(prompts),
            "shared_tokens": self.num_shared,
            "prompt_tokens": sum(map(len, prompts)),
            "new_tokens": self.num_tokens,
            "at_once": self.at_once,
        }

    as_dict = asdict


def works(folder: Path, squad: Path | None, sizes: Sizes) -> list[Work]:
    """All of them, for a model's folder. Raises UserError where `squad` cannot be read, and where a
    prompt does not fit the model.
    """
    from branchwise.decoding.models.chat import ChatTokenizer

    chat = ChatTokenizer.load(folder)
    groups, shared = _asked(chat, squad, sizes)
    size = len(chat.tokenizer)
    rng = Random(f"{sizes.prefix} {sizes.branches}")
    prefix, *questions = (
        _drawn(rng, size, count) for count in (sizes.prefix, *[QUESTION_TOKENS] * sizes.branches)
    )
    alone = _drawn(rng, size, sizes.alone_prefix + QUESTION_TOKENS)
    long = [[*prefix, *question] for question in questions]
    of = f"{sizes.branches} branches on {sizes.prefix:,} tokens"
    count = sum(map(len, groups))
    return [
        Work("groups", f"{len(groups)} groups, in turn", groups, shared, sizes.group_tokens, False),
        Work("in_flight", f"{count} prompts in flight", groups, shared, sizes.group_tokens, True),
        Work("long_prefix", of, [long], 0, sizes.long_tokens, True),
        Work("one_row", "one prompt", [[alone]], 0, sizes.alone_tokens, True),
    ]


def _drawn(rng: Random, size: int, count: int) -> Ids:
    return [rng.randrange(size) for _ in range(count)]


def _asked(chat: "ChatTokenizer", squad: Path | None, sizes: Sizes) -> tuple[list[list[Ids]], int]:
    """The prompts of groups, and how many of their first tokens all have in common: an instruction and
    two made passages, each with a question and its answer.
    """
    from branchwise.data.shots import made_shots
    from branchwise.prompts import PromptStyle, num_shown, single
    from branchwise.prompts.style import answer_form

    entry, found = _groups(squad, sizes)
    shots = tuple(shot.model_copy(update={"questions": shot.questions[:1]}) for shot in made_shots(entry))
    style = PromptStyle(
        name="completion", instruction=entry.instruction, form="completion", prefilled=True, shots=shots
    )
    form = answer_form(style, many=False)
    groups, shared = [], set()
    for group in islice(found, sizes.groups):
        prompts = []
        for question in group:
            messages = single(group, question, style)
            prompts.append(chat.prompt_ids(messages, form=form.form, begun=form.begun))
            shown = messages[: num_shown(messages, style)]
            shared.add(chat.num_shared(prompts[-1], shown, form.form))
        groups.append(prompts)
    return groups, min(shared)


def _groups(squad: Path | None, sizes: Sizes) -> tuple[Any, Iterator["Group"]]:
    """A data set's entry and its groups: SQuAD's, or, without a file, made ones."""
    from branchwise.data.prepare import groups_of
    from branchwise.data.sources.squad import SquadDataset
    from branchwise.data.worlds.dataset import WorldsDataset

    size = sizes.group_size
    if squad is None:
        spec: dict[str, Any] = {"kinds": ("look_up", "reverse"), "min_facts": 10, "max_facts": 12}
        made = WorldsDataset(source="worlds", group_size=size, num_groups=sizes.groups, **spec)
        return made, made.made()
    if not squad.is_file():
        raise UserError(f"{squad} does not exist", "give SQuAD's dev-v1.1.json with --squad")
    entry = SquadDataset(source="squad", path=str(squad), group_size=size, num_groups=sizes.groups)
    return entry, groups_of(entry, lambda message: None)
