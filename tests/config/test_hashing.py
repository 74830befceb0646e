"""What belongs to an identity and what does not, field by field; and the code that results depend on."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from branchwise.config import Cell, Experiment, imports, load_experiment
from branchwise.config import load as load_module
from branchwise.config.hashing import (
    LIBRARY,
    answers_code,
    answers_files,
    dependencies_code,
    groups_code,
    judge_code,
    model_hash,
    reporting_code,
    scores_code,
    times_code,
    training_code,
)
from branchwise.config.identity import (
    as_param,
    cell_folder,
    cell_identity,
    cell_settings,
    check_models,
    check_present,
    differing,
    groups_name,
    scores_path,
    scoring_identity,
    scoring_settings,
)
from branchwise.config.imports import closure
from branchwise.config.parts import groups_settings
from branchwise.config.stages import dependency_settings
from branchwise.config.timing import (
    BETWEEN,
    contest_of,
    contests,
    times_identity,
    times_path,
    times_settings,
)
from branchwise.errors import UserError
from branchwise.files import value_hash

CELL = Cell("own", "small", "mine", "tree")
GROUP = {"id": "g", "context": "A", "questions": [{"id": "q", "text": "Who?", "golds": ["A"]}]}

BASE: dict[str, Any] = {
    "experiment": "trial",
    "datasets": ["own"],
    "models": ["small", "other"],
    "strategies": ["batch", "mine"],
    "decoders": ["tree", "hf"],
    "exclude": [{"strategy": "mine", "decoder": "hf"}],
    "define": {
        "datasets": {"own": {"source": "jsonl", "path": "own.jsonl"}},
        "models": {
            "small": {"hub": "x/small", "revision": "1"},
            "other": {"hub": "x/o", "revision": "1"},
        },
        "strategies": {"mine": {"module": "collab", "dependencies": "by_words"}},
        "dependencies": {"by_words": {"kind": "heuristic"}},
        "decoders": {"tree": {"kind": "tree"}},
    },
}


def changed(base: Any, path: str, value: Any) -> Any:
    """A copy of nested dictionaries with one place changed."""
    key, _, rest = path.partition(".")
    return {**base, key: changed(base.get(key, {}), rest, value) if rest else value}


catalogues = cache(load_module.load_catalogues)
"""Read once: they are the same in every test, and most of its time."""


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(load_module, "load_catalogues", catalogues)
    (tmp_path / "own.jsonl").write_text(json.dumps(GROUP) + "\n")

    def make(*changes: tuple[str, Any]) -> Experiment:
        content = BASE
        for path, value in changes:
            content = changed(content, path, value)
        (tmp_path / "trial.yaml").write_text(yaml.safe_dump(content))
        return load_experiment([tmp_path / "trial.yaml"])

    return make


def told(experiment: Experiment) -> dict[str, str]:
    """The hash of everything that has one, by what it is of."""
    contest = contest_of(experiment, "own", "small", "tree")
    assert contest is not None
    return {
        "groups": groups_name(experiment, "own"),
        "dependencies": value_hash(dependency_settings(experiment, "by_words", "own", "small")),
        "answers": value_hash(cell_settings(experiment, CELL)),
        "plain answers": value_hash(cell_settings(experiment, CELL._replace(strategy="batch"))),
        "scores": value_hash(scoring_settings(experiment, "own")),
        "times": value_hash(times_settings(experiment, contest)),
    }


ANSWERS = {"answers", "plain answers", "times"}
OWN, SMALL = "define.datasets.own", "define.models.small"

CHANGES: list[tuple[str, Any, set[str]]] = [
    # What answers are made with.
    ("max_new_tokens", 5, ANSWERS),
    ("threads", 2, ANSWERS),
    (f"{OWN}.instruction", "Say.", ANSWERS),
    (f"{OWN}.answer_format", "tag", ANSWERS),
    (f"{OWN}.hint", "Check one by one.", set()),  # neither of the strategies says it
    (f"{OWN}.style", "chat_json", ANSWERS),
    (f"{OWN}.style", "chat", set()),  # the default, spelt out
    (f"{SMALL}.style", "chat_json", ANSWERS),
    ("style", "chat_json", ANSWERS),
    ("style", "chat", set()),
    (f"{OWN}.min_questions", 1, ANSWERS | {"groups", "dependencies"}),
    (f"{OWN}.on_bad_row", "skip", set()),  # the default, spelt out
    (f"{OWN}.num_groups", 7, ANSWERS | {"groups", "dependencies"}),
    (f"{SMALL}.revision", "2", ANSWERS | {"dependencies"}),
    (f"{SMALL}.hub", "y/small", ANSWERS | {"dependencies"}),
    (f"{SMALL}.dtype", "bfloat16", ANSWERS | {"dependencies"}),
    ("define.models.other.revision", "2", set()),
    ("define.strategies.mine.options", {"wait": "layers"}, {"answers", "times"}),
    ("define.strategies.mine.options", {"wait": "needs"}, set()),
    ("define.dependencies.by_words.selection", "function", {"answers", "times", "dependencies"}),
    ("define.decoders.tree.kernel", "dense", ANSWERS),
    # What scores are made with.
    (f"{OWN}.scorer", "drop", {"scores"}),
    (f"{OWN}.language", "zh", {"scores"}),
    # What times are taken with.
    ("repeats", 5, {"times"}),
    ("timed_groups", 4, {"times"}),
    ("baseline", "mine", {"times"}),
    # What is of no consequence.
    ("experiment", "another", set()),
    ("groups_in_flight", 3, set()),
    ("gpus", 1, set()),
    ("shards", 3, set()),
    ("together", 4, set()),
    ("memory_mb", 3000, set()),
    ("runtime_min", 5, set()),
    ("results", "there", set()),
    ("figures", "there", set()),
    ("cells_at", "there", set()),
    ("cached", True, set()),
    ("pages", 3, set()),
    ("published", "one_sequence", set()),
    ("judge", {"model": "j"}, set()),
    ("roles", {"planner": "other", "paraphraser": "other", "encoder": "e"}, set()),
    ("define.strategies.mine.label", "Mine", set()),
    (f"{SMALL}.label", "Small", set()),
]


@pytest.mark.parametrize(("path", "value", "of"), CHANGES, ids=[f"{p}={v}" for p, v, _ in CHANGES])
def test_what_a_setting_changes_and_nothing_else(made, path: str, value: Any, of: set[str]) -> None:
    before, after = told(made()), told(made((path, value)))
    assert {name for name in before if before[name] != after[name]} == of


def test_every_setting_of_an_experiment_is_held_above() -> None:
    """A new field has to say what it changes."""
    held = {path.partition(".")[0] for path, _, _ in CHANGES}
    grid = {"datasets", "models", "strategies", "decoders", "exclude", "judged"}  # tested below
    elsewhere = {"checkpoints", "smoke"}  # in test_trainings and test_served_run
    assert held | grid | elsewhere == set(Experiment.model_fields)


def test_a_judge_belongs_to_the_scores_of_the_sets_that_it_judges(made) -> None:
    judge = ("judge", {"model": "j"})
    plain, judged = told(made(judge)), told(made(judge, ("judged", ["own"])))
    assert {name for name in plain if plain[name] != judged[name]} == {"scores"}
    other = told(made(("judge", {"model": "k"}), ("judged", ["own"])))
    assert {name for name in other if other[name] != judged[name]} == {"scores"}
    assert scoring_settings(made(judge), "own")["judge"] is None


def test_what_settings_hold(made) -> None:
    """Every key by name: a field that is left out would make two cells one."""
    experiment = made()
    settings = cell_settings(experiment, CELL)
    assert set(settings) == {
        *("groups", "style", "model", "strategy", "dependencies", "decoder", "max_new_tokens", "threads")
    }
    assert settings["style"] == {
        "name": "chat",
        "instruction": "Answer from the text.",
        "answer_format": "line",
        "form": "chat",
        "prefilled": False,
        "stop": "turn",
    }
    assert settings["strategy"] == {"module": "collab", "options": {"wait": "needs"}}
    assert settings["model"]["files"] == "x/small@1"
    assert not {"hub", "revision", "label", "path"} & set(settings["model"])
    assert settings["dependencies"] == dependency_settings(experiment, "by_words", "own", "small")
    assert set(settings["dependencies"]) == {"entry", "groups", "model"}
    assert settings["groups"] == groups_settings(experiment, "own")
    assert not {"scorer", "language", "path", "label", "instruction", "answer_format"} & set(
        settings["groups"]
    )
    assert cell_settings(experiment, CELL._replace(strategy="batch"))["dependencies"] is None
    assert set(scoring_settings(experiment, "own")) == {"scorer", "language", "judge"}
    contest = contest_of(experiment, "own", "small", "tree")
    assert set(times_settings(experiment, contest)) == {"cells", "reference", "timed_groups", "repeats"}
    assert set(times_settings(experiment, contest)["cells"]) == {"batch/tree", "mine/tree"}


def test_a_role_belongs_to_the_cells_that_ask_it(made) -> None:
    asks = ("define.strategies.mine.asks", ["planner"])
    none, named = made(asks), made(asks, ("roles", {"planner": "other"}))
    assert "roles" not in cell_settings(none, CELL)
    assert cell_settings(named, CELL)["roles"]["planner"]["files"] == "x/o@1"
    assert "roles" not in cell_settings(named, CELL._replace(strategy="batch"))


def test_where_results_lie(made) -> None:
    experiment = made()
    settings = value_hash(cell_settings(experiment, CELL))
    scoring = value_hash(scoring_settings(experiment, "own"))
    folder = Path("own/small/mine/tree") / settings
    assert cell_folder(experiment, CELL) == folder
    assert scores_path(experiment, CELL) == folder / scoring / "scores.json"
    found = {contest.decoder: contest for contest in contests(experiment) if contest.model == "small"}
    assert set(found) == {"tree", "hf", None}
    tree = found["tree"]
    name = f"{value_hash(times_settings(experiment, tree))}.json"
    assert times_path(experiment, tree) == Path("own/small/tree", name)
    assert times_path(experiment, found[None]).parts[:3] == ("own", "small", BETWEEN)
    assert [str(found[key]) for key in ("tree", None)] == ["own/small/tree", "own/small/all decoders"]


# ----- contests -----


def test_contests_by_hand(made) -> None:
    """Of each data set, model and decoder one, and one between decoders where a strategy has several."""
    experiment = made()
    every = list(contests(experiment))
    assert [(one.model, one.decoder, one.reference) for one in every] == [
        (model, decoder, "batch") for model in ("small", "other") for decoder in ("tree", "hf", None)
    ]
    assert [[cell.strategy for cell in one.cells] for one in every[:3]] == [
        ["batch", "mine"],
        ["batch"],
        ["batch", "batch"],
    ]
    assert all(cell.model == one.model for one in every for cell in one.cells)
    # Without the baseline on a decoder its first strategy is the reference.
    other = made(("exclude", [{"strategy": "batch", "decoder": "tree"}]))
    found = {one.decoder: one for one in contests(other) if one.model == "small"}
    assert {name: one.reference for name, one in found.items()} == {
        "tree": "mine",
        "hf": "batch",
        None: "mine",
    }
    single = made(("decoders", ["tree"]), ("exclude", []))
    assert [one.decoder for one in contests(single) if one.model == "small"] == ["tree"]
    assert contest_of(single, "own", "small", "hf") is None
    assert list(contests(made(("timed_groups", 0)))) == []


def test_between_decoders_the_baseline_is_preferred_among_equals(made) -> None:
    both = made(("exclude", []), ("strategies", ["mine", "batch"]))
    contest = contest_of(both, "own", "small", None)
    assert contest is not None
    assert (contest.reference, len(contest.cells)) == ("batch", 2)


# ----- code -----


def names(paths: list[Path]) -> set[str]:
    return {path.relative_to(LIBRARY).as_posix() for path in paths}


def test_answers_depend_on_the_code_that_makes_them(made) -> None:
    """Prompts and readers among it; neither config, nor scoring, nor other strategies and decoders."""
    experiment = made()
    files = names(answers_files(experiment, CELL))
    assert files >= {
        *("cells/cell.py", "cells/runner.py", "cells/desk.py", "cells/flight.py", "cells/waits.py"),
        *("prompts/__init__.py", "prompts/rendering.py", "prompts/reading/choice.py", "data/style.py"),
        *("strategies/collab.py", "strategies/base.py", "trace.py", "results.py"),
        *("decoding/decoders/tree.py", "decoding/engine.py", "decoding/products/linear.py"),
    }
    for room in ("config", "commands", "evaluation", "reporting", "training", "bench"):
        assert not [name for name in files if name.startswith(f"{room}/")], room
    assert not {"strategies/batch.py", "strategies/sequential.py", "decoding/decoders/hf.py"} & files
    assert "cells/timing.py" not in files
    hf = names(answers_files(experiment, CELL._replace(strategy="batch", decoder="hf")))
    assert {"decoding/reference.py", "strategies/batch.py"} <= hf
    assert not {"decoding/engine.py", "strategies/collab.py"} & hf


def test_each_result_has_the_code_of_its_own_stage(made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose hash changes with a file: edits re-run what depends on it, and no more."""
    from branchwise.config import hashing

    experiment = made()
    batch = CELL._replace(strategy="batch")

    def codes() -> dict[str, str]:
        hashing._code.cache_clear()
        return {
            "answers": answers_code(experiment, CELL),
            "batch": answers_code(experiment, batch),
            "times": times_code(experiment, [CELL, batch]),
            "dependencies": dependencies_code(experiment, "by_words"),
            "groups": groups_code(experiment, "own"),
            "scores": scores_code(),
            "judge": judge_code(),
            "reporting": reporting_code(),
            "training": training_code(),
        }

    before = codes()
    assert all(len(code) == 12 for code in before.values())
    original = hashing._content

    def touched(name: str) -> set[str]:
        monkeypatch.setattr(
            hashing, "_content", lambda path: "x" if path == LIBRARY / name else original(path)
        )
        after = codes()
        monkeypatch.setattr(hashing, "_content", original)
        hashing._code.cache_clear()
        return {kind for kind in before if before[kind] != after[kind]}

    assert touched("strategies/collab.py") == {"answers", "times"}
    assert touched("strategies/batch.py") == {"batch", "times"}
    assert touched("cells/cell.py") == {"answers", "batch"}
    assert touched("cells/timing.py") == {"times"}
    assert touched("cells/depending.py") == {"dependencies"}
    assert "dependencies" in touched("dependencies/heuristic.py")
    assert touched("data/prepare.py") == {"groups"}
    assert touched("data/sources/jsonl.py") == {"groups"}
    assert touched("evaluation/score.py") == {"scores"}
    assert touched("evaluation/judging.py") == {"judge"}
    assert touched("reporting/figures.py") == {"reporting"}
    assert touched("training/tiny.py") == {"training"}
    assert {"answers", "batch", "times"} <= touched("prompts/rendering.py")


