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
        (
            "{p} lives in {v}.",
            "{p} has a home in {v}.",
            "{p} resides in {v}.",
            "The home of {p} is in {v}.",
            "{p}'s home city is {v}.",
            "The city where {p} resides is {v}.",
            "{p} lives in the city of {v}.",
            "The city of {p} is {v}.",
            "The home of {p} is the city of {v}.",
            "{p} resides in the city of {v}.",
        ),
        ("The home city of {p} is {v}.", "{p} has a home in the city of {v}."),
    ),
    "job": Wordings(
        (
            "{p} works as a {v}.",
            "{p} is a {v}.",
            "The job of {p} is {v}.",
            "{p} has work as a {v}.",
            "{p}'s job is {v}.",
            "The work of {p} is that of a {v}.",
            "{p} has a job as a {v}.",
            "{p} does the work of a {v}.",
            "{p} earns a living as a {v}.",
        ),
        ("{p} has a living as a {v}.", "{p}'s work is that of a {v}."),
    ),
    "pet": Wordings(
        (
            "{p} has a pet {v}.",
            "{p} keeps a {v}.",
            "The pet of {p} is a {v}.",
            "{p} owns a {v}.",
            "{p}'s animal is a {v}.",
            "The animal that {p} keeps is a {v}.",
            "{p} owns a pet {v}.",
            "{p} has a {v} as a pet.",
            "The pet that {p} keeps is a {v}.",
        ),
        ("{p} keeps a pet {v}.", "{p}'s pet is a {v}."),
    ),
    "food": Wordings(
        (
            "{p} likes {v}.",
            "{p} loves to eat {v}.",
            "The favorite food of {p} is {v}.",
            "{p} likes to eat {v}.",
            "{p}'s favorite dish is {v}.",
            "The dish that {p} loves is {v}.",
            "{p} loves a dish of {v}.",
            "The food that {p} likes is {v}.",
            "{p} eats {v}.",
        ),
        ("{p} loves {v}.", "The favorite dish of {p} is {v}."),
    ),
    "coins": Wordings(
        (
            "{p} has {v} coins.",
            "{p} owns {v} coins.",
            "In all, {p} owns {v} coins.",
            "The number of coins of {p} is {v}.",
            "{p} keeps {v} coins.",
            "{p} has {v} coins in all.",
            "The number of coins that {p} has is {v}.",
            "In all, {p} keeps {v} coins.",
        ),
        ("In all, {p} has {v} coins.", "The number of coins that {p} owns is {v}."),
    ),
    "relation": Wordings(
        (
            "The {r} of {p} is {v}.",
            "{p} has a {r} named {v}.",
            "{p}'s {r} is {v}.",
            "{p}'s {r} is named {v}.",
            "The name of the {r} of {p} is {v}.",
            "The {r} that {p} has is {v}.",
            "{p} has {v} as {r}.",
            "{p} has a {r}, {v}.",
        ),
        ("The {r} of {p} is named {v}.", "The name of {p}'s {r} is {v}."),
    ),
    "fair": Wordings(
        (
            "The fair in {p} is held in {v}.",
            "{p} holds its fair in {v}.",
            "The month of the fair in {p} is {v}.",
            "{p} has its fair in {v}.",
            "In {p}, the fair is in {v}.",
            "The fair of {p} is in the month of {v}.",
            "In {p}, the fair is held in the month of {v}.",
            "The fair of {p} is held in {v}.",
        ),
        ("The fair in {p} is in {v}.", "In {p}, the month of the fair is {v}."),
    ),
    "mayor": Wordings(
        (
            "The mayor of {p} is {v}.",
            "{p} has a mayor named {v}.",
            "In {p}, the mayor is {v}.",
            "{p}'s mayor is {v}.",
            "The name of the mayor of {p} is {v}.",
            "{p}'s mayor is named {v}.",
            "{p} has {v} as mayor.",
            "The mayor of the city of {p} is {v}.",
        ),
        ("The mayor of {p} is named {v}.", "In {p}, the mayor is named {v}."),
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
            "Which city is the home of {p}?",
            "Name the city where {p} lives.",
            "Where does {p} have a home?",
            "What city does {p} live in?",
            "Which city does {p} reside in?",
            "In which city is {p}'s home?",
        ),
        ("Where does {p} reside?", "In which city is the home of {p}?"),
    ),
    "job": Wordings(
        (
            "What is the job of {p}?",
            "What does {p} do for work?",
            "What does {p} work as?",
            "Which job does {p} have?",
            "What is the work of {p}?",
            "How does {p} earn a living?",
            "Name the job of {p}.",
            "As what does {p} work?",
            "What is {p}'s job?",
            "Which work does {p} do?",
            "What job is the job of {p}?",
        ),
        ("What job does {p} have?", "Name the work of {p}."),
    ),
    "pet": Wordings(
        (
            "Which pet does {p} have?",
            "What animal does {p} keep?",
            "What is the pet of {p}?",
            "Which animal belongs to {p}?",
            "What kind of pet does {p} keep?",
            "Name the pet of {p}.",
            "Which animal does {p} own?",
            "What pet does {p} own?",
            "What is {p}'s pet?",
            "Name the animal that {p} has.",
        ),
        ("Which pet does {p} keep?", "Name the animal that {p} does keep."),
    ),
    "food": Wordings(
        (
            "What food does {p} like?",
            "What is the favorite food of {p}?",
            "What does {p} like to eat?",
            "Which dish does {p} love?",
            "What does {p} love to eat?",
            "Name the favorite dish of {p}.",
            "Which food is the favorite of {p}?",
            "Which food does {p} like to eat?",
            "What dish does {p} love?",
            "What is {p}'s favorite food?",
            "Which food does {p} eat?",
        ),
        ("Which food does {p} love?", "What is the favorite dish of {p}?"),
    ),
    "coins": Wordings(
        (
            "How many coins does {p} have?",
            "How many coins does {p} own?",
            "What number of coins does {p} have?",
            "How many coins belong to {p}?",
            "What is the number of coins of {p}?",
            "Name the number of coins of {p}.",
            "Count the coins of {p}.",
            "How many coins in all does {p} have?",
            "What number of coins does {p} keep?",
            "What is {p}'s number of coins?",
        ),
        ("What number of coins does {p} own?", "How many coins does {p} keep?"),
    ),
    "relation": Wordings(
        (
            "Who is the {r} of {p}?",
            "What is the name of the {r} of {p}?",
            "Which person is the {r} of {p}?",
            "Name the {r} of {p}.",
            "Who is {p}'s {r}?",
            "What is the name of {p}'s {r}?",
            "Name the person who is the {r} of {p}.",
            "Which person does {p} have as {r}?",
            "Who is the person named as the {r} of {p}?",
            "Name the person who is {p}'s {r}.",
            "Which person is named as {p}'s {r}?",
            "Name the person named as {p}'s {r}.",
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
            "Name the month of the fair in {p}.",
            "In which month does {p} hold its fair?",
            "What is the month of {p}'s fair?",
            "When is the fair of {p} held?",
            "In what month is the fair of {p}?",
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
            "Who is {p}'s mayor?",
            "What is the name of {p}'s mayor?",
            "Which person does {p} have as mayor?",
            "Who is the mayor in {p}?",
            "Name the person who is mayor in {p}.",
        ),
        ("Who is the person named as mayor in {p}?", "Name {p}'s mayor."),
    ),
    "who_home": Wordings(
        (
            "Who lives in {v}?",
            "Which person lives in {v}?",
            "Name the person who lives in {v}.",
            "Who has a home in {v}?",
            "Who resides in {v}?",
            "Which person resides in {v}?",
            "What is the name of the person who lives in {v}?",
            "In {v}, who has a home?",
            "Which person has {v} as home city?",
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
            "Which person has work as a {v}?",
            "What is the name of the {v}?",
            "Which person does the work of a {v}?",
            "Name the person who does the work of a {v}.",
        ),
        ("Which person works as a {v}?", "Name the person who is a {v}."),
    ),
    "who_pet": Wordings(
        (
            "Who keeps a {v}?",
            "Who has a pet {v}?",
            "Which person has a {v}?",
            "Name the person who keeps a {v}.",
            "Who owns a {v}?",
            "Which person has a pet {v}?",
            "What is the name of the person who keeps a {v}?",
            "Who has a {v} as a pet?",
            "Which person owns a {v}?",
        ),
        ("Which person keeps a {v}?", "Name the person who has a pet {v}."),
    ),
    "count": Wordings(
        (
            "How many people live in {v}?",
            "What number of people live in {v}?",
            "How many people reside in {v}?",
            "Count the people who live in {v}.",
            "What is the number of people who live in {v}?",
            "How many people have a home in {v}?",
            "How many people does {v} have?",
            "Count the people who reside in {v}.",
            "What is the number of people who reside in {v}?",
        ),
        ("What number of people reside in {v}?", "Count the people who have a home in {v}."),
    ),
    "compare": Wordings(
        (
            "Who has more coins, {a} or {b}?",
            "Which person has more coins, {a} or {b}?",
            "Who owns more coins, {a} or {b}?",
            "Between {a} and {b}, who has more coins?",
            "Who keeps more coins, {a} or {b}?",
            "Name the person who has more coins, {a} or {b}.",
            "Which of {a} and {b} has more coins?",
            "Between {a} and {b}, which person has more coins?",
        ),
        ("Which person owns more coins, {a} or {b}?", "Between {a} and {b}, who owns more coins?"),
    ),
    "outline": Wordings(
        ("Name the {v} of each person.", "For each person, what is the {v}?"),
        ("What is the {v} of each person?",),
    ),
    "profiles": Wordings(
        (
            "Name the home city, job, pet, favorite food and number of coins of each person.",
            "What is the city, work, animal, dish and number of coins of each person?",
            "For each person, name the home, the job, the animal, the food and the coins.",
        ),
        ("What is the home, job, pet, favorite dish and number of coins of each person?",),
    ),
}

CLAUSES = {
    "home": "lives in {v}",
    "job": "is a {v}",
    "pet": "keeps a {v}",
    "food": "likes {v}",
    "coins": "has {v} coins",
}
"""What a profile says of its person, by kind of fact."""

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
