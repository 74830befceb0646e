"""A few rows of every data set, made by hand: in the authors' schema, and in the hub's."""

from typing import Any, NamedTuple


class Made(NamedTuple):
    """Rows in both forms; `hub` is empty where no hub copy exists, `jsonl` tells the file's form."""

    authors: Any
    hub: list[dict]
    jsonl: bool
    num_questions: int
    first_golds: tuple[str, ...]


MILL = "The mill stood by the river. Ada Lind built it in 1808 for 12 crowns."
INN = "Two roads met at the old inn. Bo Falk kept it."


def _qa(name: str, question: str, *answers: str) -> dict:
    texts = [{"text": answer, "answer_start": 0} for answer in answers]
    return {"id": name, "question": question, "answers": texts}


def _hub_squad(name: str, context: str, question: str, *answers: str) -> dict:
    texts = {"text": list(answers), "answer_start": [0] * len(answers)}
    return {"id": name, "title": "Made", "context": context, "question": question, "answers": texts}


def _paragraph(context: str, *qas: dict) -> dict:
    return {"context": context, "qas": list(qas)}


SQUAD = Made(
    {
        "version": "1.1",
        "data": [
            {
                "title": "Made",
                "paragraphs": [
                    _paragraph(MILL, _qa("a", "Who built it?", "Ada Lind", "Ada Lind", "Lind")),
                    _paragraph(INN, _qa("b", "Who kept it?", "Bo Falk"), _qa("c", "What met?", "roads")),
                ],
            }
        ],
    },
    [
        _hub_squad("a", MILL, "Who built it?", "Ada Lind", "Ada Lind", "Lind"),
        _hub_squad("b", INN, "Who kept it?", "Bo Falk"),
        _hub_squad("c", INN, "What met?", "roads"),
    ],
    False,
    3,
    ("Ada Lind", "Lind"),
)

_UNANSWERABLE = {"is_impossible": True, "plausible_answers": [{"text": "Ada", "answer_start": 29}]}
SQUAD_V2 = Made(
    {
        "version": "v2.0",
        "data": [
            {
                "title": "Made",
                "paragraphs": [
                    _paragraph(
                        MILL,
                        _qa("a", "Who built it?", "Ada Lind") | {"is_impossible": False},
                        _qa("b", "Who burnt it?") | _UNANSWERABLE,
                    )
                ],
            }
        ],
    },
    [_hub_squad("a", MILL, "Who built it?", "Ada Lind"), _hub_squad("b", MILL, "Who burnt it?")],
    False,
    2,
    ("no answer",),
)

_FORT = "城堡在河边。林女士在1808年建了它。"
CMRC2018 = Made(
    {
        "version": "v1.0",
        "data": [
            {
                "id": "DEV_0",
                "title": "Made",
                "paragraphs": [{"id": "DEV_0", **_paragraph(_FORT, _qa("D_0", "谁建的？", "林女士"))}],
            }
        ],
    },
    [_hub_squad("D_0", _FORT, "谁建的？", "林女士")],
    False,
    1,
    ("林女士",),
)
_PLACE = "Мельница стояла у реки."
XQUAD = Made(
    {
        "data": [
            {"title": "Made", "paragraphs": [_paragraph(f"\ufeff{_PLACE}", _qa("x", "Где?", "у реки"))]}
        ]
    },
    [_hub_squad("x", _PLACE, "Где?", "у реки")],
    False,
    1,
    ("у реки",),
)

_PASSAGES = [["Mill", ["The mill stood. ", "Ada built it."]], ["Inn", ["Bo kept it."]]]
_HOTPOT = [("a", "Who built it?", "Ada", "bridge"), ("b", "Is the mill an inn?", "no", "comparison")]
HOTPOTQA = Made(
    [
        {"_id": i, "question": q, "answer": a, "type": t, "level": "easy", "context": _PASSAGES}
        for i, q, a, t in _HOTPOT
    ],
    [
        {
            **{"id": i, "question": q, "answer": a, "type": t},
            "context": {"title": [p[0] for p in _PASSAGES], "sentences": [p[1] for p in _PASSAGES]},
        }
        for i, q, a, t in _HOTPOT
    ],
    False,
    2,
    ("Ada",),
)

