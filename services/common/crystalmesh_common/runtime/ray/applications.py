"""Services as Serve applications, for this machine (`host`) and for the config of a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from ray import serve

from crystalmesh_common.runtime.ray.replica import Replica
from crystalmesh_common.runtime.ray.settings import find_service
from crystalmesh_common.runtime.settings import load_settings


class ApplicationArguments(BaseModel):
    """What a Serve config says under `args`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service: str = Field(description="name of the service, or `module:ATTRIBUTE` of its definition")
    load_first: bool = Field(default=True, description="route calls to a replica only once its model answers")


def build(args: Mapping[str, Any]) -> serve.Application:
    """The `import_path` of every application in a Serve config. Its only deployment has the service's name.

    Replicas, GPUs and autoscaling are the config's to say; a service's settings come from the variables of
    its replicas.
    """
    # Serve would check them by the annotation, which it does not find where annotations are strings.
    arguments = ApplicationArguments.model_validate(args)
    return application(arguments.service, load_first=arguments.load_first)


def application(entry: str, *, load_first: bool = False, **options: Any) -> serve.Application:
    """The service behind a name or import path. Raises SettingsError where its settings cannot be used."""
    service = find_service(entry)
    settings = load_settings(service.settings, service.name)
    deployment: serve.Deployment = serve.deployment(
        name=service.name,
        # The pipeline refuses calls with a reason and a hint; Serve would keep them waiting.
        max_ongoing_requests=2 * settings.limits.concurrent_calls,
        # Also how soon a replica that died is missed, and replaced.
        health_check_period_s=1.0,
        graceful_shutdown_timeout_s=settings.drain_seconds + 1,
        graceful_shutdown_wait_loop_s=0.1,
        **options,
    )(Replica)
    return deployment.bind(entry, load_first=load_first)
