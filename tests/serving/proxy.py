"""A server on loopback whose faults are chosen by the test: between a client and whoever answers."""

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Answer = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Path and body of a request -> body of the reply."""
Fate = Callable[[int, Mapping[str, Any]], str | None]
"""Number (from 0, by arrival) and body of a request -> the name of a fault; None: it is answered."""


def echo(path: str, body: dict[str, Any]) -> dict[str, Any]:
    """A reply that repeats the end of the prompt; a token a word."""
    said = body["prompt"] if path.endswith("/completions") and "prompt" in body else None
    text = said if said is not None else body["messages"][-1]["content"]
    answer = text.split()[-1]
    whole = text if said is not None else " ".join(m["content"] for m in body["messages"])
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
    choice |= (
        {"text": answer} if said is not None else {"message": {"role": "assistant", "content": answer}}
    )
    sent = len(whole.split())
    usage = {"prompt_tokens": sent, "completion_tokens": 1, "total_tokens": sent + 1}
    return {"model": body["model"], "choices": [choice], "usage": usage, "system_fingerprint": "fp1"}


@dataclass
class Proxy:
    """Answers by `answer`, after `latency_s`; of every request `faults` may say another fate.

    `log` has every request's body in order of arrival, `counts` what became of them; `most_at_once` were
    under way together.
    """

    answer: Answer = echo
    faults: Fate = lambda number, body: None
    latency_s: float = 0.0
    headers: Mapping[str, str] = field(default_factory=dict)
    log: list[dict[str, Any]] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    sent_s: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    most_at_once: int = 0
    _at_once: int = 0

    def __enter__(self) -> "Proxy":
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        started = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, "127.0.0.1", 0), self._loop
        )
        self._server = started.result()
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    def __exit__(self, *_: Any) -> None:
        async def close() -> None:
            self._server.close()
            for task in asyncio.all_tasks():
                if task is not asyncio.current_task():
                    task.cancel()

        asyncio.run_coroutine_threadsafe(close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, path, _ = head.split("\r\n")[0].split()
        fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        body = json.loads(await reader.readexactly(int(fields.get("content-length", 0))) or b"{}")
        if method == "GET":
            self._write(writer, 200, {"object": "list", "data": []})
            return True
        number = len(self.log)
        self.log.append(body)
        self.keys.add(fields.get("authorization", ""))
        self.sent_s.append(time.monotonic())
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await asyncio.sleep(self.latency_s)
            fault = self.faults(number, body)
            self.counts[fault or "answered"] += 1
            return await self._fate(fault, path, body, writer)
        finally:
            self._at_once -= 1

    async def _fate(
        self, fault: str | None, path: str, body: dict[str, Any], writer: asyncio.StreamWriter
    ) -> bool:
        if fault and fault.isdigit():
            self._write(writer, int(fault), {"error": {"message": f"fault {fault}"}}, self.headers)
            return True
        if fault == "flagged":
            error = {"code": "content_filter", "message": "The prompt was filtered"}
            self._write(writer, 400, {"error": error})
            return True
        content = self.answer(path, body)
        match fault:
            case "retry-after":
                self._write(writer, 429, {"error": {"message": "slow down"}}, {"retry-after": "0.2"})
                return True
            case "reset":
                data = json.dumps(content).encode()
                writer.write(self._head(200, len(data)) + data[: len(data) // 2])
                await writer.drain()
                writer.transport.abort()
                return False
            case "slow":
                data = json.dumps(content).encode()
                writer.write(self._head(200, len(data)))
                for byte in data:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0.2)
                return True
            case "truncated":
                self._raw(writer, json.dumps(content).encode()[:-9])
                return True
            case "no choices":
                content = {**content, "choices": []}
            case "null":
                content["choices"][0] |= {"message": {"content": None}, "text": None}
            case "other model":
                content = {**content, "model": "somebody-else"}
            case "filter":
                content["choices"][0] |= {"finish_reason": "content_filter"}
            case "usage":
                content = {**content, "usage": {"prompt_tokens": -3, "completion_tokens": 9999}}
            case "no usage":
                content = {**content, "usage": None}
        self._write(writer, 200, content)
        return True

    def _write(
        self,
        writer: asyncio.StreamWriter,
        status: int,
        content: dict[str, Any],
        headers: Mapping[str, str] | None = None,
    ) -> None:
        data = json.dumps(content).encode()
        writer.write(self._head(status, len(data), headers) + data)

    def _raw(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(self._head(200, len(data)) + data)

    @staticmethod
    def _head(status: int, length: int, headers: Mapping[str, str] | None = None) -> bytes:
        lines = [f"HTTP/1.1 {status} X", "content-type: application/json", f"content-length: {length}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


KINDS = [
    *"429 500 503 retry-after reset slow truncated null filter usage".split(),
    *("no choices", "other model", "no usage"),
]
"""All faults that a proxy can make of a request."""


def some(share: float, seed: int = 0) -> Fate:
    """So many of all attempts go wrong, in all ways alike. What becomes of a request's attempts is the
    same in whatever order requests arrive: else one would now and then be filtered too often to be
    answered.
    """
    attempts: Counter[str] = Counter()

    def fate(number: int, body: Mapping[str, Any]) -> str | None:
        asked = json.dumps(body, sort_keys=True)
        attempts[asked] += 1
        drawn = random.Random(f"{seed}/{asked}/{attempts[asked]}")
        return drawn.choice(KINDS) if drawn.random() < share else None

    return fate
