"""A web server on the loopback that answers as databases do: with pages, errors and cut connections."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from crystalmesh_retrieval.sources.web import Web


@dataclass(frozen=True)
class Reply:
    """What the server sends."""

    content: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None  # bytes of the content, then the connection ends

    @classmethod
    def of(cls, answer: Any, **fields: Any) -> Self:
        """An answer in JSON."""
        return cls(json.dumps(answer).encode(), **fields)


@dataclass(frozen=True)
class Asked:
    """What the server was asked."""

    path: str
    headers: Mapping[str, str]
    body: Any


class Database:
    """Answers each request with what a function makes of it, and remembers what it was asked."""

    def __init__(self, answer: Callable[[Asked], Reply]) -> None:
        self.asked: list[Asked] = []
        database = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                asked = Asked(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                database.asked.append(asked)
                self._send(answer(asked))

            do_POST = do_GET  # noqa: N815 -- the name that http.server calls

            def _send(self, reply: Reply) -> None:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.content)))
                self.end_headers()
                self.wfile.write(reply.content[: reply.cut_after])

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class InOrder:
    """Answers the first request with the first reply, and so on; the last one answers all that follow."""

    def __init__(self, *replies: Reply) -> None:
        self._replies = list(replies)

    def __call__(self, _asked: Asked) -> Reply:
        return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]


@dataclass
class Waits:
    """Keeps the waits instead of waiting."""

    seconds: list[float] = field(default_factory=list)

    def web(self, **fields: Any) -> Web:
        return Web(sleep=self.seconds.append, **fields)
