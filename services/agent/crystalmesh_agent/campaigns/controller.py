"""Who works on what: takes campaigns that wait, and works on several at once."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import structlog

from crystalmesh_agent.campaigns.journal import Journal
from crystalmesh_agent.campaigns.mesh import CampaignMesh
from crystalmesh_agent.campaigns.run import CampaignRun, failed
from crystalmesh_agent.planning.planner import Planner
from crystalmesh_agent.store.campaigns import CampaignStore
from crystalmesh_agent.store.leases import Lease, LeaseLostError
from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    DatabaseBusyError,
    DataCorruptError,
    StorageFullError,
)

_log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0
"""How often to look for campaigns that other processes have queued or left."""
_BEATS_IN_A_LEASE = 4
_LONGEST_BEAT_SECONDS = 1.0
"""With a beat it is noticed that a campaign was cancelled."""


@dataclass(frozen=True)
class Pace:
    """How much a controller takes on."""

    campaigns: int  # at once
    lease_seconds: float  # after which a controller that gave no sign of life has lost its campaigns


class CampaignController:
    """Works on the campaigns of a store, from `start` to `stop`, within one event loop.

    Any number of controllers share a store. One that stops lets the others go on at once; one that was killed
    is replaced when its leases have run out.
    """

    def __init__(
        self, store: CampaignStore, mesh: CampaignMesh, planners: Mapping[str, Planner], pace: Pace
    ) -> None:
        self._store = store
        self._mesh = mesh
        self._planners = planners
        self._pace = pace
        # Nobody else has this name, so that two on one machine are told apart.
        self._name = f"{socket.gethostname()[:80]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._runs: set[asyncio.Task[None]] = set()
        self._awake = asyncio.Event()
        self._taking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to take campaigns."""
        loop = asyncio.get_running_loop()

        def wake(_campaign_id: str) -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(self._awake.set)

        self._unsubscribe = self._store.on_change(wake)
        self._taking = asyncio.create_task(self._take(), name="taking campaigns")

    async def stop(self) -> None:
        """Leave all campaigns as they are, for whoever takes them next."""
        if self._taking is None:
            return
        self._unsubscribe()
        tasks = [self._taking, *self._runs]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(CrystalMeshError):  # what was taken a moment ago, and not begun
            await asyncio.to_thread(self._store.leases.release_all, self._name)
        await self._mesh.close()

    async def _take(self) -> None:
        while True:
            # Not `wait_for`: it may swallow our cancellation when it comes together with the news.
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._awake.wait()
            self._awake.clear()
            try:
                while len(self._runs) < self._pace.campaigns and (lease := await self._lease()):
                    self._begin(lease)
            except DatabaseBusyError:
                continue
            except CrystalMeshError as error:
                _log.error("campaigns_not_taken", reason=error.reason, message=str(error))

    async def _lease(self) -> Lease | None:
        acquire = asyncio.to_thread(self._store.leases.acquire, self._name, self._pace.lease_seconds)
        taking = asyncio.ensure_future(acquire)
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            await asyncio.wait({taking})  # its thread goes on; `stop` lets go of what it takes
            raise

    def _begin(self, lease: Lease) -> None:
        task = asyncio.create_task(self._work(lease), name=f"campaign {lease.campaign_id}")
        self._runs.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._runs.discard(task)
        self._awake.set()

    async def _work(self, lease: Lease) -> None:
        log = _log.bind(campaign=lease.campaign_id)
        working = asyncio.create_task(self._to_the_end(lease))
        beating = asyncio.create_task(self._beat(lease))
        try:
            await asyncio.wait({working, beating}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (working, beating):
                task.cancel()
            outcomes = await asyncio.gather(working, beating, return_exceptions=True)
            errors = [error for error in outcomes if isinstance(error, Exception)]
            if not errors:
                await self._release(lease)
        for error in errors:
            if isinstance(error, LeaseLostError):
                log.info("campaign_left", message=str(error))
                return
            # The lease stays until it has run out, so that nobody tries again and again without pause.
            log.error("campaign_not_worked_on", exc_info=error)

    async def _to_the_end(self, lease: Lease) -> None:
        journal = Journal(self._store, lease)
        try:
            await journal.read()
        except DataCorruptError as error:
            await journal.append(failed(error))
            return
        planner = self._planners.get(journal.campaign.spec.planner) or self._planners["bandit"]
        await CampaignRun(journal, self._mesh, planner, worker=self._name).to_the_end()

    async def _beat(self, lease: Lease) -> None:
        """Give signs of life until the lease is lost; work appends, which are signs, too."""
        while True:
            await asyncio.sleep(min(self._pace.lease_seconds / _BEATS_IN_A_LEASE, _LONGEST_BEAT_SECONDS))
            with suppress(DatabaseBusyError, StorageFullError):
                await asyncio.to_thread(self._store.leases.heartbeat, lease)

    async def _release(self, lease: Lease) -> None:
        with suppress(CrystalMeshError):
            await asyncio.shield(asyncio.to_thread(self._store.leases.release, lease))
