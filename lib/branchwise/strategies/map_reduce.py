"""Map and reduce: the model plans steps that do not need each other, works all of them out at once, and
answers from them. The form of Multiverse (Yang et al., 2025), asked for in words and not trained.

    <Goal><Outline>one step</Outline> <Outline>another</Outline></Goal>
    <Path>what comes of one</Path> <Path>what comes of the other</Path>
    <Conclusion>the answer</Conclusion>

The conclusion answers the question in the form of the prompt style, and is what is scored. By requests
it reads what the paths said; where it sees them, they are branches of the conversation that it joins.
There a prompt style that begins answers begins every turn of the model, since they are one sequence.
A plan that cannot be read is noted, and the question is asked plainly.
"""

import re
from asyncio import gather
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from branchwise.data.types import Group, Question
from branchwise.prompts import Message, assistant, reading_of, single
from branchwise.prompts.rendering import user
from branchwise.records import Record
from branchwise.strategies.base import Answered, Desk, Reply, answered

if TYPE_CHECKING:
    from branchwise.decoding.branches import Branch
    from branchwise.decoding.requests import Rules


OWN_FORM = True
"""What is generated has a form of its own: no decoder may hold it to another."""


class Words(NamedTuple):
    """What the model is asked for in each of the three stages."""

    outline: str
    path: str
    conclusion: str


WORDS = {
    "en": Words(
        "Do not answer yet. Plan steps that can be worked out independently of each other, like this:\n"
        "<Goal>\n<Outline>first step</Outline>\n<Outline>second step</Outline>\n</Goal>",
        "Work out this step alone, between <Path> and </Path>:",
        "Now answer the question from what the steps gave.",
    ),
    "zh": Words(
        "先不要回答。请列出可以各自独立完成的步骤，格式如下：\n"
        "<Goal>\n<Outline>第一步</Outline>\n<Outline>第二步</Outline>\n</Goal>",
        "只完成这一步，写在 <Path> 和 </Path> 之间：",
        "现在根据各步的结果回答问题。",
    ),
}

NO_OUTLINE = "no_outline"
"""The note of an answer whose plan names no step."""
TOO_MANY_PATHS = "too_many_paths"
"""The note of an answer whose plan names more steps than `max_paths`."""
PATH_CUT_OFF = "path_cut_off"
"""The note of an answer of which a path used up its budget."""

_OUTLINE = re.compile(r"<Outline>\s*(.*?)\s*(?=</Outline>|<Outline>|</Goal>|\n|\Z)", re.DOTALL)
_NUMBER = re.compile(r"\A\d+(?:\.\d+)*\s*(?:\.(?!\d)|[:)：、])\s*")


class Options(Record):
    """How paths come together, how many there may be, and the words that are said to the model."""

    join: Literal["requests", "see"] = Field(
        "requests",
        description="requests: every stage is a prompt that holds what was said before; see: paths are "
        "branches that the conclusion sees, which needs fork and join.",
    )
    max_paths: int = Field(8, ge=1, le=100, description="Steps of a plan, at most.")
    step_tokens: int | None = Field(
        None, ge=1, description="Tokens of the plan, and of each path; null: those of an answer."
    )
    language: Literal["en", "zh"] = Field("en", description="Of the words that follow.")
    outline: str | None = Field(None, description="What asks for the plan; null: words of the language.")
    path: str | None = Field(None, description="What stands before a step; null: words of the language.")
    conclusion: str | None = Field(
        None, description="What asks for the answer; null: words of the language."
    )

    @property
    def words(self) -> Words:
        """What is said in each stage."""
        given = {"outline": self.outline, "path": self.path, "conclusion": self.conclusion}
        return WORDS[self.language]._replace(**{k: v for k, v in given.items() if v is not None})


async def strategy(group: Group, desk: Desk, options: Options) -> AsyncIterator[Answered]:
    """The questions of a group all at the same time, each with a plan of its own."""
    for answer in await gather(*(_answer(group, question, desk, options) for question in group)):
        yield answer


def steps_in(plan: str) -> list[str]:
    """The steps that a plan names, without their numbers."""
    steps = (_NUMBER.sub("", step) for step in _OUTLINE.findall(plan))
    return [step for step in steps if step]


