"""A served model as a decoder: nothing lost, nothing asked twice, whatever the server does."""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from branchwise.decoding.decoders.api import ApiEntry
from branchwise.decoding.loop import run
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.requests import Completion, Hook, Request, Rules, Sampling
from branchwise.decoding.served import ServedDecoder
from branchwise.errors import DoesNotFit, UserError
from branchwise.files import read_journal
from branchwise.serving import shared
from branchwise.serving.prices import Price
from branchwise.serving.reading import Reader
from tests.serving.asking import MODEL, ask_all, decoder_of, questions
from tests.serving.proxy import KINDS, Proxy, some


def test_a_reply_has_its_text_its_ledger_and_what_the_server_said_of_itself() -> None:
    with Proxy(latency_s=0.05) as proxy:
        (made,) = ask_all(decoder_of(proxy), ["Who is it"])
    assert (made.text, made.stop, made.ids) == ("it", "stop", [])
    assert (made.tokens.sent, made.tokens.cached, made.tokens.generated) == (3, 0, 1)
    assert made.served is not None
    assert (made.served.model, made.served.fingerprint, made.served.attempts) == ("m1", "fp1", 1)
    assert 0.05 <= made.end_s - made.start_s < 5
    assert made.served.round_trip_s is not None and made.served.round_trip_s < 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_passes_and_is_counted(kind: str) -> None:
    with Proxy(faults=lambda number, _: kind if number == 0 else None) as proxy:
        (made,) = ask_all(decoder_of(proxy, request_timeout_s=1), ["Who is it"])
    assert made.text == "it"
    assert made.served is not None and made.served.attempts == 2
    assert sum(made.served.faults.values()) == 1
    assert len(proxy.log) == 2


def test_of_500_requests_with_three_faults_in_ten_none_is_lost_or_doubled(tmp_path: Path) -> None:
    asked = questions(500)
    with Proxy(faults=some(0.3)) as proxy:
        # A machine under load must not take longer over a good reply than this.
        settings = {"concurrency": 32, "request_timeout_s": 3}
        decoder = decoder_of(proxy, tmp_path / "replies.jsonl", **settings)
        made = ask_all(decoder, asked)
    assert [one.text for one in made] == [question.split()[-1] for question in asked]
    counted: Counter[str] = Counter()
    for one in made:
        counted.update(one.served.faults if one.served else {})
    # On a busy machine a reply, good or not, may come too late, or its question, and is asked for again.
    late = counted["timeout"] - proxy.counts["slow"]
    again = proxy.counts["answered"] - 500
    assert 0 <= again <= late
    failed = sum(number for kind, number in proxy.counts.items() if kind != "answered")
    assert failed + again <= counted.total() <= failed + late
    assert len((tmp_path / "replies.jsonl").read_text().splitlines()) == 500


def test_what_was_asked_is_never_asked_again(tmp_path: Path) -> None:
    replies = tmp_path / "replies.jsonl"
    asked = [*questions(5), *questions(5)]  # equal requests are each its own
    with Proxy() as proxy:
        first = ask_all(decoder_of(proxy, replies), asked)
        assert len(proxy.log) == 10
        second = ask_all(decoder_of(proxy, replies), asked)
        assert len(proxy.log) == 10
        ask_all(decoder_of(proxy, replies), asked, group="another")
        assert len(proxy.log) == 20
    assert [one.text for one in first] == [one.text for one in second]
    assert all(one.served is not None and one.served.kept for one in second)
    spans = [one.end_s - one.start_s for one in first]
    assert [one.end_s - one.start_s for one in second] == pytest.approx(spans, abs=1e-6)


_KILLED = """
import os, sys
from pathlib import Path
sys.path[:0] = {path!r}
from tests.serving.asking import ask_all, decoder_of, questions
class At: url = {url!r}
ask_all(decoder_of(At, Path({replies!r}), concurrency=8, request_timeout_s=60), questions(500))
"""


