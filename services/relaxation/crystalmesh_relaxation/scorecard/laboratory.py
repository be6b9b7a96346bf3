"""The work of a whole scorecard as one call of the runner, stage after stage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

from crystalmesh_relaxation.scorecard.scoring import Work

Stream = Callable[[AsyncIterator[Work]], AsyncGenerator[tuple[int, object], None]]
"""What the runner makes of items: (position, outcome) of each as it is done."""


class StagedWork:
    """Asks for work and waits for it, again and again, within one stream.

    One stream, because each new one could be refused for a full queue, and minutes of work with it. What is
    under way when it is closed is dropped.
    """

    def __init__(self, stream: Stream) -> None:
        self._waiting: asyncio.Queue[Work] = asyncio.Queue()
        self._asked = 0
        self._outcomes = stream(self._items())

    async def __call__(self, work: Sequence[Work]) -> Sequence[object]:
        """The outcome of each, in order."""
        first = self._asked
        self._asked += len(work)
        for item in work:
            self._waiting.put_nowait(item)
        outcomes: dict[int, object] = {}
        while len(outcomes) < len(work):
            position, outcome = await anext(self._outcomes)
            outcomes[position] = outcome
        return [outcomes[first + position] for position in range(len(work))]

    async def aclose(self) -> None:
        await self._outcomes.aclose()

    async def _items(self) -> AsyncIterator[Work]:
        while True:
            yield await self._waiting.get()
