"""Answers in other languages than English: compared as their readers compare them, by stated rules."""

import json
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from typer import Exit

from branchwise.commands.evaluate import rows
from branchwise.config import load_experiment
from branchwise.config.identity import scoring_settings
from branchwise.config.parts import groups_settings
from branchwise.config.shipped import ROOT
from branchwise.data.entries import DatasetEntry
from branchwise.data.languages import LANGUAGES, MADE_FOR, language_of
from branchwise.data.types import Scorer
from branchwise.evaluation.metrics import BY_LANGUAGE, SCORERS, lemmas_by, score, tokenized_by
from branchwise.evaluation.metrics.containment import SNOWBALL
from branchwise.evaluation.metrics.overlap import bleu_tokenizer, overlap_scores
from branchwise.evaluation.metrics.segments import segments
from branchwise.evaluation.metrics.squad import squad_scores
from branchwise.evaluation.rows import score_row

SENTENCES = {
    "zh": "患者应立即手术治疗",
    "ja": "東京タワーは日本にある",
    "th": "เมืองหลวงของประเทศไทยคือน้ำ",
    "lo": "ນະຄອນຫຼວງວຽງຈັນ",
    "km": "ភ្នំពេញជារាជធានី",
    "my": "နေပြည်တော်သည်မြို့တော်",
    "ko": "서울은 한국의 수도이다",
    "ru": "Москва является столицей России",
    "ar": "الرياض عاصمة السعودية",
    "he": "ירושלים היא עיר הבירה",
    "hi": "नई दिल्ली भारत की राजधानी है",
    "el": "Η Αθήνα είναι πρωτεύουσα",
    "de": "Die Straße heißt Übergang",
}
FINAL_MARKS = {"zh": "。", "ja": "。", "km": "។", "my": "။", "ar": "؟", "hi": "।", "ru": "…", "el": ";"}


