"""Finding known materials through MCP, in a real catalog."""

from __future__ import annotations

import pytest

from crystalmesh_client.mcp.server import CrystalMeshServer
from crystalmesh_common.crystal.text import crystal_from_cif, crystal_to_cif
from tests.client.mcp.calls import SALT, call, refused
from tests.client.mcp.conftest import ServerOn
from tests.conftest import ServiceProcess, silicon, sodium_chloride


@pytest.fixture
def server(server_on: ServerOn, retrieving: ServiceProcess) -> CrystalMeshServer:
    """An MCP server that works on real services."""
    return server_on(retrieval=retrieving)


async def test_words_find_materials(server: CrystalMeshServer) -> None:
    """The nearest first, each with what is known and from where."""
    found = await call(server, "search_materials", text="a semiconductor, diamond of Si", limit=2)
    first, _ = found["materials"]
    assert (first["material_id"], first["formula"], found["catalog"]) == ("si", "Si", "known")
    gap = first["properties"]["band_gap_ev"]
    assert gap == {
        "value": 0.6,
        "uncertainty": None,
        "source_kind": "dft",
        "source": "Materials Project 2021",
    }
    assert "cif" not in first


async def test_demands_hold_for_every_hit(server: CrystalMeshServer) -> None:
    """Beside words, and alone, when they are what is sought."""
    demands = {"elements": ["Na"], "band_gap_ev": {"min": 2}}
    for sought in ({}, {"text": "a metal"}, {"like_cif": SALT}):
        found = await call(server, "search_materials", demands=demands, **sought)
        assert [each["material_id"] for each in found["materials"]] == ["salt"]
    none = await call(server, "search_materials", text="a metal", demands={"formula": "LiFePO4"})
    assert none["materials"] == []


async def test_a_material_comes_with_its_crystal(server: CrystalMeshServer) -> None:
    """As CIF that can be passed on."""
    material = await call(server, "get_material", material_id="salt")
    assert (material["formula"], material["space_group_number"], material["atom_count"]) == ("NaCl", 225, 2)
    assert material["properties"]["formation_energy_ev_per_atom"]["uncertainty"] == 0.05
    assert "rock salt" in material["structure_description"]
    crystal = crystal_from_cif(material["cif"])
    assert crystal.volume == pytest.approx(sodium_chloride().volume, rel=1e-4)


async def test_a_crystal_is_known_or_new(server: CrystalMeshServer) -> None:
    """By the catalog, within tolerances."""
    known = await call(server, "match_crystal", cif=crystal_to_cif(sodium_chloride(a=5.9)))
    assert known["is_known"]
    assert [each["material_id"] for each in known["matches"]] == ["salt"]
    strict = await call(server, "match_crystal", cif=crystal_to_cif(silicon(shift=0.15)), site_fraction=0.01)
    assert (strict["is_known"], strict["matches"], strict["compared_count"]) == (False, [], 1)


@pytest.mark.parametrize(
    ("tool", "arguments", "reason", "says"),
    [
        ("search_materials", {}, "INVALID_FIELD", "give `text`"),
        ("search_materials", {"demands": {}}, "INVALID_FIELD", "give `text`"),
        ("search_materials", {"text": "a", "like_cif": SALT}, "INVALID_FIELD", "not both"),
        ("search_materials", {"text": "a", "limit": 51}, "INVALID_FIELD", "limit: "),
        ("search_materials", {"text": "a" * 4001}, "INVALID_FIELD", "text: "),
        ("search_materials", {"text": "\ud800"}, "INVALID_FIELD", "text: "),
        ("search_materials", {"text": "a", "catalog": "none"}, "RESOURCE_NOT_FOUND", "none"),
        ("search_materials", {"text": "a", "demands": {"element": ["Li"]}}, "INVALID_FIELD", "element"),
        ("search_materials", {"text": "a", "demands": {"elements": ["Qq"]}}, "INVALID_FIELD", "Qq"),
        ("search_materials", {"text": "a", "demands": {"formula": "rust"}}, "INVALID_FIELD", "formula"),
        (
            "search_materials",
            {"text": "a", "demands": {"band_gap_ev": {"min": 3, "max": 2}}},
            "INVALID_FIELD",
            "band_gap_ev",
        ),
        ("search_materials", {"text": "a", "demands": {"band_gap_ev": {}}}, "INVALID_FIELD", "no bound"),
        (
            "search_materials",
            {"text": "a", "demands": {"space_group_number": 225, "crystal_system": "cubic"}},
            "INVALID_FIELD",
            "not both",
        ),
        ("search_materials", {"text": "a", "linit": 3}, "INVALID_FIELD", "no argument linit"),
        ("get_material", {"material_id": "mp-none"}, "RESOURCE_NOT_FOUND", "mp-none"),
        ("get_material", {}, "INVALID_FIELD", "material_id: "),
        ("match_crystal", {"cif": "data_\n"}, "UNREADABLE_CRYSTAL", ""),
        ("match_crystal", {"cif": SALT, "site_fraction": 0}, "INVALID_FIELD", "site_fraction: "),
        ("find", {}, "INVALID_FIELD", "there is no tool find"),
    ],
)
async def test_bad_calls_say_what_to_correct(
    server: CrystalMeshServer, tool: str, arguments: dict[str, object], reason: str, says: str
) -> None:
    """With a reason for programs, and the argument that is meant."""
    fault = await refused(server, tool, **arguments)
    assert fault["reason"] == reason
    assert says in fault["message"]
