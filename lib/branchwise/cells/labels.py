"""What the parts of a recorded group are: instruction and context, a wording, an answer.

Known are the asks that see a part, the branches that the strategy held, and the words of the part; where
none of these tells, a part is called by the number of its branch.
"""

from collections.abc import Sequence
from functools import cached_property

from branchwise.cells.asks import Ask
from branchwise.cells.desk import GroupDesk
from branchwise.cells.runner import Done
from branchwise.data.types import Group
from branchwise.decoding.held.tree import Node
from branchwise.decoding.recording import Recording
from branchwise.prompts.style import PromptStyle
from branchwise.prompts.wordings import wordings_of
from branchwise.strategies.base import BEGINNING
from branchwise.trace import BranchRecord

_MOST_NAMED = 3


class Labels:
    """Labels of the nodes of one group that was asked alone."""

    def __init__(self, recording: Recording, group: Group, done: Done, style: PromptStyle) -> None:
        self.recording = recording
        self.group = group
        self.style = style
        self.asks: Sequence[Ask] = done.asks
        self.branches: Sequence[BranchRecord] = done.trace.branches
        self.names = {question.id: f"Q{n}" for n, question in enumerate(group, start=1)}
        self._num_wordings = {one.question.id: len(one.wordings) for one in done.answers}

    def of(self, node: Node, text: str, is_shared: bool) -> str:
        """What a node is that holds `text`; `is_shared`: it belongs to all groups."""
        if node in self.recording.made:
            return self._generated(self._ask_of[id(self.recording.made[node].ids)])
        if is_shared:
            return "instruction and shots" if self.style.shots else "instruction"
        asks = self._users(node)
        questions = list(dict.fromkeys(q.id for ask in asks for q in ask.questions))
        number = self._own.get(node)
        if len(questions) == 1:
            return self._prefixed(questions[0], self._of_one(questions[0], node, asks, text))
        if number is not None and (place := self._place(number)) and self.style.shots:
            return f"shot {place}"
        found = self._contents(text)
        if found:
            return " and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)
        if not questions:
            return asks[0].role if asks else f"branch {number}" if number is not None else "prompt"
        if len(questions) > _MOST_NAMED or len(questions) == len(self.names):
            return f"start of {len(questions)} questions"
        return "start of " + ", ".join(self.names[name] for name in questions)

    # ----- what was said -----

    def _generated(self, ask: Ask) -> str:
        if not ask.questions:
            return ask.role
        what = "first token" if ask.role == BEGINNING else ask.role
        if len(ask.questions) > 1:
            return f"{what}s"
        name = ask.questions[0].id
        alike = self._asks_of(name)
        number = f" {alike.index(ask) + 1}" if ask in alike and len(alike) > 1 else ""
        return self._prefixed(name, f"{what}{number}")

    # ----- what was asked -----

    def _of_one(self, name: str, node: Node, asks: Sequence[Ask], text: str) -> str:
        """A part that one question alone sees."""
        number = self._own.get(node)
        if number is not None:
            record = self.branches[number]
            # Of branches that are questions each is called after its own.
            has_wordings = self._num_wordings.get(name, 0) > 1
            if has_wordings and (place := self._place(number)):
                above = self._place(record.parents[0])
                return f"wording {above}, end" if above else f"wording {place}"
            if record.verb == "join" and not self._questions_in(text):
                begun = [ask.completion.ids for ask in self.asks if ask.role == BEGINNING]
                return "first token" if node.tokens in begun else "cue"
        alike = self._asks_of(name)
        if len(alike) > 1 and len(asks) == 1 and asks[0] in alike:
            what = "wording" if self._num_wordings.get(name, 0) > 1 else "sample"
            return f"{what} {alike.index(asks[0]) + 1}"
        if found := self._contents(text, without_questions=True):
            return ", ".join([*found, "question"])
        spelt = self._questions_in(text)
        if name not in spelt and (len(asks) > 1 or self._is_trunk(number)):
            return "start"
        return "with known answers" if set(spelt) - {name} else "question"

    def _is_trunk(self, number: int | None) -> bool:
        """Whether a branch was opened to fork from, and nothing is said behind it itself."""
        if number is None or self.branches[number].verb != "open":
            return False
        return all(ask.branch != number for ask in self.asks)

    def _contents(self, text: str, without_questions: bool = False) -> list[str]:
        """What of the group's prompt stands in a text, in words."""
        found = ["instruction"] if self.style.instruction in text else []
        shown = [question.text for one in self.style.shots for question in one]
        found += ["shots"] if any(one in text for one in shown) else []
        found += ["context"] if self.group.context and self.group.context in text else []
        if without_questions:
            return found
        questions = self._questions_in(text)
        if len(questions) > 1:
            return [*found, f"{len(questions)} questions"]
        return [*found, *(self.names[name] if len(self.names) > 1 else "question" for name in questions)]

    def _questions_in(self, text: str) -> list[str]:
        """Questions of the group that a text spells out, in any wording."""
        return [
            question.id
            for question in self.group
            if any(one in text for one in wordings_of(question, 1 + len(question.paraphrases), 0))
        ]

    def _prefixed(self, name: str, what: str) -> str:
        if len(self.names) == 1:
            return what
        return self.names[name] if what == "question" else f"{self.names[name]} {what}"

    # ----- who is who -----

    def _users(self, node: Node) -> list[Ask]:
        """The asks that see a node."""
        return [ask for ask, nodes in self._paths if node in nodes]

    def _asks_of(self, name: str) -> list[Ask]:
        """The asks of one question, without those for a beginning."""
        return [
            ask
            for ask in self.asks
            if ask.role != BEGINNING and name in {question.id for question in ask.questions}
        ]

    def _place(self, number: int) -> int:
        """Which of several branches forked from the same ones a branch is, from 1; else 0."""
        record = self.branches[number]
        alike = [n for n, one in enumerate(self.branches) if one.parents == record.parents]
        forks = [n for n in alike if self.branches[n].verb == "fork"]
        return forks.index(number) + 1 if number in forks and len(forks) > 1 else 0

    @cached_property
    def _ask_of(self) -> dict[int, Ask]:
        """Asks by the identity of the list of ids that their branch filled."""
        return {id(ask.completion.ids): ask for ask in self.asks}

    @cached_property
    def _paths(self) -> list[tuple[Ask, set[Node]]]:
        return [(self._ask_of[id(run.ids)], set(run.branch.path)) for run in self.recording.runs]

    @cached_property
    def _own(self) -> dict[Node, int]:
        """Branches that the strategy held, by the node that holds their own words."""
        found: dict[Node, int] = {}
        desks = {run.branch.group for run in self.recording.runs}
        for desk in desks:
            assert isinstance(desk, GroupDesk)
            for number, branch in enumerate(desk.branches):
                node = branch.tip
                while node in self.recording.made:
                    (node,) = node.parents
                found[node] = number
        return found
