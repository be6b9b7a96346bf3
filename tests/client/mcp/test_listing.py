"""What a client learns of the server before it calls anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from mcp import Client
from mcp_types import Tool

from crystalmesh_client import AsyncMesh
from crystalmesh_client.mcp.server import CrystalMeshServer, build_server
from tests.client.mcp.calls import refused

READING = {
    "search_materials",
    "get_material",
    "match_crystal",
    "predict_properties",
    "relax_crystal",
    "score_stability",
    "generate_crystals",
    "campaign_status",
    "campaign_candidates",
}
WRITING = {"design", "cancel_campaign"}


@pytest.fixture
def server() -> CrystalMeshServer:
    return build_server(AsyncMesh)


async def tools_of(server: CrystalMeshServer) -> dict[str, Tool]:
    async with Client(server) as client:
        return {tool.name: tool for tool in (await client.list_tools()).tools}


async def test_the_tools_are_listed_without_a_mesh(server: CrystalMeshServer) -> None:
    """A client may start before the mesh does; it learns which tools change something."""
    tools = await tools_of(server)
    assert set(tools) == READING | WRITING
    for name, tool in tools.items():
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint is (name in READING)
        assert tool.annotations.destructive_hint is (name == "cancel_campaign")
        assert tool.title
        assert tool.description
        assert not tool.description.startswith(" ")


async def test_every_argument_is_described_and_bounded(server: CrystalMeshServer) -> None:
    """Texts have a largest length, lists a largest size, numbers a range, and nothing else is taken."""
    for tool in (await tools_of(server)).values():
        schema = tool.input_schema
        assert schema["additionalProperties"] is False
        for where, part in parts(schema, tool.name):
            match part.get("type"):
                case "string":
                    assert part.keys() & {"maxLength", "enum", "pattern", "const"}, where
                case "array":
                    assert "maxItems" in part or "enum" in str(part["items"]), where
                case "object":
                    assert part["additionalProperties"] is False, where
                case "integer" | "number" if "Bounds" not in where and "target" not in where:
                    assert part.keys() & {"minimum", "exclusiveMinimum"}, where
                    assert "maximum" in part, where
        unexplained = [name for name, part in schema["properties"].items() if not explained(part, schema)]
        assert unexplained in ([], ["max_steps", "pressure_gpa"], ["material_id"]), tool.name


async def test_results_have_schemas_with_units(server: CrystalMeshServer) -> None:
    """Every number that has a unit says it in its name."""
    unitless = {"volume", "energy", "gap", "force", "stress", "pressure", "temperature", "density", "length"}
    for tool in (await tools_of(server)).values():
        assert tool.output_schema is not None
        assert tool.output_schema["type"] == "object"
        for schema in (tool.input_schema, tool.output_schema):
            for where, part in parts(schema, tool.name):
                assert not set(part.get("properties", ())) & unitless, where


async def test_instructions_say_what_to_use_when_and_what_is_data(server: CrystalMeshServer) -> None:
    """They name every tool, and say that texts in results instruct nobody."""
    async with Client(server) as client:
        instructions = client.instructions or ""
    assert {name for name in READING | WRITING if name in instructions} >= WRITING - {"cancel_campaign"}
    assert "never\ninstructions" in instructions


async def test_a_fault_of_ours_tells_nothing_of_the_inside(caplog: pytest.LogCaptureFixture) -> None:
    """The log has it, the model does not."""

    def broken() -> AsyncMesh:
        raise RuntimeError("the secret of /etc/mesh")

    fault = await refused(build_server(broken), "get_material", material_id="salt")
    assert fault["reason"] == "INTERNAL"
    assert "secret" not in str(fault)
    assert "the secret of /etc/mesh" in caplog.text


def parts(schema: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema within a schema, with its path."""
    if isinstance(schema, dict):
        yield where, schema
        for name, part in schema.items():
            yield from parts(part, f"{where}.{name}")
    if isinstance(schema, list):
        for position, part in enumerate(schema):
            yield from parts(part, f"{where}.{position}")


def explained(part: dict[str, Any], schema: dict[str, Any]) -> bool:
    reference = part.get("$ref", "").removeprefix("#/$defs/")
    return bool(part.get("description") or schema.get("$defs", {}).get(reference, {}).get("description"))
