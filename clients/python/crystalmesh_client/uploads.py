"""Calls in which the client streams and the server answers once.

The server may answer before the stream has ended: it refuses it, or has seen enough. The messages that
follow are then not taken any more, and its answer stands.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Iterable
from contextlib import aclosing, closing
from typing import Any, Protocol, cast

import grpc
from google.protobuf.message import Message

from crystalmesh_client.connection import translated_errors
from crystalmesh_common.runtime.statuses import RpcFailure, from_rpc_failure

_LOOKS, _SECONDS_BETWEEN_LOOKS = 100, 0.01
"""How often to look for a status that is to come; mostly the first look finds it."""


class Feed:
    """Hands messages from the caller's thread to gRPC's, one at a time.

    So the caller's iterable is read on the thread that it belongs to, no faster than the server takes its
    items, and what it raises is the caller's to see.
    """

    def __init__(self, changed: threading.Condition | None = None) -> None:
        self._changed = changed or threading.Condition()
        self._next: Message | None = None
        self._ended = False

    @property
    def is_free(self) -> bool:
        """Whether gRPC has taken all that was put there."""
        return self._next is None

    def put(self, message: Message) -> None:
        """Leave a message for gRPC to take, when it is free."""
        with self._changed:
            self._next = message
            self._changed.notify_all()

    def offer(self, message: Message) -> bool:
        """Wait until gRPC takes the message; False when the call ends instead."""
        with self._changed:
            self.put(message)
            self._changed.wait_for(lambda: self.is_free or self._ended)
            return self.is_free

    def end(self) -> None:
        """What was offered is all, or the call has ended."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def __iter__(self) -> Feed:
        return self

    def __next__(self) -> Message:
        with self._changed:
            self._changed.wait_for(lambda: self._next is not None or self._ended)
            if self._next is None or self._ended:
                raise StopIteration
            message, self._next = self._next, None
            self._changed.notify_all()
            return message


def upload(start: Callable[[Feed], Any], messages: Generator[Message, None, None]) -> Any:
    """The response to a stream of messages. `start` begins the call, and gives its future."""
    feed = Feed()
    call = start(feed)
    # gRPC's own thread says when the call has ended.
    call.add_done_callback(lambda _: feed.end())
    try:
        with closing(messages):
            for message in messages:
                if not feed.offer(message):
                    break
        feed.end()
        with translated_errors():
            return call.result()
    finally:
        # In this order: a feed that ends before the call is cancelled looks to the server like a whole one.
        call.cancel()
        feed.end()


class AsyncWriter(Protocol):
    """What we use of grpc.aio's calls with a stream of requests."""

    def add_done_callback(self, callback: Callable[[Any], None]) -> None: ...
    def write(self, request: Any) -> Awaitable[None]: ...
    def done_writing(self) -> Awaitable[None]: ...
    def cancel(self) -> bool: ...


class AsyncUpload(AsyncWriter, Protocol):
    """The same, of those with one response."""

    def __await__(self) -> Generator[Any, None, Any]: ...


async def upload_async(call: AsyncUpload, messages: AsyncGenerator[Message, None]) -> Any:
    """The same for a call of grpc.aio that has begun."""
    first = FirstStatus()
    call.add_done_callback(first.note)
    try:
        async with aclosing(messages):
            async for message in messages:
                if not await written(call, message):
                    break
        await call.done_writing()
        return await call
    except grpc.RpcError as failure:
        raise from_rpc_failure(first if first.is_true else cast("RpcFailure", failure)) from None
    finally:
        call.cancel()


async def written(call: AsyncWriter, message: Message) -> bool:
    """Whether the message was taken; otherwise the call has ended, and why is for its own answer to say."""
    try:
        await call.write(message)
    except (grpc.RpcError, asyncio.InvalidStateError):
        return False
    return True


class FirstStatus:
    """The status that a call of grpc.aio ended with at first.

    When a call ends while a message is being written, grpc.aio 1.85 sets a status of its own, INTERNAL with
    "Internal error from Core", before or after that of the server: the last one to come is what it raises.
    (Seen in two or three of a hundred refused streams.) So the one that came first counts unless it is that.
    """

    def __init__(self) -> None:
        self._parts: tuple[grpc.StatusCode, str | None, Iterable[tuple[str, str | bytes]] | None] | None = (
            None
        )

    @property
    def is_true(self) -> bool:
        """Whether it is what the server said. Its own INTERNAL brings details."""
        if self._parts is None or self._parts[0] is grpc.StatusCode.OK:
            return False
        return self._parts[0] is not grpc.StatusCode.INTERNAL or bool(self._parts[2])

    @property
    def is_ok(self) -> bool:
        """Whether the server ended the call well."""
        return self._parts is not None and self._parts[0] is grpc.StatusCode.OK

    def note(self, call: Any) -> None:
        """To be called when the call is done."""
        if not (self.is_true or self.is_ok):
            self._parts = _at_once(call.code()), _at_once(call.details()), _at_once(call.trailing_metadata())

    async def settle(self, call: Any) -> None:
        """Wait for what the server says of a call that is done: it may come a moment after grpc.aio's own."""
        for _ in range(_LOOKS):
            self.note(call)
            if self.is_true or self.is_ok:
                return
            await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNKNOWN if self._parts is None else self._parts[0]

    def details(self) -> str | None:
        return None if self._parts is None else self._parts[1]

    def trailing_metadata(self) -> Iterable[tuple[str, str | bytes]] | None:
        return None if self._parts is None else self._parts[2]


def _at_once(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise RuntimeError("the call is done, and its status is not known")
