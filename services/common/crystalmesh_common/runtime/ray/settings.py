"""The settings of the Ray runtime, and how they reach the processes that Ray starts."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, SecretStr

from crystalmesh_common.runtime.service import Service
from crystalmesh_common.runtime.settings import ENV_PREFIX, MEBIBYTE, ServiceSettings, SettingsError

SETTINGS_NAME = "ray"


class RaySettings(ServiceSettings):
    """How the mesh is reached when Serve hosts it: one address, one guard, one certificate for all services.

    A service's own settings (device, limits, …) are read where it runs, from its variables and its table.
    """

    services: str = Field(
        "agent,generation,property,relaxation,retrieval",
        description="services to host, comma-separated: a name, or `module:ATTRIBUTE` of a definition",
    )
    ray_temp_dir: Path | None = Field(None, description="folder of Ray's sockets and logs; unset: /tmp/ray")
    object_store_bytes: int = Field(
        256 * MEBIBYTE, ge=75 * MEBIBYTE, description="shared memory for messages over 100 kB in flight"
    )

    @property
    def service_names(self) -> tuple[str, ...]:
        """Names of the hosted services, which are the names of their Serve applications."""
        names = [entry if ":" not in entry else find_service(entry).name for entry in self.service_entries]
        if not names or len(set(names)) < len(names):
            raise SettingsError(f"services: one or more different names are needed, not {self.services!r}")
        return tuple(names)

    @property
    def service_entries(self) -> tuple[str, ...]:
        """The hosted services as they were given."""
        return tuple(entry.strip() for entry in self.services.split(",") if entry.strip())


def find_service(entry: str) -> Service[Any]:
    """The definition behind a name ("relaxation") or an import path ("my_package.service:SERVICE")."""
    path = entry if ":" in entry else f"crystalmesh_{entry}.service:SERVICE"
    module_name, _, attribute = path.partition(":")
    try:
        service = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"services: there is no service {entry!r} ({error})") from None
    if not isinstance(service, Service):
        raise SettingsError(f"services: {path} is no service definition")
    return service


def as_environment(settings: RaySettings) -> Mapping[str, str]:
    """The variables from which `load_settings` reads these settings again, in a process of Ray's."""
    return {
        f"{ENV_PREFIX}{SETTINGS_NAME}_{name}".upper(): _as_variable(getattr(settings, name))
        for name in settings.model_fields_set
    }


def _as_variable(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, BaseModel):
        return json.dumps(value.model_dump(mode="json"))
    return str(value)