async def _answer(group: Group, question: Question, desk: Desk, options: Options) -> Answered:
    asked = single(group, question, desk.style)
    way = (_Seen if options.join == "see" else _Requests)(desk, options, asked)
    plan = await way.outline()
    steps = steps_in(plan.text)
    if not steps or len(steps) > options.max_paths:
        note = TOO_MANY_PATHS if steps else NO_OUTLINE
        return answered(question, await desk.ask(asked, [question]), desk.style)._replace(notes=(note,))
    talk = [*way.opening, assistant(_tagged("Goal", plan.text))]
    paths = await way.paths(talk, [user(f"{options.words.path} {step}") for step in steps])
    end = await way.conclusion(talk, paths, question)
    said = [_tagged("Goal", plan.text), *(_tagged("Path", path.text) for path in paths)]
    return Answered(
        question,
        reading_of(end.text, question, desk.style),
        "\n".join([*said, _tagged("Conclusion", end.text)]),
        tuple(reply.index for reply in (plan, *paths, end)),
        notes=() if all(path.is_over for path in paths) else (PATH_CUT_OFF,),
    )


def _tagged(tag: str, text: str) -> str:
    """What stands in a tag of a reply, which may lack either end of it, with both."""
    inside = text.partition(f"</{tag}>")[0].strip().removeprefix(f"<{tag}>").strip()
    return f"<{tag}>{inside}</{tag}>"


@dataclass
class _Requests:
    """The three stages as prompts."""

    desk: Desk
    options: Options
    asked: Sequence[Message]

    @property
    def opening(self) -> list[Message]:
        """The prompt of the question, with the wish for a plan at its end."""
        *shown, last = self.asked
        return [*shown, user(f"{last['content']}\n{self.options.words.outline}")]

    def until(self, tag: str) -> "Rules":
        """The rules of a stage that ends where a tag does."""
        rules = self.desk.rules(())
        budget = self.options.step_tokens or rules.max_new_tokens
        return replace(rules, max_new_tokens=budget, stop_texts=(f"</{tag}>",))

    async def outline(self) -> Reply:
        """The plan."""
        return await self.desk.ask(self.opening, role="outline", rules=self.until("Goal"))

    async def paths(self, talk: Sequence[Message], turns: Sequence[Message]) -> list[Reply]:
        """What comes of each step, all at once."""
        rules = self.until("Path")
        asks = (self.desk.ask([*talk, turn], role="branch", rules=rules) for turn in turns)
        return await gather(*asks)

    async def conclusion(
        self, talk: Sequence[Message], paths: Sequence[Reply], question: Question
    ) -> Reply:
        """The answer, from what all paths say."""
        said = [_tagged("Path", path.text) for path in paths]
        turn = user("\n".join([*said, self.options.words.conclusion]))
        return await self.desk.ask([*talk, turn], [question])


@dataclass
class _Seen(_Requests):
    """The three stages as branches: a trunk that holds the plan, paths below it, a conclusion that sees
    them all.
    """

    def __post_init__(self) -> None:
        self._trunk = self.desk.open(self.opening)
        self._branches: list[Branch] = []

    async def outline(self) -> Reply:
        return await self.desk.generate(self._trunk, role="outline", rules=self.until("Goal"))

    async def paths(self, talk: Sequence[Message], turns: Sequence[Message]) -> list[Reply]:
        texts = [self.desk.next_turn(self.opening, [turn]) for turn in turns]
        # A stop text leaves its branch: here it is part of what was said.
        (trunk,) = self.desk.fork(self._trunk, ["</Goal>"])
        self._branches = self.desk.fork(trunk, texts)
        rules = self.until("Path")
        made = (self.desk.generate(one, role="branch", rules=rules) for one in self._branches)
        return await gather(*made)

    async def conclusion(
        self, talk: Sequence[Message], paths: Sequence[Reply], question: Question
    ) -> Reply:
        text = self.desk.next_turn(self.opening, [user(self.options.words.conclusion)])
        closed = [self.desk.fork(branch, ["</Path>"])[0] for branch in self._branches]
        return await self.desk.generate(self.desk.join(closed, text), [question])
