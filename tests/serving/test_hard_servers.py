"""Servers that say things which are no answers, cost without answering, or are another's."""

import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from branchwise.decoding.decoders.api import ApiEntry
from branchwise.decoding.loop import run
from branchwise.decoding.models.entry import ModelEntry
from branchwise.decoding.requests import Completion, Request, Rules
from branchwise.decoding.sending import Sender, without_thought
from branchwise.errors import DoesNotFit, UserError
from branchwise.serving import client
from branchwise.serving.faults import FLAGGED, Asked, Fault, of_error
from branchwise.serving.prices import Price
from branchwise.serving.reading import Reader, Wanted
from tests.serving.asking import ask_all, decoder_of, questions
from tests.serving.proxy import Answer, Proxy, echo, some

PRICED = ModelEntry(served="m1", price=Price(input=1e6, output=1e6, date="2026-01-01"))
"""1 a token: what `echo` says costs one more than the prompt has words."""
ASKED = Asked("https://example.org/v1", "m1", "sk-secret-key-0123", "MY_KEY")
READER = Reader("m1", None, None)


def saying(change: Callable[[dict[str, Any], dict[str, Any]], None]) -> Answer:
    """A server that answers by `echo`, with the whole reply and its choice changed."""

    def answer(path: str, body: dict[str, Any]) -> dict[str, Any]:
        content = echo(path, body)
        change(content, content["choices"][0])
        return content

    return answer


def at_first(change: Callable[[dict[str, Any], dict[str, Any]], None], number: int = 1) -> Answer:
    """The same for the first so many replies."""
    left = iter(range(number))
    return saying(
        lambda content, choice: change(content, choice) if next(left, None) is not None else None
    )


def read(**changes: Any) -> Any:
    """A chat reply as it is read; `changes` to the reply, those of `choice` and `usage` within it."""
    content = echo("/chat/completions", {"model": "m1", "messages": [{"content": "a b c"}]})
    content["choices"][0] |= changes.pop("choice", {})
    content["usage"] |= changes.pop("usage", {})
    return READER.read(content | changes, Wanted("chat", {}, 8, ["\n"]), 0.1)


# ----- what is no answer -----


@pytest.mark.parametrize("finish", ["error", "insufficient_system_resource", "tool_calls", "abort"])
def test_a_reply_that_somebody_broke_off_is_asked_again(finish: str) -> None:
    with Proxy(answer=at_first(lambda _, choice: choice.update(finish_reason=finish))) as proxy:
        (made,) = ask_all(decoder_of(proxy), ["Who is it"])
    assert (made.text, len(proxy.log)) == ("it", 2)
    assert made.served is not None and made.served.faults == {f"ended by {finish}": 1}


@pytest.mark.parametrize(
    ("finish", "stop"),
    [("stop", "stop"), ("eos", "stop"), (None, "stop"), ("length", "length"), ("model_length", "length")],
)
def test_ends_of_answers_by_all_their_names(finish: str | None, stop: str) -> None:
    assert read(choice={"finish_reason": finish}).stop == stop


def test_an_error_in_a_good_reply_is_one() -> None:
    def overloaded(content: dict[str, Any], choice: dict[str, Any]) -> None:
        choice["error"] = {"code": 503, "message": "overloaded"}

    with Proxy(answer=at_first(overloaded)) as proxy:
        (made,) = ask_all(decoder_of(proxy), ["Who is it"])
    assert made.served is not None and made.served.faults == {"status 503": 1}
    poor = {"error": {"code": 402, "message": "add credits"}}
    with Proxy(answer=lambda path, body: poor) as proxy, pytest.raises(UserError, match="add credits"):
        ask_all(decoder_of(proxy), ["Who is it"])
    assert len(proxy.log) == 1


def test_a_text_in_parts_is_one_and_half_a_character_can_be_written() -> None:
    parts = [{"type": "text", "text": "New "}, {"type": "text", "text": "York"}]
    assert read(choice={"message": {"content": parts}}).text == "New York"
    assert read(choice={"message": {"content": "so \ud83d"}}).text.encode()


