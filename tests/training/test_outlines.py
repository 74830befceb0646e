"""Documents of outlined answers: the token tree that decoding makes, and words that a run adds for it."""

import json
import random
from pathlib import Path

import pytest
import torch

from branchwise.config.load import validated
from branchwise.config.shipped import ROOT
from branchwise.data.worlds.world import tell
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.prompts.outlining import ELLIPSIS, END, MARK, Block
from branchwise.training.outlines import NEEDED, Outlines
from branchwise.training.packing import Row, batch_of, packed_length
from branchwise.training.recipe import Run, Shape, Stage, TinyRecipe
from branchwise.training.sequences import Document, Sequence
from branchwise.training.start import read_finished
from branchwise.training.tiny import TinyTrainer
from branchwise.training.vocabulary import build_tokenizer, save_tokenizer

STAGE = Stage(
    name="small",
    layouts={"outlined": 1, "points": 1, "single": 1},
    kinds={"look_up": 1},
    min_facts=3,
    max_facts=5,
)
FURTHER = Run(num_steps=4, rows_per_step=1, row_tokens=768, warmup_steps=1, adds=NEEDED, stages=(STAGE,))
RECIPE = TinyRecipe(
    num_steps=2,
    rows_per_step=1,
    row_tokens=160,
    checkpoint_steps=3,
    warmup_steps=1,
    shape=Shape(num_layers=2, hidden_size=32, num_heads=2, head_dim=16, intermediate_size=32),
    stages=(STAGE.model_copy(update={"layouts": {"single": 1}}),),
    further=(FURTHER,),
)


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> ChatTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(folder, 4096, NEEDED)
    return ChatTokenizer.load(folder)


def drawn(chat: ChatTokenizer, layout: str, seed: int = 0) -> list[Sequence]:
    outlines = Outlines(chat, random.Random(seed))
    world = outlines.world()
    return getattr(outlines, layout)(world, tell(outlines.rng, world), "Answer from the text.")


def kinds_of(document: list[Sequence]) -> dict[str, list[int]]:
    """Sequences by what their first learned span is counted as."""
    found: dict[str, list[int]] = {}
    for number, sequence in enumerate(document):
        name = sequence.spans[0].label.partition("_")[0] if sequence.spans else "prompt"
        found.setdefault(name, []).append(number)
    return found


@pytest.mark.parametrize("seed", range(8))
def test_a_document_is_what_decoding_makes(chat: ChatTokenizer, seed: int) -> None:
    """The texts that the strategy forks and joins with are tokens of it, and none of them is learned."""
    document = drawn(chat, "outlined", seed)
    found = kinds_of(document)
    branches = found.get("branch", []) + found.get("seen", [])
    titles = document[found["title"][0]]
    said = chat.tokenizer.decode(titles.ids)
    names = [block.split(":")[0].strip() for block in said.split(MARK)[1:-1]]
    assert len(branches) == len(names)
    for number, name in zip(branches, names, strict=True):
        ids, (span,), *_ = document[number]
        assert ids[: span.start] == chat.encode(Block(name, "").head)
        assert span.start + span.length == len(ids)
    forced = chat.encode(f"a:{ELLIPSIS}{MARK}")[1:]
    learned = [one for span in titles.spans for one in range(span.start, span.start + span.length)]
    given = [token for place, token in enumerate(titles.ids) if place not in learned]
    # The colon is said by the model; it ends a title, and comes again with what is forced behind it.
    assert given == [forced[-1], *forced[1:] * len(names)]
    joined = document[found["joined"][0]]
    assert joined.after == tuple(branches)
    assert joined.ids[: joined.spans[0].start] == chat.encode(MARK + END)
    plain = document[found["plain" if "plain" in found else "draft"][0]]
    bodies = [chat.tokenizer.decode(document[n].ids) for n in branches]
    assert chat.tokenizer.decode(plain.ids).startswith("".join(bodies) + MARK + END)


