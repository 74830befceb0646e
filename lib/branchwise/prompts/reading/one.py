"""The table of rules by which the answer to one question is read, and the reader that goes through it."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from branchwise.data.style import AnswerFormat
from branchwise.data.types import NO_ANSWER, AnswerType, Question
from branchwise.prompts.reading import choice, number, sentence, words
from branchwise.prompts.reading.going_on import own_part
from branchwise.prompts.reading.json_form import begun_answer, is_json_object
from branchwise.prompts.reading.reply import answer_of, json_values, tags, without_thought
from branchwise.prompts.reading.result import Reading
from branchwise.prompts.reading.targets import Options


class Rule(NamedTuple):
    """One way in which replies give an answer: its name, what it recognises, and what reads it."""

    name: str
    recognises: str
    read: Callable[[Any], str]


CHOICE_RULES = (
    Rule(
        "letters",
        'letters and nothing else: "B", "(b)", "A, C", "A+C", "**ABD**"',
        choice.only("letters"),
    ),
    Rule("words", 'options\' words and nothing else: "Rome.", "头痛、发热"', choice.only("words")),
    Rule(
        "labels",
        'letters with their words and nothing else: "B. Rome", "Rome (B)"',
        choice.only("labels"),
    ),
    Rule("boxed", r'the last conclusion is a LaTeX box: "\boxed{\text{B}}"', choice.conclusion("boxed")),
    Rule(
        "answer", 'it names an answer: "The answer is B", "正确答案是 A、C"', choice.conclusion("answer")
    ),
    Rule(
        "called_answer",
        'it calls options the answer: "B is the correct answer"',
        choice.conclusion("called_answer"),
    ),
    Rule("chosen", 'it chooses: "I would choose C over A", "故选：ABD。"', choice.conclusion("chosen")),
    Rule(
        "concluded",
        'it concludes: "Therefore, B.", "It is B.", "因此，B"',
        choice.conclusion("concluded"),
    ),
    Rule("corrected", 'it corrects what was said: "Wait, actually C"', choice.conclusion("corrected")),
    Rule("last_sentence", "it is the last sentence or line, alone", choice.conclusion("last_sentence")),
    Rule("first_sentence", 'the reply begins with it: "B, because ..."', choice.first_sentence),
    Rule("verdicts", 'verdicts on options, added up: "A错误，B正确", "- B. Rome ✓"', choice.verdicts),
    Rule("lines", "letters that begin lines, but not those of all options", choice.labels),
    Rule("mention", 'the only option named as one: "option B", "B选项", "(B)"', choice.mention),
    Rule("named", "the only option whose words are there", choice.named),
)
NUMBER_RULES = (
    Rule("number", 'digits and nothing else: "3", "1,234.50", "3/4"', number.whole),
    Rule("number_boxed", r'a LaTeX box: "\boxed{3}"', number.boxed),
    Rule("number_corrected", 'a correction: "The answer is 3. Wait, actually 4."', number.corrected),
    Rule("number_answer", 'it names an answer: "The answer is 3", "答案：三"', number.answer),
    Rule(
        "number_only", 'the only number in digits: "about 3 km", "3个", "3 and not 4"', number.only_number
    ),
    Rule("number_equation", 'what stands behind the last equals sign: "2 + 3 = 5"', number.equation),
    Rule("number_concluded", 'it concludes: "So there were 5.", "一共3个"', number.concluded),
    Rule("number_emphasised", 'the only number in bold: "**3** of 5"', number.emphasised),
    Rule("number_line", "the number that the last line is, or else the first", number.own_line),
    Rule(
        "number_words",
        'the only number in words, where no digits are: "three", "十二"',
        number.only_words,
    ),
)


class Phrase(NamedTuple):
    """A reply that is a phrase, or says one in a sentence, with the question that it answers."""

    text: str
    question: str


def _of_text(read: Callable[[str], str]) -> Callable[[Phrase], str]:
    return lambda phrase: read(phrase.text)


PHRASE_RULES = (
    Rule("phrase_boxed", r'the last LaTeX box: "\boxed{\text{Paris}}"', _of_text(words.boxed)),
    Rule(
        "phrase_announced",
        'the last that is announced: "The answer is Paris.", "答案是北京"',
        _of_text(words.announced),
    ),
    Rule(
        "phrase_explained",
        "what stands before a line that begins an explanation",
        _of_text(words.explained),
    ),
    Rule(
        "phrase_repeated", 'what is said again and again: "Paris\\nParis\\nPar"', _of_text(words.repeated)
    ),
    Rule(
        "phrase_supported",
        'a short first line or sentence that the rest supports: "Paris. The text says that Paris ..."',
        _of_text(words.supported),
    ),
    Rule(
        "phrase_restated",
        'what stands before or behind the question, said again: "The capital of France is Paris."',
        lambda phrase: sentence.restated(phrase.text, phrase.question),
    ),
    Rule("phrase_emphasised", 'the only phrase in bold: "It was **Paris**."', _of_text(words.emphasised)),
    Rule(
        "phrase_refused",
        f'"{NO_ANSWER}", where it says so in its own words: "The text does not mention it."',
        _of_text(sentence.refused),
    ),
    Rule(
        "phrase",
        "the whole reply, without quotes and full stop where it is one line",
        _of_text(words.whole),
    ),
)
TEXT_RULES = (Rule("text", "free text: the whole reply, as it is", words.free_text),)
JSON = Rule("json", 'a JSON object with an answer: {"answer": "B"}', lambda _: "")
JSON_BEGUN = Rule("json_begun", 'a JSON object whose answer was cut off: {"answer": "Paris', lambda _: "")
CONTINUED = Rule(
    "continued",
    'it goes on with questions of its own, and the first answer counts: "Paris\\nQuestion: ..."',
    lambda _: "",
)
ONE_RULES: dict[AnswerType, tuple[Rule, ...]] = {
    "choice": CHOICE_RULES,
    "number": (*NUMBER_RULES, *PHRASE_RULES),
    "span": PHRASE_RULES,
    "cloze": PHRASE_RULES,
    "text": TEXT_RULES,
}
"""By type of answer, in order: the first rule that reads anything counts. What goes on after an answer is
cut off first ("continued + phrase"), then a JSON object is opened, and what it gives is read by these."""


def read_one(text: str, question: Question, answer_format: AnswerFormat) -> Reading:
    """The answer to one question from a reply that holds nothing else."""
    return read_part(without_thought(text), question, answer_format)


def read_part(text: str, question: Question, answer_format: AnswerFormat) -> Reading:
    """The same, from a reply without thoughts, or the part of one that is about the question.

    Of a free answer any form is the right one, and a free text in it is taken as it is.
    """
    if answer_format == "free":
        if question.answer == "text":
            return Reading(text.strip(), bool(text.strip()), TEXT_RULES[0].name if text.strip() else "")
        reading = read_part(text, question, "line")
        return reading._replace(well_formed=bool(reading.answer))
    own = own_part(text, question)
    reading = _read(own, question, answer_format)
    if own == text or not reading.rule:
        return reading
    return Reading(reading.answer, False, f"{CONTINUED.name} + {reading.rule}")


def _read(text: str, question: Question, answer_format: AnswerFormat) -> Reading:
    found = tags(text)
    given = next((tag for tag in reversed(found) if tag.inside), None)
    inside = given.inside if given else "" if found else text
    if answer_format == "tag":
        is_form = len(found) == 1 and found[0].closed and _is_one_tag(text)
    elif answer_format == "json":
        is_form = is_json_object(text)
    else:
        is_form = not found and (question.answer == "text" or "\n" not in text)
    answer, rule = _by_rules(inside, question)
    if not answer:
        return Reading("", False)
    if answer_format == "json":
        return Reading(answer, is_form and rule == JSON.name, rule)
    is_json = rule in (JSON.name, JSON_BEGUN.name)
    return Reading(answer, is_form and not is_json and _is_bare(inside, answer, question, rule), rule)


def _is_one_tag(text: str) -> bool:
    return re.fullmatch(r"<answer>(?:(?!</?answer>).)*</answer>", text, re.DOTALL) is not None


def _by_rules(text: str, question: Question) -> tuple[str, str]:
    """The answer and the rule that read it; both empty where none did."""
    if question.answer != "text" or text.startswith(("{", "```")):
        for value in json_values(text):
            said = answer_of(value)
            if said is None and question.answer != "text" and isinstance(value, list) and len(value) == 1:
                said = answer_of(value[0])
            if said and (answer := _first(said, question)[0]):
                return answer, JSON.name
        if (begun := begun_answer(text)) and (answer := _first(begun, question)[0]):
            return answer, JSON_BEGUN.name
    return _first(text, question)


def _first(text: str, question: Question) -> tuple[str, str]:
    seen: Any = text
    if question.answer == "choice":
        seen = choice.Choice(text, Options(question.options), question.text)
    elif question.answer == "number":
        seen = number.Number(text, question.text)
    phrase = Phrase(text, question.text)
    for rule in ONE_RULES[question.answer]:
        if answer := rule.read(phrase if rule in PHRASE_RULES else seen):
            return answer, rule.name
    return "", ""


def _is_bare(text: str, answer: str, question: Question, rule: str) -> bool:
    """Whether a reply is what "Give only the answer." asks for."""
    if question.answer == "text":
        return text == answer
    if question.answer == "number":
        return rule == "number"
    if question.answer != "choice":
        return text in (answer, f"{answer}.", f"{answer}。")
    # Letters alone; what the shipped model was taught is the words of one option, its letter in brackets.
    options = Options(question.options)
    named = {
        f"{words} ({letter})" for letter, words in zip(options.letters, question.options, strict=False)
    }
    letters = rf"[{options.letters}](?:[\s,]*[{options.letters}])*"
    return re.fullmatch(letters, text) is not None or text in named
