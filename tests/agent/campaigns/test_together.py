"""Several things at once."""

from __future__ import annotations

import asyncio

import pytest

from crystalmesh_agent.campaigns.together import together


async def after(steps: int, result: str) -> str:
    for _ in range(steps):
        await asyncio.sleep(0)
    return result


async def failing(steps: int, error: Exception) -> None:
    await after(steps, "")
    raise error


class Endless:
    """Goes on until it is ended."""

    ended = False

    async def work(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True


async def test_in_order() -> None:
    """Results come in the order of the work, whatever is done first."""
    assert await together(after(5, "a"), after(0, "b"), after(2, "c")) == ("a", "b", "c")
    assert await together() == ()


async def test_a_failure_ends_the_others() -> None:
    """What goes on beside a failure has ended when the failure is told."""
    endless = Endless()
    with pytest.raises(ValueError, match="first"):
        await together(failing(3, ValueError("first")), endless.work())
    assert endless.ended


async def test_two_failures() -> None:
    """Of two failures the first in order is told, so that it is the same one every time."""
    with pytest.raises(ValueError, match="first"):
        await together(failing(5, ValueError("first")), failing(0, KeyError("second")))


async def test_cancelled() -> None:
    """Whoever is cancelled leaves nothing behind."""
    endless = Endless()
    waiting = asyncio.create_task(together(after(0, "a"), endless.work()))
    await after(3, "")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert endless.ended
