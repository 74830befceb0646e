"""The trainer: packing is a tree, each token is learned in its own branch, a stop costs nothing."""

import random
import re
from pathlib import Path

import pytest
import torch

from branchwise.data.worlds import KINDS, WorldsSpec, make_groups
from branchwise.data.worlds.lexicon import cities, people
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.training.checkpoint import changes, listed
from branchwise.training.documents import Documents
from branchwise.training.drawing import draw_rows
from branchwise.training.muon import orthogonalised
from branchwise.training.packing import Batch, batch_of, packed_length, shared_length
from branchwise.training.recipe import Shape, Stage, TinyRecipe
from branchwise.training.sequences import Sequence, Span
from branchwise.training.tiny import TinyTrainer
from branchwise.training.vocabulary import build_tokenizer, save_tokenizer

KIND_WEIGHTS = {kind: 1.0 for kind in KINDS if kind not in ("documents", "chinese", "paraphrase", "copy")}
LAYOUTS = ("single", "turns", "everything", "known", "pairs", "letters", "restated", "options", "tally")
STAGE = Stage(
    name="all", layouts=dict.fromkeys(LAYOUTS, 1.0), kinds=KIND_WEIGHTS, min_facts=3, max_facts=8
)
RECIPE = TinyRecipe(
    num_steps=6,
    rows_per_step=2,
    row_tokens=160,
    checkpoint_steps=3,
    warmup_steps=1,
    shape=Shape(num_layers=2, hidden_size=32, num_heads=2, head_dim=16, intermediate_size=32),
    stages=(STAGE,),
)


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> ChatTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(folder, 512)
    return ChatTokenizer.load(folder)


def test_names_are_a_start_and_an_ending_and_any_text_survives() -> None:
    tokenizer = build_tokenizer()
    for split in ("seen", "held_out"):
        for name in people(split) + cities(split):
            assert len(tokenizer.encode(name).ids) == 2
    for text in ("1. Ashton\n2. hot soup", "Größe, naïve: 小明 x<y & [z]", "a\n\nb  c"):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_is_learned_is_an_answer_and_its_end(chat: ChatTokenizer, layout: str) -> None:
    stage = STAGE.model_copy(update={"layouts": {layout: 1.0}})
    documents = Documents(chat, random.Random(0))
    seen = 0
    for _ in range(30):
        for sequence in documents.draw(stage):
            for start, length, label in sequence.spans:
                text = chat.tokenizer.decode(sequence.ids[start : start + length])
                seen += 1
                header = chat.encode("<|im_start|>assistant\n")
                if layout in ("single", "turns", "known", "options"):
                    assert text.endswith("<|im_end|>")
                    assert sequence.ids[start - len(header) : start] == header
                elif layout == "everything":
                    assert text.endswith(("<|im_end|>", "\n"))
                    assert text[0].isdigit()
                elif label == "letters":
                    assert text in "ABCDEF"
    assert seen >= 20


def test_shared_prefix_never_reaches_into_an_answer() -> None:
    one = Sequence([1, 2, 3, 9, 9], [Span(3, 2, "x")])
    two = Sequence([1, 2, 3, 9, 8], [Span(4, 1, "x")])
    assert shared_length([one, two]) == 3
    assert packed_length([one, two]) == 3 + 2 + 2


def drawn(documents: Documents, stage: Stage, num_rows: int, row_tokens: int) -> Batch:
    """Rows of a stage as one batch."""
    return batch_of(draw_rows(documents, stage, num_rows, row_tokens), row_tokens, 0)


