"""Questions on disk, indexed in memory by a few bytes each, so that any set can be grouped in any way.

A question is written to a temporary file as JSON the moment it is checked; what stays in memory is
where it lies, a digest of its id, and the numbers of its passage and subdomain. Groups are then lists
of numbers, and their lines are spliced from the stored JSON without parsing it again.
"""

import json
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from types import TracebackType

from branchwise.data.sources.base import BadRow, Item, Note, reason
from branchwise.data.types import Question
from branchwise.errors import UserError

MAX_EXAMPLES = 20
"""Bad rows, and notes, that a report keeps; all are counted."""


class Counts:
    """What reading a data set came to."""

    def __init__(self) -> None:
        self.questions = 0
        self.passages = 0
        self.left_out = 0
        self.examples: list[BadRow] = []
        self.notes: list[Note] = []
        self.num_notes = 0
        self.groups_left_out = 0
        self.gold_outside_context = 0

    def refuse(self, bad: BadRow) -> None:
        """Count a bad row."""
        self.left_out += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(bad)

    def note(self, note: Note) -> None:
        """Count a question that was kept, but changed."""
        self.num_notes += 1
        if len(self.notes) < MAX_EXAMPLES:
            self.notes.append(note)


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()


class Scratch:
    """A temporary file of lines in a folder, gone when it is closed. All of its methods raise UserError
    where the disk is full or the folder may not be written to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with self._told():
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed on exit)
        self._end = 0

    def append(self, text: str) -> int:
        """Add a line; its position."""
        line = text.encode() + b"\n"
        at = self._end
        with self._told():
            self._file.seek(at)
            self._file.write(line)
        self._end += len(line)
        return at

    def line(self, at: int) -> str:
        """The line at a position, without its end."""
        with self._told():
            self._file.seek(at)
            return self._file.readline().decode().rstrip("\n")

    def lines(self) -> Iterator[str]:
        """All lines from the first on, with their ends."""
        with self._told():
            self._file.seek(0)
            for line in self._file:
                yield line.decode()

    def close(self) -> None:
        """Let go of the file. What a full disk has not taken is not needed any more."""
        with suppress(OSError):
            self._file.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"no temporary file could be written in {self._folder}: {error.strerror}",
                "free some space there, or check that the folder may be written to",
            ) from error


class Spool:
    """Checked questions of one data set. A context manager: the file is gone after it.

    `scoped`: ids of questions need only be unique in their block, whose group stays whole. Raises
    UserError where the folder takes no file, or no more of it.
    """

    def __init__(self, folder: Path, counts: Counts, scoped: bool) -> None:
        self.counts = counts
        self._scoped = scoped
        self._file = Scratch(folder)
        self._question_at = array("Q")
        self.passage_of = array("l")
        self.passages: list[list[int]] = []
        self.subdomains: list[list[int]] = []
        self.block_names: dict[int, str] = {}
        self._passage_at = array("Q")
        self._passage_number: dict[bytes, int] = {}
        self._subdomain_number: dict[str, int] = {}
        self._ids: set[bytes] = set()
        self._block_places: dict[bytes, str] = {}

    def __enter__(self) -> "Spool":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def __len__(self) -> int:
        return len(self._question_at)

    def add(self, item: Item) -> BadRow | None:
        """Store a question; a BadRow instead where its id, or the name of its block, was there before."""
        question = item.question
        try:
            content = question.model_dump_json(exclude_defaults=True)
            passage_key = _digest(f"{item.block}\0{item.title}\0{item.context}")
            identity = _digest(f"{item.block if self._scoped else ''}\0{question.id}")
        except ValueError as error:
            return BadRow(item.place, reason(error))
        if item.block:
            first = self._block_places.setdefault(_digest(item.block), item.block_place)
            if first != item.block_place:
                wrong = f"id {item.block} of {item.block_place} was there before, at {first}"
                return BadRow(item.place, wrong)
        if identity in self._ids:
            return BadRow(item.place, f"id {question.id} occurs twice")
        self._ids.add(identity)
        number = len(self)
        passage = self._passage(passage_key, item, number)
        self.passage_of.append(passage)
        if item.subdomain not in self._subdomain_number:
            self._subdomain_number[item.subdomain] = len(self.subdomains)
            self.subdomains.append([])
        self.subdomains[self._subdomain_number[item.subdomain]].append(number)
        self._question_at.append(self._file.append(content))
        self.counts.questions += 1
        self.counts.gold_outside_context += item.in_context is False
        return None

    def _passage(self, digest: bytes, item: Item, number: int) -> int:
        """The number of the item's passage, which now holds it."""
        passage = self._passage_number.get(digest)
        if passage is None:
            passage = self._passage_number[digest] = len(self.passages)
            self.passages.append([])
            self.counts.passages += 1
            if item.block:
                self.block_names[passage] = item.block
            self._passage_at.append(self._file.append(json.dumps([item.title, item.context])))
        self.passages[passage].append(number)
        return passage

    def ordered(self, numbers: Sequence[int], salt: str) -> list[int]:
        """Questions in an order of their own: by a salted hash of their ids, so that it depends on
        nothing but them, each after those of them that it needs (unless these need each other).
        """
        stored = [json.loads(self._file.line(self._question_at[number])) for number in numbers]
        keys = {number: _digest(f"{salt}\0{q['id']}") for number, q in zip(numbers, stored, strict=True)}
        waiting = sorted(numbers, key=keys.__getitem__)
        known = {q["id"]: number for number, q in zip(numbers, stored, strict=True)}
        needs = {
            number: {known[need] for need in q.get("needs", ()) if need in known}
            for number, q in zip(numbers, stored, strict=True)
        }
        placed: dict[int, None] = {}
        while waiting:
            ready = (number for number in waiting if needs[number] <= placed.keys())
            chosen = next(ready, waiting[0])
            waiting.remove(chosen)
            placed[chosen] = None
        return list(placed)

    def texts(self) -> Iterator[str]:
        """What the questions ask, one at a time."""
        for at in self._question_at:
            yield json.loads(self._file.line(at))["text"]

    def _questions(self, numbers: Sequence[int]) -> list[str]:
        """The stored JSON of some questions; they need none that is not among them."""
        stored = [self._file.line(self._question_at[number]) for number in numbers]
        if not any('"needs":' in text for text in stored):
            return stored
        questions = [Question.model_validate_json(text) for text in stored]
        here = {question.id for question in questions}
        kept = (q.model_copy(update={"needs": tuple(n for n in q.needs if n in here)}) for q in questions)
        return [question.model_dump_json(exclude_defaults=True) for question in kept]

    def group_line(self, group_id: str, numbers: Sequence[int], shared: bool) -> str:
        """One group as a JSON line; `shared`: all its questions are about one passage, which is the
        group's, else each carries its own.
        """
        title, context = "", ""
        if shared:
            title, context = json.loads(self._file.line(self._passage_at[self.passage_of[numbers[0]]]))
        questions = []
        for text, number in zip(self._questions(numbers), numbers, strict=True):
            if not shared:
                own = json.loads(self._file.line(self._passage_at[self.passage_of[number]]))[1]
                if own and '"context":' not in text:
                    text = f'{text[:-1]},"context":{json.dumps(own, ensure_ascii=False)}}}'
            questions.append(text)
        head = {"id": group_id} | ({"title": title} if title else {})
        head |= {"context": context} if context else {}
        return f'{json.dumps(head, ensure_ascii=False)[:-1]},"questions":[{",".join(questions)}]}}'
