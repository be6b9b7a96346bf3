"""What of the Ray runtime needs no cluster: settings, routes, frames, exposure, Serve's verdicts."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml

with warnings.catch_warnings():
    # Serve's own models use what pydantic has deprecated; it warns once, when they are imported.
    warnings.filterwarnings("ignore", "Using extra keyword arguments on `Field`")
    from ray._common.utils import import_attr
    from ray.serve.schema import ServeDeploySchema

from crystalmesh_common.runtime.calls import Call
from crystalmesh_common.runtime.errors import (
    CrystalMeshError,
    DeadlineExceededError,
    InternalError,
    QueueFullError,
    ResourceNotFoundError,
    UnreachableError,
)
from crystalmesh_common.runtime.ray import binding, edge, host
from crystalmesh_common.runtime.ray.applications import build
from crystalmesh_common.runtime.ray.forwarding import Forwarder
from crystalmesh_common.runtime.ray.frames import error_frame, message_frame, open_frame
from crystalmesh_common.runtime.ray.routes import api_routes
from crystalmesh_common.runtime.ray.settings import RaySettings, as_environment, find_service
from crystalmesh_common.runtime.settings import SettingsError, load_settings

pytestmark = pytest.mark.ray

ROUTES = {route.name: route for route in api_routes()}
LIST_MODELS = ROUTES["/crystalmesh.relaxation.v1.RelaxationService/ListModels"]


def settings_of(*arguments: str, environment: dict[str, str] | None = None) -> RaySettings:
    return load_settings(RaySettings, "ray", arguments, environment=environment or {})


def test_routes_cover_the_api() -> None:
    """Every RPC has a route with its streaming kind, to the application that has its package's name."""
    kinds = {
        "/crystalmesh.property.v1.PropertyService/PredictStream": ("property", True, True),
        "/crystalmesh.retrieval.v1.RetrievalService/AddMaterials": ("retrieval", True, False),
        "/crystalmesh.stability.v1.StabilityService/ScoreStability": ("relaxation", False, True),
        LIST_MODELS.name: ("relaxation", False, False),
    }
    for name, expected in kinds.items():
        route = ROUTES[name]
        assert (route.application, route.request_streaming, route.response_streaming) == expected
    assert {route.application for route in ROUTES.values()} == set(RaySettings().service_names)


def test_every_application_hosts_what_is_routed_to_it() -> None:
    """A route leads to a service definition that can be found."""
    for application in {route.application for route in ROUTES.values()}:
        assert find_service(application).name == application


def test_frames_tell_messages_from_errors() -> None:
    """A message comes out as it went in, an error with its class, message, details and hint."""
    assert open_frame(message_frame(b"\x01bytes").SerializeToString()) == b"\x01bytes"
    error = open_frame(
        error_frame(QueueFullError("full", retry_after_seconds=1.5, limit=3), "id-1").SerializeToString()
    )
    assert isinstance(error, QueueFullError)
    assert (error.message, error.retry_after_seconds, error.details["limit"]) == ("full", 1.5, "3")


def test_settings_survive_the_way_through_the_environment() -> None:
    """What the host was told is what a proxy reads: flags, nested limits and the token."""
    told = settings_of(
        *("--services", "relaxation", "--token", "a-secret-token", "--limits.message-bytes", "2048"),
        *("--log-level", "warning"),
    )
    read = settings_of(environment=dict(as_environment(told)))
    assert read.service_names == ("relaxation",)
    assert read.token is not None
    assert read.token.get_secret_value() == "a-secret-token"
    assert (read.limits.message_bytes, read.log_level) == (2048, "warning")


@pytest.mark.parametrize("services", ["", "relaxation,relaxation", "no_such_service", "json:dumps"])
def test_services_that_cannot_be_hosted(services: str) -> None:
    """Nothing, twice the same, unknown, or no service: one clear refusal."""
    with pytest.raises(SettingsError, match="services:"):
        [find_service(name) for name in RaySettings(services=services).service_names]