def test_a_killed_run_goes_on_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    replies = tmp_path / "replies.jsonl"
    with Proxy(latency_s=0.02) as proxy:
        code = _KILLED.format(path=sys.path, url=proxy.url, replies=str(replies))
        process = subprocess.Popen([sys.executable, "-c", code])
        while len(proxy.log) < 150:
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
        process.wait()
        finished, _ = read_journal(replies)
        made = ask_all(decoder_of(proxy, replies, concurrency=8, request_timeout_s=60), questions(500))
    assert len(finished) >= 100
    asked = Counter(body["messages"][-1]["content"] for body in proxy.log)
    heard = [f"Who is number {reply['text']}" for reply in finished.values()]
    assert {asked[question] for question in heard} == {1}
    # What was under way when it was killed (8 at most) may have been answered without being heard; a busy
    # machine may break a connection, which the client then knows of.
    broken = [sum(one.served.faults.values()) if one.served else 0 for one in made]
    assert len(asked) == 500 and 500 <= len(proxy.log) <= 508 + sum(broken)
    assert all(asked[f"Who is number n{index}"] <= 2 + count for index, count in enumerate(broken))
    assert [one.text for one in made] == [f"n{index}" for index in range(500)]


def test_requests_are_under_way_together_within_1_3_of_the_ideal(tmp_path: Path) -> None:
    # Error 22: serial API calls reported as parallel.
    with Proxy(latency_s=0.2) as proxy:
        decoder = decoder_of(proxy, tmp_path / "replies.jsonl", concurrency=32, request_timeout_s=30)
        ask_all(decoder, questions(32), group="warm")
        began = time.monotonic()
        ask_all(decoder, questions(500))
        taken = time.monotonic() - began
    assert proxy.most_at_once == 32
    # No bound on the machine: what was lost beside the waiting is a fraction of it on an idle one.
    assert taken >= 0.2 * 500 / 32
    print(f"500 requests of 200 ms, 32 at once: {taken:.2f} s, ideal {0.2 * 16:.2f}")


def test_a_server_that_asks_for_less_gets_less_and_is_left_alone_as_long_as_it_says() -> None:
    def faults(number: int, _: Mapping[str, Any]) -> str | None:
        # The first one goes alone.
        return "429" if 1 <= number < 9 else None

    with Proxy(faults=faults, headers={"retry-after": "1"}, latency_s=0.02) as proxy:
        decoder = decoder_of(proxy, concurrency=8)
        ask_all(decoder, questions(40))
        facts = decoder.facts()
    # A busy machine may send the last of those under way after the wait, too.
    later = max(after - before for before, after in pairwise(proxy.sent_s[1:10]))
    assert 0.9 <= later < 2.5
    assert facts["least_concurrency"] == 4


def test_a_long_wait_freezes_its_own_key_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY_ONE", "one")
    monkeypatch.setenv("KEY_TWO", "two")
    with Proxy(
        faults=lambda number, _: "429" if number == 0 else None, headers={"retry-after": "2"}
    ) as proxy:
        frozen = decoder_of(proxy, key_variable="KEY_ONE")
        free = decoder_of(proxy, key_variable="KEY_TWO")

        async def both() -> tuple[float, float]:
            async def of(decoder: ServedDecoder, wait_s: float) -> float:
                await asyncio.sleep(wait_s)
                future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
                decoder.submit(
                    Request([], Rules(8), "g", future, messages=({"role": "user", "content": "Who"},))
                )
                await future
                return time.monotonic()

            return await asyncio.gather(of(frozen, 0), of(free, 0.3))  # type: ignore[return-value]

        with frozen.attached(), free.attached():
            late, soon = run(both(), lambda: any([frozen.step(), free.step()]))
    assert late - soon > 1


def test_rates_are_kept_to() -> None:
    with Proxy() as proxy:
        decoder = decoder_of(proxy, requests_per_minute=600)
        began = time.monotonic()
        ask_all(decoder, questions(6))
    # When each arrives is the machine's business; that none may be sent before its time is ours.
    for number, sent_s in enumerate(proxy.sent_s):
        assert sent_s - began >= 0.1 * number


