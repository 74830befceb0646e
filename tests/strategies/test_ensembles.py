"""Paraphrase ensembles: what one wording gives, what permuting gives, who pays, and what is refused."""

from pathlib import Path

import pytest
import torch
from tests.architectures import model_of

from branchwise import TreeDecoder
from branchwise.cells.asks import said_in
from branchwise.cells.flight import run_groups
from branchwise.cells.journal import Journal
from branchwise.cells.runner import GroupRunner, Timed, record_of
from branchwise.data.types import Group, Question
from branchwise.data.worlds import WorldsSpec, make_groups
from branchwise.decoding.contract import Decoder
from branchwise.decoding.decoders.tree import TreeEntry
from branchwise.decoding.fusion import FUSIONS
from branchwise.decoding.loop import run
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.models.source import ModelSource
from branchwise.decoding.requests import Completion, Hook, Rules, TokenCount
from branchwise.errors import UserError
from branchwise.prompts import PromptStyle
from branchwise.strategies import load
from branchwise.trace import Tokens

PLAIN = PromptStyle()
GROUP = next(iter(make_groups(WorldsSpec(kinds=("paraphrase",), group_size=3, num_groups=1))))
SHOT = Group(
    id="shot",
    context="Ada lives in Rome.",
    questions=(Question(id="s", text="Where does Ada live?", golds=("Rome",)),),
)
# Every wording is as sure as any other.
GROUP = GROUP.model_copy(
    update={
        "questions": tuple(
            one.model_copy(update={"confidences": tuple((t, 0.5) for t in (one.text, *one.paraphrases))})
            for one in GROUP
        )
    }
)
FUSED = [
    ("per_prompt", {}),
    ("per_prompt", {"take": "vote"}),
    *(("logit_fusion", {"rule": rule}) for rule in FUSIONS),
    *(("attention_fusion", {"positions": positions}) for positions in ("shared", "path", "consecutive")),
    ("attention_fusion", {"positions": "consecutive", "first_token": "last"}),
]


@pytest.fixture(scope="module")
def source(random_model_folder: Path) -> ModelSource:
    return ModelSource(ModelEntry(path=str(random_model_folder), device="cpu"))


@pytest.fixture(scope="module")
def decoder(source: ModelSource) -> Decoder:
    return TreeEntry(kind="tree", kernel="dense").make(source)


def asked(
    source: ModelSource,
    decoder: Decoder,
    module: str,
    options: dict | None = None,
    group: Group = GROUP,
    style: PromptStyle = PLAIN,
) -> Timed:
    return GroupRunner(load(module, options), decoder, source.chat, style, 8).once(group)


def said(done: Timed) -> list[list[int]]:
    """The ids of each question's answer."""
    by_question: dict[str, list[int]] = {}
    for ask in done.asks:
        by_question.setdefault(ask.questions[0].id, []).extend(ask.completion.ids)
    return list(by_question.values())


@pytest.mark.parametrize("form", ["chat", "completion"])
@pytest.mark.parametrize(("module", "options"), FUSED)
def test_one_wording_is_plain_decoding(
    module: str, options: dict, form: str, source: ModelSource, decoder: Decoder
) -> None:
    style = PromptStyle(form=form, prefilled=form == "completion", shots=(SHOT,))
    plain = asked(source, decoder, "batch", style=style)
    one = asked(source, decoder, module, {**options, "wordings": 1}, style=style)
    assert said(one) == said(plain)
    assert [a.raw for a in one.answers] == [a.raw for a in plain.answers]


@pytest.mark.parametrize(("module", "options"), FUSED)
def test_every_token_is_paid_for_and_every_wording_is_named(
    module: str, options: dict, source: ModelSource, decoder: Decoder
) -> None:
    done = asked(source, decoder, module, {**options, "wordings": 4})
    record = record_of(GROUP, done, pytest.fail)
    whole = Tokens.total(row.tokens for row in record.answers)
    assert whole.sent == pytest.approx(record.run.tokens.sent)
    assert whole.generated == pytest.approx(record.run.tokens.generated)
    for row in record.answers:
        assert len(row.wordings) == 4
        assert row.wordings[0].text == row.text
        assert all((w.answer is None) == (module != "per_prompt") for w in row.wordings)
        assert row.each == (module == "per_prompt" and "take" not in options)