@pytest.mark.parametrize("seed", range(4))
def test_who_sees_whom(chat: ChatTokenizer, seed: int) -> None:
    """Branches see the prompt, and the titles where these are meant to be seen; the join sees branches;
    the mark that ends a branch is seen by nobody.
    """
    document = drawn(chat, "outlined", seed)
    row = Row()
    row.add(Document(document))
    batch = batch_of([row], packed_length(document) + 3, 0)
    begins = torch.tensor([len(node.tokens) for node in row.nodes]).cumsum(0).tolist()
    node_of = [next(n for n, end in enumerate(begins) if at < end) for at in range(begins[-1])]
    # The first two hold the prompt: what all share, and nothing.
    places = dict(enumerate(range(1, len(row.nodes))))
    found, mask = kinds_of(document), batch.mask_B1TT[0, 0]

    def seen_by(number: int) -> set[int]:
        last = max(at for at, node in enumerate(node_of) if node == places[number - 1])
        return {node_of[at] for at in mask[last, : len(node_of)].nonzero().flatten().tolist()}

    branches = found.get("branch", []) + found.get("seen", [])
    above = {0} | ({places[found["title"][0] - 1]} if "seen" in found else set())
    for number in branches:
        assert seen_by(number) == above | {places[number - 1]}
    (joined,) = found["joined"]
    assert seen_by(joined) == above | {places[number - 1] for number in [*branches, joined]}
    for span in batch.spans:
        some = slice(span.first, span.first + span.length)
        places, targets = batch.place_N[some], batch.target_N[some]
        assert (batch.ids_BT[0, places][1:] == targets[:-1]).all()
        assert mask[places[1:], places[:-1]].all()
        assert (batch.positions_BT[0, places].diff() == 1).all()


def test_points_are_asked_as_the_strategy_asks(chat: ChatTokenizer) -> None:
    skeleton, *points = drawn(chat, "points")
    (span,) = skeleton.spans
    titles = chat.tokenizer.decode(skeleton.ids[span.start : -1]).splitlines()
    assert len(titles) == len(points)
    for title, sequence in zip(titles, points, strict=True):
        prompt = chat.tokenizer.decode(sequence.ids[: sequence.spans[0].start])
        assert f"Answer {title}<|im_end|>" in prompt


def test_the_shipped_tokenizer_is_the_one_that_is_built() -> None:
    """Words of later formats and kinds had changed it, and with it the model that the recipe makes."""
    recipe = validated(TinyRecipe, ROOT / "config/tiny_model.yaml")
    shipped = json.loads((ROOT / "resources/models/tiny/tokenizer.json").read_text())
    built = build_tokenizer(recipe.added(len(recipe.runs) - 1))
    assert json.loads(built.to_str()) == shipped


def test_a_run_adds_words_and_keeps_what_there_was(tmp_path: Path) -> None:
    """From nothing and from the weights of the run before, stopped or not, to the same weights."""

    def trained(folder: Path, **how: object) -> dict[str, torch.Tensor]:
        trainer = TinyTrainer(RECIPE, folder, **how)  # type: ignore[arg-type]
        trainer.train(lambda _: None, lambda *_: None)
        trainer.export(folder / "out")
        return dict(trainer.model.named_parameters())

    whole = trained(tmp_path / "whole")
    before = ChatTokenizer.load(tmp_path / "whole/run1").tokenizer
    after = ChatTokenizer.load(tmp_path / "whole/out").tokenizer
    assert after.convert_tokens_to_ids(list(NEEDED)) == [len(before) + place for place in range(3)]
    assert len(whole["model.embed_tokens.weight"]) == len(after) == len(before) + 3
    text = "Mara lives in Ashton.\nQuestion: Where?"
    assert before.encode(text) == after.encode(text)
    start = read_finished(tmp_path / "whole/run1", RECIPE)
    again = trained(tmp_path / "from", start=start)
    assert all(torch.equal(again[name], value) for name, value in whole.items())
    # And from the checkpoint of its third step.
    resumed = TinyTrainer(RECIPE, tmp_path / "whole")
    lines: list[str] = []
    resumed.train(lines.append, lambda *_: None)
    assert lines[0].startswith("resumed at step 3 of run 2")
    assert all(torch.equal(p, whole[name]) for name, p in resumed.model.named_parameters())
