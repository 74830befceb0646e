"""Documents for training: prompts as strategies send them, answers whole and with their end."""

import json
from pathlib import Path

import pytest
from tests.training.jobs import columns_recipe, groups, recipe_of

from branchwise.data.types import Group, Question
from branchwise.decoding.models.chat import ChatTokenizer
from branchwise.errors import UserError
from branchwise.prompts import PromptStyle, single
from branchwise.training.examples import Examples, Stream
from branchwise.training.packing import Row, batch_of
from branchwise.training.sequences import Document, Sequence, Span
from branchwise.training.texts import columns_of, texts_of

STYLES = {
    "chat": PromptStyle(),
    "tag": PromptStyle(answer_format="tag"),
    "json": PromptStyle(answer_format="json", prefilled=True, stop="form"),
    "line": PromptStyle(form="completion", prefilled=True, stop="form"),
}


@pytest.fixture(scope="module")
def chat(random_model_folder: Path) -> ChatTokenizer:
    return ChatTokenizer.load(random_model_folder)


def one(gold: str = "Ashton") -> Group:
    question = Question(id="q", text="Where does Mara live?", golds=(gold,))
    return Group(id="g", context="Mara lives in Ashton.", questions=(question,))


@pytest.mark.parametrize("name", STYLES)
def test_an_answer_is_what_would_be_said(name: str, chat: ChatTokenizer) -> None:
    """Prompt, answer and end are the ids that decoding sends, is to say, and stops at."""
    style = STYLES[name]
    document = Examples(recipe_of("lora"), chat, style).document(one())
    assert document is not None
    (sequence,) = document.sequences
    form = style.form
    begun = {"json": '{"answer": "', "line": "Answer:"}.get(name, "")
    prompt = chat.prompt_ids(single(one(), one().questions[0], style), form=form, begun=begun)
    assert sequence.ids[: sequence.num_prompt] == prompt
    assert sequence.end is not None
    said = chat.tokenizer.decode([*sequence.ids[sequence.num_prompt :], sequence.end])
    ends = {"chat": "<|im_end|>", "tag": "<|im_end|>", "json": '"}', "line": "\n"}
    whole = {"tag": "<answer> Ashton</answer>"}.get(name, "Ashton")
    assert said.replace(" ", "") == (whole + ends[name]).replace(" ", "")


def test_an_answer_that_would_end_before_it_is_said_is_left_out(chat: ChatTokenizer) -> None:
    """It was learned up to there, silently cut."""
    examples = Examples(recipe_of("lora"), chat, STYLES["line"])
    assert examples.document(one("Ashton\nor Langdale")) is None
    assert examples.num_unsayable == 1
    assert examples.document(one()) is not None


def test_a_tokenizer_without_turns_ends_answers_with_its_own_token(
    chat: ChatTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    style = PromptStyle(form="completion", prefilled=True)
    monkeypatch.setattr(ChatTokenizer, "turn_end_ids", frozenset())
    document = Examples(recipe_of("lora"), chat, style).document(one())
    assert document is not None and document.sequences[0].end == chat.tokenizer.eos_token_id
    monkeypatch.setattr(type(chat.tokenizer), "eos_token_id", None, raising=False)
    with pytest.raises(UserError, match="has no token that ends an answer"):
        Examples(recipe_of("lora"), chat, style)


def test_branches_stand_where_those_that_are_left_have_them(chat: ChatTokenizer) -> None:
    """Placed before one was left out for room, the others stood where decoding never puts them."""
    recipe = recipe_of("branches", positions="shared")
    (group,) = groups(5, 1, group_size=4, min_facts=4, max_facts=4)
    long = group.questions[3].model_copy(update={"text": "Where, " * 40 + "does Mara live?"})
    group = group.model_copy(update={"questions": (*group.questions[:3], long)})
    document = Examples(recipe, chat, PromptStyle()).document(group)
    assert document is not None
    whole = Stream([document], 1000, recipe).documents[0]
    cut = Stream([document], 170, recipe)
    assert (len(whole.sequences), len(cut.documents[0].sequences), cut.num_cut) == (4, 3, 1)
    ends = {one.shift + one.num_prompt for one in cut.documents[0].sequences}
    assert len(ends) == 1 and min(one.shift for one in cut.documents[0].sequences) == 0


def test_every_row_is_the_same_whoever_asks(chat: ChatTokenizer) -> None:
    examples = Examples(recipe_of("lora"), chat, PromptStyle())
    documents = [one for group in groups(9, 12) if (one := examples.document(group))]
    stream, other = (Stream(documents, 200, recipe_of("lora")) for _ in range(2))
    names = [[document.name for document in stream.row(number)] for number in range(40)]
    assert names == [[d.name for d in other.row(number)] for number in reversed(range(40))][::-1]
    epoch = [name for row in stream.rows_in_order() for name in row]
    assert sorted(document.name for document in epoch) == sorted(document.name for document in documents)


def test_columns_begin_together_and_are_seen_by_column(chat: ChatTokenizer, tmp_path: Path) -> None:
    """Nothing of a paragraph is given: as answers do, they begin at one place and end anywhere."""
    file = tmp_path / "texts.jsonl"
    texts = [f"One {n}.\nTwo {n}.\nA much longer third of {n}.\nFour." for n in range(20)]
    file.write_text("\n".join(json.dumps({"text": text}) for text in texts) + "\n\n")
    plain = columns_recipe(tmp_path / "unused.txt", positions="grid2d_shared", peek=True)
    recipe = plain.model_copy(update={"texts": str(file)})
    found = texts_of(recipe, pytest.fail)
    # "Four." is said in all of them: what is looked at is to be new.
    assert len(found.trained) == 18 and found.looked_at == []
    document = columns_of(texts[0], "text", recipe, chat.tokenizer)
    trunk, *columns = Stream([document], 200, recipe).documents[0].sequences
    assert trunk.after == () and [one.after for one in columns] == [(0,), (0,)]
    assert [one.shift for one in columns] == [0, 0]
    assert [one.x for one in columns] == [0, recipe.grid.stride]
    row = Row()
    row.add(document._replace(sequences=[trunk, *columns]))
    batch = batch_of([row], row.num_tokens, 0)
    first, second = len(trunk.ids), len(trunk.ids) + len(columns[0].ids)
    mask = batch.mask_B1TT[0, 0]
    assert not mask[first, second] and mask[first + 1, second] and mask[second + 1, first]
    for line, message in (
        ("{}", "no JSON object with"),
        ('{"text": null}', "line 1: no JSON object with"),
    ):
        file.write_text(line)
        with pytest.raises(UserError, match=message):
            texts_of(recipe, pytest.fail)


def test_an_answer_without_a_token_of_its_own_ends_where_its_prompt_does() -> None:
    """Its end was learned at the last token of the branch before it."""
    prompt = [1, 2, 3]
    sequences = [
        Sequence([*prompt, 4, 5], [Span(3, 2, "a")], end=9),
        Sequence([*prompt], [Span(3, 0, "b")], end=9),
    ]
    row = Row()
    row.add(Document(sequences))
    batch = batch_of([row], row.num_tokens, 0)
    assert batch.place_N.tolist() == [2, 3, 4, 2]
    assert batch.target_N.tolist() == [4, 5, 9, 9]