_TURNS = [
    ("d_q#0", "Who built it?", ["Ada Lind", "Ada Lind built it"]),
    ("d_q#1", "For how much?", ["12 crowns", "CANNOTANSWER"]),
    ("d_q#2", "And why?", ["CANNOTANSWER", "CANNOTANSWER"]),
]
QUAC = Made(
    {
        "data": [
            {
                "title": "Mill",
                "background": "Ada Lind was a builder.",
                "section_title": "Works",
                "paragraphs": [
                    {
                        "id": "d",
                        "context": f"{MILL} CANNOTANSWER",
                        "qas": [_qa(n, q, *a) | {"orig_answer": {"text": a[0]}} for n, q, a in _TURNS],
                    }
                ],
            }
        ]
    },
    [
        {
            "dialogue_id": "d",
            "wikipedia_page_title": "Mill",
            "background": "Ada Lind was a builder.",
            "section_title": "Works",
            "context": f"{MILL} CANNOTANSWER",
            "turn_ids": [n for n, _, _ in _TURNS],
            "questions": [q for _, q, _ in _TURNS],
            "answers": {"texts": [a for _, _, a in _TURNS]},
            "orig_answers": {"texts": [a[0] for _, _, a in _TURNS]},
        }
    ],
    False,
    3,
    ("Ada Lind", "Ada Lind built it"),
)


def _drop(number: str = "", spans: tuple[str, ...] = (), **date: str) -> dict:
    return {"number": number, "spans": list(spans), "date": date}


DROP = Made(
    {
        "made_1": {
            "passage": MILL,
            "qa_pairs": [
                {
                    "query_id": "a",
                    "question": "How many crowns?",
                    "answer": _drop("12"),
                    "validated_answers": [_drop("12"), _drop(spans=("12 crowns",))],
                },
                {"query_id": "b", "question": "What is named?", "answer": _drop(spans=("mill", "river"))},
                {"query_id": "c", "question": "When?", "answer": _drop(day="", month="", year="1808")},
            ],
        }
    },
    [
        {
            **{"section_id": "made_1", "passage": MILL, "query_id": name, "question": text},
            "answers_spans": {"spans": spans, "types": ["span"] * len(spans)},
        }
        for name, text, spans in (
            ("a", "How many crowns?", ["12", "12", "12 crowns"]),
            ("b", "What is named?", ["mill", "river"]),
            ("c", "When?", ["1808"]),
        )
    ],
    False,
    3,
    ("12", "12 crowns"),
)

_CHOICES = [
    ("Who built it?", ["Bo", "Ada", "Eva", "Ulf"], 1, True),
    ("Where?", ["inn", "river"], 1, False),
]
QUALITY = Made(
    [
        {
            "article_id": "1",
            "article": MILL,
            "questions": [
                {"question": q, "options": o, "gold_label": right + 1, "difficult": int(hard)}
                for q, o, right, hard in _CHOICES
            ],
        }
    ],
    [
        {"article": MILL, "question": q, "options": o, "answer": right, "hard": hard}
        for q, o, right, hard in _CHOICES
    ],
    True,
    2,
    ("B",),
)

_CASE = {
    "id": "0",
    "title": "案例",
    "description": "病人，男，49岁，腹痛3小时。",
    "QA_pairs": [
        {"question": "诊断是什么？", "answer": "腹外疝。"},
        {"question": "如何治疗？", "answer": "手术治疗。"},
    ],
}
CMB_CLIN = Made([_CASE], [_CASE], False, 2, ("腹外疝。",))

_EXAM = [
    {
        **{"exam_type": "医师考试", "exam_class": "规培", "exam_subject": subject, "id": number},
        **{"question": f"第{number}题", "answer": answer, "question_type": "选择题"},
        "option": {"A": "甲", "B": "乙", "C": "丙", "D": "丁"},
    }
    for number, subject, answer in ((1, "内科", "C"), (2, "外科", "ABD"), (3, "内科", "A"))
]
CMB_EXAM = Made(_EXAM, _EXAM, False, 3, ("C",))

