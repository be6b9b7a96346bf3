"""Where Serve listens. Serve itself binds every interface in clear text and has no option for either.

Serve calls `prepare_proxy` in every proxy before that listens, where the variable
RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH names it: `host` sets it here, a cluster in its pods.
"""

from __future__ import annotations

from typing import Any

import grpc
from ray._common import tls_utils
from ray.serve._private import constants, default_impl, replica

from crystalmesh_common.runtime.addresses import is_loopback
from crystalmesh_common.runtime.auth import server_credentials
from crystalmesh_common.runtime.ray.settings import SETTINGS_NAME, RaySettings
from crystalmesh_common.runtime.settings import SettingsError, load_settings
from crystalmesh_common.runtime.standalone import server_options


class _Bound:
    """Whether this process's proxy listens where the settings say."""

    host: str | None = None


def bound_host() -> str:
    """The host that this process's gRPC proxy listens on."""
    return _Bound.host or "::"


def prepare_proxy() -> list[Any]:
    """Make the gRPC proxy of this process listen as the settings say; no HTTP middleware."""
    settings = load_settings(RaySettings, SETTINGS_NAME)
    credentials = server_credentials(settings)

    def add_grpc_address(server: grpc.aio.Server, address: str) -> None:
        bind_to = f"{settings.host}:{address.rsplit(':', 1)[1]}"
        try:
            if credentials is None:
                server.add_insecure_port(bind_to)
            else:
                server.add_secure_port(bind_to, credentials)
        except RuntimeError:
            raise SettingsError(f"cannot listen on {bind_to}: the address is in use or not ours") from None
        _Bound.host = settings.host

    default_impl.add_grpc_address = add_grpc_address  # type: ignore[assignment]  # of any server
    constants.DEFAULT_GRPC_SERVER_OPTIONS[:] = server_options(settings)
    return []


def keep_replica_on_loopback(node_address: str) -> None:
    """Bind the port on which replicas hear from each other to loopback, where all of Ray is."""
    if not is_loopback(node_address):
        return
    add_port = tls_utils.add_port_to_grpc_server

    def add_loopback_port(server: grpc.aio.Server, address: str) -> int:
        return int(add_port(server, address.replace("[::]", "127.0.0.1")))  # type: ignore[no-untyped-call]

    replica.add_port_to_grpc_server = add_loopback_port  # type: ignore[attr-defined]
