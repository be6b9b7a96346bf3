"""Calling tools as a client does, and reading what comes back."""

from __future__ import annotations

from typing import Any

import anyio
from mcp import Client
from mcp_types import CallToolResult, TextContent

from crystalmesh_client.mcp.faults import ERROR_KEY
from crystalmesh_client.mcp.server import CrystalMeshServer
from crystalmesh_common.crystal.text import crystal_to_cif
from tests.conftest import sodium_chloride

SALT = crystal_to_cif(sodium_chloride())


async def call(server: CrystalMeshServer, tool: str, **arguments: Any) -> dict[str, Any]:
    """The structured result of a call that went well, held by the client against the tool's schema."""
    async with Client(server) as client:
        await client.list_tools()  # so that the client knows the schemas
        return good(await client.call_tool(tool, arguments))


async def refused(server: CrystalMeshServer, tool: str, **arguments: Any) -> dict[str, Any]:
    """The fault of a call that went wrong."""
    async with Client(server) as client:
        return bad(await client.call_tool(tool, arguments))


def good(result: CallToolResult) -> dict[str, Any]:
    """What a call answered."""
    assert not result.is_error, result.content
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def bad(result: CallToolResult) -> dict[str, Any]:
    """What was wrong: the same in the metadata, for programs, as in the text, which models read."""
    assert result.is_error
    assert result.structured_content is None
    (content,) = result.content
    assert isinstance(content, TextContent)
    assert "Traceback" not in content.text
    assert result.meta is not None
    fault: dict[str, Any] = result.meta[ERROR_KEY]
    assert content.text.startswith(f"{fault['reason']}: ")
    assert content.text.endswith(f"hint: {fault['hint']}")
    return fault


class Told:
    """Takes the progress of a call, and can be waited for."""

    def __init__(self) -> None:
        self.values: list[float] = []
        self.totals: list[float | None] = []
        self.messages: list[str] = []
        self.anything = anyio.Event()

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        self.values.append(progress)
        self.totals.append(total)
        self.messages.append(message or "")
        self.anything.set()
