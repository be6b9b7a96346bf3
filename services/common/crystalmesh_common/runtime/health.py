"""`grpc.health.v1` for every hosted service, following whether its model really answers."""

from __future__ import annotations

from collections.abc import Iterable

from grpc_health.v1 import health, health_pb2

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_NAME: str = health.SERVICE_NAME


class Health:
    """The health of the services of one process; NOT_SERVING until told otherwise."""

    def __init__(self, services: Iterable[str]) -> None:
        self.servicer = health.aio.HealthServicer()
        # "" is the process as a whole, which is what a probe without a service name asks for.
        self._services = ["", *services]

    async def set_serving(self, serving: bool) -> None:  # noqa: FBT001 -- the one thing there is to say
        """Tell every asker and watcher."""
        for service in self._services:
            await self.servicer.set(service, _SERVING if serving else _NOT_SERVING)