def test_a_file_outside_of_the_library_counts_by_name_and_text(tmp_path: Path) -> None:
    from branchwise.config.hashing import _code

    for folder in ("a", "b", "c"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "my.py").write_text("import helper\n")
        (tmp_path / folder / "helper.py").write_text(f"x = {1 if folder != 'c' else 2}\n")
        (tmp_path / folder / "beside.py").write_text(folder)
    a, b, c = (_code(tmp_path / folder / "my.py") for folder in "abc")
    assert a == b != c
    assert closure([tmp_path / "a/my.py"]) == [tmp_path / "a/helper.py", tmp_path / "a/my.py"]


def test_a_folder_of_weights_counts_by_content(made, tmp_path: Path) -> None:
    for name, text in (("one", "{}"), ("two", "{}"), ("three", '{"a": 1}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
    found = [
        model_hash(made(("define.models.small", {"path": str(tmp_path / name)})), "small")
        for name in ("one", "two", "three")
    ]
    assert found[0] == found[1] != found[2]
    assert model_hash(made(), "small") == "x/small@1"


def test_identities_name_code_and_settings(made) -> None:
    experiment = made()
    identity = cell_identity(experiment, CELL)
    assert identity.settings == cell_settings(experiment, CELL)
    assert identity.code == answers_code(experiment, CELL)
    assert identity.dependencies_code == dependencies_code(experiment, "by_words")
    assert cell_identity(experiment, CELL._replace(strategy="batch")).dependencies_code is None
    scoring = scoring_identity(experiment, "own")
    assert (scoring.settings, scoring.code) == (scoring_settings(experiment, "own"), scores_code())
    contest = contest_of(experiment, "own", "small", "tree")
    times = times_identity(experiment, contest)
    assert (times.settings, times.code) == (
        times_settings(experiment, contest),
        times_code(experiment, contest.cells),
    )


def test_what_differs_by_hand() -> None:
    assert differing({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "d": 3}}) == [
        "a.d (null, here 3)",
        "a.c (2, here null)",
    ]
    # What is recorded and not here may be a file that is not on this machine; and nothing else.
    for key in ("files", "file", "checkpoint"):
        assert differing({key: "1"}, {key: None}) == []
        assert differing({key: "1"}, {key: "2"}) == [f'{key} ("1", here "2")']
        assert differing({key: None}, {key: "2"}) == [f'{key} (null, here "2")']
    # As it stands in the config, in whatever script.
    assert differing({"a": "北"}, {"a": "京"}) == ['a ("北", here "京")']
    assert differing({"options": 1}, {"options": None}) == ["options (1, here null)"]
    assert differing({"a": "x" * 38}, {"a": "x" * 39}) == [f'a ("{"x" * 38}", here "{"x" * 36}...)']


def test_an_encoder_is_the_entrys_own_the_experiments_or_the_published_one(made) -> None:
    by = "define.dependencies.by_words"
    attention, own = (by, {"kind": "attention"}), (by, {"kind": "attention", "encoder": "mine"})
    role = ("roles", {"encoder": "ours"})
    found = [
        dependency_settings(made(*changes), "by_words", "own", "small")["entry"]["encoder"]
        for changes in ((attention,), (attention, role), (own, role))
    ]
    assert found == ["bert-base-uncased", "ours", "mine"]


def test_what_a_run_would_miss_is_told(made, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with_folder = ("define.models.small", {"path": str(tmp_path / "model")})
    check_present(made())  # of a hub model nothing is known here
    with pytest.raises(UserError, match=r"trial.yaml: folder .*/model of model small has no config.json"):
        check_present(made(with_folder))
    asked_only = made(with_folder, ("models", ["other"]), ("roles", {"paraphraser": "small"}))
    with pytest.raises(UserError, match="of model small has no config.json"):
        check_present(asked_only)
    (tmp_path / "model/config.json").write_text("{}")
    check_present(made(with_folder))
    check_models(made(), [None, "small"])
    experiment = made()
    (tmp_path / "own.jsonl").unlink()
    with pytest.raises(UserError, match="own.jsonl of own does not exist"):
        check_present(experiment)
    (tmp_path / "own.jsonl").mkdir()
    with pytest.raises(UserError, match="own.jsonl of own is a folder"):
        check_present(experiment)


def test_the_packages_of_an_import_count_and_the_librarys_own_names_do_not(tmp_path: Path) -> None:
    found = {}
    for text in (
        "import branchwise.prompts",
        "from branchwise.decoding import loop",
        "import branchwise",
    ):
        (tmp_path / "my.py").write_text(text)
        imports._imported.cache_clear()
        found[text] = names([path for path in closure([tmp_path / "my.py"]) if path.name != "my.py"])
    first, second, third = found.values()
    assert {"prompts/__init__.py", "prompts/rendering.py"} <= first
    assert {"decoding/__init__.py", "decoding/loop.py"} <= second
    assert third == set()
    assert "__init__.py" not in first | second


def test_a_value_as_a_parameter_is_the_same_in_any_order() -> None:
    assert as_param({"b": 1, "a": [2]}) == as_param({"a": [2], "b": 1}) == '{"a": [2], "b": 1}'