def test_each_token_is_predicted_from_its_own_branch(chat: ChatTokenizer) -> None:
    """Every learned token's predecessor is visible to it, one position earlier, and is what stands before
    it in its own sequence."""
    # Error 8: targets shifted into another branch's tokens.
    documents = Documents(chat, random.Random(1))
    batch = drawn(documents, STAGE, num_rows=4, row_tokens=200)
    assert len(batch.target_N) >= 10
    for span in batch.spans:
        some = slice(span.first, span.first + span.length)
        rows, places = batch.row_N[some], batch.place_N[some]
        # Behind the first of a span each is learned where the one before it stands.
        assert (batch.ids_BT[rows, places][1:] == batch.target_N[some][:-1]).all()
        steps = batch.positions_BT[rows, places]
        assert (steps[1:] == steps[:-1] + 1).all()
        assert batch.mask_B1TT[rows[1:], 0, places[1:], places[:-1]].all()
    # And every token sees itself.
    assert batch.mask_B1TT.diagonal(dim1=2, dim2=3).all()


def test_packed_branches_give_the_logits_of_separate_sequences(
    chat: ChatTokenizer, tmp_path: Path
) -> None:
    """Invariant 7: training over a tree is training on its branches one by one."""
    # Error 7: positions differ between training and inference.
    # Error 9: loss normalised twice.
    trainer = TinyTrainer(RECIPE, tmp_path)
    stage = STAGE.model_copy(update={"layouts": {"single": 1.0}})
    trainer.documents.rng.seed(5)
    batch = drawn(trainer.documents, stage, 1, 220)
    with trainer.lesson.attached():
        loss, _ = trainer._loss(batch)
    losses = []
    for span in batch.spans:
        targets = batch.target_N[span.first : span.first + span.length]
        begin = int(batch.place_N[span.first])
        prompt = batch.ids_BT[0, batch.mask_B1TT[0, 0, begin].nonzero().flatten()]
        ids = torch.cat([prompt, targets[:-1]])
        with torch.no_grad():
            logits = trainer.model(ids[None], use_cache=False).logits[0]
        predicted = logits[-span.length :]
        losses.append(torch.nn.functional.cross_entropy(predicted, targets, reduction="none"))
    assert float(loss) == pytest.approx(float(torch.cat(losses).mean()), abs=1e-4)


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    lines: list[str] = []

    def train(folder: Path, stop_at: int | None) -> dict[str, torch.Tensor]:
        trainer = TinyTrainer(RECIPE, folder)

        def progress(done: int, total: int) -> None:
            if done == stop_at:
                raise KeyboardInterrupt

        try:
            trainer.train(lines.append, progress)
        except KeyboardInterrupt:
            return train(folder, None)
        return {name: p.detach().clone() for name, p in trainer.model.named_parameters()}

    straight = train(tmp_path / "a", None)
    assert not any("resumed" in line for line in lines)
    stopped = train(tmp_path / "b", 5)
    # From the beginning it would have come to the same weights too.
    assert lines[-1].startswith("resumed at step 3")
    assert all(torch.equal(straight[name], stopped[name]) for name in straight)


def test_a_checkpoint_of_another_recipe_is_kept_and_training_says_why_it_starts_anew(
    tmp_path: Path,
) -> None:
    def train(recipe: TinyRecipe) -> list[str]:
        lines: list[str] = []
        TinyTrainer(recipe, tmp_path).train(lines.append, lambda done, total: None)
        return lines

    train(RECIPE)
    old = (tmp_path / "checkpoint/state.safetensors").read_bytes()
    changed = RECIPE.model_copy(
        update={
            "matrix_lr": 0.5,
            "stages": (STAGE.model_copy(update={"max_facts": 9, "until": {"single": 0.5}}),),
        }
    )
    why, kept, *rest = train(changed)
    assert "another recipe" in why
    assert f"matrix_lr: {RECIPE.matrix_lr} -> 0.5" in why
    assert "stages[0].max_facts: 8 -> 9" in why
    assert "stages[0].until.single: null -> 0.5" in why
    assert why.count(" -> ") == 3
    assert str(tmp_path / "checkpoint.1") in kept
    assert "step 6" in kept
    assert rest[0].startswith("step 1/6")
    assert (tmp_path / "checkpoint.1/state.safetensors").read_bytes() == old
    assert (tmp_path / "checkpoint/state.safetensors").read_bytes() != old
    assert "resumed at step 6" in train(changed)[0]
    assert str(tmp_path / "checkpoint.2") in train(RECIPE)[1]
    assert (tmp_path / "checkpoint.1/state.safetensors").read_bytes() == old


