"""A served model from config to tables, by the commands: its key nowhere, nothing paid for twice."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from branchwise.config.identity import cell_settings, scoring_settings
from branchwise.config.stages import Needed, asking_decoder
from branchwise.errors import UserError
from branchwise.results import RunRecord, read_json
from branchwise.serving import shared
from branchwise.stages import GroupDependencies, GroupParaphrases
from tests.commands.small import Small, branchwise, told
from tests.serving.proxy import Proxy, echo, some

KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    shared._SHARED.clear()
    yield
    shared._SHARED.clear()


def served(tmp_path: Path, model: Path, proxy: Proxy, **changes: Any) -> Small:
    small = Small(tmp_path, model)
    price = {"input": 1, "output": 2, "date": "2026-01-01"}
    small.content["define"]["models"]["far"] = {"served": "m1", "price": price}
    small.content["define"]["decoders"] = {
        "there": {
            "kind": "api",
            "base_url": proxy.url,
            "key_variable": "MY_KEY",
            "request_timeout_s": 1,
            "max_wait_s": 0.2,
            "max_attempts": 12,
        }
    }
    small.change(
        **{"models": ["far"], "decoders": ["there"], "results": str(tmp_path / "results"), **changes}
    )
    return small


def answer(small: Small, strategy: str, out: Path, *words: object) -> Any:
    return small.run(
        "generate",
        *("--dataset", "small", "--model", "far", "--strategy", strategy, "--decoder", "there"),
        *("--groups", small.groups(), "--out", out, *words),
        MY_KEY=KEY,
    )


def test_a_run_with_faults_is_counted_and_its_key_stands_nowhere(
    tmp_path: Path, random_model_folder: Path
) -> None:
    # None of these costs anything: what all replies cost is what was paid.
    fates = {1: "429", 2: "503", 4: "500", 5: "429", 7: "reset"}
    with Proxy(faults=lambda number, _: fates.get(number)) as proxy:
        small = served(tmp_path, random_model_folder, proxy)
        out = tmp_path / "cells" / "batch"
        done = answer(small, "batch", out)
        assert done.exit_code == 0, done.output
        asked = len(proxy.log)
        again = answer(small, "batch", out)
        assert again.exit_code == 0 and len(proxy.log) == asked
        failed = {kind: n for kind, n in proxy.counts.items() if kind != "answered"}
    run = read_json(out / "run.json", RunRecord)
    assert run.served is not None and run.hardware["device"] == "remote"
    assert run.served.num_replies == run.served.num_kept == 6
    assert sum(run.served.faults.values()) == sum(failed.values()) == len(fates)
    assert run.served.cost == pytest.approx((run.totals.sent + 2 * run.totals.generated) / 1e6)
    assert all(group.latency_s and group.latency_s > 0 for group in run.groups)
    assert "6 replies of m1" in done.output
    assert "very-secret" not in done.output
    check_key_is_nowhere(tmp_path)


def check_key_is_nowhere(folder: Path) -> None:
    """In no file that was written."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not any(b"very-secret" in path.read_bytes() for path in files)


@pytest.mark.slow
def test_a_run_of_500_requests_with_three_faults_in_ten_answers_all_and_counts_each_kind(
    tmp_path: Path, random_model_folder: Path
) -> None:
    with Proxy(faults=some(0.3, seed=7)) as proxy:
        small = served(tmp_path, random_model_folder, proxy)
        small.content["define"]["datasets"]["small"] |= {"group_size": 5, "num_groups": 100}
        small.content["define"]["decoders"]["there"] |= {"request_timeout_s": 3, "concurrency": 32}
        small.change(groups_in_flight=16)
        out = tmp_path / "cells" / "batch"
        done = answer(small, "batch", out)
        assert done.exit_code == 0, done.output
    run = read_json(out / "run.json", RunRecord)
    assert run.served is not None and run.served.num_replies == 500
    failed = Counter({kind: n for kind, n in proxy.counts.items() if kind != "answered"})
    # On a busy machine a reply, good or not, may come too late, or its question, and is asked for again.
    late = run.served.faults["timeout"] - failed["slow"]
    again = proxy.counts["answered"] - 500
    assert 0 <= again <= late and run.served.num_empty == 0
    told_kinds = {
        "status 429": failed["429"] + failed["retry-after"],
        "status 500": failed["500"],
        "status 503": failed["503"],
        "connection": failed["reset"],
        "timeout": failed["slow"] + late,
        "broken JSON": failed["truncated"],
        "no content": failed["null"],
        "content filter": failed["filter"],
        "wrong usage": failed["usage"] + failed["no usage"],
        "no choices": failed["no choices"],
        "answered as somebody-else": failed["other model"],
    }
    told, counted = Counter(told_kinds), Counter(run.served.faults)
    assert not counted - told and (told - counted).total() <= late - again
    assert all(kind in done.output for kind in told_kinds)


