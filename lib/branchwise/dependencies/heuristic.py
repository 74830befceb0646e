"""Dependencies read off the words of the questions, whole words only.

Three signs: a word that refers back ("that person", "it") needs the question just before; a word that
gathers ("total", "compare") needs all before; and a question that names everything another one names,
and more, likely goes on from its answer. The published rules tested substrings, so that "it" fired on
"city" and nearly every question referred to something.
"""

import re

from branchwise.data.types import Group
from branchwise.dependencies.graph import Edge

REFERENCES = frozenset(
    "it its that this these those they them their he him his she her hers former latter previous "
    "above mentioned there then".split()
)
AGGREGATES = frozenset(
    "total altogether average overall combined sum list compare comparison summarize summary "
    "aggregate".split()
)
STOP_WORDS = frozenset(
    "a an the of in on at to for from by with and or as is are was were be been do does did has have "
    "had who whom whose what which when where why how many much person people name named one tell give "
    "me please".split()
)
# Chinese has no spaces between words: what a sign is part of ("应该", "其他") is told by its neighbours.
CHINESE_REFERENCES = re.compile(
    "上述|前文|前面|这个|那个|(?<!应)该|其(?!他|它|余|中|次|实)|它|(?<!其)他|她"
)
CHINESE_AGGREGATES = re.compile("总共|一共|平均|列表|比较|综合")

REFERENCE_CONFIDENCE = 0.85
AGGREGATE_CONFIDENCE = 0.65
_WORD = re.compile(r"[^\W_]+")
_NOT_BACK = re.compile(
    r"\b(?:is|are|was|were) (?:it|there)\b|\bthat (?:of|is|are|was|were|has|have|had)\b"
)


def heuristic_edges(group: Group) -> list[Edge]:
    """Candidate edges of a group, in the order of its questions."""
    edges: list[Edge] = []
    words = [_words(question.text) for question in group]
    content = [frozenset(found) - STOP_WORDS - REFERENCES - AGGREGATES for found in words]
    for number, question in enumerate(group):
        earlier = group.questions[:number]
        if earlier and (sign := _sign(question.text, words[number], REFERENCES, CHINESE_REFERENCES)):
            edge = {"source": earlier[-1].id, "target": question.id}
            edges.append(Edge(**edge, confidence=REFERENCE_CONFIDENCE, why=f"refers back: {sign}"))
        if sign := _sign(question.text, words[number], AGGREGATES, CHINESE_AGGREGATES):
            for other in earlier:
                edge = {"source": other.id, "target": question.id}
                edges.append(Edge(**edge, confidence=AGGREGATE_CONFIDENCE, why=f"gathers: {sign}"))
        for place, other in enumerate(group):
            shared = content[place] & content[number]
            if place != number and shared and content[place] < content[number]:
                confidence = 0.45 + 0.1 * min(len(shared), 3)
                why = f"names all of it: {', '.join(sorted(shared))}"
                edges.append(Edge(source=other.id, target=question.id, confidence=confidence, why=why))
    return edges


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _sign(text: str, words: list[str], known: frozenset[str], chinese: re.Pattern[str]) -> str:
    """The first word of a kind that stands in the question; "" where none does."""
    if known is REFERENCES:
        # "What is it that ..." and "a city that has ..." refer to nothing before.
        words = _words(_NOT_BACK.sub(" ", text.casefold()))
    found = next((word for word in words if word in known), "")
    sign = chinese.search(text)
    return found or (sign.group() if sign else "")
