"""A chat endpoint on the loopback that answers as the real ones do: in time, late, wrongly or not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-very-secret-0123456789"


@dataclass(frozen=True)
class Reply:
    """What the server sends."""

    content: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None  # bytes of the content, then the connection ends
    after: threading.Event | None = None  # that is waited for


@dataclass(frozen=True)
class Asked:
    """What the server was asked."""

    path: str
    headers: Mapping[str, str]
    body: Any

    @property
    def question(self) -> str:
        return str(self.body["messages"][-1]["content"])


def saying(text: str | None, *, finish: str = "stop") -> Reply:
    """A completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return Reply(json.dumps({"object": "chat.completion", "choices": [choice]}).encode())


@dataclass
class ChatServer:
    """Answers each request with what a function makes of it, and remembers what it was asked."""

    answer: Callable[[Asked], Reply]
    url: str = ""
    asked: list[Asked] = field(default_factory=list)

    def reply(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        return self.answer(asked)


def in_order(*replies: Reply) -> Callable[[Asked], Reply]:
    """The first request gets the first reply, and so on; the last one answers all that follow."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


@contextmanager
def chatting(answer: Callable[[Asked], Reply]) -> Iterator[ChatServer]:
    """A server that runs until the block ends."""
    server = ChatServer(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = server.reply(Asked(self.path, headers, body))
            if reply.after is not None:
                reply.after.wait(30)
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.content)))
                self.end_headers()
                self.wfile.write(reply.content[: reply.cut_after])
            except OSError:
                return  # who asked has gone

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    server.url = f"http://127.0.0.1:{listening.server_address[1]}/v1"
    try:
        yield server
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()