def test_a_server_that_is_started_is_one_models(tmp_path: Path, random_model_folder: Path) -> None:
    with Proxy() as proxy:
        small = served(tmp_path, random_model_folder, proxy)
        small.content["define"]["decoders"]["there"]["serve"] = "serve <name> <port>"
        small.content["define"]["models"]["near"] = {"served": "m2"}
        small.change(models=["far", "near"])
        assert "starts its server for one model, and is asked for far, near" in told(small.run("cells"))
        small.change(models=["far"], judge={"model": "near", "decoder": "there"}, judged=["small"])
        assert "is asked for far, near" in told(small.run("cells"))
        small.change(judge={"model": "far", "decoder": "there"})
        assert small.run("cells").exit_code == 0


def test_an_unset_key_is_one_line(tmp_path: Path, random_model_folder: Path) -> None:
    with Proxy() as proxy:
        small = served(tmp_path, random_model_folder, proxy)
        entry = small.content["define"]["decoders"]["there"]
        small.content["define"]["decoders"]["there"] = {**entry, "base_url": "https://example.org/v1"}
        small.change()
        groups = small.groups()
        done = small.run(
            "generate",
            *("--dataset", "small", "--model", "far", "--strategy", "batch", "--decoder", "there"),
            *("--groups", groups, "--out", tmp_path / "out"),
            MY_KEY="",
        )
    assert "environment variable MY_KEY, which is not set" in told(done)


def test_a_smoke_test_says_what_the_rest_would_cost_and_pays_its_own_groups_once(
    tmp_path: Path, random_model_folder: Path
) -> None:
    with Proxy(latency_s=0.02) as proxy:
        small = served(tmp_path, random_model_folder, proxy, strategies=["batch"], datasets=["small"])
        shared_words = ["--set", "smoke=1"]
        groups = tmp_path / "few.jsonl"
        done = small.run("prepare", "--dataset", "small", "--out", groups, *shared_words)
        assert done.exit_code == 0, done.output
        folder = branchwise("cells", "--folders", "--config", small.config, *shared_words).output.strip()
        cell = tmp_path / "results/smoke/cells" / Path(folder).parent
        done = small.run(
            "generate",
            *("--dataset", "small", "--model", "far", "--strategy", "batch", "--decoder", "there"),
            *("--groups", groups, "--out", cell, *shared_words),
            MY_KEY=KEY,
        )
        assert done.exit_code == 0, done.output
        assert len(proxy.log) == 3
        told_of = small.run("estimate", *shared_words)
        assert told_of.exit_code == 0, told_of.output
        assert "1 cells, 2 groups" in told_of.output and "USD" in told_of.output
        assert "no smoke test" in told(small.run("estimate"))
        # The experiment itself has the first group at hand.
        assert answer(small, "batch", tmp_path / "whole").exit_code == 0
        assert len(proxy.log) == 6


