"""A judge to test against: a server on this machine."""

import json
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from branchwise.evaluation.entries import JudgeEntry


class _Quiet(ThreadingHTTPServer):
    """Writes of no mistake: standard error is the command's under test, which runs in this process."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self.mistakes: list[BaseException] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        mistake = sys.exception()
        # A client that is refused hangs up on the requests that it has under way.
        if mistake is not None and not isinstance(mistake, ConnectionError):
            self.mistakes.append(mistake)


class Server:
    """An OpenAI-compatible server that says what it is told, and notes what it is asked.

    Runs inside a `with`, whose end raises the first mistake that the server made, if any.
    """

    def __init__(self) -> None:
        self.replies: dict[str, list] = {}
        self.asked: list[dict] = []
        self.keys: set[str] = set()
        self.refuses: Callable[[dict], tuple[int, bytes] | None] = lambda body: None
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                sent = self.rfile.read(length)
                if len(sent) < length:
                    raise ConnectionError("the client hung up")
                body = json.loads(sent)
                server.asked.append(body)
                refusal = server.refuses(body)
                server.keys.add(self.headers.get("Authorization", ""))
                text = body["messages"][1]["content"]
                answer = text.split("<<<ANSWER\n")[1].split("\nANSWER>>>")[0]
                queue = server.replies[answer]
                reply = queue.pop(0) if len(queue) > 1 else queue[0]
                status, content = reply if isinstance(reply, tuple) else (200, reply)
                status, content = refusal or (status, content)
                text = content if isinstance(content, str) else ""
                message = {"role": "assistant", "content": text}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                payload = {"id": "1", "object": "chat.completion", "created": 0, "model": "m"}
                data = json.dumps(payload | {"choices": [choice]}).encode()
                data = content if isinstance(content, bytes) else data
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args: object) -> None:
                pass

        self.http = _Quiet(Handler)

    def __enter__(self) -> Self:
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.shutdown()
        self.http.server_close()
        if self.http.mistakes:
            raise self.http.mistakes[0]

    def entry(self, **more) -> JudgeEntry:
        url = f"http://127.0.0.1:{self.http.server_port}/v1"
        fields = {"model": "m", "base_url": url, "rubric": "single", "max_attempts": 2, "timeout_s": 5}
        fields["key_variable"] = "OPENAI_API_KEY"
        return JudgeEntry(**(fields | more))