@pytest.mark.parametrize(("language", "text"), SENTENCES.items())
def test_identical_texts_agree_fully_and_a_final_mark_changes_nothing(language: str, text: str) -> None:
    """ROUGE of identical Russian, Korean, Arabic or Thai texts was 0; EM 5.8 with a final mark."""
    for said in (text, text + FINAL_MARKS.get(language, "."), f"«{text}»", f" “{text}” "):
        scores = squad_scores(said, [text], language)
        assert scores == {"em": 1.0, "f1": 1.0, "lenient": 1.0}, said
        overlap = overlap_scores(said, [text], language)
        assert all(overlap[key] == pytest.approx(1.0) for key in ("rouge1", "rouge2", "rouge_l")), said
    assert overlap_scores(text, [text], language)["bleu4"] == pytest.approx(1.0)
    other = squad_scores(text[: len(text) // 2], [text], language)
    assert other["em"] == 0.0
    assert 0 < other["f1"] < 1


@pytest.mark.parametrize(
    ("language", "said", "gold"),
    [
        ("zh", "答案是北京", "北京"),
        ("zh", "北京，中国的首都。", "北京"),
        ("ja", "答えは東京です。", "東京"),
        ("th", "คำตอบคือกรุงเทพ", "กรุงเทพ"),
        ("zh", "它是OpenAI公司的", "OpenAI"),
        ("ru", "Это Москва.", "москва"),
        ("ko", "정답: 서울", "서울"),
    ],
)
def test_lenient_is_containment_of_segments(language: str, said: str, gold: str) -> None:
    """It was 0 for "答案是北京" and "北京"."""
    scores = squad_scores(said, [gold], language)
    assert (scores["em"], scores["lenient"]) == (0.0, 1.0)
    assert 0 < scores["f1"] < 1
    assert score("retrieval", f"想一想\n答案：{gold}。", [gold], language)["em"] == 1.0


@pytest.mark.parametrize(
    ("language", "said", "gold"),
    [
        ("zh", "北京", "南京"),
        ("zh", "AI", "OpenAI"),  # words of Latin letters stay whole
        ("th", "กา", "กำ"),  # a mark belongs to its letter
        ("ru", "мир", "мира"),
        ("zh", "-", "+"),
        ("zh", "。", "北京"),
    ],
)
def test_what_differs_is_not_taken_for_the_same(language: str, said: str, gold: str) -> None:
    scores = squad_scores(said, [gold], language)
    assert (scores["em"], scores["lenient"]) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("language", "one", "other"),
    [
        ("zh", "２０１９年", "2019年"),  # full width
        ("zh", "北京 大学", "北京大学"),
        ("zh", "iPhone手机", "iphone 手机"),
        ("ja", "ｶﾀｶﾅ", "カタカナ"),
        ("th", "น้ำ", "นํ้า"),  # SARA AM in one or in two
        ("km", "ភ្នំ\u200bពេញ", "ភ្នំពេញ"),  # an invisible space
        ("ar", "السَّلامُ", "السلام"),  # vowel points
        ("ar", "محـــمد", "محمد"),  # tatweel
        ("ar", "الرياض", "رياض"),  # the article
        ("ar", "٣ كتب", "3 كتب"),  # digits
        ("he", "שָׁלוֹם", "שלום"),
        ("tr", "İSTANBUL", "istanbul"),
        ("tr", "DIŞ", "dış"),
        ("de", "STRASSE", "Straße"),
        ("el", "ΟΔΟΣ", "οδος"),
        ("fr", unicodedata.normalize("NFD", "Élysée"), "élysée"),
        ("uk", "п'ять", "пʼять"),
        ("hi", "३", "3"),
    ],
)
def test_what_is_only_written_otherwise_is_the_same(language: str, one: str, other: str) -> None:
    assert squad_scores(one, [other], language)["em"] == 1.0


def test_segments_are_characters_with_their_marks_or_words() -> None:
    assert segments("我在GitHub上写Python 3.12代码", "zh") == [
        *("我", "在", "github", "上", "写", "python", "312", "代", "码")
    ]
    assert segments("ที่นี่", "th") == ["ที่", "นี่"]
    assert segments("خيال", "ar") == ["خيال"]  # no article inside of a word
    assert segments("The Oslo", "de") == ["the", "oslo"]  # English articles are English


@given(st.text(max_size=30), st.sampled_from(LANGUAGES))
def test_normalising_is_sound(text: str, language: str) -> None:
    """Any text agrees with itself; what comes out is lower case, without white space, and stable."""
    if language == "en":
        return
    found = segments(text, language)
    assert squad_scores(text, [text], language)["em"] == 1.0
    assert bool(found) == bool(segments(text + " ", language))
    assert not any(char.isspace() for segment in found for char in segment)


@given(st.text(max_size=30), st.text(max_size=30))
def test_english_is_the_official_scorers(one: str, other: str) -> None:
    for scorer in BY_LANGUAGE - {"overlap", "containment"}:
        assert score(scorer, one, [other], "en") == SCORERS[scorer](one, [other])


def test_containment_stems_where_a_stemmer_is_known() -> None:
    assert score("containment", "Он живёт в Москве", ["Москва"], "ru")["contains"] == 1.0
    assert score("containment", "他住在北京。", ["北京"], "zh")["contains"] == 1.0
    assert score("containment", "。", ["。"], "zh")["contains"] == 0.0
    assert "Snowball" in lemmas_by("ru")
    assert lemmas_by("zh") == "none (zh: normalised segments)"
    for language, text in SENTENCES.items():
        assert score("containment", text, [text], language)["contains"] == 1.0
    assert set(SNOWBALL) <= set(LANGUAGES)


def test_the_tokenizers_are_of_the_language_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from branchwise.evaluation.metrics import overlap

    assert [bleu_tokenizer(code) for code in ("en", "zh", "th", "ru")] == ["13a", "zh", "char", "intl"]
    monkeypatch.setattr(overlap, "find_spec", lambda name: None)
    assert (bleu_tokenizer("ja"), bleu_tokenizer("ko")) == ("char", "char")
    monkeypatch.setattr(overlap, "find_spec", lambda name: object())
    assert (bleu_tokenizer("ja"), bleu_tokenizer("ko")) == ("ja-mecab", "ko-mecab")
    assert "jieba" in tokenized_by("zh") and tokenized_by("en").startswith("ROUGE by rouge-score")


def entry(**fields):
    return TypeAdapter(DatasetEntry).validate_python({"source": "squad", **fields})


def test_a_data_set_names_its_language() -> None:
    assert (entry().language, entry(language="zh-Hant").language) == ("en", "zh")
    assert entry(scorer="cmrc").language == "zh"  # the scorer's own
    assert entry(source="cmb_clin").language == entry(source="cmb_exam").language == "zh"
    worlds = {"source": "worlds", "kinds": ["chinese"], "language": "ZH", "scorer": "overlap"}
    assert TypeAdapter(DatasetEntry).validate_python(worlds).language == "zh"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"language": "xx"}, "'zh'"),
        ({"language": False}, "'zh'"),  # YAML's reading of `no`
        (
            {"language": "zh", "scorer": "drop"},
            "drop is defined by its authors for language en",
        ),
        ({"language": "en", "scorer": "cmrc"}, "cmrc is defined by its authors for language zh"),
        ({"source": "worlds", "kinds": ["look_up"], "scorer": "quac", "language": "de"}, "quac"),
    ],
)
def test_a_language_that_makes_no_sense_is_refused(fields: dict, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        entry(**fields)


def test_the_language_is_part_of_the_scores_and_of_no_answer() -> None:
    english = load_experiment([ROOT / "config/demo.yaml"], {})
    name = english.datasets[0]
    sets = english.catalogues.datasets
    chinese = load_experiment([ROOT / "config/demo.yaml"], {})
    sets = {**sets, name: sets[name].model_copy(update={"language": "zh"})}
    chinese.bind(english.catalogues.model_copy(update={"datasets": sets}), {})
    assert scoring_settings(chinese, name)["language"] == "zh"
    assert scoring_settings(english, name)["language"] == "en"
    assert groups_settings(chinese, name) == groups_settings(english, name)


def test_rows_take_a_language(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"prediction": "北京。", "golds": ["北京"]}), encoding="utf-8")

    def em(metric: str, language: str | None = None) -> float:
        rows(file, metric, language)
        return json.loads(capsys.readouterr().out)["em"]

    assert em("squad") == 0.0
    assert em("squad", "zh-CN") == em("cmrc") == 1.0
    with pytest.raises(Exit):
        em("cmrc", "en")
    assert "cmrc is defined by its authors for language zh, not for en" in capsys.readouterr().err
    with pytest.raises(ValueError, match="drop is defined"):
        score_row({"prediction": "x", "golds": ["x"]}, "drop", "zh")
    with pytest.raises(ValueError, match="unknown language 'klingon'"):
        language_of("squad", "klingon")
    assert set(MADE_FOR).isdisjoint(BY_LANGUAGE)
    assert set(MADE_FOR) | BY_LANGUAGE | {"choice"} == set(Scorer.__args__)  # type: ignore[attr-defined]


@pytest.mark.data
@pytest.mark.parametrize(("language", "mark"), [("th", "”"), ("ru", "…"), ("zh", "。"), ("ar", "؟")])
def test_real_answers_with_a_final_mark_are_right(real_data: Path, language: str, mark: str) -> None:
    content = json.loads((real_data / f"xquad/xquad.{language}.subset.json").read_text("utf-8"))
    rows = [q for a in content["data"] for p in a["paragraphs"] for q in p["qas"]]
    golds = [[answer["text"] for answer in row["answers"]] for row in rows]
    assert len(rows) == 225
    assert all(squad_scores(g[0] + mark, g, language)["em"] == 1.0 for g in golds)
    assert sum(squad_scores(g[0] + mark, g, "en")["em"] for g in golds) == 0