def test_stages_ask_a_served_planner_and_paraphraser(tmp_path: Path, random_model_folder: Path) -> None:
    def says(path: str, body: dict[str, Any]) -> dict[str, Any]:
        content = echo(path, body)
        if "prompt" in body:  # paraphrases are asked for as one text
            asked = body["prompt"].rpartition("Question: ")[2].partition("\n")[0]
            content["choices"][0]["text"] = f" Tell me, {asked}"
        else:
            content["choices"][0]["message"]["content"] = "[]"
        return content

    with Proxy(answer=says) as proxy:
        small = served(tmp_path, random_model_folder, proxy)
        small.change(roles={"planner": "far", "planner_decoder": "there", "paraphraser": "far"})
        found = tmp_path / "found.jsonl"
        done = small.run(
            "depend",
            *("--dependencies", "llm_free", "--dataset", "small", "--model", "far"),
            *("--groups", small.groups(), "--out", found),
            MY_KEY=KEY,
        )
        assert done.exit_code == 0, done.output
        assert len(proxy.log) == 2  # all groups at once, and each once
        rows = [
            GroupDependencies.model_validate_json(line) for line in found.read_text().splitlines()[1:]
        ]
        assert all(row.wall_s > 0 and row.tokens.sent > 0 and row.forward_passes for row in rows)
        held = small.run(
            "depend",
            *("--dependencies", "llm", "--dataset", "small", "--model", "far"),
            *("--groups", small.groups(), "--out", tmp_path / "held.jsonl"),
            MY_KEY=KEY,
        )
        assert "set `constrained: false`" in held.output
        worded = tmp_path / "worded.jsonl"
        done = small.run(
            "paraphrase",
            *("--paraphrases", "generated", "--dataset", "small", "--model", "far"),
            *("--groups", small.groups(), "--out", worded),
            MY_KEY=KEY,
        )
        assert done.exit_code == 0, done.output
    made = [GroupParaphrases.model_validate_json(line) for line in worded.read_text().splitlines()[1:]]
    assert len(made) == 2 and all(row.tokens.sent > 0 for row in made)
    check_key_is_nowhere(tmp_path)


def judged(tmp_path: Path, model: Path, proxy: Proxy) -> tuple[Small, Callable[[], Any]]:
    """An answered cell that a served judge grades, and what makes it do so."""
    small = served(tmp_path, model, proxy, datasets=["small"])
    small.change(judge={"model": "far", "decoder": "there", "rubric": "single"}, judged=["small"])
    out = tmp_path / "cell"
    assert answer(small, "batch", out).exit_code == 0
    words = ["--cell", out, "--groups", small.groups(), "--out", tmp_path / "judged.json"]
    words += ["--journal", tmp_path / "judge.jsonl"]
    return small, lambda: small.run("judge", *words, MY_KEY=KEY)


def test_a_judge_may_be_asked_by_a_decoder(tmp_path: Path, random_model_folder: Path) -> None:
    def says(path: str, body: dict[str, Any]) -> dict[str, Any]:
        content = echo(path, body)
        content["choices"][0]["message"]["content"] = json.dumps({"reasons": "r", "score": 4})
        return content

    with Proxy(answer=says) as proxy:
        small, judge = judged(tmp_path, random_model_folder, proxy)
        before = len(proxy.log)
        done = judge()
        assert done.exit_code == 0, done.output
        assert len(proxy.log) - before == 6
    verdicts = json.loads((tmp_path / "judged.json").read_text())
    assert (verdicts["num_missing"], len(verdicts["verdicts"])) == (0, 6)
    check_key_is_nowhere(tmp_path)
    assert verdicts["settings"]["judge_model"]["served"] == "m1"
    assert "base_url" not in verdicts["settings"]  # which is the decoder's
    identity = scoring_settings(small.experiment, "small")
    small.content["define"]["models"]["far"]["served"] = "m2"
    small.change()
    assert scoring_settings(small.experiment, "small") != identity
    small.change(judge={"model": "random", "decoder": "there"})
    assert "model random has no name on a server" in told(small.run("cells"))
    small.change(judge={"model": "far", "decoder": "there", "temperature": 1})
    assert "temperature: the decoder says that" in told(small.run("cells"))
    small.change(judge={"model": "nobody", "decoder": "there"})
    assert "judge names nobody" in told(small.run("cells"))


def test_a_judge_that_gave_no_verdict_is_asked_again(tmp_path: Path, random_model_folder: Path) -> None:
    verdicts = iter(["hm", "what?", *[json.dumps({"reasons": "r", "score": 4})] * 20])

    def says(path: str, body: dict[str, Any]) -> dict[str, Any]:
        content = echo(path, body)
        if "reasons" in json.dumps(body):
            content["choices"][0]["message"]["content"] = next(verdicts)
        return content

    with Proxy(answer=says) as proxy:
        _, judge = judged(tmp_path, random_model_folder, proxy)
        missing, asked = [], []
        for _ in range(3):
            before = len(proxy.log)
            done = judge()
            assert done.exit_code == 0, done.output
            asked.append(len(proxy.log) - before)
            missing.append(json.loads((tmp_path / "judged.json").read_text())["num_missing"])
    assert (asked, missing) == ([6, 2, 0], [2, 0, 0])


