"""The tiny model's tokenizer: an explicit vocabulary instead of a learned one.

Every word of the worlds and of the prompts is one token and every name two, its start and its
ending; anything else falls back to characters and bytes, so that any text can be read. All known
pieces cost the same, so the best segmentation is the shortest.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from branchwise.data.style import AnswerFormat
from branchwise.data.worlds import lexicon, wordings
from branchwise.prompts.rendering import FORMAT_RULES
from branchwise.prompts.style import PromptStyle

END_OF_TEXT, TURN_START, TURN_END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"
)

_KNOWN_FORMATS: tuple[AnswerFormat, ...] = ("line", "tag")
"""Answer formats whose words are in the vocabulary: another word of it would make it another model."""

_SPACE = "\u2581"  # the mark that stands for a space before a word
_WORD = re.compile(r"[A-Za-z]+|[0-9]+|[^\sA-Za-z0-9]")


def _texts() -> Iterator[str]:
    """Every fixed text that the model meets: wordings, values, prompt words."""
    for table in (wordings.STATEMENTS, wordings.QUESTIONS):
        for entry in table.values():
            yield from entry.seen + entry.held_out
    yield from wordings.VIA_RELATION + wordings.VIA_HOME
    yield from wordings.THAT_PERSON + wordings.THAT_CITY
    yield from lexicon.JOBS + lexicon.PETS + lexicon.TASTES + lexicon.DISHES + lexicon.MONTHS
    yield from lexicon.RELATIONS
    for answer_format in _KNOWN_FORMATS:
        yield from FORMAT_RULES[answer_format]
    yield PromptStyle().instruction
    yield "For a choice, give the letter. system user assistant Question: Questions: Known: Document"
    yield "A B C D E F G H I J MASK answer Which letter stands for option Option"


def _pieces() -> list[str]:
    words = {word for text in _texts() for word in _WORD.findall(text.replace("'s", " "))}
    words -= {"p", "v", "r", "a", "b"} - {"a"}
    pieces = {_SPACE + word for word in words if word.isalpha()}
    pieces |= {_SPACE + start for start in lexicon.PERSON_STARTS + lexicon.CITY_STARTS}
    pieces |= {*lexicon.PERSON_ENDINGS, *lexicon.CITY_ENDINGS}
    pieces |= {_SPACE + str(number) for number in range(31)}
    pieces |= {f"{_SPACE}\n", "'s", f"{_SPACE}[", "MASK", f"{_SPACE}<", "answer"}
    pieces |= {char for text in _chinese() for char in text}
    return sorted(pieces)


def _chinese() -> Iterator[str]:
    yield from wordings.CHINESE_STATEMENTS.values()
    yield from wordings.CHINESE_QUESTIONS.values()
    yield from wordings.CHINESE_PEOPLE
    for values in wordings.CHINESE_VALUES.values():
        yield from values


def build_tokenizer(added: Sequence[str] = ()) -> Tokenizer:
    """The tokenizer, with byte fallback: no text is ever lost, and decoding gives it back. `added` are
    further words, whose ids come after all others: they are tokens wherever a text spells them.
    """
    pieces = _pieces()
    characters = [chr(code) for code in range(33, 127)] + [_SPACE]
    vocabulary = [(token, 0.0) for token in (END_OF_TEXT, TURN_START, TURN_END)]
    vocabulary += [(piece, -1.0) for piece in pieces]
    vocabulary += [(char, -3.0) for char in characters if char not in pieces]
    vocabulary += [(f"<0x{byte:02X}>", -9.0) for byte in range(256)]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=0, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("\n", "isolated"),
            pre_tokenizers.Metaspace(_SPACE, prepend_scheme="always", split=True),
        ]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Replace(f"{_SPACE}\n", "\n"),
            decoders.Replace(f"\n{_SPACE}", "\n"),
            decoders.Replace(_SPACE, " "),
            decoders.Strip(" ", 1, 0),
        ]
    )
    specials = [AddedToken(t, special=True) for t in (END_OF_TEXT, TURN_START, TURN_END)]
    tokenizer.add_special_tokens(specials)
    tokenizer.add_tokens([AddedToken(text, normalized=False) for text in added])
    return tokenizer


def save_tokenizer(folder: Path, max_length: int, added: Sequence[str] = ()) -> None:
    """Write tokenizer files that `AutoTokenizer` loads, ChatML template included."""
    folder.mkdir(parents=True, exist_ok=True)
    build_tokenizer(added).save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": TURN_END,
        "pad_token": END_OF_TEXT,
        "model_max_length": max_length,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE)
