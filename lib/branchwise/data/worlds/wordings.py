"""How worlds say and ask things: several wordings each, a few of them kept from training.

`{p}` is the subject (a name, or a phrase that stands for one), `{v}` the value, `{r}` a relation,
`{a}` and `{b}` two people. Every word of a held-out wording occurs in some training wording: what is
new is the sentence, not the vocabulary.
"""

from typing import Literal, NamedTuple

WordingSplit = Literal["seen", "held_out"]


class Wordings(NamedTuple):
    """The wordings of one thing: `seen` in training, `held_out` never."""

    seen: tuple[str, ...]
    held_out: tuple[str, ...]


STATEMENTS: dict[str, Wordings] = {
    "home": Wordings(
        ("{p} lives in {v}.", "{p} has a home in {v}.", "{p} resides in {v}."),
        ("The home of {p} is in {v}.",),
    ),
    "job": Wordings(
        ("{p} works as a {v}.", "{p} is a {v}.", "The job of {p} is {v}."),
        ("{p} has the job of {v}.",),
    ),
    "pet": Wordings(
        ("{p} has a pet {v}.", "{p} keeps a {v}.", "The pet of {p} is a {v}."),
        ("{p} keeps a pet {v}.",),
    ),
    "food": Wordings(
        ("{p} likes {v}.", "{p} loves to eat {v}.", "The favorite food of {p} is {v}."),
        ("{p} likes to eat {v}.",),
    ),
    "coins": Wordings(
        ("{p} has {v} coins.", "{p} owns {v} coins.", "In all, {p} owns {v} coins."),
        ("In all, {p} has {v} coins.",),
    ),
    "relation": Wordings(
        ("The {r} of {p} is {v}.", "{p} has a {r} named {v}.", "{p}'s {r} is {v}."),
        ("The name of the {r} of {p} is {v}.",),
    ),
    "fair": Wordings(
        (
            "The fair in {p} is held in {v}.",
            "{p} holds its fair in {v}.",
            "The month of the fair in {p} is {v}.",
        ),
        ("The fair in {p} is in {v}.",),
    ),
    "mayor": Wordings(
        ("The mayor of {p} is {v}.", "{p} has a mayor named {v}.", "In {p}, the mayor is {v}."),
        ("The name of the mayor of {p} is {v}.",),
    ),
}

QUESTIONS: dict[str, Wordings] = {
    "home": Wordings(
        (
            "Where does {p} live?",
            "In which city does {p} live?",
            "What is the home city of {p}?",
            "Where is the home of {p}?",
            "In what city does {p} reside?",
            "Name the home city of {p}.",
        ),
        ("Which city is the home of {p}?", "Where does {p} reside?"),
    ),
    "job": Wordings(
        (
            "What is the job of {p}?",
            "What does {p} do for work?",
            "What does {p} work as?",
            "Which job does {p} have?",
            "What is the work of {p}?",
            "How does {p} earn a living?",
        ),
        ("Name the job of {p}.", "What job does {p} have?"),
    ),
    "pet": Wordings(
        (
            "Which pet does {p} have?",
            "What animal does {p} keep?",
            "What is the pet of {p}?",
            "Which animal belongs to {p}?",
            "What kind of pet does {p} keep?",
        ),
        ("Which pet does {p} keep?", "Name the pet of {p}."),
    ),
    "food": Wordings(
        (
            "What food does {p} like?",
            "What is the favorite food of {p}?",
            "What does {p} like to eat?",
            "Which dish does {p} love?",
            "What does {p} love to eat?",
        ),
        ("Which food does {p} love?", "Name the favorite dish of {p}."),
    ),
    "coins": Wordings(
        (
            "How many coins does {p} have?",
            "How many coins does {p} own?",
            "What number of coins does {p} have?",
            "How many coins belong to {p}?",
            "What is the number of coins of {p}?",
        ),
        ("What number of coins does {p} own?", "Name the number of coins of {p}."),
    ),
    "relation": Wordings(
        (
            "Who is the {r} of {p}?",
            "What is the name of the {r} of {p}?",
            "Which person is the {r} of {p}?",
            "Name the {r} of {p}.",
            "Who is {p}'s {r}?",
        ),
        ("Which person is {p}'s {r}?", "Name {p}'s {r}."),
    ),
    "fair": Wordings(
        (
            "When is the fair in {p}?",
            "In which month is the fair in {p}?",
            "What month is the fair in {p} held?",
            "Which month has the fair in {p}?",
            "When does {p} hold its fair?",
        ),
        ("In what month does {p} hold its fair?", "What is the month of the fair in {p}?"),
    ),
    "mayor": Wordings(
        (
            "Who is the mayor of {p}?",
            "What is the name of the mayor of {p}?",
            "Which person is the mayor of {p}?",
            "Name the mayor of {p}.",
            "Who is mayor in {p}?",
        ),
        ("Which person is mayor in {p}?", "Name the person who is mayor in {p}."),
    ),
    "who_home": Wordings(
        (
            "Who lives in {v}?",
            "Which person lives in {v}?",
            "Name the person who lives in {v}.",
            "Who has a home in {v}?",
            "Who resides in {v}?",
        ),
        ("Which person has a home in {v}?", "Name the person who resides in {v}."),
    ),
    "who_job": Wordings(
        (
            "Who works as a {v}?",
            "Which person is a {v}?",
            "Name the person who works as a {v}.",
            "Who is a {v}?",
            "Who has the job of {v}?",
        ),
        ("Which person works as a {v}?", "Name the person who is a {v}."),
    ),
    "who_pet": Wordings(
        (
            "Who keeps a {v}?",
            "Who has a pet {v}?",
            "Which person has a {v}?",
            "Name the person who keeps a {v}.",
        ),
        ("Which person keeps a {v}?", "Name the person who has a pet {v}."),
    ),
    "count": Wordings(
        (
            "How many people live in {v}?",
            "What number of people live in {v}?",
            "How many people reside in {v}?",
            "Count the people who live in {v}.",
        ),
        ("What number of people reside in {v}?", "Count the people who reside in {v}."),
    ),
    "compare": Wordings(
        (
            "Who has more coins, {a} or {b}?",
            "Which person has more coins, {a} or {b}?",
            "Who owns more coins, {a} or {b}?",
            "Between {a} and {b}, who has more coins?",
        ),
        ("Which person owns more coins, {a} or {b}?", "Between {a} and {b}, who owns more coins?"),
    ),
    "outline": Wordings(
        ("Name the {v} of each person.", "For each person, what is the {v}?"),
        ("What is the {v} of each person?",),
    ),
}

VIA_RELATION = ("the {r} of {p}", "{p}'s {r}")
VIA_HOME = ("the city where {p} lives", "the home city of {p}", "the city {p} lives in")
THAT_PERSON = ("that person", "this person")
THAT_CITY = ("that city", "this city")

BLANK = "[MASK]"
"""Stands for the missing word of a cloze question."""

CHINESE_STATEMENTS = {"home": "{p}住在{v}。", "job": "{p}是{v}。"}
CHINESE_QUESTIONS = {"home": "{p}住在哪里？", "job": "{p}做什么工作？"}
CHINESE_PEOPLE = ("小明", "小红", "小华", "小丽", "小强", "小芳")
CHINESE_VALUES = {
    "home": ("北京", "上海", "广州", "南京", "成都", "杭州"),
    "job": ("医生", "老师", "司机", "厨师", "律师", "护士"),
}
