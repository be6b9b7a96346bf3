"""Where the services of a mesh are: the endpoint map that `crystalmesh up` writes and clients find."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from crystalmesh_common.runtime.errors import UnreachableError

ADDRESS_VARIABLE = "CRYSTALMESH_ADDRESS"
HOME_VARIABLE = "CRYSTALMESH_HOME"


@dataclass(frozen=True)
class Endpoint:
    """How to reach one service."""

    address: str  # "127.0.0.1:50051"
    tls: bool = False
    metrics_address: str | None = None


@dataclass(frozen=True)
class EndpointMap:
    """How to reach every service of the mesh that runs on this machine."""

    runtime: str  # "standalone" or "ray"
    supervisor_pid: int
    services: Mapping[str, Endpoint]

    def write(self, path: Path) -> None:
        """Replace the file in one step, so that a reader sees the old map or the new one."""
        scratch = path.with_suffix(".partial")
        scratch.write_text(json.dumps(asdict(self), indent=2))
        scratch.replace(path)


def mesh_home() -> Path:
    """The folder of the mesh of this user: endpoint map, logs, settings."""
    if home := os.environ.get(HOME_VARIABLE):
        return Path(home)
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "crystalmesh"


def endpoint_map_path() -> Path:
    """Where `crystalmesh up` writes the endpoint map."""
    return mesh_home() / "endpoints.json"


def read_endpoint_map(path: Path | None = None) -> EndpointMap:
    """The map of the running mesh; UnreachableError when there is none or it cannot be read."""
    path = path or endpoint_map_path()
    try:
        fields = json.loads(path.read_text())
        services = {name: Endpoint(**endpoint) for name, endpoint in fields.pop("services").items()}
        return EndpointMap(services=services, **fields)
    except FileNotFoundError:
        raise UnreachableError(
            f"no mesh is running here (no {path}): start one with `crystalmesh up`, "
            f"or set {ADDRESS_VARIABLE} to the address of one"
        ) from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UnreachableError(f"the endpoint map {path} cannot be read: {error}") from None
