"""The MCP server over HTTP, for clients that cannot start it themselves."""

from __future__ import annotations

import hmac
import socket
from collections.abc import Callable

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from crystalmesh_common.runtime.addresses import is_loopback, with_port
from crystalmesh_common.runtime.errors import InvalidFieldError

PATH = "/mcp"
MIN_TOKEN_CHARACTERS = 16
MAX_REQUEST_BYTES = 4 * 1024 * 1024  # 20 CIF texts of the largest size
_BACKLOG = 128
_DRAIN_SECONDS = 3


class TokenGate:
    """Lets requests through that bring the token, and answers all others with 401."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            presented = Headers(scope=scope).get("authorization", "").encode()
            if not hmac.compare_digest(presented, self._expected):
                refusal = PlainTextResponse(
                    "a bearer token is needed\n", status_code=401, headers={"WWW-Authenticate": "Bearer"}
                )
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


def check_reach(host: str, token: str) -> None:
    """InvalidFieldError for a host beyond this machine without a token, and for a token that is too short."""
    if not token and not is_loopback(host):
        raise InvalidFieldError(
            f"{host} can be reached from other machines: set a token, or serve on 127.0.0.1", field="http"
        )
    if token and len(token) < MIN_TOKEN_CHARACTERS:
        raise InvalidFieldError(f"a token has at least {MIN_TOKEN_CHARACTERS} characters", field="token")


def application(server: MCPServer, host: str, token: str) -> ASGIApp:
    """The server as an ASGI application at PATH."""
    local = is_loopback(host)
    app: ASGIApp = server.streamable_http_app(
        streamable_http_path=PATH,
        host=host,
        max_request_body_size=MAX_REQUEST_BYTES,
        # A web page in a browser on this machine could otherwise talk to it under a name of its own.
        transport_security=TransportSecuritySettings(
            enable_dns_rebinding_protection=local,
            allowed_hosts=[f"{name}:*" for name in _names(host)],
            allowed_origins=[f"http://{name}:*" for name in _names(host)],
        ),
    )
    return TokenGate(app, token) if token else app


def serve(server: MCPServer, host: str, port: int, token: str, ready: Callable[[str], None]) -> None:
    """Serve until Ctrl-C. `ready` gets the URL once it listens; OSError where it cannot.

    Raises InvalidFieldError as `check_reach` does.
    """
    check_reach(host, token)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family, backlog=_BACKLOG) as listening:
        config = uvicorn.Config(
            application(server, host, token),
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=_DRAIN_SECONDS,
            server_header=False,
        )
        ready(f"http://{with_port(host, listening.getsockname()[1])}{PATH}")
        uvicorn.Server(config).run(sockets=[listening])


def _names(host: str) -> list[str]:
    bracketed = f"[{host}]" if ":" in host else host
    return list(dict.fromkeys([bracketed, "127.0.0.1", "localhost", "[::1]"]))
