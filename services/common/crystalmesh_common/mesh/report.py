"""What a mesh looks like in words and in JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from crystalmesh_common.mesh.home import MeshHome
from crystalmesh_common.mesh.hosts import RAY
from crystalmesh_common.mesh.logs import last_lines
from crystalmesh_common.mesh.restarts import BAD_SETTINGS
from crystalmesh_common.mesh.state import MeshRecord, ServiceStatus

_TAIL_LINES = 10


def mesh_fields(record: MeshRecord, health: dict[str, str] | None = None) -> dict[str, Any]:
    """The mesh as JSON: what `--json` prints."""
    services = [
        {
            "service": status.name,
            "state": str(status.state),
            **({"health": health[status.name]} if health is not None else {}),
            "address": status.endpoint.address if status.endpoint else None,
            "tls": status.endpoint.tls if status.endpoint else None,
            "metrics_address": status.endpoint.metrics_address if status.endpoint else None,
            "pid": status.pid,
            "restarts": status.restarts,
            "since": _iso(status.since),
            "ready_seconds": status.ready_seconds and round(status.ready_seconds, 3),
            "reason": status.reason,
        }
        for status in record.services.values()
    ]
    return {
        "running": True,
        "runtime": record.runtime,
        "supervisor_pid": record.supervisor_pid,
        "started": _iso(record.started),
        "ready": record.ready,
        "services": services,
    }


def ready_line(record: MeshRecord) -> str:
    count = len(record.services)
    return f"{count} service{'s' if count > 1 else ''} ready after {record.boot_seconds:.1f} s"


def failure_lines(record: MeshRecord, home: MeshHome) -> list[str]:
    """Why services were given up, one line for each reason, and the end of the logs that tell more."""
    names: dict[str, list[ServiceStatus]] = {}
    for status in record.failed:
        names.setdefault(status.reason or "for no reason that it told", []).append(status)
    lines = []
    for reason, failed in names.items():
        lines.append(f"{', '.join(status.name for status in failed)}: {reason}")
        if failed[0].exit_code != BAD_SETTINGS:
            log = home.log(log_name(record, failed[0].name))
            lines.append(f"the end of {log}:")
            lines += [f"  {line}" for line in last_lines(log, _TAIL_LINES)]
    return lines


def log_name(record: MeshRecord, service: str) -> str:
    """Whose log `service` writes to."""
    return RAY if record.runtime == RAY else service


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, tz=UTC).isoformat(timespec="milliseconds")
