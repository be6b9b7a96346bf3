"""Adding materials through a real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.crystal.v1.property_pb2 import (
    PROPERTY_BAND_GAP_EV,
    PROPERTY_DENSITY_G_PER_CUBIC_CENTIMETER,
    SOURCE_KIND_DFT,
    PropertyValue,
    ValueSource,
)
from crystalmesh.retrieval.v1.ingestion_pb2 import AddMaterialsRequest, MaterialInput
from crystalmesh.retrieval.v1.material_pb2 import GetMaterialRequest, MaterialSource
from crystalmesh.retrieval.v1.search_pb2 import SearchRequest
from crystalmesh_common.crystal.text import crystal_to_cif, crystal_to_poscar
from crystalmesh_common.runtime.errors import StorageFullError
from crystalmesh_common.runtime.statuses import from_status
from crystalmesh_retrieval.catalog import writer as writing
from crystalmesh_retrieval.catalog.catalogs import Catalogs
from crystalmesh_retrieval.ingestion import MAX_REJECTIONS
from tests.conftest import eventually, iron, silicon, sodium_chloride
from tests.retrieval.server.hosting import (
    Hosted,
    add,
    additions,
    all_of,
    failure,
    ids_of,
    once_it_can,
    retrieval,
    text,
    to_add,
)


def gap(value: float, **fields: Any) -> PropertyValue:
    return PropertyValue(property=PROPERTY_BAND_GAP_EV, value=value, **fields)


def salts(count: int, *, start: int = 0) -> list[MaterialInput]:
    """Materials salt-0, salt-1, …, all different."""
    return [to_add(sodium_chloride(f"salt-{n}", a=5.5 + n * 1e-4)) for n in range(start, start + count)]


def bad(name: str) -> MaterialInput:
    return MaterialInput(id=name, crystal=CrystalInput(poscar_text="no poscar"))


async def test_what_is_acknowledged_is_there_and_found(tmp_path: Path) -> None:
    """Crystals in every form arrive with all that was said of them, are counted, and searches find them."""
    source = ValueSource(kind=SOURCE_KIND_DFT, name="ours", version="1")
    where = MaterialSource(name="here", source_id="x-1", url="https://x", license="CC0-1.0", method="by hand")
    where.retrieve_time.FromJsonString("2026-01-02T03:04:05Z")
    materials = [
        to_add(sodium_chloride(), properties=[gap(5.0, uncertainty=0.1, source=source)], source=where),
        MaterialInput(id="cif", crystal=CrystalInput(cif_text=crystal_to_cif(silicon()))),
        MaterialInput(id="poscar", crystal=CrystalInput(poscar_text=crystal_to_poscar(iron()))),
    ]
    async with retrieval(tmp_path) as server:
        response = await add(server.stub, "mine", *materials)
        (found,) = await all_of(server.stub.Search(SearchRequest(queries=[text("NaCl")])))
        got = await server.stub.GetMaterial(GetMaterialRequest(material_id="NaCl"))
    counts = (
        response.received_count,
        response.added_count,
        response.replaced_count,
        response.unchanged_count,
    )
    assert counts == (3, 3, 0, 0)
    assert not response.rejections
    assert set(ids_of(found)) == {"NaCl", "cif", "poscar"}
    assert found.hits.catalog_version == response.catalog_version
    known = {value.property: value for value in got.material.properties}
    assert known[PROPERTY_BAND_GAP_EV] == gap(5.0, uncertainty=0.1, source=source, unit="eV")
    assert known[PROPERTY_DENSITY_G_PER_CUBIC_CENTIMETER].value == pytest.approx(2.11, abs=0.01)
    assert got.material.source == where


async def test_sending_again_changes_nothing(tmp_path: Path) -> None:
    """Equal materials are unchanged, one with a known id takes its place, and versions follow."""
    async with retrieval(tmp_path) as server:
        first = await add(server.stub, "mine", *salts(3))
        again = await add(server.stub, "mine", *salts(3), create=False)
        changed = await add(server.stub, "mine", to_add(silicon("salt-1")), create=False)
        back = await add(server.stub, "mine", *salts(3))
        (found,) = await all_of(server.stub.Search(SearchRequest(queries=[text("NaCl")])))
    assert (again.added_count, again.unchanged_count) == (0, 3)
    assert again.catalog_version == first.catalog_version
    assert (changed.replaced_count, changed.added_count) == (1, 0)
    assert changed.catalog_version != first.catalog_version
    assert (back.replaced_count, back.unchanged_count, back.catalog_version) == (1, 2, first.catalog_version)
    assert sorted(ids_of(found)) == ["salt-0", "salt-1", "salt-2"]


async def test_what_cannot_be_added_is_listed(tmp_path: Path) -> None:
    """Each bad material has its index in the whole stream and its reason; the others are added."""
    clash = replace(sodium_chloride("clash"), frac_coords=np.zeros((2, 3)))
    stream = [
        *salts(2),
        bad("no-crystal"),
        to_add(clash),
        MaterialInput(id="", crystal=to_add(silicon()).crystal),
        to_add(silicon("i" * 257)),
        to_add(silicon("line\nbreak")),
        to_add(silicon("twice"), properties=[gap(1), gap(2)]),
        to_add(silicon("nan"), properties=[gap(float("nan"))]),
        to_add(silicon("kind"), properties=[gap(1, source=ValueSource(kind=9))]),  # type: ignore[arg-type]
        to_add(silicon("nothing"), properties=[PropertyValue(value=1)]),
        *salts(2, start=2),
    ]
    async with retrieval(tmp_path) as server:
        response = await server.stub.AddMaterials(additions("mine", *stream, batch=3))
    assert (response.received_count, response.added_count) == (len(stream), 4)
    assert [(r.index, from_status(r.error).reason) for r in response.rejections] == [
        (2, "UNREADABLE_CRYSTAL"),
        (3, "OVERLAPPING_ATOMS"),
        (4, "INVALID_FIELD"),
        (5, "INVALID_FIELD"),
        (6, "INVALID_FIELD"),
        (7, "INVALID_FIELD"),
        (8, "INVALID_FIELD"),
        (9, "UNKNOWN_ENUM_VALUE"),
        (10, "UNKNOWN_ENUM_VALUE"),
    ]
    assert response.rejections[0].material_id == "no-crystal"


async def test_it_gives_up_after_a_thousand_rejections(tmp_path: Path) -> None:
    """The answer comes without the rest: what was looked at and is not listed is there, nothing else is."""
    async with retrieval(tmp_path) as server:
        stream = [*salts(2), *map(bad, map(str, range(MAX_REJECTIONS + 5))), *salts(2, start=2)]
        response = await server.stub.AddMaterials(additions("mine", *stream, batch=700))
        late = await failure(server.stub.GetMaterial(GetMaterialRequest(material_id="salt-2")))
        await server.stub.GetMaterial(GetMaterialRequest(material_id="salt-1"))
    assert len(response.rejections) == MAX_REJECTIONS
    assert response.received_count == 2 + MAX_REJECTIONS
    assert response.added_count == 2
    assert response.rejections[-1].index == 1 + MAX_REJECTIONS
    assert late.reason == "RESOURCE_NOT_FOUND"


@pytest.mark.parametrize(
    ("messages", "reason", "field"),
    [
        ([], "INVALID_FIELD", "catalog"),
        ([AddMaterialsRequest(create_catalog=True)], "INVALID_FIELD", "catalog"),
        ([AddMaterialsRequest(catalog="ghost")], "RESOURCE_NOT_FOUND", None),
        ([AddMaterialsRequest(catalog="../out")], "RESOURCE_NOT_FOUND", None),
        ([AddMaterialsRequest(catalog="No Name!", create_catalog=True)], "INVALID_FIELD", "catalog"),
        ([AddMaterialsRequest(catalog="a", catalog_description="x")], "INVALID_FIELD", "catalog_description"),
        ([*additions("a"), AddMaterialsRequest()], "EMPTY_BATCH", "materials"),
        ([*additions("a"), AddMaterialsRequest(catalog="b", materials=salts(1))], "INVALID_FIELD", "catalog"),
        (
            [*additions("a"), AddMaterialsRequest(create_catalog=True, materials=salts(1))],
            "INVALID_FIELD",
            "create_catalog",
        ),
        (
            [AddMaterialsRequest(catalog="a", create_catalog=True, materials=salts(5))],
            "TOO_MANY_CRYSTALS",
            None,
        ),
    ],
)
async def test_a_stream_that_is_wrong_fails(
    tmp_path: Path, messages: list[AddMaterialsRequest], reason: str, field: str | None
) -> None:
    """The reason says what is wrong, and where."""
    async with retrieval(tmp_path, limits={"crystals_per_call": 4}) as server:
        error = await failure(server.stub.AddMaterials(messages))
    assert error.reason == reason
    assert error.details.get("field") == field or field is None


async def test_an_empty_first_message_only_makes_the_catalog(tmp_path: Path) -> None:
    """A catalog is made with its description, and is empty and searchable."""
    first = AddMaterialsRequest(catalog="mine", create_catalog=True, catalog_description="of the tests")
    async with retrieval(tmp_path) as server:
        response = await server.stub.AddMaterials([first])
        (found,) = await all_of(server.stub.Search(SearchRequest(queries=[text("NaCl")])))
    assert (response.received_count, response.catalog) == (0, "mine")
    assert found.WhichOneof("outcome") == "hits"
    assert Catalogs(server.catalogs).manifest("mine").description == "of the tests"


async def test_there_is_one_writer(tmp_path: Path) -> None:
    """While a stream or another process writes, a second stream is ABORTED; then it goes through."""
    async with retrieval(tmp_path) as server:
        await add(server.stub, "mine", *salts(1))
        with Catalogs(server.catalogs).writer("mine"):
            error = await failure(server.stub.AddMaterials(additions("mine", *salts(2))))
            assert error.code is grpc.StatusCode.ABORTED
            assert error.reason == "WRITER_BUSY"
        more = asyncio.Event()
        forget_writers(server)
        slow = server.stub.AddMaterials(slowly(more))
        await until_writing(server)
        assert (await failure(server.stub.AddMaterials(additions("mine", *salts(2))))).reason == "WRITER_BUSY"
        more.set()
        assert (await slow).added_count == 1
        assert (await add(server.stub, "mine", *salts(2))).added_count == 1


async def test_a_caller_who_leaves_lets_others_write(tmp_path: Path) -> None:
    """A stream that is cancelled in the middle keeps no lock, and what it had brought may be sent again."""
    async with retrieval(tmp_path) as server:
        await add(server.stub, "mine", *salts(1))
        forget_writers(server)
        left = server.stub.AddMaterials(slowly(asyncio.Event()))
        await until_writing(server)
        left.cancel()
        # It hears of the cancellation a moment later.
        added = await once_it_can(lambda: add(server.stub, "mine", *salts(2)), "WRITER_BUSY")
    assert added.added_count == 1


async def test_a_full_disk_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No space means STORAGE_FULL; what was there stays searchable, and once there is space it goes on."""

    def full(*_: object) -> None:
        raise StorageFullError("no space is left")

    async with retrieval(tmp_path) as server:
        await add(server.stub, "mine", *salts(1))
        with monkeypatch.context() as patch:
            patch.setattr(writing, "write_segment", full)
            error = await failure(server.stub.AddMaterials(additions("mine", *salts(3))))
        assert error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert error.reason == "STORAGE_FULL"
        (found,) = await all_of(server.stub.Search(SearchRequest(queries=[text("NaCl")])))
        assert ids_of(found) == ["salt-0"]
        assert (await add(server.stub, "mine", *salts(3))).added_count == 2


