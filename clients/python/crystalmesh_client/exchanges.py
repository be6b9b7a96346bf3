"""Calls in which both sides stream at the same time.

What the server sends is taken in at once, also while a message is on its way to it: neither side ever
waits for the other to read. How much may come is for the caller to bound, by what it sends.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Protocol, Self, cast

import grpc
from google.protobuf.message import Message

from crystalmesh_client.uploads import AsyncWriter, Feed, FirstStatus, written
from crystalmesh_common.runtime.errors import CallCancelledError, CrystalMeshError
from crystalmesh_common.runtime.statuses import RpcFailure, from_rpc_failure


class Exchange:
    """A call that sends and receives, for one thread that does both. Leaving it cancels the call."""

    def __init__(self, start: Callable[[Feed], Any]) -> None:
        self._changed = threading.Condition()
        self._feed = Feed(self._changed)
        self._received: deque[Any] = deque()
        self._has_ended = False
        self._failure: CrystalMeshError | None = None
        self._call = start(self._feed)
        self._reader = threading.Thread(target=self._read, name="crystalmesh-exchange", daemon=True)
        self._reader.start()

    @property
    def is_over(self) -> bool:
        """Whether the call has ended and all that came has been handed out."""
        with self._changed:
            return self._has_ended and not self._received

    @property
    def failure(self) -> CrystalMeshError | None:
        """Why the call that is over failed; None when it ended well."""
        return self._failure

    @property
    def can_send(self) -> bool:
        """Whether the message before has gone."""
        return self._feed.is_free and not self._has_ended

    def send(self, message: Message) -> None:
        """Let a message go, when one can."""
        self._feed.put(message)

    def end(self) -> None:
        """What was sent is all, and all of it has gone."""
        self._feed.end()

    def next_received(self) -> Any | None:
        """The next response if one has come."""
        with self._changed:
            return self._received.popleft() if self._received else None

    def wait(self, *, to_send: bool) -> None:
        """Wait until something has come, the call has ended, or, if that is wanted, a message can go."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._received or self._has_ended or (to_send and self._feed.is_free)
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # In this order: a feed that ends before the call is cancelled looks to the server like a whole one.
        self._call.cancel()
        self._feed.end()
        self._reader.join()

    def _read(self) -> None:
        failure: CrystalMeshError | None = None
        try:
            for response in self._call:
                with self._changed:
                    self._received.append(response)
                    self._changed.notify_all()
        except grpc.RpcError as error:
            failure = from_rpc_failure(cast("RpcFailure", error))
        with self._changed:
            self._failure, self._has_ended = failure, True
            self._feed.end()


class AsyncCall(AsyncWriter, Protocol):
    """What we use of grpc.aio's call with streams in both directions."""

    def __aiter__(self) -> AsyncIterator[Any]: ...


class AsyncExchange:
    """The same for one task of an event loop."""

    def __init__(self, call: AsyncCall, changed: asyncio.Event) -> None:
        self._changed = changed
        self._call = call
        self._received: deque[Any] = deque()
        self._has_ended = False
        self._failure: CrystalMeshError | None = None
        self._first = FirstStatus()
        call.add_done_callback(self._first.note)
        self._reader = asyncio.create_task(self._read())
        self._writer: asyncio.Task[None] | None = None

    @property
    def is_over(self) -> bool:
        return self._has_ended and not self._received

    @property
    def failure(self) -> CrystalMeshError | None:
        return self._failure

    @property
    def can_send(self) -> bool:
        return self._writer is None and not self._has_ended

    def send(self, message: Message) -> None:
        self._writer = asyncio.create_task(self._write(message))

    def end(self) -> None:
        self._writer = asyncio.create_task(self._end())

    def next_received(self) -> Any | None:
        return self._received.popleft() if self._received else None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call.cancel()
        tasks = [task for task in (self._reader, self._writer) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self) -> None:
        try:
            # Not by `read`, which gives up what has come when writing fails.
            async for response in self._call:
                self._received.append(response)
                self._changed.set()
        except grpc.RpcError as error:
            await self._first.settle(self._call)
            said = self._first if self._first.is_true else cast("RpcFailure", error)
            self._failure = None if self._first.is_ok else from_rpc_failure(said)
        except asyncio.CancelledError:  # ours, or of whoever closed the channel
            self._failure = CallCancelledError("the call was cancelled here")
            raise
        finally:
            self._has_ended = True
            self._changed.set()

    async def _write(self, message: Message) -> None:
        if await written(self._call, message):
            self._writer = None
            self._changed.set()

    async def _end(self) -> None:
        await self._call.done_writing()