def test_all_wordings_of_a_question_say_the_same(source: ModelSource, decoder: Decoder) -> None:
    done = asked(source, decoder, "logit_fusion", {"wordings": 4})
    for question in GROUP:
        ids = [ask.completion.ids for ask in done.asks if ask.questions == (question,)]
        assert len(ids) == 4
        assert all(one == ids[0] for one in ids)


def test_a_sampled_ensemble_draws_one_token_for_all(source: ModelSource) -> None:
    hot = TreeEntry(kind="tree", kernel="dense", sampling={"temperature": 1.5}).make(source)
    done = asked(source, hot, "logit_fusion", {"wordings": 4})
    for question in GROUP:
        ids = [ask.completion.ids for ask in done.asks if ask.questions == (question,)]
        assert all(one == ids[0] for one in ids)
    again = asked(source, hot, "logit_fusion", {"wordings": 4})
    assert said(again) == said(done)


def test_an_ensemble_is_held_to_a_form(source: ModelSource) -> None:
    """Fusion and a constraint together: the pattern is kept, and all wordings still say the same."""
    held = TreeEntry(kind="tree", kernel="dense", constrain="regex", pattern="[A-C]{2}[0-9]").make(source)
    done = asked(source, held, "logit_fusion", {"wordings": 3})
    texts = {ask.raw for ask in done.asks}
    assert all(len(text) == 3 and text[0] in "ABC" and text[2].isdigit() for text in texts)
    for question in GROUP:
        assert len({ask.raw for ask in done.asks if ask.questions == (question,)}) == 1


def test_the_first_token_as_published_is_the_last_wordings_alone(
    source: ModelSource, decoder: Decoder
) -> None:
    options = {"wordings": 3, "first_token": "last"}
    done = asked(source, decoder, "attention_fusion", options)
    alone = asked(source, decoder, "per_prompt", {"wordings": 3})
    for question in GROUP:
        first = next(ask for ask in done.asks if ask.questions == (question,))
        last = [ask for ask in alone.asks if ask.questions == (question,)][-1]
        assert first.role == "beginning"
        assert first.completion.ids == last.completion.ids[:1]
        assert not first.after


def test_isolated_shots_see_the_instruction_and_themselves(source: ModelSource, decoder: Decoder) -> None:
    other = SHOT.model_copy(update={"id": "other", "context": "Bea lives in Oslo."})
    style = PromptStyle(form="completion", prefilled=True, shots=(SHOT, other))
    options = {"wordings": 2, "isolated_shots": True}
    done = asked(source, decoder, "attention_fusion", options, style=style)
    branches = done.trace.branches
    shots = [number for number, one in enumerate(branches) if one.verb == "fork" and one.parents == (0,)]
    assert [("Ada lives" in branches[n].text, "Bea lives" in branches[n].text) for n in shots] == [
        (True, False),
        (False, True),
    ]
    trunks = [one for one in branches if one.verb == "join" and one.parents == tuple(shots)]
    assert len(trunks) == len(GROUP)
    whole = asked(source, decoder, "batch", style=style).asks[0].prompt
    assert (
        branches[0].text + "".join(branches[n].text for n in shots)
        == whole[: whole.index(trunks[0].text)]
    )


