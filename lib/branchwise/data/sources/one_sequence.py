"""Tasks of parallel decoding in one sequence (Yu, 2025): retrieval, several documents, planning."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from branchwise.data.languages import Language
from branchwise.data.sources.base import (
    Citation,
    FileDataset,
    Found,
    Grouping,
    GroupSize,
    Hub,
    HubConfig,
    Id,
    Item,
    Row,
    ScoredAs,
    Split,
    Texts,
    stated,
    text_id,
)
from branchwise.data.style import Hint, Instruction
from branchwise.data.types import Question

CITATION = Citation(
    "Yu, 2025. Accelerate Parallelizable Reasoning via Parallel Decoding within One Sequence. EMNLP",
    "https://github.com/yuyijiong/parallel-decoding-in-one-sequence",
    "none stated",
)


class _Resumes(Row):
    prompt: str = Field(min_length=1)
    gold_keys: str = Field(min_length=1)


class ResumesDataset(FileDataset):
    """Resume retrieval: which of many students has a grade average between two numbers."""

    citation = CITATION

    source: Literal["resumes"]
    instruction: Instruction = "Answer from the text."
    hint: Hint = (
        "Go through the students one by one, a step for each, and check what the question asks for; then "
        "give your final answer in a last line."
    )
    path: str | None = Field(None, description="logic_gpa_resume_<n>.jsonl; there is no hub copy.")
    group_size: GroupSize = 1
    scorer: ScoredAs = "retrieval"

    def items(self, row: Any, place: str) -> Iterator[Found]:
        """A row: prompt, gold_keys. What stands before "Question:" is the passage."""
        found = _Resumes.model_validate(row)
        context, mark, text = found.prompt.rpartition("Question:")
        if not mark or not text.strip() or not context.strip():
            raise ValueError("the prompt has no part `Question:` after its resumes")
        golds = (found.gold_keys.strip(),)
        if not golds[0]:
            raise ValueError("gold_keys: an empty answer")
        question = Question(
            id=text_id(found.prompt), text=text.strip(), golds=golds, answer="text", kind="retrieval"
        )
        yield Item(place, question, context.strip(), in_context=stated(golds, context))


class _LongBench(Row):
    input: str = Field(min_length=1)
    context: str = Field(min_length=1)
    answers: Texts = Field(min_length=1)
    id: Id | None = Field(None, alias="_id")


class MultiDocDataset(FileDataset):
    """2WikiMultihopQA in LongBench's form: a question and ten documents."""

    citation = Citation(
        "Ho et al., 2020. 2WikiMultihopQA, COLING; Bai et al., 2024. LongBench, ACL",
        "https://github.com/THUDM/LongBench",
        "Apache-2.0",
    )

    source: Literal["multi_doc"]
    instruction: Instruction = "Answer from the documents with the shortest phrase."
    hint: Hint = (
        "Go through the documents one by one, a step for each, and note what bears on the question; then "
        'end with a line "Answer: " and the shortest phrase.'
    )
    hub: Hub = "zai-org/LongBench"
    hub_config: HubConfig = "2wikimqa"
    split: Split = "test"
    group_size: GroupSize = 1

    def items(self, row: Any, place: str) -> Iterator[Found]:
        """A row: input, context, answers."""
        found = _LongBench.model_validate(row)
        golds = tuple(dict.fromkeys(answer.strip() for answer in found.answers if answer.strip()))
        if not golds or not found.input.strip():
            raise ValueError("an empty question, or no answer")
        name = found.id or text_id(found.context + found.input)
        question = Question(id=name, text=found.input.strip(), golds=golds, kind="multi_doc")
        yield Item(place, question, found.context.strip(), in_context=stated(golds, found.context))


class _Planning(Row):
    task: str = Field(min_length=1)
    answer: str = Field(min_length=1)


class PlanningDataset(FileDataset):
    """Planning (Chinese): a task of several independent aspects, answered at length."""

    citation = CITATION

    source: Literal["planning"]
    instruction: Instruction = "请完成下面的任务。"
    path: str | None = Field(None, description="industry_tasks.jsonl; there is no hub copy.")
    grouping: Grouping = "random"
    group_size: GroupSize = 1
    scorer: ScoredAs = "overlap"
    language: Language = "zh"

    def items(self, row: Any, place: str) -> Iterator[Found]:
        """A row: task, answer."""
        found = _Planning.model_validate(row)
        if not found.task.strip() or not found.answer.strip():
            raise ValueError("an empty task or answer")
        question = Question(
            id=text_id(found.task),
            text=found.task.strip(),
            golds=(found.answer.strip(),),
            answer="text",
            kind="planning",
        )
        yield Item(place, question)
