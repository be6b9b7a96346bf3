"""Telling a caller how far a long call is, and that it is still at work."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mcp.server.mcpserver import Context

PULSE_SECONDS = 5.0
"""How long a caller hears nothing at most. Many give up on a call that is silent for a minute."""


class Progress:
    """How far a call is, out of so many parts. What it reports always rises, as the protocol asks."""

    def __init__(self, context: Context, total: int, doing: str) -> None:
        self._context = context
        self._total = total
        self._doing = doing
        self._done = 0
        self._pulses = 0

    async def reached(self, done: int, message: str = "") -> None:
        """Report that so many parts are done; nothing where that is no news."""
        if done <= self._done:
            return
        self._done, self._pulses = done, 0
        await self._context.report_progress(done, self._total, message or self._words())

    @asynccontextmanager
    async def reported(self) -> AsyncIterator[Progress]:
        """Report every few seconds that the call is at work, until the block is left."""
        pulse = asyncio.create_task(self._pulse())
        try:
            yield self
        finally:
            pulse.cancel()
            await asyncio.gather(pulse, return_exceptions=True)

    async def note(self, message: str) -> None:
        """Report something on the way to the next part."""
        self._pulses += 1
        # Rises towards the next part and never reaches it.
        part = self._pulses / (self._pulses + 1)
        await self._context.report_progress(self._done + part, self._total, message)

    async def _pulse(self) -> None:
        while True:
            await asyncio.sleep(PULSE_SECONDS)
            await self.note(self._words())

    def _words(self) -> str:
        return f"{self._doing}: {self._done} of {self._total}"
