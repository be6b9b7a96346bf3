"""How one process of a mesh is kept running: start, watch its health, start again, stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from crystalmesh_client.endpoints import Endpoint
from crystalmesh_common.mesh.home import MeshHome
from crystalmesh_common.mesh.hosts import Host, HostProcess
from crystalmesh_common.mesh.registry import find_service
from crystalmesh_common.mesh.restarts import BAD_SETTINGS, Exit, GiveUp, RestartHistory, RestartPolicy
from crystalmesh_common.mesh.state import ServiceStatus, State

_BOOT_POLL_SECONDS = 0.1
_READY_POLL_SECONDS = 2.0
_MUTE_SECONDS = 5.0
_MUTE = "listens, and does not answer when asked for its health"
_MUTE_TLS = (
    f"{_MUTE}; if it wants to see client certificates, set CRYSTALMESH_TLS_CLIENT_CERTIFICATE "
    "and CRYSTALMESH_TLS_CLIENT_KEY"
)
_CANNOT_START = 126  # what a shell answers for a program that it cannot execute


class Patience(Protocol):
    """What supervision takes from the plan of the mesh."""

    @property
    def config(self) -> Path | None: ...
    @property
    def restarts(self) -> RestartPolicy: ...
    @property
    def drain_seconds(self) -> float: ...


@dataclass(frozen=True)
class StopOrder:
    """Given once: stop in an orderly way. Given twice: at once."""

    given: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: asyncio.Event = field(default_factory=asyncio.Event)

    def give(self) -> None:
        (self.at_once if self.given.is_set() else self.given).set()


class HostSupervision:
    """Keeps one host running until the order to stop, or until starting it again is no use."""

    def __init__(
        self,
        host: Host,
        home: MeshHome,
        patience: Patience,
        stop: StopOrder,
        report: Callable[[ServiceStatus], None],
    ) -> None:
        self._host = host
        self._home = home
        self._patience = patience
        self._stop = stop
        self._report = report
        self._history = RestartHistory(patience.restarts)
        self._endpoint: Endpoint | None = None
        self.statuses = {name: ServiceStatus(name, State.STARTING, time.time()) for name in host.services}

    async def run(self) -> None:
        """Return when the host has ended for good."""
        restarts = 0
        pinned: Endpoint | None = None
        while not self._stop.given.is_set():
            self._set(state=State.STARTING, pid=None, ready_seconds=None, restarts=restarts)
            ended = await self._run_once(pinned)
            if self._stop.given.is_set():
                break
            self._set(exit_code=ended.code, reason=str(ended), pid=None)
            if pinned is not None and ended.code == BAD_SETTINGS:
                # The settings were good before, so it is the ports: somebody else has taken one.
                pinned, self._endpoint = None, None
                continue
            verdict = self._history.judge(ended)
            if isinstance(verdict, GiveUp):
                self._set(state=State.FAILED, reason=verdict.reason)
                return
            self._set(state=State.RESTARTING)
            await _first(self._stop.given.wait(), asyncio.sleep(verdict.delay_seconds))
            restarts += 1
            pinned = self._endpoint
        self._set(state=State.STOPPED, pid=None)

    async def _run_once(self, pinned: Endpoint | None) -> Exit:
        try:
            process = await HostProcess.start(self._host, self._home, pinned, self._patience.config)
        except OSError as error:
            return Exit(_CANNOT_START, f"cannot be started: {error}")
        self._set(pid=process.pid)
        try:
            await _first(process.ended(), self._watch(process), self._stop.given.wait())
            if self._stop.given.is_set():
                self._set(state=State.STOPPING)
                process.ask_to_stop()
                await _first(
                    process.ended(), self._stop.at_once.wait(), asyncio.sleep(self._patience.drain_seconds)
                )
        finally:
            process.kill()
        return await process.ended()

    async def _watch(self, process: HostProcess) -> None:
        """Follow the health of the host; never returns."""
        self._endpoint = endpoint = await process.listening()
        listening_since = time.monotonic()
        self._set(state=State.LOADING, endpoint=endpoint)
        from crystalmesh_common.mesh.probe import Health, HealthProbe  # noqa: PLC0415 -- while hosts load

        async with HealthProbe(endpoint) as probe:
            while True:
                for name, status in self.statuses.items():
                    health = await probe.check(find_service(name))
                    if health is Health.SERVING:
                        seconds = status.ready_seconds or time.monotonic() - process.started
                        self._set(name, state=State.READY, ready_seconds=seconds)
                    elif status.state is State.READY:
                        self._set(name, state=State.UNHEALTHY)
                    elif health is Health.UNREACHABLE and time.monotonic() - listening_since > _MUTE_SECONDS:
                        self._set(name, reason=_MUTE_TLS if endpoint.tls else _MUTE)
                ready = all(status.state is State.READY for status in self.statuses.values())
                if ready and process.ready_since is None:
                    process.ready_since = time.monotonic()
                await asyncio.sleep(_READY_POLL_SECONDS if ready else _BOOT_POLL_SECONDS)

    def _set(self, service: str | None = None, **changes: Any) -> None:
        """Change and report the status of one service of this host, or of all."""
        for name in [service] if service else self._host.services:
            before = self.statuses[name]
            status = replace(before, **changes)
            if status.state is not before.state:
                status = replace(status, since=time.time())
            self.statuses[name] = status
            self._report(status)


async def _first(*waits: Awaitable[Any]) -> None:
    """Wait until one of these ends, and cancel the others; raises what that one raised."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
