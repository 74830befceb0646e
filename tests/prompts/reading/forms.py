"""Forms that replies take, each a function that writes one around an answer that is known to be right."""

# ruff: noqa: E501 (a reply a line)

from collections.abc import Callable, Sequence

from branchwise.data.types import LETTERS, Question


def _words(question: Question, letters: str) -> list[str]:
    return [question.options[LETTERS.index(letter)] for letter in letters]


def _labelled(question: Question, letters: str, form: str = "{}. {}") -> list[str]:
    return [
        form.format(letter, words)
        for letter, words in zip(letters, _words(question, letters), strict=True)
    ]


def _weighed(question: Question, end: str, form: str = "{}. {}: let us see what the text says.") -> str:
    lines = _labelled(question, LETTERS[: len(question.options)], form)
    return "\n".join([*lines, end])


def _fixed(form: str) -> Callable[[Question, str], str]:
    return lambda question, right: form.replace("X", right).replace("L", ", ".join(right))


FIXED = (
    "X|**X**|(X)|X.|Answer: X|**Answer:** X|**Answer: X**|The answer is X.|The correct answer is (X).|It is X.|"
    "X is the correct answer.|Therefore, X.|So the answer is X|Final Answer: X|### Answer\nX|Option X|I choose X.|"
    r"\boxed{X}|\boxed{\text{X}}|The answer is $\boxed{X}$.|【X】|[X]|`X`|<answer>X</answer>|{\"answer\": \"X\"}|"
    "答案：X|答案是X。|正确答案是X|故选：X。|故选X|选X|選 X|因此，X。|【答案】X|综上所述，正确答案为X。|本题选X|"
    "L|Answer: L|The correct answers are L.|正确答案是 L|hm</think>X|<think>Is it A? B?</think>\nX|"
    "Is it A? Wait, actually X|The text is clear.\n\nX|X\n\nExplanation: the text says so.|X, because the text says so."
).replace('\\"', '"')

CHOICE_FORMS: dict[str, Callable[[Question, str], str]] = {
    form: _fixed(form) for form in FIXED.split("|")
}
CHOICE_FORMS |= {
    "weighed, Therefore": lambda q, x: _weighed(q, f"Therefore, {x}."),
    "weighed, 因此": lambda q, x: _weighed(q, f"因此，{x}。", "{}. {}：此项需要分析。"),
    "weighed, 故选": lambda q, x: _weighed(q, f"故选{x}。", "{}、{}，此项需要分析。"),
    "weighed, letter": lambda q, x: _weighed(q, f"\n{x}"),
    "weighed, bold": lambda q, x: _weighed(q, f"\n**Answer: {x}**", "- **{}. {}** - hm."),
    "options again": lambda q, x: _weighed(q, f"Answer: {x}", "{}. {}"),
    "answer, then weighed": lambda q, x: f"{x}\n\n" + _weighed(q, ""),
    "A+B": lambda _, x: "+".join(x),
    "A、B": lambda _, x: "、".join(x),
    "A and B": lambda _, x: " and ".join(x),
    "(A) (B)": lambda _, x: " ".join(f"({letter})" for letter in x),
    "words": lambda q, x: "\n".join(_words(q, x)),
    "words.": lambda q, x: "\n".join(f"{words}." for words in _words(q, x)),
    '"words"': lambda q, x: "\n".join(f'"{words}"' for words in _words(q, x)),
    "**words**": lambda q, x: "\n".join(f"**{words}**" for words in _words(q, x)),
    "words，words": lambda q, x: "，".join(_words(q, x)),
    "X. words": lambda q, x: "\n".join(_labelled(q, x)),
    "X) words": lambda q, x: "\n".join(_labelled(q, x, "{}) {}")),
    "X. words X. words": lambda q, x: " ".join(_labelled(q, x)),
    "X. words；X. words。": lambda q, x: "；".join(_labelled(q, x)) + "。",
    "words (X)": lambda q, x: "\n".join(
        f"{words} ({letter})" for letter, words in zip(x, _words(q, x), strict=True)
    ),
    "Answer: X. words": lambda q, x: "Answer: " + "; ".join(_labelled(q, x)),
    "正确答案：X. words": lambda q, x: "正确答案：" + "；".join(_labelled(q, x)) + "。",
    "The answer is words.": lambda q, x: f"The answer is {', '.join(_words(q, x))}.",
}

NUMBERINGS = (
    "{}. |{}) |{}、|{}．|({}) |（{}）|**{}.** |**{}**: |### {}.\n|[{}] |Answer {}: |**Answer {}:** |Q{}: |Question {}: |"
    "**Question {}:** |## Question {}\n|A{}. |答案{}：|第{}题：|{}: |{} - |- {}. |#{}: |问题{}：|【{}】|> {}. |{}.) |\u2460"
).split("|")


def numbering(form: str, number: int) -> str:
    """The number before an answer."""
    return chr(0x2460 + number - 1) + " " if form == "\u2460" else form.format(number)


def numbered_reply(form: str, answers: Sequence[str], gap: str = "\n") -> str:
    """A reply to many questions in one numbering."""
    return gap.join(numbering(form, n) + answer for n, answer in enumerate(answers, start=1))
