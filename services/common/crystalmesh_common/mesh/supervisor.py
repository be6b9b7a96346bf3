"""The supervisor: keeps every process of a mesh running until it is told to stop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import psutil

from crystalmesh_client.endpoints import EndpointMap
from crystalmesh_common.mesh.errors import MeshUsageError
from crystalmesh_common.mesh.home import MeshHome
from crystalmesh_common.mesh.hosts import RAY, STANDALONE, hosts_of
from crystalmesh_common.mesh.registry import MeshService, check_tables
from crystalmesh_common.mesh.restarts import RestartPolicy
from crystalmesh_common.mesh.state import MeshRecord, ServiceStatus
from crystalmesh_common.mesh.supervision import HostSupervision, StopOrder

Observer = Callable[[MeshRecord], None]


@dataclass(frozen=True)
class MeshPlan:
    """What to run, and how patiently. MeshUsageError when the runtime is not installed."""

    services: Sequence[MeshService]
    runtime: str = STANDALONE
    config: Path | None = None  # TOML file of settings for all services
    restarts: RestartPolicy = field(default_factory=RestartPolicy)
    drain_seconds: float = 20.0  # from the order to stop until a process that is still there is killed

    def __post_init__(self) -> None:
        if self.runtime == RAY and find_spec("ray") is None:
            raise MeshUsageError("the runtime ray is not installed: pip install 'crystalmesh[ray]'")
        if self.config is not None:
            check_tables(self.config)


class Supervisor:
    """Runs the processes of one mesh and keeps its record and its endpoint map up to date.

    Until all services were ready once, one that fails for good stops the mesh; later the others go on.
    """

    def __init__(self, home: MeshHome, plan: MeshPlan, observer: Observer) -> None:
        self._home = home
        self._plan = plan
        self._observer = observer
        self._stop = StopOrder()
        self._hosts = hosts_of(plan.services, plan.runtime)
        self._supervisions = [
            HostSupervision(host, home, plan, self._stop, self._update) for host in self._hosts
        ]
        self._booted = False
        self._published: EndpointMap | None = None
        self.record = MeshRecord(
            plan.runtime,
            os.getpid(),
            psutil.Process().create_time(),
            {name: status for host in self._supervisions for name, status in host.statuses.items()},
        )

    def stop(self) -> None:
        """Drain and stop; called a second time, kill at once."""
        self._stop.give()

    @property
    def stopping(self) -> bool:
        return self._stop.given.is_set()

    async def run(self) -> bool:
        """Start everything and return once everything has ended: True when stopped as asked."""
        self._home.endpoint_map.unlink(missing_ok=True)
        self._report()
        try:
            async with asyncio.TaskGroup() as hosts:
                for supervision in self._supervisions:
                    hosts.create_task(supervision.run())
        finally:
            self._home.endpoint_map.unlink(missing_ok=True)
            for host in self._hosts:
                self._home.endpoint_file(host.name).unlink(missing_ok=True)
            if not self._failed:
                self._home.record.unlink(missing_ok=True)
        return not self._failed

    @property
    def _failed(self) -> bool:
        """Whether what was given up leaves nothing that is worth running."""
        failed = len(self.record.failed)
        return failed == len(self.record.services) or (failed > 0 and not self._booted)

    def _update(self, status: ServiceStatus) -> None:
        if status == self.record.services[status.name]:
            return
        self.record = self.record.with_status(status)
        self._booted = self._booted or self.record.ready
        self._report()
        if self._failed and not self.stopping:
            self.stop()

    def _report(self) -> None:
        with suppress(OSError):  # a full disk is no reason to stop what runs; the next change tries again
            self.record.write(self._home.record)
            endpoints = self.record.endpoint_map()
            if endpoints is not None and endpoints != self._published and not self.stopping:
                endpoints.write(self._home.endpoint_map)
                self._published = endpoints
        self._observer(self.record)