def test_thoughts_are_no_part_of_answers() -> None:
    assert without_thought("<think>\nhm, B?\n</think>\n\nB") == "B"
    assert without_thought("hm</think>B") == "B"
    assert without_thought("<think>hm") == ""
    assert without_thought("I think <b>B</b>") == "I think <b>B</b>"
    thinking = saying(lambda _, choice: choice["message"].update(content="<think>no</think> B"))
    with Proxy(answer=thinking) as proxy:
        (made,) = ask_all(decoder_of(proxy), ["Who is it"])
    assert made.text == "B"


def test_where_stop_texts_are_refused_nobody_guesses_which_one_ended_an_answer() -> None:
    reply = read(choice={"finish_reason": "stop"})
    assert reply.stop_text == "\n"
    content = echo("/chat/completions", {"model": "m1", "messages": [{"content": "a b c"}]})
    assert READER.read(content, Wanted("chat", {}, 8, ["\n"]), 0.1, stops_sent=False).stop_text is None


def test_several_answers_come_in_an_object_and_are_a_list_again() -> None:
    entry = ApiEntry(kind="api", base_url="http://127.0.0.1:1/v1", constrain="json", structured="schema")
    sender = Sender(entry, None)

    def asked(number: int) -> Request:
        facts: dict[str, Any] = {"messages": ({"role": "user", "content": "Who"},), "pattern": "x"}
        future: asyncio.Future[Completion] = asyncio.Future(loop=asyncio.new_event_loop())
        return Request([], Rules(8), "g", future, num_questions=number, **facts)

    schema = sender.wanted(asked(3)).body["response_format"]["json_schema"]["schema"]
    assert schema["type"] == "object" and schema["properties"]["answers"]["minItems"] == 3
    assert sender.said(asked(3), '{"answers": [{"id": 1}, {"id": 2}] }') == '[{"id": 1}, {"id": 2}]'
    assert sender.said(asked(3), '{"answers": [{"id": 1}, {"i') == '[{"id": 1}, {"i'
    assert sender.said(asked(1), '{"answer": "x"}') == '{"answer": "x"}'


# ----- what errors mean -----


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": {"code": "context_length_exceeded", "message": "no"}}, DoesNotFit),
        (400, {"error": {"message": "This model's maximum context length is 4096 tokens."}}, DoesNotFit),
        (400, {"error": {"message": "the request exceeds the available context size"}}, DoesNotFit),
        (400, [{"error": {"message": "The input token count (9) exceeds the maximum"}}], DoesNotFit),
        (422, {"detail": [{"msg": "prompt is too long: 9 tokens > 8"}]}, DoesNotFit),
        (400, {"error": {"message": "response_format is not supported in this context"}}, UserError),
        (400, {"error": {"message": "max_tokens is too large: 99999"}}, UserError),
        (400, {"error": {"code": "content_filter", "message": "The response was filtered"}}, Fault),
        (403, {"error": {"message": "Your input was flagged by moderation"}}, Fault),
        (403, {"error": {"message": "no access"}}, UserError),
        (429, {"error": {"type": "insufficient_quota", "code": None}}, UserError),
        (429, {"error": {"message": "slow down"}}, Fault),
        (500, "<html>oops</html>", Fault),
    ],
)
def test_errors_by_what_they_say(status: int, body: Any, kind: type) -> None:
    assert type(of_error(status, body, ASKED)) is kind


def test_a_prompt_that_is_refused_is_an_empty_answer_at_once() -> None:
    with Proxy(faults=lambda number, _: "flagged" if number == 1 else None) as proxy:
        made = ask_all(decoder_of(proxy, model=PRICED), questions(3))
    assert sorted(one.text for one in made) in (["", "n0", "n2"], ["", "n0", "n1"])
    assert len(proxy.log) == 3
    (empty,) = (one for one in made if not one.text)
    assert empty.served is not None and empty.served.faults == {FLAGGED: 1}
    assert (empty.tokens.sent, empty.tokens.generated, empty.served.cost) == (0, 0, 0)


