"""Asking a service for its health over `grpc.health.v1`."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from crystalmesh_client.connection import Credentials
from crystalmesh_client.endpoints import Endpoint
from crystalmesh_common.mesh.registry import MeshService, find_service

_CHANNEL_OPTIONS: tuple[tuple[str, Any], ...] = (
    ("grpc.enable_http_proxy", 0),  # our own processes are not behind the proxy of this network
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.use_local_subchannel_pool", 1),  # a new probe makes a new connection
)


class Health(StrEnum):
    """What a service says of itself."""

    SERVING = "serving"
    NOT_SERVING = "not serving"
    UNREACHABLE = "unreachable"


class HealthProbe:
    """A connection to one endpoint, which may host several services."""

    def __init__(self, endpoint: Endpoint, *, timeout_seconds: float = 2.0) -> None:
        self._endpoint = endpoint
        self._timeout = timeout_seconds
        self._channel: grpc.aio.Channel | None = None

    async def check(self, service: MeshService) -> Health:
        """The health of all that a service hosts; never raises for a server that is gone or odd."""
        try:
            if self._channel is None:
                self._channel = await _connect(self._endpoint, self._timeout)
            stub = health_pb2_grpc.HealthStub(self._channel)
            for name in service.hosted:
                answer = await stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=self._timeout)
                if answer.status != answer.SERVING:
                    return Health.NOT_SERVING
        except (grpc.RpcError, OSError, TimeoutError):
            return Health.UNREACHABLE
        return Health.SERVING

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._channel is not None:
            await self._channel.close()


async def health_of(endpoints: Mapping[str, Endpoint | None]) -> dict[str, str]:
    """The health of several services by name, all asked at once; one without an endpoint is unreachable."""

    async def ask(name: str, endpoint: Endpoint | None) -> tuple[str, str]:
        if endpoint is None:
            return name, Health.UNREACHABLE.value
        async with HealthProbe(endpoint) as probe:
            return name, (await probe.check(find_service(name))).value

    return dict(await asyncio.gather(*(ask(*item) for item in endpoints.items())))


async def _connect(endpoint: Endpoint, seconds: float) -> grpc.aio.Channel:
    if not endpoint.tls:
        return grpc.aio.insecure_channel(endpoint.address, options=_CHANNEL_OPTIONS)
    async with asyncio.timeout(seconds):
        certificate, name = await _presented_certificate(endpoint.address)
    options = (*_CHANNEL_OPTIONS, ("grpc.ssl_target_name_override", name))
    return grpc.aio.secure_channel(endpoint.address, _credentials(certificate), options=options)


def _credentials(certificate: str) -> grpc.ChannelCredentials:
    """Trust in that certificate, and what clients show here to servers that want to know who asks."""
    own = Credentials()
    key, chain = (path.read_bytes() if path else None for path in (own.tls_key, own.tls_certificate))
    return grpc.ssl_channel_credentials(certificate.encode(), key, chain)


async def _presented_certificate(address: str) -> tuple[str, str]:
    """The certificate that the server shows, as PEM, and a name it is for.

    A probe trusts what is there: it tells no secrets, and asks only whether its own child answers.
    """
    anything = ssl.create_default_context()
    anything.check_hostname = False
    anything.verify_mode = ssl.CERT_NONE
    shown = (await _handshake(address, anything)).getpeercert(binary_form=True)
    if shown is None:
        raise OSError("the server shows no certificate")
    certificate = ssl.DER_cert_to_PEM_cert(shown)
    # Only a verified handshake yields the names in it.
    this_one = ssl.create_default_context(cadata=certificate)
    this_one.check_hostname = False
    this_one.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    fields: Any = (await _handshake(address, this_one)).getpeercert() or {}
    names = [value for kind, value in fields.get("subjectAltName", ()) if kind in {"DNS", "IP Address"}]
    return certificate, names[0].replace("*", "any") if names else "localhost"


async def _handshake(address: str, context: ssl.SSLContext) -> ssl.SSLObject:
    host, _, port = address.rpartition(":")
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection(host.strip("[]"), int(port), ssl=context)
    connection: ssl.SSLObject = writer.get_extra_info("ssl_object")
    writer.transport.abort()
    return connection