@pytest.mark.parametrize("name", ["qwen3", "llama", "gemma3", "gpt_neox"])
def test_wordings_in_another_order_give_the_same_logits(name: str) -> None:
    """Exactly symmetric where all wordings end at the same place, and where all begin there."""
    decoder = TreeDecoder(model_of(name), kernel="dense")
    wordings = [[12, 13], [14, 15, 16, 17, 18], [19, 20, 21]]

    async def script(order: list[int], positions: str) -> list[torch.Tensor]:
        seen: list[torch.Tensor] = []
        hook = Hook(lambda members, logits: seen.append(logits[0].clone()) or logits)
        branches = decoder.fork(decoder.open([9, 10, 11], "g"), [wordings[i] for i in order], positions)
        await decoder.generate(decoder.join(branches, [22, 23]), Rules(4, hooks=(hook,)))
        decoder.close("g")
        return seen

    for positions in ("shared", "path"):
        orders = ([0, 1, 2], [2, 0, 1], [1, 2, 0])
        first, *others = (run(script(order, positions), decoder.step) for order in orders)
        for other in others:
            torch.testing.assert_close(torch.stack(other), torch.stack(first), atol=1e-4, rtol=0)


def test_positions_of_a_fork() -> None:
    decoder = TreeDecoder(model_of("qwen3"), kernel="dense")
    trunk = decoder.open([9, 10, 11], "g")
    runs = [[12], [13, 14, 15], [16, 17]]
    starts = {
        how: [branch.tip.start for branch in decoder.fork(trunk, runs, how)]
        for how in ("path", "shared", "consecutive", None)
    }
    assert starts == {"path": [3, 3, 3], "shared": [5, 3, 4], "consecutive": [3, 4, 7], None: [3, 3, 3]}
    with pytest.raises(UserError, match="positions is 'side'"):
        decoder.fork(trunk, runs, "side")
    decoder.close("g")


def test_weights_that_nobody_found_are_told(source: ModelSource, decoder: Decoder) -> None:
    bare = GROUP.model_copy(update={"questions": (Question(id="q", text="Where?", golds=("x",)),)})
    with pytest.raises(UserError, match="no confidence is known of its wording"):
        asked(source, decoder, "logit_fusion", {"rule": "weighted_avg"}, bare)


def test_the_surest_wording_decides_alone(source: ModelSource, decoder: Decoder) -> None:
    alone = asked(source, decoder, "per_prompt", {"wordings": 3})
    questions = []
    for question, answer in zip(GROUP, alone.answers, strict=True):
        sure = {worded.text: 0.2 for worded in answer.wordings} | {answer.wordings[2].text: 0.9}
        questions.append(question.model_copy(update={"confidences": tuple(sure.items())}))
    group = GROUP.model_copy(update={"questions": tuple(questions)})
    done = asked(source, decoder, "logit_fusion", {"wordings": 3, "rule": "weighted_max"}, group)
    for question in GROUP:
        last = [ask for ask in alone.asks if ask.questions[0].id == question.id][-1]
        one = next(ask for ask in done.asks if ask.questions[0].id == question.id)
        assert one.completion.ids == last.completion.ids


@pytest.mark.parametrize(("module", "options"), FUSED)
def test_no_paraphrases_and_fifty(
    module: str, options: dict, source: ModelSource, decoder: Decoder
) -> None:
    texts = ("Where?", *(f"Where {n}?" for n in range(49)))
    bare = Question(id="q", text="Where?", golds=("x",), confidences=tuple((text, 0.5) for text in texts))
    many = bare.model_copy(update={"id": "p", "paraphrases": texts[1:]})
    group = Group(id="g", context="Mara lives in Ashton.", questions=(bare, many))
    done = asked(source, decoder, module, {**options, "wordings": 50}, group)
    assert [len(one.wordings) for one in done.answers] == [1, 50]


@pytest.mark.parametrize("options", [{}, {"first_token": "last"}])
def test_attention_fusion_is_held_to_a_form_to_its_end(source: ModelSource, options: dict) -> None:
    """Also where the first token comes from another ask than the rest."""
    held = TreeEntry(kind="tree", kernel="dense", constrain="regex", pattern="[A-C]{2}[0-9]").make(source)
    done = asked(source, held, "attention_fusion", {"wordings": 3, **options})
    for answer in done.answers:
        assert len(answer.raw) == 3
        assert answer.raw[0] in "ABC"
        assert answer.raw[2].isdigit()


