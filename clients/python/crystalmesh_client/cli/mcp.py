"""`crystalmesh mcp`."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Annotated

import typer

from crystalmesh_client.cli.reports import AddressOption, usage_error

TOKEN_VARIABLE = "CRYSTALMESH_MCP_TOKEN"  # noqa: S105 -- the name of a variable
_MAX_PORT = 65535

HttpOption = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Serve streamable HTTP there. Beyond this machine a token is needed, in CRYSTALMESH_MCP_TOKEN.",
    ),
]


def mcp(http: HttpOption = None, address: AddressOption = None) -> None:
    """Serve the mesh as tools to language models (MCP), on standard input and output.

    For the configuration of a client that starts it: command `crystalmesh`, argument `mcp`. Every call looks
    for the mesh anew, so it may start later. Exit code 0: the client has left; 2: wrong flags.
    """
    if find_spec("mcp") is None:
        usage_error("`crystalmesh mcp` needs the extra mcp: pip install 'crystalmesh[materials,mcp]'")
    from crystalmesh_client.mcp.server import build_server  # noqa: PLC0415 -- so that --help is quick
    from crystalmesh_client.mesh import AsyncMesh  # noqa: PLC0415

    where = None if http is None else host_and_port(http)
    server = build_server(lambda: AsyncMesh(address))
    if where is None:
        server.run("stdio")
        return
    from crystalmesh_client.mcp.http import serve  # noqa: PLC0415
    from crystalmesh_common.runtime.errors import InvalidFieldError  # noqa: PLC0415

    try:
        serve(server, *where, os.environ.get(TOKEN_VARIABLE, ""), lambda url: typer.echo(f"MCP at {url}"))
    except OSError as error:
        usage_error(f"cannot listen on {http}: {error.strerror}")
    except InvalidFieldError as error:
        usage_error(str(error))


def host_and_port(text: str) -> tuple[str, int]:
    """The parts of HOST:PORT, an IPv6 host in brackets; exit code 2 for anything else."""
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal()) or int(port) > _MAX_PORT:
        usage_error(f"--http takes HOST:PORT, for example 127.0.0.1:8090, not {text}")
    return host.strip("[]"), int(port)
