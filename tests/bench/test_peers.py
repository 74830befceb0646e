"""What is timed beside the tree decoder says the same tokens; how long it takes is nobody's assertion."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.commands.small import branchwise, told

from branchwise.bench.peers import runner
from branchwise.bench.peers.base import SYSTEMS, begins_alike, missing, system_class
from branchwise.bench.peers.command import bench_peers, memory_table, tables
from branchwise.bench.peers.ctranslate2 import CTranslate2
from branchwise.bench.peers.figure import write_peers
from branchwise.bench.peers.runner import Comparison, Process, compare
from branchwise.bench.peers.weights import Weights
from branchwise.bench.peers.work import Sizes, Work, works
from branchwise.errors import UserError

SMALL = Sizes(2, 3, 5, 70, 3, 4, 40, 3)
WORKS = ("groups", "in_flight", "long_prefix", "one_row")
FOREIGN = [name for name in SYSTEMS if name not in ("tree", "transformers", "padded_batch")]


def quiet(line: str) -> None:
    pass


@pytest.fixture(scope="module", autouse=True)
def warmth(warm_programs: Path) -> Iterator[None]:
    """Most time of these tests would be Python starting."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runner, "PYTHON", str(warm_programs / "python"))
        yield


@pytest.fixture(scope="module")
def tiny(root: Path) -> Path:
    return root / "resources/models/tiny"


@pytest.fixture(scope="module")
def result(tiny: Path) -> dict:
    """Two rounds of everything that is installed."""
    return compare(tiny, works(tiny, None, SMALL), 2, 1, log=quiet)


def row(result: dict, work: str, system: str) -> dict:
    (found,) = [r for r in result["rows"] if (r["work"], r["system"]) == (work, system)]
    return found


@pytest.mark.parametrize("work", WORKS)
def test_the_projects_own_systems_say_the_same_tokens(result: dict, work: str) -> None:
    for system in ("tree", "transformers", "padded_batch"):
        found = row(result, work, system)
        assert (found["same_prompts"], found["same_tokens"]) == (1, 1)
        assert len(found["cpu_s_all"]) == len(found["wall_s_all"]) == 2
        assert found["cpu_s"] > 0 < found["wall_s"]
        assert found["settings"]["prefix"]
    assert row(result, work, "tree")["ratio"] == 1


@pytest.mark.parametrize("system", FOREIGN)
def test_a_peer_says_the_same_tokens_or_is_named_as_left_out(result: dict, system: str) -> None:
    if package := missing(system):
        (left,) = [one for one in result["left_out"] if one["system"] == system]
        assert left["title"] == system_class(system).title
        assert left["reason"] == f"{package} is not installed: pip install -e .[peers]"
        pytest.skip(left["reason"])
    for work in WORKS:
        assert row(result, work, system)["same_prompts"] == 1
    assert set(result["systems"][system]["versions"]) == set(system_class(system).packages)


def test_prefill_and_step_are_told_apart_where_all_prompts_go_together(result: dict) -> None:
    for work in ("in_flight", "long_prefix", "one_row"):
        found = row(result, work, "tree")
        assert 0 < found["prefill_s"] < found["cpu_s"]
        assert 0 < found["step_s"] < found["cpu_s"]
    assert row(result, "groups", "tree")["step_s"] is None
    assert row(result, "long_prefix", "transformers")["step_s"] is None
    assert row(result, "one_row", "transformers")["step_s"] > 0


def test_the_result_says_what_was_measured(result: dict) -> None:
    assert (result["schema"], result["kind"], result["rounds"], result["threads"]) == (1, "peers", 2, 1)
    assert (result["dtype"], result["model"]["name"]) == ("float32", "tiny")
    assert [work["name"] for work in result["works"]] == list(WORKS)
    assert result["works"][0]["prompts"] == 6 and result["works"][0]["shared_tokens"] > 0
    assert set(result["systems"]) | {left["system"] for left in result["left_out"]} == set(SYSTEMS)
    assert json.loads(json.dumps(result)) == result
    assert sum(table.row_count for table in tables(result)) == len(result["rows"])


def test_memory_is_told_for_each_system(result: dict, tiny: Path) -> None:
    """Keys and values of the tiny model: those of every token that was in flight, once."""
    systems = result["systems"]
    assert all(system["peak_mib"] > 0 for system in systems.values())
    assert [name for name, system in systems.items() if system["needed_mib"] is not None] == ["tree"]
    weights = (tiny / "model.safetensors").stat().st_size / 2**20
    assert weights < systems["tree"]["needed_mib"] < weights + 10
    assert memory_table(result).row_count == len(systems)


def test_a_system_that_is_not_installed_is_left_out(monkeypatch: pytest.MonkeyPatch, tiny: Path) -> None:
    monkeypatch.setattr(CTranslate2, "packages", ("no-such-package",))
    comparison = Comparison([], 10, quiet)
    comparison.start("ctranslate2", tiny, 1)
    (left,) = comparison.left_out
    assert left["reason"].startswith("no-such-package is not installed")
    assert not comparison.processes


