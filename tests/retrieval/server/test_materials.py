"""Getting and listing materials and catalogs through a real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from crystalmesh.crystal.v1.property_pb2 import (
    PROPERTY_ATOMS_IN_CELL,
    PROPERTY_BAND_GAP_EV,
    PROPERTY_DENSITY_G_PER_CUBIC_CENTIMETER,
    PropertyValue,
)
from crystalmesh.crystal.v1.target_pb2 import PropertyRange
from crystalmesh.retrieval.v1.catalog_pb2 import (
    INDEX_KIND_FLAT,
    GetCatalogRequest,
    ListCatalogsRequest,
)
from crystalmesh.retrieval.v1.filter_pb2 import MaterialFilter
from crystalmesh.retrieval.v1.material_pb2 import (
    MATERIAL_VIEW_BASIC,
    MATERIAL_VIEW_FULL,
    GetMaterialRequest,
    ListMaterialsRequest,
    Material,
)
from crystalmesh_common.crystal.protobuf import crystal_from_proto
from crystalmesh_retrieval.catalog.catalogs import Catalogs
from tests.conftest import iron, silicon, sodium_chloride
from tests.retrieval.materials import salts
from tests.retrieval.server.hosting import Hosted, add, failure, retrieval, to_add
from tests.retrieval.server.small import DIMENSIONS


async def pages(server: Hosted, **fields: Any) -> list[list[Material]]:
    """All pages of a listing."""
    found, token = [], ""
    while True:
        response = await server.stub.ListMaterials(ListMaterialsRequest(page_token=token, **fields))
        found.append(list(response.materials))
        token = response.next_page_token
        if not token:
            return found


def ids(page: list[Material]) -> list[str]:
    return [material.id for material in page]


def fill(server: Hosted, name: str, count: int) -> None:
    """A catalog that another process has filled."""
    catalogs = Catalogs(server.catalogs)
    catalogs.create(name)
    with catalogs.writer(name) as writer:
        writer.add(salts(count))


async def test_one_material_whole(tmp_path: Path) -> None:
    """A material comes with crystal and descriptions; ids and catalogs that are not there are not found."""
    async with retrieval(tmp_path) as server:
        await add(server.stub, "mine", to_add(iron()))
        got = (await server.stub.GetMaterial(GetMaterialRequest(material_id="Fe"))).material
        missing = await failure(server.stub.GetMaterial(GetMaterialRequest(material_id="Ni")))
        nowhere = await failure(server.stub.GetMaterial(GetMaterialRequest(material_id="Fe", catalog="x")))
        empty = await failure(server.stub.GetMaterial(GetMaterialRequest()))
    crystal = crystal_from_proto(got.crystal)
    np.testing.assert_array_equal(crystal.frac_coords, iron().frac_coords)
    assert crystal.magnetic_moments is not None
    assert (got.formula, got.space_group_number, got.atom_count, got.catalog) == ("Fe", 229, 2, "mine")
    assert "space group 229" in got.property_description
    assert got.structure_description
    assert (missing.reason, missing.details["resource"]) == ("RESOURCE_NOT_FOUND", "material")
    assert (nowhere.reason, nowhere.details["resource"]) == ("RESOURCE_NOT_FOUND", "catalog")
    assert (empty.reason, empty.details["field"]) == ("INVALID_FIELD", "material_id")


async def test_a_listing_in_pages(tmp_path: Path) -> None:
    """Pages hold every material once, by id, also while others are added, replaced and merged in between."""
    async with retrieval(tmp_path) as server:
        fill(server, "mine", 25)
        whole = await pages(server, page_size=10)
        first = await server.stub.ListMaterials(ListMaterialsRequest(page_size=10))
        with Catalogs(server.catalogs).writer("mine") as writer:
            writer.remove(["salt-0", "salt-12"])
            writer.add(salts(3, start=100))
        request = ListMaterialsRequest(page_size=1000, page_token=first.next_page_token)
        rest = await server.stub.ListMaterials(request)
    every = [name for page in whole for name in ids(page)]
    assert [len(page) for page in whole] == [10, 10, 5]
    assert every == sorted(f"salt-{n}" for n in range(25))
    assert set(ids(list(rest.materials))) >= set(every[10:]) - {"salt-0", "salt-12"}
    assert not set(ids(list(rest.materials))) & set(every[:10])


async def test_filters_and_views_of_a_listing(tmp_path: Path) -> None:
    """A filter lists what passes, an empty page where nothing does; the full view has crystals."""
    narrow = PropertyRange(property=PROPERTY_BAND_GAP_EV, min=0.002, max=0.004)
    async with retrieval(tmp_path) as server:
        fill(server, "mine", 20)
        (passing,) = await pages(server, filter=MaterialFilter(properties=[narrow]))
        (nothing,) = await pages(server, filter=MaterialFilter(required_elements=[92]))
        (full,) = await pages(server, view=MATERIAL_VIEW_FULL, page_size=20)
        (basic,) = await pages(server)
    assert ids(passing) == ["salt-2", "salt-3", "salt-4"]
    assert nothing == []
    assert all(material.HasField("crystal") and material.structure_description for material in full)
    assert not any(material.HasField("crystal") for material in basic)


async def test_a_token_is_of_one_listing(tmp_path: Path) -> None:
    """A token with another filter, view or catalog, a torn one and a page beyond the most are refused."""
    async with retrieval(tmp_path, default_catalog="mine") as server:
        fill(server, "mine", 5)
        fill(server, "other", 5)
        first = await server.stub.ListMaterials(ListMaterialsRequest(page_size=2))
        token = first.next_page_token
        same = ListMaterialsRequest(page_token=token, view=MATERIAL_VIEW_BASIC, catalog="mine")
        assert len((await server.stub.ListMaterials(same)).materials) == 3
        for request in (
            ListMaterialsRequest(page_token=token, view=MATERIAL_VIEW_FULL),
            ListMaterialsRequest(page_token=token, filter=MaterialFilter(required_elements=[11])),
            ListMaterialsRequest(page_token=token, catalog="other"),
            ListMaterialsRequest(page_token=token[:-4]),
            ListMaterialsRequest(page_token="nonsense"),
        ):
            assert (await failure(server.stub.ListMaterials(request))).reason == "INVALID_PAGE_TOKEN"
        many = await failure(server.stub.ListMaterials(ListMaterialsRequest(page_size=1001)))
        bad = await failure(server.stub.ListMaterials(ListMaterialsRequest(view=5)))  # type: ignore[arg-type]
    assert (many.reason, many.details["field"]) == ("INVALID_FIELD", "page_size")
    assert bad.reason == "UNKNOWN_ENUM_VALUE"


async def test_what_a_catalog_is(tmp_path: Path) -> None:
    """Counts, elements, coverage, version, index and times of a catalog, as it is at the call."""
    known = to_add(sodium_chloride(), properties=[PropertyValue(property=PROPERTY_BAND_GAP_EV, value=5)])
    async with retrieval(tmp_path) as server:
        added = await add(server.stub, "mine", known, to_add(silicon()))
        catalog = (await server.stub.GetCatalog(GetCatalogRequest())).catalog
        error = await failure(server.stub.GetCatalog(GetCatalogRequest(name="ghost")))
    assert (catalog.name, catalog.is_default, catalog.material_count) == ("mine", True, 2)
    assert catalog.version == added.catalog_version
    assert list(catalog.atomic_numbers) == [11, 14, 17]
    assert {coverage.property: coverage.material_count for coverage in catalog.properties} == {
        PROPERTY_BAND_GAP_EV: 1,
        PROPERTY_DENSITY_G_PER_CUBIC_CENTIMETER: 2,
        PROPERTY_ATOMS_IN_CELL: 2,
    }
    assert catalog.size_bytes > 0
    assert (catalog.index.kind, catalog.index.encoder) == (INDEX_KIND_FLAT, "words")
    assert (catalog.index.dimensions, catalog.index.recall_at_10) == (DIMENSIONS, 1.0)
    assert catalog.update_time.ToDatetime() >= catalog.create_time.ToDatetime()
    assert error.reason == "RESOURCE_NOT_FOUND"


async def test_catalogs_are_listed_the_default_first(tmp_path: Path) -> None:
    """`starter` is the default unless another is set; without either there is none among several."""
    async with retrieval(tmp_path) as server:
        for name in ("alpha", "beta"):
            fill(server, name, 1)
        ambiguous = await failure(server.stub.GetCatalog(GetCatalogRequest()))
        fill(server, "starter", 1)
        listed = (await server.stub.ListCatalogs(ListCatalogsRequest())).catalogs
        page = await server.stub.ListCatalogs(ListCatalogsRequest(page_size=2))
        token = page.next_page_token
        rest = await server.stub.ListCatalogs(ListCatalogsRequest(page_size=2, page_token=token))
        wrong = await failure(server.stub.ListCatalogs(ListCatalogsRequest(page_token="nonsense")))
    assert ambiguous.reason == "RESOURCE_NOT_FOUND"
    assert "alpha, beta" in ambiguous.message
    assert [(c.name, c.is_default) for c in listed] == [("starter", True), ("alpha", False), ("beta", False)]
    assert [c.name for c in (*page.catalogs, *rest.catalogs)] == ["starter", "alpha", "beta"]
    assert not rest.next_page_token
    assert wrong.reason == "INVALID_PAGE_TOKEN"
    async with retrieval(tmp_path, default_catalog="beta") as server:
        listed = (await server.stub.ListCatalogs(ListCatalogsRequest())).catalogs
        assert [c.name for c in listed if c.is_default] == ["beta"]


async def test_a_damaged_catalog_says_so_and_hides_no_other(tmp_path: Path) -> None:
    """It is DATA_LOSS with what to do; the listing has it as far as its manifest says, and the others."""
    async with retrieval(tmp_path) as server:
        fill(server, "bad", 3)
        fill(server, "good", 3)
        (segment,) = (server.catalogs / "bad" / "segments").iterdir()
        segment.write_bytes(segment.read_bytes()[:-1])
        error = await failure(server.stub.GetCatalog(GetCatalogRequest(name="bad")))
        material = await failure(
            server.stub.GetMaterial(GetMaterialRequest(catalog="bad", material_id="salt-0"))
        )
        listed = (await server.stub.ListCatalogs(ListCatalogsRequest())).catalogs
        await server.stub.GetMaterial(GetMaterialRequest(catalog="good", material_id="salt-0"))
    assert error.reason == material.reason == "DATA_CORRUPT"
    assert "catalog repair" in error.message
    assert [(c.name, c.material_count) for c in listed] == [("bad", 3), ("good", 3)]