def test_a_cost_limit_stops_before_it_is_passed_and_knows_what_was_spent(tmp_path: Path) -> None:
    price = Price(input=1e6, output=1e6, date="2026-01-01")  # 1 a token
    model = ModelEntry(served="m1", price=price)
    replies = tmp_path / "replies" / "a.jsonl"
    with Proxy() as proxy:
        decoder = decoder_of(proxy, replies, model, cost_limit=60, concurrency=1)
        with pytest.raises(UserError, match="cost limit of 60 is reached") as caught:
            ask_all(decoder, questions(20))
        assert "raise cost_limit" in caught.value.remedy
        asked = len(proxy.log)
        assert 2 <= asked <= 10  # 5 tokens each, and room for the 8 that each may make
        shared._SHARED.clear()
        other = decoder_of(proxy, tmp_path / "replies" / "b.jsonl", model, cost_limit=60, concurrency=1)
        with pytest.raises(UserError, match="cost limit"):
            ask_all(other, [f"{text} again" for text in questions(20)])
        assert len(proxy.log) <= asked + 2


def test_a_limit_without_a_price_is_refused() -> None:
    with Proxy() as proxy, pytest.raises(UserError, match="has no price"):
        decoder_of(proxy, cost_limit=1)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        ("401", "refused a request without a key", UserError),
        ("404", "knows no model m1", UserError),
        ("402", "wants to be paid", UserError),
        ("418", "refused a request", UserError),
    ],
)
def test_what_does_not_pass_is_said_at_once(status: str, message: str, kind: type) -> None:
    with Proxy(faults=lambda number, _: status) as proxy:
        with pytest.raises(kind, match=message):
            ask_all(decoder_of(proxy), ["Who"])
        assert len(proxy.log) == 1


def test_a_prompt_that_is_too_long_leaves_its_group_out() -> None:
    class TooLong(Proxy):
        def _write(self, writer: Any, status: int, content: Any, headers: Any = None) -> None:
            if status == 400:
                content = {"error": {"message": "This model's maximum context length is 8 tokens"}}
            super()._write(writer, status, content, headers)

    with (
        TooLong(faults=lambda number, _: "400") as proxy,
        pytest.raises(DoesNotFit, match="too long for m1"),
    ):
        ask_all(decoder_of(proxy), ["Who"])


def test_a_server_that_never_answers_is_given_up_with_all_that_went_wrong() -> None:
    with Proxy(faults=lambda number, _: "500") as proxy:
        with pytest.raises(UserError, match=r"no answer in 3 attempts: status 500 \(3\)"):
            ask_all(decoder_of(proxy, max_attempts=3, max_wait_s=0.01), ["Who"])
        assert len(proxy.log) == 3


def test_a_reply_that_stays_filtered_is_an_empty_answer() -> None:
    with Proxy(faults=lambda number, _: "filter") as proxy:
        (made,) = ask_all(decoder_of(proxy, max_attempts=2, max_wait_s=0.01), ["Who is it"])
    assert made.text == "" and made.tokens.sent == 3
    assert made.served is not None and made.served.faults == {"content filter": 2}


def test_another_model_is_not_taken_for_the_one_asked() -> None:
    with Proxy(faults=lambda number, _: "other model") as proxy:
        with pytest.raises(UserError, match="answered as somebody-else") as caught:
            ask_all(decoder_of(proxy, max_attempts=2, max_wait_s=0.01), ["Who"])
        assert "served_as: somebody-else" in caught.value.remedy
        (made,) = ask_all(
            decoder_of(proxy, model=ModelEntry(served="m1", served_as="somebody-else")), ["a"]
        )
        assert made.served is not None and made.served.model == "somebody-else"


@pytest.mark.parametrize(
    ("name", "is_mine"),
    [
        ("gpt-4o", True),
        ("gpt-4o-2024-08-06", True),
        ("openai/gpt-4o", True),
        ("GPT-4o@main", True),
        ("gpt-4o-mini", False),
        ("gpt-4", False),
    ],
)
def test_names_of_a_model(name: str, is_mine: bool) -> None:
    assert Reader("gpt-4o", None, None).is_mine(name) == is_mine


