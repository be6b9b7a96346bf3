from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.message import Message

from crystalmesh_client import AsyncMesh, Catalog, MaterialFilter, MaterialInput, MaterialSource, Mesh
from crystalmesh_common.runtime import errors
from tests.conftest import copies, silicon


async def test_catalogs_are_listed_and_described(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """The default first; each says what it holds, how it is searched, and when it was made."""
    listed = mesh.retrieval.catalogs()
    assert [catalog.is_default for catalog in listed] == [True] + [False] * (len(listed) - 1)
    known = mesh.retrieval.catalog("known")
    assert mesh.retrieval.catalog() == known == listed[0]
    assert (known.material_count, known.description) == (3, "a few")
    assert known.elements == ["Na", "Si", "Cl", "Fe"]
    assert known.properties["band_gap_ev"] == 3
    assert known.properties["formation_energy_ev_per_atom"] == 1
    assert known.index is not None
    assert (known.index.kind, known.index.encoder, known.index.recall_at_10) == ("flat", "words", 1.0)
    assert known.created is not None
    assert known.created <= datetime.now(UTC)
    assert (await async_mesh.retrieval.catalog("known")).version == known.version
    assert "known" in {catalog.name for catalog in await async_mesh.retrieval.catalogs()}
    assert "recall@10" in known._repr_html_()
    with pytest.raises(errors.ResourceNotFoundError):
        await async_mesh.retrieval.catalog("sugar")


async def test_materials_are_listed_page_by_page(
    mesh: Mesh, async_mesh: AsyncMesh, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pages are turned as the materials are read, and each material comes once."""
    mesh.retrieval.add_materials(copies(silicon(), 7), catalog="pages", create=True)
    listed = [material.id for material in mesh.retrieval.materials(catalog="pages", page_size=3)]
    assert sorted(listed) == [f"Si-{number}" for number in range(7)]
    again = async_mesh.retrieval.materials(catalog="pages", page_size=2, view="full")
    assert [material.id async for material in again if material.crystal is not None] == listed
    assert list(mesh.retrieval.materials(catalog="pages", filter=MaterialFilter(elements="Au"))) == []
    asked: list[str] = []
    caller = mesh.retrieval._caller
    look_up = caller.look_up

    def noted(rpc: str, request: Message) -> Any:
        asked.append(rpc)
        return look_up(rpc, request)

    monkeypatch.setattr(caller, "look_up", noted)
    assert next(mesh.retrieval.materials(catalog="pages", page_size=3)).id == listed[0]
    assert asked == ["ListMaterials"]


async def test_one_material_is_whole(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """Crystal, texts and origin come back as they were brought; an unknown id is an error."""
    made = MaterialSource(
        "tests", "there", "https://example.org", datetime(2026, 1, 2, tzinfo=UTC), "CC0-1.0", "by hand"
    )
    given = MaterialInput(
        silicon("whole"), "other", {"bulk_modulus_gpa": 98}, made, "few words", "many words"
    )
    mesh.retrieval.add_materials([given], catalog="whole", create=True)
    material = mesh.retrieval.material("other", catalog="whole")
    assert material.source == made
    assert (material.property_description, material.structure_description) == ("few words", "many words")
    assert material.crystal is not None
    assert material.crystal.id == "other"
    assert str(material.properties["bulk_modulus_gpa"]) == "98 GPa"
    assert "tests, there, by hand, CC0-1.0" in material._repr_html_()
    assert (await async_mesh.retrieval.material("other", catalog="whole")).source == made
    with pytest.raises(errors.ResourceNotFoundError):
        mesh.retrieval.material("nothing", catalog="whole")
    with pytest.raises(errors.ResourceNotFoundError):
        await async_mesh.retrieval.material("other", catalog="sugar")


async def test_encoders_are_listed(mesh: Mesh, async_mesh: AsyncMesh) -> None:
    """The one that is served, and that it is ready."""
    (model,) = mesh.retrieval.models()
    assert (model.name, model.is_default, model.ready) == ("words", True, True)
    assert await async_mesh.retrieval.models() == [model]


def test_a_catalog_without_an_index_says_so() -> None:
    """What a server does not state is None, and shows."""
    bare = Catalog("bare", "", "1", False, 0, 0, (), {}, (), None, None, None)  # noqa: FBT003
    assert "bare" in bare._repr_html_()
