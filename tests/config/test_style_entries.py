"""Prompt styles in a config: who names one, what of it a cell depends on, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from branchwise.commands.prompting import style_of
from branchwise.config import Cell, Experiment, load_experiment
from branchwise.config.identity import cell_settings
from branchwise.config.styles import style_name
from branchwise.errors import UserError

BASE: dict[str, Any] = {
    "experiment": "trial",
    "datasets": ["own"],
    "models": ["small"],
    "strategies": ["batch"],
    "decoders": ["tree"],
    "define": {
        "datasets": {"own": {"source": "squad", "path": "train.json"}},
        "models": {"small": {"hub": "x/small"}},
    },
}
SQUAD = {
    "data": [
        {
            "title": f"Town {article}",
            "paragraphs": [
                {
                    "context": f"The mayor of town {article} is called M{article}.",
                    "qas": [
                        {
                            "id": f"{article}-{number}",
                            "question": f"Question {number} on town {article}?",
                            "answers": [{"text": f"M{article}", "answer_start": 0}],
                        }
                        for number in range(3)
                    ],
                }
            ],
        }
        for article in range(4)
    ]
}


def loaded(tmp_path: Path, **changes: Any) -> Experiment:
    """An experiment with dotted keys changed."""
    content = json.loads(json.dumps(BASE))
    for key, value in changes.items():
        place = content
        *above, last = key.split("__")
        for part in above:
            place = place.setdefault(part, {})
        place[last] = value
    (tmp_path / "train.json").write_text(json.dumps(SQUAD))
    (tmp_path / "trial.yaml").write_text(json.dumps(content))
    return load_experiment([tmp_path / "trial.yaml"])


def name_of(experiment: Experiment) -> str:
    catalogues = experiment.catalogues
    return style_name(experiment, catalogues.datasets["own"], catalogues.models["small"])


def settings_of(experiment: Experiment) -> dict[str, Any]:
    return cell_settings(experiment, Cell("own", "small", "batch", "tree"))["style"]


def test_the_experiment_names_it_or_the_model_or_the_data_set(tmp_path: Path) -> None:
    named = {
        "define__datasets__own__style": "chat_tag",
        "define__models__small__style": "chat_json",
        "style": "completion",
    }
    found = []
    for number in range(4):
        found.append(name_of(loaded(tmp_path, **dict(list(named.items())[:number]))))
    assert found == ["chat", "chat_tag", "chat_json", "completion"]


def test_a_cell_depends_on_its_style_and_on_what_shots_are_shown(tmp_path: Path) -> None:
    def of(entry: dict[str, Any]) -> dict[str, Any]:
        return settings_of(loaded(tmp_path, style="mine", define__styles__mine=entry))

    plain, two, three = of({}), of({"shots": 2}), of({"shots": 3})
    assert "shots" not in plain
    assert two["shots"]["number"] == 2 and two["shots"]["made"] == three["shots"]["made"]
    assert two != three
    train = {"shots": 2, "shots_from": "train", "shots_path": "train.json"}
    drawn, other = of(train), of({**train, "shots_seed": 1})
    assert drawn["shots"]["drawn"]["file"] and drawn != other
    assert of({"form": "completion"})["prefilled"] is True


STEPS = """
HINTS = True

async def strategy(group, desk):
    for question in group:
        messages = [{"role": "user", "content": f"{question.text} {desk.style.hint}"}]
        await desk.ask(messages, [question])
        yield None
"""


def test_a_hint_reaches_every_strategy_and_those_that_say_it_depend_on_it(tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text(STEPS)

    def of(hint: str | None, module: str) -> dict[str, Any]:
        define = {"define__strategies__mine": {"module": module}, "strategies": ["mine"]}
        experiment = loaded(tmp_path, define__datasets__own__hint=hint, baseline="mine", **define)
        own, small = experiment.catalogues.datasets["own"], experiment.catalogues.models["small"]
        assert style_of(experiment, own, small).hint == hint
        return cell_settings(experiment, Cell("own", "small", "mine", "tree"))

    assert of("One by one.", "steps.py")["style"]["hint"] == "One by one."
    assert of("One by one.", "steps.py") != of("In steps.", "steps.py") != of(None, "steps.py")
    assert of("One by one.", "batch") == of(None, "batch")
    assert "hint" not in of(None, "steps.py")["style"] | of("In steps.", "batch")["style"]


def test_shots_of_a_training_split_are_drawn_by_seed(tmp_path: Path) -> None:
    shown = []
    for seed in (0, 0, 1):
        entry = {"shots": 4, "shots_from": "train", "shots_path": "train.json", "shots_seed": seed}
        experiment = loaded(tmp_path, style="mine", define__styles__mine=entry)
        catalogues = experiment.catalogues
        style = style_of(experiment, catalogues.datasets["own"], catalogues.models["small"])
        assert sum(map(len, style.shots)) == 4
        shown.append(style.shots)
    assert shown[0] == shown[1] != shown[2]


def test_questions_that_are_typed_in_are_shown_squads_shots(tmp_path: Path) -> None:
    experiment = loaded(tmp_path, style="completion")
    style = style_of(experiment, None, experiment.catalogues.models["small"])
    assert style.shots[0].title == "Velm_Lighthouse"
    assert style.instruction == "Answer from the text."


OWN_ROW = {"id": "g", "context": "A text.", "questions": [{"id": "q", "text": "Who?", "golds": ["x"]}]}

REFUSED = {
    "unknown style": ({"style": "completoin"}, "unknown style completoin", "completion"),
    "letters without options": ({"style": "chat_letter"}, "asks for letters, and own has no", "exclude"),
    "a thought behind the beginning": (
        {"style": "completion", "define__models__small__thinking": True},
        "begins the answer, so that the model cannot think",
        "thinking: false",
    ),
    "a thought that a line ends": (
        {
            "style": "mine",
            "define__styles__mine": {"stop": "form"},
            "define__models__small__thinking": True,
        },
        "ends a reply where an answer would end",
        "stop: turn",
    ),
    "a training split of a file": (
        {"style": "mine", "define__styles__mine": {"shots": 2, "shots_from": "train"}},
        "training split of a data set that is read from",
        "shots_path",
    ),
    "a training split that is not there": (
        {
            "style": "mine",
            "define__styles__mine": {"shots": 2, "shots_from": "train", "shots_path": "no.json"},
        },
        "no.json does not exist",
        "style mine",
    ),
    "completion without a beginning": (
        {"define__styles__mine": {"form": "completion", "prefilled": False}},
        "form completion has no turns",
        "",
    ),
    "a path of made shots": (
        {"define__styles__mine": {"shots": 2, "shots_path": "x.json"}},
        "shots_from: train",
        "",
    ),
    "own data with made shots": (
        {"style": "chat_shots", "define__datasets__own": {"source": "jsonl", "path": "own.jsonl"}},
        "ships no made shots",
        "",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    changes, problem, remedy = REFUSED[case]
    (tmp_path / "own.jsonl").write_text(json.dumps(OWN_ROW) + "\n")
    with pytest.raises(UserError) as error:
        loaded(tmp_path, **changes)
    assert problem in error.value.problem + error.value.remedy
    assert remedy in error.value.remedy
    assert "\n" not in str(error.value)


def test_more_shots_than_there_are(tmp_path: Path) -> None:
    experiment = loaded(tmp_path, style="mine", define__styles__mine={"shots": 9})
    catalogues = experiment.catalogues
    with pytest.raises(UserError, match="shows 9 solved questions, and there are 5") as error:
        style_of(experiment, catalogues.datasets["own"], catalogues.models["small"])
    assert "shots: 5" in error.value.remedy