# ----- the ledger and what it costs -----


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        ({"total_tokens": None}, (3, 0, 1)),
        ({"prompt_tokens": 3.0, "completion_tokens": 1.0, "total_tokens": 4.0}, (3, 0, 1)),
        ({"total_tokens": 30}, (3, 0, 27)),  # thoughts in the total alone
        (
            {
                "completion_tokens": 50,
                "total_tokens": 53,
                "completion_tokens_details": {"reasoning_tokens": 45},
            },
            (3, 0, 50),
        ),
        ({"prompt_tokens_details": {"cached_tokens": 9}}, (3, 3, 1)),
        ({"prompt_tokens_details": None, "completion_tokens_details": None}, (3, 0, 1)),
    ],
)
def test_usage_as_providers_write_it(usage: dict[str, Any], counts: tuple[int, int, int]) -> None:
    reply = read(usage=usage)
    assert (reply.prompt_tokens, reply.cached_tokens, reply.generated_tokens) == counts


@pytest.mark.parametrize(
    "usage",
    [{"prompt_tokens": 0}, {"completion_tokens": 50}, {"total_tokens": 2}, {"prompt_tokens": 2.5}],
)
def test_usage_that_cannot_be(usage: dict[str, Any]) -> None:
    with pytest.raises(Fault, match="wrong usage"):
        read(usage=usage)


def test_what_goes_wrong_with_all_is_found_and_paid_for_few_times() -> None:
    other = saying(lambda content, _: content.update(model="another"))
    with Proxy(answer=other) as proxy, pytest.raises(UserError, match="as another") as caught:
        ask_all(decoder_of(proxy, concurrency=16), questions(40))
    assert "served_as: another" in caught.value.remedy
    assert len(proxy.log) == client.FEW
    filtered = saying(lambda _, choice: choice.update(finish_reason="content_filter"))
    with Proxy(answer=filtered) as proxy:
        (made,) = ask_all(decoder_of(proxy), ["Who is it"])
    assert made.text == "" and len(proxy.log) == client.FEW


def test_attempts_without_an_answer_are_paid_for(tmp_path: Path) -> None:
    filtered = at_first(lambda _, choice: choice.update(finish_reason="content_filter"), 3)
    with Proxy(answer=filtered) as proxy:
        decoder = decoder_of(proxy, tmp_path / "replies.jsonl", PRICED)
        (made,) = ask_all(decoder, ["Who is it"])
        (kept,) = ask_all(decoder_of(proxy, tmp_path / "replies.jsonl", PRICED), ["Who is it"])
    assert made.served is not None and kept.served is not None
    assert made.served.cost == kept.served.cost == 4 * 4
    assert decoder._shared.purse.spent == 4 * 4


def test_what_is_under_way_is_waited_for_before_a_cost_limit_ends_a_run() -> None:
    """Each may make 8 tokens and makes one: of a limit for two at once all six are asked."""
    with Proxy(latency_s=0.02) as proxy:
        decoder = decoder_of(proxy, model=PRICED, cost_limit=6 * 5 + 24)
        made = ask_all(decoder, questions(6))
    assert [one.text for one in made] == [f"n{index}" for index in range(6)]


def test_after_an_error_what_was_sent_comes_home_and_is_kept(tmp_path: Path) -> None:
    replies = tmp_path / "replies.jsonl"
    with Proxy(faults=lambda number, _: "401" if number == 10 else None, latency_s=0.3) as proxy:
        decoder = decoder_of(proxy, replies, concurrency=8)
        with pytest.raises(UserError, match="without a key"):
            ask_all(decoder, questions(40))
        assert len(replies.read_text().splitlines()) == proxy.counts["answered"] >= 10
        sent = len(proxy.log)
        assert sent < 40
        time.sleep(0.5)
        assert len(proxy.log) == sent  # nothing new goes out


# ----- times -----


