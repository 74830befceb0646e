"""How text becomes ids: a prompt as `generate` would get it, a continuation with nothing added."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from branchwise import TreeDecoder
from branchwise.decoding.models.text import continuation_ids_of, prompt_ids_of
from tests.architectures import greedy, model_of

WORDS = ["once", "upon", "a", "time", "q", ":", ".", "owl", "s"]


def metaspace(scheme: str) -> PreTrainedTokenizerFast:
    """As SentencePiece makes them: a space before the first word."""
    pieces = [(f"▁{word}", -1.0) for word in WORDS] + [(word, -2.0) for word in WORDS]
    letters = [(char, -6.0) for char in "abcdefghijklmnopqrstuvwxyz▁\n:.01)"]
    known = dict([("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), *pieces, *letters])
    tokenizer = Tokenizer(models.Unigram(list(known.items()), unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme=scheme)
    tokenizer.decoder = decoders.Metaspace("▁", prepend_scheme=scheme)
    return finished(tokenizer)


def byte_level(prefix_space: bool) -> PreTrainedTokenizerFast:
    letters = ["<unk>", "<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(
        models.BPE({piece: i for i, piece in enumerate(letters)}, [], unk_token="<unk>")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    tokenizer.decoder = decoders.ByteLevel()
    return finished(tokenizer)


def finished(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in ("<s>", "</s>")])
    ids = [(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=ids)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")


TOKENIZERS = {
    "metaspace always": metaspace("always"),
    "metaspace first": metaspace("first"),
    "metaspace never": metaspace("never"),
    "bytes": byte_level(False),
    "bytes with a space": byte_level(True),
}
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)


@pytest.mark.parametrize("name", TOKENIZERS)
@settings(max_examples=40)
@given(before=texts, text=texts, front=st.sampled_from(["", " ", "\n"]))
def test_a_continuation_adds_its_text_and_no_more(name: str, before: str, text: str, front: str) -> None:
    tokenizer = TOKENIZERS[name]
    first = tokenizer.encode(before, add_special_tokens=False)
    ids = continuation_ids_of(tokenizer, front + text)
    got = tokenizer.decode(first + ids, clean_up_tokenization_spaces=False)
    assert got == tokenizer.decode(first, clean_up_tokenization_spaces=False) + front + text


@pytest.mark.parametrize("name", TOKENIZERS)
def test_a_prompt_is_what_the_tokenizer_makes_of_it(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    ids = prompt_ids_of(tokenizer, "once upon")
    assert ids == tokenizer("once upon")["input_ids"]
    assert ids[0] == tokenizer.bos_token_id
    assert tokenizer.bos_token_id not in continuation_ids_of(tokenizer, "once upon")


def test_an_end_that_a_tokenizer_adds_to_a_prompt_stays() -> None:
    tokenizer = byte_level(False)
    ids = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("<s>", "</s>")]
    backend = tokenizer.backend_tokenizer
    backend.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ids)
    assert prompt_ids_of(tokenizer, "a")[-1] == tokenizer.eos_token_id
    assert tokenizer.eos_token_id not in continuation_ids_of(tokenizer, "a")


def test_complete_equals_generate_on_the_same_text() -> None:
    """A beginning-of-text token was left out: 8 of 8 answers differed."""
    tokenizer = TOKENIZERS["metaspace always"]
    model = model_of("llama", vocabulary=len(tokenizer))
    decoder = TreeDecoder(model, tokenizer, kernel="dense")
    prompts = ["once upon a time", "owls", "q: a"]
    expected = []
    for prompt in prompts:
        ids = greedy(model, tokenizer(prompt)["input_ids"], 5)
        stop = next((i for i, token in enumerate(ids) if token in decoder.stop_ids), len(ids))
        expected.append(tokenizer.decode(ids[:stop]))
    assert decoder.complete(prompts, 5) == expected


def test_each_verb_makes_its_own_ids() -> None:
    tokenizer = TOKENIZERS["metaspace always"]
    decoder = TreeDecoder(model_of("llama", vocabulary=len(tokenizer)), tokenizer, kernel="dense")
    root = decoder.open("once upon", "g")
    (child,) = decoder.fork(root, ["s a"])
    end = decoder.join([child], ". owl")
    assert root.tip.tokens == tokenizer("once upon")["input_ids"]
    spelt = [token for node in (root.tip, child.tip, end.tip) for token in node.tokens[:]]
    assert tokenizer.decode(spelt[1:]) == "once upons a. owl"
    decoder.close("g")
