"""Waiting for services that are down: the campaign pauses, says for what, and goes on when they are back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from crystalmesh.agent.v1.campaign_event_pb2 import CampaignEvent
from crystalmesh.agent.v1.run_pb2 import RunPaused, RunResumed
from crystalmesh_agent.campaigns.clocks import Stopwatch
from crystalmesh_agent.campaigns.journal import Journal
from crystalmesh_agent.campaigns.mesh import CampaignMesh
from crystalmesh_common.runtime.errors import CrystalMeshError, QueueFullError, UnavailableError
from crystalmesh_common.runtime.statuses import to_status

Result = TypeVar("Result")

_FIRST_SECONDS = 1.0
_LONGEST_SECONDS = 15.0


class Patience:
    """Makes calls until they are answered."""

    def __init__(self, journal: Journal, mesh: CampaignMesh, work: Stopwatch) -> None:
        self._journal = journal
        self._mesh = mesh
        self._work = work
        self._down: dict[str, UnavailableError] = {}  # services by name, with what they failed with
        self._turn = asyncio.Lock()

    async def ask(self, service: str, call: Callable[[], Awaitable[Result]]) -> Result:
        """What the call answers, or raises but for UnavailableError and QueueFullError: these it sits out.

        A full queue is waited for quietly; it is the services' way to say how fast they can go. A service
        that is down pauses the campaign, whose time at work then stands still.
        """
        pause = _FIRST_SECONDS
        while True:
            try:
                result = await call()
            except QueueFullError as error:
                await self._resume(service)
                await asyncio.sleep(error.retry_after_seconds or pause)
            except UnavailableError as error:
                self._mesh.forget(service, error)
                await self._pause(service, error)
                await asyncio.sleep(max(pause, error.retry_after_seconds or 0.0))
                pause = min(2 * pause, _LONGEST_SECONDS)
            except CrystalMeshError:  # it is there, to say so
                await self._resume(service)
                raise
            else:
                await self._resume(service)
                return result

    async def _pause(self, service: str, error: UnavailableError) -> None:
        async with self._turn:
            if service in self._down:
                return
            if not self._down:
                self._work.stop()
            self._down[service] = error
            await self._journal.append(_paused(service, error))

    async def _resume(self, service: str) -> None:
        if not self._down:
            return
        async with self._turn:
            if self._down.pop(service, None) is None:
                return
            events = [CampaignEvent(resumed=RunResumed(service=service))]
            if self._down:  # it waits for another still
                events.append(_paused(*next(iter(self._down.items()))))
            else:
                self._work.start()
            await self._journal.append(*events)


def _paused(service: str, error: UnavailableError) -> CampaignEvent:
    return CampaignEvent(paused=RunPaused(service=service, error=to_status(error)))
