"""The edge: what runs in Serve's gRPC proxy between a client and Serve's routing.

It is the standalone transport with methods that forward: the same admission, limits, errors and metrics,
around calls that Serve takes to a replica.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc
from ray.serve._private.grpc_util import gRPCGenericServer

from crystalmesh_common.runtime.auth import token_guard
from crystalmesh_common.runtime.health import SERVICE_NAME as HEALTH_SERVICE
from crystalmesh_common.runtime.logs import configure_logs
from crystalmesh_common.runtime.methods import Method, collect_methods
from crystalmesh_common.runtime.metrics import Metrics, serve_metrics
from crystalmesh_common.runtime.pipeline import CallPipeline
from crystalmesh_common.runtime.ray.binding import bound_host
from crystalmesh_common.runtime.ray.forwarding import Forwarder, HandlerFactory
from crystalmesh_common.runtime.ray.health import EdgeHealth
from crystalmesh_common.runtime.ray.routes import Route, api_routes
from crystalmesh_common.runtime.ray.settings import SETTINGS_NAME, RaySettings
from crystalmesh_common.runtime.settings import load_settings
from crystalmesh_common.runtime.standalone import PipelineHandler

_SERVE_API = "ray.serve.RayServeAPIService"


def add_edge_to_server(_: object, server: gRPCGenericServer) -> None:
    """Host the mesh on a gRPC proxy of Serve's; Serve calls it in every proxy before that starts.

    Raises SettingsError, which fails the proxy, where the proxy is exposed and the settings do not allow it.
    """
    # Checks exposure by where the proxy really listens.
    settings = load_settings(RaySettings, SETTINGS_NAME, ["--host", bound_host()])
    configure_logs("edge", level=settings.log_level, form=settings.log_format)
    hosted = settings.service_names
    routes = [route for route in api_routes() if route.application in hosted]
    services = {route.service: route.application for route in routes}
    metrics = Metrics("edge")
    if settings.metrics_port > 0:
        serve_metrics(metrics, settings.host, settings.metrics_port)
    methods = forwarding_methods(routes, server.service_handler_factory, hosted)
    handler = PipelineHandler(
        CallPipeline(metrics, settings.limits, token_guard(settings)),
        methods | _reflection([*sorted(services), HEALTH_SERVICE, reflection.SERVICE_NAME]),
    )
    health = EdgeHealth(server.service_handler_factory, services)
    server.add_passthrough_service(HEALTH_SERVICE)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    _close_serve_api(server, handler)
    _plain(server).add_generic_rpc_handlers((handler,))


def forwarding_methods(
    routes: Iterable[Route], factory: HandlerFactory, hosted: Iterable[str]
) -> dict[str, Method]:
    """The methods of the API, each of which asks a replica and takes bytes for messages."""
    methods: dict[str, Method] = {}
    for route in routes:
        forwarder = Forwarder(route, factory, hosted)
        behaviour = forwarder.stream if route.response_streaming else forwarder.unary
        methods[route.name] = Method(
            route.name, route.request_streaming, route.response_streaming, _as_it_is, _as_it_is, behaviour
        )
    return methods


def _as_it_is(content: Any) -> Any:
    return content


def _reflection(names: Iterable[str]) -> dict[str, Method]:
    servicer = reflection.aio.ReflectionServicer(names)
    return collect_methods(
        [lambda server: reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)]
    )


def _close_serve_api(server: gRPCGenericServer, handler: PipelineHandler) -> None:
    """Serve's own service names the applications to anybody, without a token."""
    closed = {name: handler.unknown(f"/{_SERVE_API}/{name}") for name in ("ListApplications", "Healthz")}
    _plain(server).add_registered_method_handlers(_SERVE_API, closed)


def _plain(server: gRPCGenericServer) -> grpc.aio.Server:
    """The server as grpc.aio's, which hosts handlers as they are; Serve's would replace them."""
    return cast("grpc.aio.Server", super(gRPCGenericServer, server))