def test_a_stage_asks_the_server_that_its_model_answers_on(
    tmp_path: Path, random_model_folder: Path
) -> None:
    with Proxy() as proxy:
        small = served(tmp_path, random_model_folder, proxy)
        decoders = small.content["define"]["decoders"]
        other = {**decoders["there"], "base_url": "http://127.0.0.1:9/v1"}
        drawn = {**decoders["there"], "sampling": {"temperature": 1}}
        small.content["define"]["decoders"] |= {"other": other, "drawn": drawn}
        small.content["define"]["models"]["near"] = {"served": "m2"}
        small.change(
            models=["far", "near"],
            decoders=["other", "drawn", "there"],
            exclude=[{"model": "far", "decoder": "other"}, {"model": "near", "decoder": "there"},
                     {"model": "near", "decoder": "drawn"}],
        )  # fmt: skip
    planning = Needed("dependencies", "llm")
    decoders = small.experiment.catalogues.decoders
    assert asking_decoder(small.experiment, planning, "near") == decoders["other"]
    assert asking_decoder(small.experiment, planning, "far") == decoders["drawn"]
    confiding = Needed("confidence", "self_agreement")
    assert asking_decoder(small.experiment, confiding, "far") == decoders["there"]
    small.content["define"]["models"]["planner"] = {"served": "m3"}
    small.change(roles={"planner": "planner"})
    with pytest.raises(UserError, match="who asks it there") as caught:
        asking_decoder(small.experiment, planning, "far")
    assert "roles.planner_decoder" in caught.value.remedy


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"models": ["random"]}, "model random has no name on a server"),
        ({"decoders": ["tree"]}, "is known by its name on a server alone"),
        ({"style": "chat_prefilled"}, "begins the answer for the model"),
        ({"strategies": ["batch", "lora"]}, "answers by a checkpoint, which decoder there does not take"),
        ({"strategies": ["batch", "fused"]}, "needs fork and join"),
    ],
)
def test_what_a_server_cannot_is_said_when_the_config_is_read(
    tmp_path: Path, random_model_folder: Path, changes: dict[str, Any], problem: str
) -> None:
    with Proxy() as proxy:
        small = served(tmp_path, random_model_folder, proxy, **changes)
        assert problem in told(small.run("cells"))


@pytest.mark.parametrize(
    ("place", "value", "is_held"),
    [
        ("decoders.there.concurrency", 3, False),
        ("decoders.there.cost_limit", 5.0, False),
        ("decoders.there.key_variable", "OTHER", False),
        ("decoders.there.request_timeout_s", 9.0, False),
        ("models.far.price", {"input": 9, "output": 9, "date": "2026-02-02"}, False),
        ("decoders.there.base_url", "https://example.org/v1", True),
        ("decoders.there.temperature", None, True),
        ("decoders.there.extra", {"provider": {"order": ["x"]}}, True),
        ("models.far.served", "m2", True),
        ("models.far.served_as", "m1-2026", True),
        ("models.random.served", "m3", False),  # which is asked here
    ],
)
def test_what_a_reply_depends_on_is_in_the_identity(
    tmp_path: Path, random_model_folder: Path, place: str, value: Any, is_held: bool
) -> None:
    with Proxy() as proxy:
        small = served(
            tmp_path,
            random_model_folder,
            proxy,
            models=["far", "random"],
            decoders=["there", "tree"],
            exclude=[{"model": "far", "decoder": "tree"}, {"model": "random", "decoder": "there"}],
        )
    before = [cell_settings(small.experiment, cell) for cell in small.experiment.cells]
    catalogue, name, field = place.split(".")
    small.content["define"][catalogue][name][field] = value
    small.change()
    after = [cell_settings(small.experiment, cell) for cell in small.experiment.cells]
    assert (before != after) == is_held