def test_stop_texts_are_sent_and_looked_for() -> None:
    def says(path: str, body: dict[str, Any]) -> dict[str, Any]:
        choice = {"message": {"content": "Paris\nQuestion: and"}, "finish_reason": "length"}
        usage = {"prompt_tokens": 3, "completion_tokens": 4}
        return {"model": "m1", "choices": [choice], "usage": usage}

    with Proxy(answer=says) as proxy:
        (made,) = ask_all(decoder_of(proxy), ["Who"], Rules(8, stop_texts=("\n",)))
    assert (made.text, made.stop, made.stop_text) == ("Paris", "stop", "\n")
    assert proxy.log[0]["stop"] == ["\n"]


def test_what_is_drawn_is_sent() -> None:
    with Proxy() as proxy:
        rules = Rules(8, sampling=Sampling(0.7, top_k=5, top_p=0.9, seed=2**40 + 3))
        ask_all(decoder_of(proxy, extra={"provider": {"order": ["x"]}}), ["Who"], rules)
    (body,) = proxy.log
    assert {"temperature": 0.7, "top_p": 0.9, "top_k": 5, "seed": 3}.items() <= body.items()
    assert body["provider"] == {"order": ["x"]}


def test_what_no_server_follows_is_refused() -> None:
    with Proxy() as proxy:
        decoder = decoder_of(proxy)
        for rules in (
            Rules(8, hooks=(Hook(lambda m, logits: logits),)),
            Rules(8, banned_ids=frozenset({1})),
        ):
            with pytest.raises(UserError, match="takes no hooks"):
                ask_all(decoder, ["Who"], rules)


def test_an_unset_key_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    entry = ApiEntry(kind="api", base_url="https://example.org/v1", key_variable="MY_KEY")
    with pytest.raises(UserError, match="environment variable MY_KEY, which is not set"):
        ServedDecoder(entry, MODEL)


def test_the_key_is_sent_and_stands_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-very-secret-0123456789")
    with Proxy(faults=some(0.3, seed=2)) as proxy:
        decoder = decoder_of(proxy, tmp_path / "replies.jsonl", key_variable="MY_KEY")
        made = ask_all(decoder, questions(30))
        assert proxy.keys == {"bearer sk-very-secret-0123456789"}
    written = (tmp_path / "replies.jsonl").read_text() + json.dumps(decoder.facts()) + repr(made)
    assert "secret" not in written and "0123456789" not in written


def test_an_ideal_cache_would_have_had_what_prompts_share() -> None:
    with Proxy() as proxy:
        made = ask_all(decoder_of(proxy), ["a long text and then one", "a long text and then two"])
    first, second = (one.served for one in made)
    assert first is not None and first.ideal_cached == 0
    assert second is not None and 4 <= second.ideal_cached < 6


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"base_url": "example.org"}, "no address"),
        ({"base_url": "https://me:key@example.org/v1"}, "holds a user"),
        ({"extra": {"model": "x"}}, "leave it out"),
        ({"constrain": "json"}, "give both or none"),
        ({"constrain": "regex", "pattern": "a", "structured": "schema"}, "holds answers to JSON"),
        ({"renders": "here", "prefill": "message"}, "leave out `prefill`"),
        ({"max_context": 64}, "nobody here counts the tokens"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ApiEntry(kind="api", **settings)


def test_processes_take_turns(tmp_path: Path) -> None:
    """Two that kept to a rate each would together exceed it."""
    with Proxy(latency_s=0.3) as proxy:
        code = _KILLED.format(path=sys.path, url=proxy.url, replies=str(tmp_path / "a.jsonl"))
        code = code.replace("questions(500)", "questions(3)")
        both = [subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE) for _ in range(2)]
        said = [process.communicate()[1].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert proxy.most_at_once == 2


def test_a_server_that_is_not_there_is_soon_given_up() -> None:
    with Proxy() as proxy:
        pass  # gone
    began = time.monotonic()
    with pytest.raises(UserError, match="nobody answers at") as caught:
        ask_all(decoder_of(proxy, max_wait_s=60), ["Who"])
    assert "start the server" in caught.value.remedy
    assert time.monotonic() - began < 30
