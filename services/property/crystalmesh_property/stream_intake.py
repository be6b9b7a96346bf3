"""The crystals of a stream, taken in no faster than their outcomes go out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.property.v1.prediction_pb2 import PredictStreamRequest
from crystalmesh_common.runtime.settings import Limits
from crystalmesh_property.convert import check_stream_message


class StreamIntake:
    """Draws crystals from the messages of a stream, at most `most` beyond those that are answered.

    A message is asked for only when the one before is used up, so a caller who sends faster than outcomes go
    out, or does not read them, is held back by flow control.
    """

    def __init__(
        self,
        first: PredictStreamRequest,
        later: AsyncIterator[PredictStreamRequest],
        limits: Limits,
        *,
        most: int,
    ) -> None:
        self._first = first
        self._later = later
        self._limits = limits
        self._room = asyncio.Semaphore(most)
        self._taken = 0
        self._ids: dict[int, str] = {}  # of those that are not answered

    async def crystals(self) -> AsyncIterator[CrystalInput]:
        """Every crystal of the stream, in order; raises InvalidRequestError for a message that is wrong."""
        async for message in self._messages():
            for crystal in message.crystals:
                await self._room.acquire()
                self._ids[self._taken] = crystal.id or crystal.crystal.id or str(self._taken)
                self._taken += 1
                yield crystal

    def id_of(self, index: int) -> str:
        """The id of a crystal that is not answered yet: its own, else its position in the stream."""
        return self._ids[index]

    def answered(self, index: int) -> None:
        """Make room for another; the crystal's id is forgotten."""
        del self._ids[index]
        self._room.release()

    async def _messages(self) -> AsyncIterator[PredictStreamRequest]:
        check_stream_message(self._first, self._limits, is_first=True)
        yield self._first
        async for message in self._later:
            check_stream_message(message, self._limits, is_first=False)
            yield message
