"""`grpc.health.v1` at the edge: the health of a service is what its replicas say of their model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from ray.serve.generated import serve_pb2

from crystalmesh_common.runtime.calls import Call
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_common.runtime.health import SERVICE_NAME
from crystalmesh_common.runtime.ray.forwarding import Forwarder, HandlerFactory, ServeContext
from crystalmesh_common.runtime.ray.routes import Route

_SERVING: int = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: int = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN: int = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
_LIST_APPLICATIONS = "/ray.serve.RayServeAPIService/ListApplications"
# A replica answers at once; where there is none, Serve would let the probe wait for one.
_PATIENCE_SECONDS = 2.0
_WATCH_INTERVAL_SECONDS = 0.5

HEALTH_ROUTE = Route(
    f"/{SERVICE_NAME}/Check", SERVICE_NAME, "", request_streaming=False, response_streaming=False
)


class EdgeHealth(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # has no types
    """Answers probes, which carry no metadata, for the services of all hosted applications."""

    def __init__(self, factory: HandlerFactory, applications: Mapping[str, str]) -> None:
        self._applications = applications  # by full name of their services
        self._ask = Forwarder(HEALTH_ROUTE, factory, set(applications.values()), "serve_health")
        self._list = factory(service_method=_LIST_APPLICATIONS, streaming_type=self._ask.kind)

    async def Check(  # noqa: N802 -- the proto names it
        self, request: health_pb2.HealthCheckRequest, context: Any
    ) -> health_pb2.HealthCheckResponse:
        status = await self._status(request.service)
        if status == _UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service[:200]!r} here")
        return health_pb2.HealthCheckResponse(status=status)

    async def List(  # noqa: N802 -- the proto names it
        self, request: health_pb2.HealthListRequest, context: object
    ) -> health_pb2.HealthListResponse:
        names = ["", *sorted(self._applications)]
        statuses = await asyncio.gather(*map(self._status, names))
        return health_pb2.HealthListResponse(
            statuses={
                name: health_pb2.HealthCheckResponse(status=status)
                for name, status in zip(names, statuses, strict=True)
            }
        )

    async def Watch(  # noqa: N802 -- the proto names it
        self, request: health_pb2.HealthCheckRequest, context: object
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        told: int | None = None
        while True:
            status = await self._status(request.service)
            if status != told:
                told = status
                yield health_pb2.HealthCheckResponse(status=status)
            await asyncio.sleep(_WATCH_INTERVAL_SECONDS)

    async def _status(self, service: str) -> int:
        if service == "":
            return await self._all_serving(await self._deployed())
        if service not in self._applications:
            return _UNKNOWN
        return await self._all_serving([self._applications[service]])

    async def _all_serving(self, applications: Iterable[str]) -> int:
        """SERVING if each of `applications` is; NOT_SERVING too where there are none."""
        answers = await asyncio.gather(*(self._is_serving(name) for name in applications))
        return _SERVING if answers and all(answers) else _NOT_SERVING

    async def _is_serving(self, application: str) -> bool:
        call = Call(HEALTH_ROUTE.name, {"application": application}, "edge", None)
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                answer = await self._ask.unary(b"", call)
        except (CrystalMeshError, TimeoutError):
            return False
        return bool(health_pb2.HealthCheckResponse.FromString(answer).status == _SERVING)

    async def _deployed(self) -> list[str]:
        """The hosted applications that Serve runs now."""
        context = ServeContext("", Call(_LIST_APPLICATIONS, {}, "edge", None))
        listing: Any = serve_pb2  # generated without types
        answer = listing.ListApplicationsResponse.FromString(await self._list(b"", context))
        hosted = set(self._applications.values())
        return [name for name in answer.application_names if name in hosted]