_TRIVIA = [
    ("t_1", "Who wrote Emma?", "Jane Austen", ["Austen", "J. Austen"]),
    ("t_2", "Capital?", "Oslo", []),
]
TRIVIAQA = Made(
    {
        "Data": [
            {
                "QuestionId": i,
                "Question": q,
                "Answer": {"Value": v, "Aliases": a, "NormalizedAliases": []},
            }
            for i, q, v, a in _TRIVIA
        ]
    },
    [{"question_id": i, "question": q, "answer": {"value": v, "aliases": a}} for i, q, v, a in _TRIVIA],
    False,
    2,
    ("Jane Austen", "Austen", "J. Austen"),
)

WEBQUESTIONS = Made(
    [
        {
            "utterance": "what does jamaica speak?",
            "targetValue": '(list (description "Jamaican English") (description Patois))',
            "url": "",
        }
    ],
    [{"url": "", "question": "what does jamaica speak?", "answers": ["Jamaican English", "Patois"]}],
    False,
    1,
    ("Jamaican English", "Patois"),
)

MYRIADLAMA = Made(
    [
        {
            "uuid": "u1",
            "answers": ["NBC", "National Broadcasting Company"],
            "manual_paraphrases": [
                "This Is Your Life aired on [MASK].",
                "[MASK] aired This Is Your Life.",
            ],
            "auto_paraphrases": ["This Is Your Life was first on [MASK]."],
        }
    ],
    [
        {
            **{"uuid": "u1", "rel_uri": "P449", "sub_ent": "This Is Your Life", "template": template},
            **{"obj_aliases": ["NBC", "National Broadcasting Company"], "is_manual": manual},
        }
        for template, manual in (
            ("[X] was first on [Y].", False),
            ("[X] aired on [Y].", True),
            ("[Y] aired [X].", True),
        )
    ],
    False,
    1,
    ("NBC", "National Broadcasting Company"),
)

RESUMES = Made(
    [
        {
            "prompt": "Here are 2 students' resumes:\n\nAda has 2.4.\nBo has 3.1.\n\n"
            "Question: Which student has a GPA between 2.36 and 2.75?",
            "gold_keys": "Ada",
            "gold_values": 2.4,
        }
    ],
    [],
    True,
    1,
    ("Ada",),
)
_LONG = {"_id": "l1", "input": "Who built it?", "context": MILL, "answers": ["Ada Lind"], "length": 12}
MULTI_DOC = Made([_LONG], [_LONG], True, 1, ("Ada Lind",))
PLANNING = Made(
    [{"task": "分析有机农业。", "answer": "经济、环境、社会。"}], [], True, 1, ("经济、环境、社会。",)
)
JSONL = Made(
    [
        {
            "id": "g1",
            "context": MILL,
            "questions": [
                {"id": "q1", "text": "Who built it?", "golds": ["Ada Lind"]},
                {"id": "q2", "text": "Where does she live?", "golds": ["unknown"], "needs": ["q1"]},
            ],
        }
    ],
    [],
    True,
    2,
    ("Ada Lind",),
)

MADE: dict[str, Made] = {
    "cmb_clin": CMB_CLIN,
    "cmb_exam": CMB_EXAM,
    "cmrc2018": CMRC2018,
    "drop": DROP,
    "hotpotqa": HOTPOTQA,
    "jsonl": JSONL,
    "multi_doc": MULTI_DOC,
    "myriadlama": MYRIADLAMA,
    "planning": PLANNING,
    "quac": QUAC,
    "quality": QUALITY,
    "resumes": RESUMES,
    "squad": SQUAD,
    "squad_v2": SQUAD_V2,
    "triviaqa": TRIVIAQA,
    "webquestions": WEBQUESTIONS,
    "xquad": XQUAD,
}