def test_a_long_list_of_changes_ends_in_a_count() -> None:
    old, new = ({str(n): n + more for n in range(20)} for more in (0, 1))
    assert listed(changes(old, new)).endswith("; 11: 11 -> 12; and 8 more")
    assert changes({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}) == []
    assert changes({"a": []}, {"a": [1]}) == ["a[0]: null -> 1"]


def test_training_changes_every_weight(tmp_path: Path) -> None:
    # Error 10: parameters that cannot move.
    trainer = TinyTrainer(RECIPE, tmp_path)
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    trainer.train(lambda line: None, lambda done, total: None)
    assert all(not torch.equal(before[n], p) for n, p in trainer.model.named_parameters())


def test_muon_moves_all_singular_values_near_one() -> None:
    matrices = torch.randn(3, 24, 40, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(matrices))
    assert 0.6 < values.min() < values.max() < 1.3
    transposed = orthogonalised(matrices.transpose(1, 2)).transpose(1, 2)
    torch.testing.assert_close(transposed, orthogonalised(matrices), atol=1e-4, rtol=0)


def test_training_never_sees_an_evaluation_group(chat: ChatTokenizer, root: Path) -> None:
    """The overlap check: no context of a catalogue data set or of the card is ever trained on."""
    # Error 4: evaluation on the training split.
    from branchwise.config.load import load_catalogues
    from branchwise.data.prepare import groups_of
    from branchwise.training.card import SPECS

    evaluated = set()
    for entry in load_catalogues(root).datasets.values():
        if entry.source == "worlds":
            evaluated |= {group.context for group in groups_of(entry, pytest.fail)}
    for spec in SPECS.values():
        evaluated |= {group.context for group in make_groups(spec)}
    assert len(evaluated) > 1000
    documents = Documents(chat, random.Random("tiny/7"))
    stage = STAGE.model_copy(update={"layouts": {"single": 1.0}, "max_facts": 10})
    for _ in range(1500):
        sequence, *_ = documents.draw(stage)
        text = chat.tokenizer.decode(sequence.ids)
        context = text.split("<|im_start|> user\n")[1].split("\nQuestion:")[0]
        assert context.split("\nKnown:")[0] not in evaluated


def test_held_out_names_and_wordings_stand_in_no_training_text(chat: ChatTokenizer) -> None:
    # Error 4: evaluation on the training split.
    documents = Documents(chat, random.Random(3))
    held_out = set(people("held_out") + cities("held_out"))
    words: set[str] = set()
    for _ in range(300):
        for sequence in documents.draw(STAGE):
            words |= set(re.findall("[A-Za-z]+", chat.tokenizer.decode(sequence.ids)))
    assert len(words & set(people("seen") + cities("seen"))) > 100
    assert not words & held_out


def test_the_card_measures_names_and_wordings_that_training_never_drew() -> None:
    """Each split differs from the seen worlds in what it is called after, and in that alone."""
    from branchwise.training.card import SPECS, SPLITS

    seen, held_out = (set(people(split) + cities(split)) for split in ("seen", "held_out"))
    assert set(SPLITS) == {"seen", "unseen names", "unseen wordings"}
    for kind, spec in SPECS.items():
        contexts = {}
        for split, other in SPLITS.items():
            few = WorldsSpec.model_validate({**spec.model_dump(), **other, "num_groups": 3})
            contexts[split] = " ".join(group.context for group in make_groups(few))
        named = {split: set(re.findall("[A-Z][a-z]+", text)) for split, text in contexts.items()}
        assert named["seen"] & seen and not named["seen"] & held_out, kind
        assert named["unseen names"] & held_out and not named["unseen names"] & seen, kind
        assert named["unseen wordings"] & seen and not named["unseen wordings"] & held_out, kind
        assert len(set(contexts.values())) == 3, kind
