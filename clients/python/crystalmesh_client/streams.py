"""One streaming RPC over any number of crystals, from synchronous and from asyncio code.

Crystals go in calls of bounded size. When the server goes away and comes back meanwhile, those without an
outcome are sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from crystalmesh_client.batches import Unanswered, chunks, stream_all
from crystalmesh_client.connection import Connection, translated_errors
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import UnavailableError

Request = TypeVar("Request")
Response = TypeVar("Response")
Outcome = TypeVar("Outcome")


@dataclass(frozen=True)
class CrystalStream(Generic[Request, Response, Outcome]):
    """What to ask about crystals, and how to read the answers."""

    connection: Connection
    service: str
    request: Callable[[Sequence[Crystal]], Request]
    read: Callable[[Response, Unanswered], Outcome]
    timeout: float | None  # of each call, in seconds

    def outcomes(self, method: Callable[..., Any], crystals: Sequence[Crystal]) -> Iterator[Outcome]:
        """One outcome per crystal, as each is done. Closing the iterator cancels the call."""
        return stream_all(crystals, lambda unanswered: self._call(method, unanswered))

    def _call(self, method: Callable[..., Any], unanswered: Unanswered) -> Iterator[Outcome]:
        request = self.request(unanswered.crystals())
        with translated_errors():
            responses = method(request, metadata=self.connection.metadata(self.service), timeout=self.timeout)
            try:
                for response in responses:
                    yield self.read(response, unanswered)
            finally:
                responses.cancel()

    async def outcomes_async(
        self, method: Callable[..., Any], crystals: Sequence[Crystal]
    ) -> AsyncGenerator[Outcome, None]:
        """The same for asyncio code."""
        for number, chunk in enumerate(chunks(crystals)):
            unanswered = Unanswered(chunk, reached=number > 0)
            while unanswered:
                try:
                    # Closing ours closes the inner one, which cancels the call.
                    async with aclosing(self._call_async(method, unanswered)) as outcomes:
                        async for outcome in outcomes:
                            yield outcome
                    unanswered.check_all_answered()
                except UnavailableError as error:
                    await asyncio.sleep(unanswered.pause_after(error))

    async def _call_async(
        self, method: Callable[..., Any], unanswered: Unanswered
    ) -> AsyncGenerator[Outcome, None]:
        request = self.request(unanswered.crystals())
        with translated_errors():
            responses = method(request, metadata=self.connection.metadata(self.service), timeout=self.timeout)
            try:
                async for response in responses:
                    yield self.read(response, unanswered)
            finally:
                responses.cancel()