def test_a_system_that_fails_is_left_out_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"vocab_size": 9}')
    with pytest.raises(UserError, match="the tree decoder answered nothing: "):
        compare(tmp_path, [], 1, 1, ["tree"], quiet)
    process = Process("tree", 1)
    process.process.kill()
    process.process.wait()
    comparison = Comparison([], 10, quiet)
    comparison.processes["tree"] = process
    comparison.warm_up()
    comparison._ask("tree", "load", folder="", threads=1)
    assert "status -9" in comparison.left_out[0]["reason"]


def test_every_round_begins_every_prompt_with_a_token_of_its_own() -> None:
    work = Work("groups", "", [[[1, 2, 3], [1, 2, 4]], [[1, 5]]], 1, 4, False)
    marked = work.marked(9)
    assert marked.groups == [[[9, 1, 2, 3], [9, 1, 2, 4]], [[9, 1, 5]]]
    assert (marked.num_shared, marked.num_tokens) == (2, 4)
    assert len(work.marked(9, 1).groups) == 1
    assert Work("one_row", "", [[[1]]], 0, 4, True).marked(9).num_shared == 0
    comparison = Comparison([work], 100, quiet)
    assert len({comparison._mark(number) for number in range(50)}) == 50


def test_prompts_begin_alike_up_to_a_token_of_their_own() -> None:
    assert begins_alike([[1, 2, 3], [1, 2, 4]]) == 2
    assert begins_alike([[1, 2], [1, 2, 4]]) == 1
    assert begins_alike([[1, 2, 3]]) == 2


def test_tokens_count_up_to_the_first_other_one() -> None:
    work = Work("groups", "", [[[1], [2]]], 0, 4, True)
    comparison = Comparison([work], 10, quiet)
    times = {"cpu_s": 1.0, "wall_s": 1.0, "prefill_s": None, "step_s": None, "settings": {}}
    right, other = [[[1, 2, 3, 4], [5, 6, 7, 8]]], [[[1, 2, 3, 4], [5, 9, 7, 8]]]
    for system, answers in (("tree", right), ("transformers", right), ("llama_cpp", other)):
        comparison.told[system, "groups"] = [{**times, "answers": answers}]
    rows = {row["system"]: row for row in comparison.rows()}
    assert (rows["llama_cpp"]["same_prompts"], rows["llama_cpp"]["same_tokens"]) == (0.5, 5 / 8)
    assert rows["tree"]["same_tokens"] == 1


def made() -> dict:
    """A result as `compare` gives it."""
    rows = [
        {"work": work, "system": system, "cpu_s": times[0], "cpu_s_all": times, "ratio": times[0] / 2}
        for work in ("groups", "one_row")
        for system, times in (("tree", [2.0, 2.1]), ("transformers", [6.0, 6.6]), ("llama_cpp", [1, 1.2]))
    ]
    return {
        "machine": "a processor",
        "threads": 1,
        "rounds": 2,
        "model": {"name": "a model"},
        "works": [{"name": name, "title": f"a title of {name}"} for name in ("groups", "one_row")],
        "systems": {name: {"title": name} for name in ("tree", "transformers", "llama_cpp")},
        "rows": rows,
    }


@pytest.mark.parametrize("suffix", ["pdf", "svg", "png"])
def test_the_figure_is_drawn(tmp_path: Path, suffix: str) -> None:
    write_peers(made(), tmp_path / f"peers.{suffix}")
    assert (tmp_path / f"peers.{suffix}").stat().st_size > 1000
    assert len(list(tmp_path.iterdir())) == 1


def test_a_figure_of_the_tree_alone_is_none(tmp_path: Path) -> None:
    alone = made()
    alone["rows"] = [row for row in alone["rows"] if row["system"] == "tree"]
    with pytest.raises(UserError, match="nothing beside the tree"):
        write_peers(alone, tmp_path / "peers.svg")


def test_the_command_writes_and_draws(
    tmp_path: Path, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, figure = tmp_path / "peers.json", tmp_path / "peers.svg"
    given = bench_peers(tiny, None, 1, 1, ["tree", "transformers"], out, figure, SMALL)
    assert json.loads(out.read_text()) == given
    assert figure.is_file()
    assert "written to" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--layout", "magic"), "system 'magic' is not known; known: tree; transformers"),
        (("--figure", "peers.gif"), "--figure peers.gif ends in none of pdf, svg, png"),
        (("--path", "/no/model"), "/no/model"),
        (("--path", "resources/models/tiny", "--squad", "/no/squad"), "/no/squad does not exist"),
    ],
)
def test_what_cannot_be_compared_is_told(root: Path, words: tuple[str, ...], message: str) -> None:
    words = tuple(str(root / word) if word.startswith("resources") else word for word in words)
    assert message in told(branchwise("bench", "--peers", *words))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "mamba"}, "family mamba is not converted"),
        ({"model_type": "llama", "rope_parameters": {"rope_type": "yarn"}}, "stretches its rotary"),
        ({"model_type": "qwen2", "use_sliding_window": True}, "has a sliding window"),
    ],
)
def test_what_a_conversion_would_leave_out_is_refused(tmp_path: Path, config: dict, message: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=message):
        Weights(tmp_path)