class Answers:
    """A tokenizer to which a word is a token, written with the blank before it."""

    WORDS = ("a", "dog", "in", "Rome", '"', '"}')

    def decode(self, ids) -> str:
        words = [self.WORDS[i] for i in ids]
        return " ".join(words) if all(word.isalpha() for word in words) else "".join(words)

    def answer_text(self, ids, text: str | None = None) -> str:
        return self.decode(ids) if text is None else text


def completion(ids: list[int], text: str | None, stop: str = "stop") -> Completion:
    return Completion(ids, stop, TokenCount(1, 1, 0, len(ids), 0), 0.0, 1.0, 1, text, text and "Rome")


def test_an_answer_of_two_asks_reads_as_one() -> None:
    chat = Answers()
    assert said_in(completion([1, 2, 3], None), chat, (0,), ()) == ("a dog in Rome", False)
    # What a stop text cut off the second part is cut off the whole.
    assert said_in(completion([1, 2, 3], "dog in"), chat, (0,), ("Rome",)) == ("a dog in", True)
    # A stop text that begins in the first part: nobody saw it while it was written.
    assert said_in(completion([5], None, "length"), chat, (4,), ('""',)) == ("", True)
    assert said_in(completion([1], "dog"), chat, (), ()) == ("dog", True)


def test_a_wording_that_was_cut_off_is_not_well_formed_alone(
    source: ModelSource, decoder: Decoder
) -> None:
    runner = GroupRunner(load("per_prompt", {"wordings": 3}), decoder, source.chat, PLAIN, 1)
    done = runner.once(GROUP)
    for row in record_of(GROUP, done, pytest.fail).answers:
        stops = [done.asks[n].completion.stop == "stop" for n in row.asks]
        assert [w.well_formed for w in row.wordings] <= stops
        assert row.well_formed <= stops[0]
    last = asked(source, decoder, "attention_fusion", {"wordings": 3, "first_token": "last"})
    assert all(row.asks for row in record_of(GROUP, last, pytest.fail).answers)


def test_a_listener_hears_each_answer_once(source: ModelSource, decoder: Decoder) -> None:
    for module in ("per_prompt", "logit_fusion", "vote"):
        heard: dict[str, list[int]] = {}
        runner = GroupRunner(
            load(module, {"samples": 3} if module == "vote" else None), decoder, source.chat, PLAIN, 8
        )
        done = runner.once(
            GROUP,
            lambda questions, token, heard=heard: heard.setdefault(questions[0].id, []).append(token),
        )
        first = {ask.questions[0].id: ask.completion.ids for ask in reversed(done.asks)}
        assert heard == first


@pytest.mark.parametrize(("module", "options"), FUSED)
def test_a_wording_longer_than_the_context_leaves_the_group_out(
    module: str, options: dict, source: ModelSource, decoder: Decoder, tmp_path: Path
) -> None:
    """Whole and counted, the others answered: an ensemble without it would be another one."""
    long = GROUP.questions[0].model_copy(
        update={
            "text": "Where is it?",
            "paraphrases": ("Where " * 20000 + "?",),
            "confidences": (("Where is it?", 0.5), ("Where " * 20000 + "?", 0.5)),
        }
    )
    unfit = Group(id="unfit", context="Mara lives in Ashton.", questions=(long,))
    runner = GroupRunner(load(module, {**options, "wordings": 2}), decoder, source.chat, PLAIN, 8)
    journal = Journal(tmp_path / "journal.jsonl", {})
    said: list[str] = []
    done = run_groups(runner, [unfit, GROUP], journal, lambda *done: None, said.append)
    assert [one.group for one in done.left_out] == ["unfit"]
    assert [one.run.id for one in done.records] == [GROUP.id]
    assert "exceed the model's context" in said[0]
    # Nothing of the group is left; what all groups share was kept on purpose.
    decoder.forget_shared()  # type: ignore[attr-defined]
    assert decoder.slots_in_use == 0  # type: ignore[attr-defined]
