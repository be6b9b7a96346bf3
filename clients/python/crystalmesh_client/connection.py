"""Channels to the services of a mesh: addresses, credentials, retries, and what every call carries."""

from __future__ import annotations

import json
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import grpc

from crystalmesh_client.endpoints import ADDRESS_VARIABLE, Endpoint, read_endpoint_map
from crystalmesh_common.runtime.addresses import is_loopback
from crystalmesh_common.runtime.errors import InvalidFieldError, UnreachableError
from crystalmesh_common.runtime.statuses import RpcFailure, from_rpc_failure

TOKEN_VARIABLE = "CRYSTALMESH_TOKEN"  # noqa: S105 -- the name of a variable
CA_VARIABLE = "CRYSTALMESH_TLS_CA"
CERTIFICATE_VARIABLE = "CRYSTALMESH_TLS_CLIENT_CERTIFICATE"
KEY_VARIABLE = "CRYSTALMESH_TLS_CLIENT_KEY"

MAX_MESSAGE_BYTES = 80 * 1024 * 1024

# gRPC retries what is safe to retry, and waits as long as the server asks. A server tells by a negative
# pushback when RESOURCE_EXHAUSTED is not worth a retry. Not so for calls that send a stream: replaying one
# that failed while a message was on its way, gRPC 1.85 drops that message and ends the stream well (seen in
# one of ten). The client sends those again itself.
SERVICE_CONFIG: dict[str, Any] = {
    "methodConfig": [
        {
            "name": [
                {"service": "crystalmesh.retrieval.v1.RetrievalService", "method": "AddMaterials"},
                {"service": "crystalmesh.property.v1.PropertyService", "method": "PredictStream"},
            ]
        },
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "maxBackoff": "5s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
            },
        },
    ]
}

CHANNEL_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
    ("grpc.enable_retries", 1),
    # Beyond this a request is not kept for a retry; the default is smaller than a batch of crystals.
    ("grpc.per_rpc_retry_buffer_size", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    # Processes that talk to different meshes on one address, as tests do, must not share connections.
    ("grpc.use_local_subchannel_pool", 1),
]


@dataclass(frozen=True)
class Credentials:
    """What a client proves itself with, and whom it trusts. Unset parts come from the environment."""

    token: str | None = field(default_factory=lambda: os.environ.get(TOKEN_VARIABLE), repr=False)
    tls_ca: Path | None = field(default_factory=lambda: _path_from(CA_VARIABLE))
    tls_certificate: Path | None = field(default_factory=lambda: _path_from(CERTIFICATE_VARIABLE))
    tls_key: Path | None = field(default_factory=lambda: _path_from(KEY_VARIABLE))

    @property
    def wants_tls(self) -> bool:
        return self.tls_ca is not None or self.tls_certificate is not None

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """TLS credentials; InvalidFieldError when a file cannot be read."""
        ca, certificate, key = (_read(path) for path in (self.tls_ca, self.tls_certificate, self.tls_key))
        return grpc.ssl_channel_credentials(ca, private_key=key, certificate_chain=certificate)


class Connection:
    """Finds services and opens channels to them, one a service, when they are first needed."""

    def __init__(
        self,
        address: str | None = None,
        credentials: Credentials | None = None,
        *,
        allow_clear_text: bool = False,
    ) -> None:
        self._address = address or os.environ.get(ADDRESS_VARIABLE) or None
        self._credentials = credentials or Credentials()
        self._allow_clear_text = allow_clear_text

    def endpoint(self, service: str) -> Endpoint:
        """Where `service` is; UnreachableError when no running mesh has it."""
        if self._address is not None:
            return Endpoint(self._address, tls=self._credentials.wants_tls)
        services = read_endpoint_map().services
        if service not in services:
            raise UnreachableError(
                f"the running mesh has no service {service!r}, it has {', '.join(sorted(services))}"
            )
        return services[service]

    def sync_channel(self, service: str) -> grpc.Channel:
        endpoint = self._checked(self.endpoint(service))
        if endpoint.tls:
            credentials = self._credentials.channel_credentials()
            return grpc.secure_channel(endpoint.address, credentials, options=CHANNEL_OPTIONS)
        return grpc.insecure_channel(endpoint.address, options=CHANNEL_OPTIONS)

    def async_channel(self, service: str) -> grpc.aio.Channel:
        endpoint = self._checked(self.endpoint(service))
        if endpoint.tls:
            credentials = self._credentials.channel_credentials()
            return grpc.aio.secure_channel(endpoint.address, credentials, options=CHANNEL_OPTIONS)
        return grpc.aio.insecure_channel(endpoint.address, options=CHANNEL_OPTIONS)

    def metadata(self, service: str) -> tuple[tuple[str, str], ...]:
        """What every call carries: where to, who, its id, and the trace that it belongs to."""
        metadata = {"application": service, "x-request-id": uuid.uuid4().hex}
        if self._credentials.token:
            metadata["authorization"] = f"Bearer {self._credentials.token}"
        _inject_trace(metadata)
        return tuple(metadata.items())

    def _checked(self, endpoint: Endpoint) -> Endpoint:
        address = endpoint.address
        host = address if address.startswith("unix:") else address.rsplit(":", 1)[0]
        if self._credentials.token and not (endpoint.tls or is_loopback(host) or self._allow_clear_text):
            raise InvalidFieldError(
                f"a token would travel to {host} in clear text: give a TLS CA, or allow_clear_text",
                field="tls_ca",
            )
        return endpoint


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise what a call fails with as the exception that the server raised."""
    try:
        yield
    except grpc.RpcError as failure:
        # Both kinds of RpcError that calls raise have the methods; the base class does not declare them.
        raise from_rpc_failure(cast("RpcFailure", failure)) from None


def _inject_trace(metadata: dict[str, str]) -> None:
    """Continue the caller's trace. A process that traces has loaded OpenTelemetry; others need not."""
    if "opentelemetry.trace" not in sys.modules:
        return
    from opentelemetry.propagate import inject  # noqa: PLC0415

    inject(metadata)


def _path_from(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None


def _read(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidFieldError(f"cannot read {path}: {error.strerror}", field="tls") from None