def test_address_in_use_is_told_before_ray_starts() -> None:
    """A port that another process has is refused with its number."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"127.0.0.1:{port}"):
            host.RayMesh(RaySettings(port=port))


def test_unprepared_proxy_counts_as_exposed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Serve listens everywhere, an edge without token and certificate refuses to start."""
    monkeypatch.setattr(binding._Bound, "host", None)
    monkeypatch.setattr(edge, "configure_logs", lambda *_, **__: pytest.fail("it went on"))
    with pytest.raises(SettingsError, match="not loopback"):
        edge.add_edge_to_server(None, None)


def test_application_for_a_cluster() -> None:
    """The import path of a Serve config gives a deployment with the service's name."""
    application = build({"service": "relaxation"})
    assert application._bound_deployment.name == "relaxation"


VERDICTS: dict[str, tuple[grpc.StatusCode, str, type[CrystalMeshError]]] = {
    "actor died": (grpc.StatusCode.INTERNAL, "The actor died unexpectedly before …", UnreachableError),
    "actor away": (grpc.StatusCode.INTERNAL, "The actor 1f is unavailable: …", UnreachableError),
    "worker died": (grpc.StatusCode.INTERNAL, "The worker died unexpectedly …", UnreachableError),
    "deploy failed": (grpc.StatusCode.UNAVAILABLE, "Deployment … unavailable", UnreachableError),
    "not deployed": (grpc.StatusCode.NOT_FOUND, "Application 'relaxation' not found.", UnreachableError),
    "stopped": (grpc.StatusCode.CANCELLED, "Client for request … disconnected.", UnreachableError),
    "timeout": (grpc.StatusCode.DEADLINE_EXCEEDED, "Request timed out after 1s.", DeadlineExceededError),
    "busy": (grpc.StatusCode.RESOURCE_EXHAUSTED, "Request dropped due to …", QueueFullError),
    "fault": (grpc.StatusCode.INTERNAL, "ray::f() Traceback (most recent call last)", InternalError),
    "unknown": (grpc.StatusCode.UNKNOWN, "", InternalError),
}


@pytest.mark.parametrize("verdict", VERDICTS)
async def test_verdicts_of_serve_become_our_errors(verdict: str) -> None:
    """What Serve says of a call that no replica answered is an error of ours, without Serve's words."""
    code, details, expected = VERDICTS[verdict]

    def factory(**_: object) -> Callable[..., Any]:
        async def respond(_: object, context: Any) -> bytes:
            context.set_code(code)
            context.set_details(details)
            return b""

        return respond

    forwarder = Forwarder(LIST_MODELS, factory, ["relaxation"])
    with pytest.raises(expected) as raised:
        await forwarder.unary(b"", Call(LIST_MODELS.name, {}, "test", None))
    assert type(raised.value) is expected
    assert not details or details[:12] not in raised.value.message


async def test_application_that_is_not_of_the_mesh() -> None:
    """A caller that names an application which the mesh does not have gets NOT_FOUND, not a retry."""

    def factory(**_: object) -> Callable[..., Any]:
        async def respond(_: object, context: Any) -> bytes:
            context.set_code(grpc.StatusCode.NOT_FOUND)
            return b""

        return respond

    call = Call(LIST_MODELS.name, {"application": "elsewhere"}, "test", None)
    with pytest.raises(ResourceNotFoundError, match="elsewhere"):
        await Forwarder(LIST_MODELS, factory, ["relaxation"]).unary(b"", call)


def test_config_of_a_cluster_is_one_that_serve_takes() -> None:
    """deploy/ray has an application for every service, and each of its import paths builds one."""
    config = yaml.safe_load((Path(__file__).parents[3] / "deploy/ray/serve.yaml").read_text())
    schema = ServeDeploySchema.model_validate(config)
    assert {application.name for application in schema.applications} == set(RaySettings().service_names)
    for application in schema.applications:
        built = import_attr(application.import_path)(application.args)
        (deployment,) = application.deployments
        assert deployment.name == application.name == built._bound_deployment.name
    for function in schema.grpc_options.grpc_servicer_functions:
        assert import_attr(function) is edge.add_edge_to_server