async def test_searches_go_on_while_materials_come(tmp_path: Path) -> None:
    """Searches beside five additions each see one state of the catalog, and never fewer than before."""
    async with retrieval(tmp_path) as server:
        await add(server.stub, "mine", *salts(1))
        seen: list[int] = []

        async def search_until(adding: asyncio.Task[None]) -> None:
            while not adding.done():
                request = SearchRequest(queries=[text("NaCl")], limit=1000)
                (found,) = await all_of(server.stub.Search(request))
                seen.append(len(found.hits.hits))

        async def add_five() -> None:
            for n in range(1, 6):
                await add(server.stub, "mine", *salts(2, start=2 * n))

        adding = asyncio.create_task(add_five())
        await asyncio.gather(adding, search_until(adding), search_until(adding))
        (found,) = await all_of(server.stub.Search(SearchRequest(queries=[text("NaCl")], limit=1000)))
    assert len(found.hits.hits) == 11
    assert set(seen) <= set(range(1, 12, 2))


def slowly(more: asyncio.Event) -> AsyncIterator[AddMaterialsRequest]:
    async def stream() -> AsyncIterator[AddMaterialsRequest]:
        yield AddMaterialsRequest(catalog="mine")
        await more.wait()
        yield AddMaterialsRequest(materials=[to_add(silicon())])

    return stream()


async def until_writing(server: Hosted) -> None:
    """Return once a stream that was begun after `forget_writers` holds the catalog."""
    await eventually(lambda: lock_of(server).read_text() != "", "a stream to write")


def forget_writers(server: Hosted) -> None:
    """Let the lock name nobody until the next writer holds it."""
    lock_of(server).write_text("")


def lock_of(server: Hosted) -> Path:
    return server.catalogs / "mine" / "writer.lock"
