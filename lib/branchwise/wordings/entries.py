"""Catalogue entries of paraphrases and of confidence. Torch-free, since the config reads them."""

from typing import Literal

from pydantic import Field

from branchwise.prompts.style import Form
from branchwise.records import Record


class GeneratedEntry(Record):
    """Paraphrases that a model makes: the experiment's `roles.paraphraser`, else the cell's own.

    Round i shows the i-th paraphrase of each of five solved questions (in English) and samples one of
    the question. What is empty, a copy, or changes which accepted answers the question names is dropped
    and drawn again.
    """

    kind: Literal["generated"]
    number: int = Field(5, ge=1, le=99, description="Paraphrases of a question, one a round.")
    attempts: int = Field(3, ge=1, description="Times that a round draws at most, until one can be kept.")
    temperature: float = Field(1.5, ge=0.001, le=1000, description="Logits are divided by it.")
    top_p: float = Field(
        0.9,
        gt=0,
        le=1,
        description="Only the fewest tokens stay whose probabilities reach it; 1: all.",
    )
    max_new_tokens: int = Field(30, ge=1, description="Budget of a paraphrase.")
    seed: int = Field(0, ge=0, lt=2**63, description="Another seed, other paraphrases.")
    form: Form = Field(
        "completion",
        description="completion: one text, for base and small models; chat: the model's own turns.",
    )


class SelfAgreementEntry(Record):
    """How often sampled answers to a wording agree with the likeliest one: one's normalised words stand
    in a row in the other's. Asked as strategy `per_prompt` asks, on the tree decoder.
    """

    kind: Literal["self_agreement"]
    samples: int = Field(20, ge=1, description="Sampled answers to each wording; published: 100.")
    temperature: float = Field(1.0, ge=0.001, le=1000, description="Logits are divided by it.")
    top_p: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Only the fewest tokens stay whose probabilities reach it; 1: all.",
    )
    max_new_tokens: int = Field(10, ge=1, description="Budget of each of these answers.")
    wordings: int = Field(
        5,
        ge=1,
        le=100,
        description="Wordings of a question, its own among them: at least as many as strategies ask.",
    )
    seed: int = Field(
        0,
        ge=0,
        lt=2**63,
        description="Which paraphrases, as in the options of strategies, and what is drawn.",
    )
