"""What is known of a running mesh, as values, and the file in which the supervisor keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from crystalmesh_client.endpoints import Endpoint, EndpointMap


class State(StrEnum):
    """Where a service is between its start and its end."""

    STARTING = "starting"  # the process runs and does not listen yet
    LOADING = "loading"  # it listens, and its model is not ready
    READY = "ready"
    UNHEALTHY = "unhealthy"  # it was ready, and its health says otherwise now
    RESTARTING = "restarting"  # it ended, and is started again after a pause
    FAILED = "failed"  # it ended, and is not started again
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True)
class ServiceStatus:
    """One service as the supervisor sees it. Times are seconds since 1970."""

    name: str
    state: State
    since: float
    pid: int | None = None
    endpoint: Endpoint | None = None  # the last known one while it restarts
    restarts: int = 0
    ready_seconds: float | None = None  # from the start of its process to its readiness
    exit_code: int | None = None  # of its last process that ended
    reason: str | None = None  # why that one ended


@dataclass(frozen=True)
class MeshRecord:
    """All services of a mesh. Its file outlives a supervisor that failed, and not one that was stopped."""

    runtime: str  # "standalone" or "ray"
    supervisor_pid: int
    started: float
    services: Mapping[str, ServiceStatus]

    @property
    def ready(self) -> bool:
        return all(status.state is State.READY for status in self.services.values())

    @property
    def failed(self) -> tuple[ServiceStatus, ...]:
        """The services that were given up."""
        return tuple(status for status in self.services.values() if status.state is State.FAILED)

    @property
    def boot_seconds(self) -> float:
        """From the command to the moment when the last service became what it is now."""
        return max(status.since for status in self.services.values()) - self.started

    def with_status(self, status: ServiceStatus) -> Self:
        return replace(self, services={**self.services, status.name: status})

    def endpoint_map(self) -> EndpointMap | None:
        """What clients need; None until every address is known."""
        endpoints = {s.name: s.endpoint for s in self.services.values() if s.endpoint is not None}
        if len(endpoints) < len(self.services):
            return None
        return EndpointMap(self.runtime, self.supervisor_pid, endpoints)

    def write(self, path: Path) -> None:
        """Replace the file in one step."""
        scratch = path.with_suffix(".partial")
        scratch.write_text(json.dumps(asdict(self), indent=2))
        scratch.replace(path)

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The record of the mesh that runs, or of one that ended badly; None without a readable one."""
        try:
            fields = json.loads(path.read_text())
            services = {name: _status(status) for name, status in fields.pop("services").items()}
            return cls(services=services, **fields)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None


def _status(fields: dict[str, Any]) -> ServiceStatus:
    endpoint = fields.pop("endpoint")
    state = State(fields.pop("state"))
    return ServiceStatus(**fields, state=state, endpoint=endpoint and Endpoint(**endpoint))
