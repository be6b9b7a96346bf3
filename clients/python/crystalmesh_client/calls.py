"""Calls to one service over one channel, from synchronous and from asyncio code.

Long lists go in calls of bounded size. When the server goes away and comes back meanwhile, what has no
outcome yet is sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from contextlib import aclosing, closing
from typing import Any

from google.protobuf.message import Message

from crystalmesh_client.batches import Item, Unanswered, chunks, stream_all
from crystalmesh_client.connection import Connection, translated_errors
from crystalmesh_client.exchanges import AsyncExchange, Exchange
from crystalmesh_client.questions import Outcome, Question
from crystalmesh_client.uploads import upload, upload_async
from crystalmesh_common.runtime.errors import UnavailableError

_LOOK_UP_SECONDS = 30
"""How long a call that computes nothing may take."""


class Caller:
    """Calls a service from synchronous code. Errors are those of `crystalmesh_common.runtime.errors`."""

    def __init__(self, connection: Connection, service: str, stub: Callable[[Any], Any]) -> None:
        self._connection = connection
        self._service = service
        self._channel = connection.sync_channel(service)
        self._stub = stub(self._channel)

    def look_up(self, rpc: str, request: Message) -> Any:
        """The response of a call that is soon answered."""
        method = getattr(self._stub, rpc)
        with translated_errors():
            return method(
                request, metadata=self._connection.metadata(self._service), timeout=_LOOK_UP_SECONDS
            )

    def responses(self, rpc: str, request: Message, timeout: float | None) -> Generator[Any, None, None]:
        """The responses of one streaming call, as they come. Closing the generator cancels the call."""
        method = getattr(self._stub, rpc)
        with translated_errors():
            stream = method(request, metadata=self._connection.metadata(self._service), timeout=timeout)
            try:
                yield from stream
            finally:
                stream.cancel()

    def outcomes(
        self, question: Question[Item, Outcome], items: Sequence[Item], timeout: float | None
    ) -> Iterator[Outcome]:
        """What `question` reads about all items, as it comes. `timeout` bounds each call, in seconds."""

        def ask(unanswered: Unanswered[Item]) -> Iterator[Outcome]:
            request = question.request(unanswered.items())
            with closing(self.responses(question.rpc, request, timeout)) as responses:
                for response in responses:
                    yield question.read(response, unanswered)

        return stream_all(items, ask)

    def pages(self, rpc: str, request: Any) -> Iterator[Any]:
        """The responses of a call that lists page by page, each asked for when it is wanted."""
        page = type(request)()
        page.CopyFrom(request)
        while True:
            response = self.look_up(rpc, page)
            yield response
            if not response.next_page_token:
                return
            page.page_token = response.next_page_token

    def upload(self, rpc: str, messages: Generator[Message, None, None], timeout: float | None) -> Any:
        """The response to a stream of messages, which are read on this thread as the server takes them."""
        method = getattr(self._stub, rpc).future
        metadata = self._connection.metadata(self._service)
        return upload(lambda feed: method(feed, metadata=metadata, timeout=timeout), messages)

    def exchange(self, rpc: str, timeout: float | None) -> Exchange:
        """A call in which both sides stream, which begins now."""
        method = getattr(self._stub, rpc)
        metadata = self._connection.metadata(self._service)
        return Exchange(lambda feed: method(feed, metadata=metadata, timeout=timeout))

    def close(self) -> None:
        """Close the channel; running calls are cancelled."""
        self._channel.close()


class AsyncCaller:
    """The same from asyncio code."""

    def __init__(self, connection: Connection, service: str, stub: Callable[[Any], Any]) -> None:
        self._connection = connection
        self._service = service
        self._channel = connection.async_channel(service)
        self._stub = stub(self._channel)

    async def look_up(self, rpc: str, request: Message) -> Any:
        method = getattr(self._stub, rpc)
        with translated_errors():
            return await method(
                request, metadata=self._connection.metadata(self._service), timeout=_LOOK_UP_SECONDS
            )

    async def responses(
        self,
        rpc: str,
        request: Message,
        timeout: float | None,  # noqa: ASYNC109 -- the call's deadline
    ) -> AsyncGenerator[Any, None]:
        method = getattr(self._stub, rpc)
        with translated_errors():
            stream = method(request, metadata=self._connection.metadata(self._service), timeout=timeout)
            try:
                async for response in stream:
                    yield response
            finally:
                stream.cancel()

    async def outcomes(
        self,
        question: Question[Item, Outcome],
        items: Sequence[Item],
        timeout: float | None,  # noqa: ASYNC109
    ) -> AsyncGenerator[Outcome, None]:
        for number, chunk in enumerate(chunks(items)):
            unanswered = Unanswered(chunk, reached=number > 0)
            while unanswered:
                request = question.request(unanswered.items())
                try:
                    # Closing ours closes the inner one, which cancels the call.
                    async with aclosing(self.responses(question.rpc, request, timeout)) as responses:
                        async for response in responses:
                            yield question.read(response, unanswered)
                    unanswered.check_all_answered()
                except UnavailableError as error:
                    await asyncio.sleep(unanswered.pause_after(error))

    async def pages(self, rpc: str, request: Any) -> AsyncGenerator[Any, None]:
        page = type(request)()
        page.CopyFrom(request)
        while True:
            response = await self.look_up(rpc, page)
            yield response
            if not response.next_page_token:
                return
            page.page_token = response.next_page_token

    async def upload(
        self,
        rpc: str,
        messages: AsyncGenerator[Message, None],
        timeout: float | None,  # noqa: ASYNC109 -- the call's deadline
    ) -> Any:
        method = getattr(self._stub, rpc)
        call = method(metadata=self._connection.metadata(self._service), timeout=timeout)
        return await upload_async(call, messages)

    def exchange(self, rpc: str, timeout: float | None, changed: asyncio.Event) -> AsyncExchange:
        """`changed` is set whenever there is something new about it."""
        method = getattr(self._stub, rpc)
        call = method(metadata=self._connection.metadata(self._service), timeout=timeout)
        return AsyncExchange(call, changed)

    async def close(self) -> None:
        await self._channel.close()