def test_one_that_stops_waiting_stops_nobody_else() -> None:
    """All wait for one probe of the network."""
    with Proxy(latency_s=0.05) as proxy:
        decoder = decoder_of(proxy)

        async def both() -> Completion:
            loop = asyncio.get_running_loop()
            futures: list[asyncio.Future[Completion]] = [loop.create_future() for _ in range(2)]
            for group, future in enumerate(futures):
                messages = ({"role": "user", "content": f"Who is n{group}"},)
                decoder.submit(Request([], Rules(8), group, future, messages=messages))
            decoder.close(0)
            return await futures[1]

        with decoder.attached():
            assert run(both(), decoder.step).text == "n1"


def test_a_run_takes_no_longer_than_it_may_however_long_a_server_wants_to_be_left_alone() -> None:
    with Proxy(faults=lambda number, _: "429", headers={"retry-after": "600"}) as proxy:
        decoder = decoder_of(proxy, run_timeout_s=1)
        time.sleep(1.1)  # what comes before the run does not count
        began = time.monotonic()
        with pytest.raises(UserError, match=r"the run has taken 1 s \(run_timeout_s\)"):
            ask_all(decoder, ["Who is it"])
    assert 0.8 < time.monotonic() - began < 5 and len(proxy.log) == 1


def test_rates_are_kept_to_after_a_wait_too() -> None:
    with Proxy() as warm:
        # What the first request of a process loads would be time to spare for those after it.
        ask_all(decoder_of(warm), ["Who is it"])
    began = time.monotonic()
    with Proxy(
        faults=lambda number, _: "429" if number == 1 else None, headers={"retry-after": "1"}
    ) as proxy:
        ask_all(decoder_of(proxy, requests_per_minute=300), questions(5))
    # Counted from what came before: on a busy machine any request may arrive late, and the next in time.
    assert all(sent_s - began >= 0.19 * number for number, sent_s in enumerate(proxy.sent_s))
    waited = [sent_s - proxy.sent_s[1] for sent_s in proxy.sent_s if sent_s - proxy.sent_s[1] >= 0.99]
    assert waited and all(after_s >= 0.99 + 0.19 * number for number, after_s in enumerate(waited))


@pytest.mark.parametrize("status", ["429", "500"])
def test_a_wait_is_as_long_as_the_server_says_whatever_the_status(status: str) -> None:
    with Proxy(
        faults=lambda number, _: status if number == 0 else None, headers={"retry-after": "1"}
    ) as proxy:
        ask_all(decoder_of(proxy, max_wait_s=0.1), ["Who is it"])
    assert proxy.sent_s[1] - proxy.sent_s[0] >= 0.9


# ----- keys -----


def test_openais_key_goes_to_openai_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai-0123")
    with Proxy() as proxy:
        ask_all(decoder_of(proxy), ["Who is it"])
    assert proxy.keys == {"bearer none"}
    assert ApiEntry(kind="api").key_name == "OPENAI_API_KEY"
    with pytest.raises(ValueError, match="which variable holds the key of https://example.org/v1"):
        ApiEntry(kind="api", base_url="https://example.org/v1")


@pytest.mark.parametrize("key", ["sk-123\n", "sk-12ü", "sk 12"])
def test_what_is_no_key_is_said(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("MY_KEY", key)
    with Proxy() as proxy, pytest.raises(UserError, match="MY_KEY holds characters that no key"):
        decoder_of(proxy, key_variable="MY_KEY")


@pytest.mark.parametrize(
    "extra", [{"api_key": "x"}, {"headers": {"Authorization": "x"}}, {"a": [{"auth-token": "x"}]}]
)
def test_keys_do_not_stand_in_configs(extra: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="may be a key"):
        ApiEntry(kind="api", extra=extra)
    ApiEntry(kind="api", extra={"provider": {"order": ["x"]}, "max_thinking_tokens": 3})


def test_many_threads_and_faults_leave_no_waiter_behind() -> None:
    before = threading.active_count()
    with Proxy(faults=some(0.5, seed=3)) as proxy:
        made = ask_all(
            decoder_of(proxy, concurrency=4, max_attempts=30, request_timeout_s=1), questions(20)
        )
    assert [one.text for one in made] == [f"n{index}" for index in range(20)]
    assert threading.active_count() <= before + 40
