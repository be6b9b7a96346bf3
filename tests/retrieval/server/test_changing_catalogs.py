"""Catalogs that change under the server, and those that come with the package."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from crystalmesh.retrieval.v1.catalog_pb2 import GetCatalogRequest
from crystalmesh.retrieval.v1.search_pb2 import SearchRequest, SearchResponse
from crystalmesh_common.crystal.text import crystal_to_cif
from crystalmesh_common.runtime.errors import ResourceNotFoundError
from crystalmesh_retrieval.catalog import places
from crystalmesh_retrieval.catalog.catalogs import Catalogs
from crystalmesh_retrieval.catalog.places import CatalogPlaces
from crystalmesh_retrieval.cli import catalog
from tests.conftest import eventually, silicon
from tests.retrieval.materials import salts
from tests.retrieval.server.hosting import (
    Hosted,
    add,
    all_of,
    failure,
    ids_of,
    retrieval,
    text,
    to_add,
)


def fill(catalogs: Path, name: str, count: int, *, start: int = 0) -> None:
    """What `crystalmesh catalog add` does, in another process."""
    there = Catalogs(catalogs)
    there.create(name)
    with there.writer(name) as writer:
        writer.add(salts(count, start=start))


async def search(server: Hosted, **fields: Any) -> SearchResponse:
    request = SearchRequest(queries=[text("NaCl")], limit=1000, **fields)
    response: SearchResponse
    (response,) = await all_of(server.stub.Search(request))
    return response


async def test_what_the_command_line_adds_is_found(tmp_path: Path) -> None:
    """A catalog that appears, grows, is deleted and comes back is served as it is at each call."""
    async with retrieval(tmp_path) as server:
        assert (await failure(server.stub.Search(SearchRequest(queries=[text("x")])))).reason == (
            "RESOURCE_NOT_FOUND"
        )
        fill(server.catalogs, "known", 3)
        assert len(ids_of(await search(server))) == 3
        fill(server.catalogs, "known", 2, start=10)
        assert len(ids_of(await search(server))) == 5
        Catalogs(server.catalogs).delete("known")
        gone = await failure(server.stub.Search(SearchRequest(queries=[text("x")], catalog="known")))
        fill(server.catalogs, "known", 1)
        assert len(ids_of(await search(server, catalog="known"))) == 1
    assert gone.reason == "RESOURCE_NOT_FOUND"


async def test_a_large_catalog_is_indexed_behind_the_calls(tmp_path: Path) -> None:
    """A search that cannot wait is told to retry and how far it is; later it sees what was indexed before."""
    async with retrieval(tmp_path, index_seconds=0) as server:
        fill(server.catalogs, "known", 3)
        server.encoder.gate.clear()
        error = await failure(server.stub.Search(SearchRequest(queries=[text("NaCl")])))
        await eventually(lambda: bool(server.encoder.batches), "the index to be begun")
        again = await failure(server.stub.Search(SearchRequest(queries=[text("NaCl")])))
        server.encoder.gate.set()
        await until_indexed(server)
        before = await search(server)
        fill(server.catalogs, "known", 2, start=10)
        server.encoder.gate.clear()
        waiting = asyncio.create_task(search(server))
        await eventually(lambda: len(server.encoder.batches) >= 3, "the next index to be begun")
        server.encoder.gate.set()
        stale = await waiting
        await eventually(lambda: server.indexer.builds >= 2, "the next index")
        while len(ids_of(await search(server))) < 5:
            pass
    assert (error.reason, again.reason) == ("MODEL_LOADING", "MODEL_LOADING")
    assert error.retry_after_seconds is not None
    assert "of 3 materials" in again.message
    assert len(ids_of(before)) == 3
    assert len(ids_of(stale)) in (3, 5)


async def test_searches_wait_once_for_one_index(tmp_path: Path) -> None:
    """Ten searches of a new catalog at once have it indexed once."""
    async with retrieval(tmp_path) as server:
        fill(server.catalogs, "known", 3)
        found = await asyncio.gather(*(search(server) for _ in range(10)))
    assert {len(ids_of(response)) for response in found} == {3}
    assert server.indexer.builds == 1


async def test_a_shipped_catalog_is_copied_before_it_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is served from its place; adding to it changes a copy of this user, which hides it from then on."""
    shipped = tmp_path / "shipped"
    monkeypatch.setattr(places, "SHIPPED", shipped)
    fill(shipped, "starter", 3)
    files = {path: path.read_bytes() for path in shipped.rglob("*") if path.is_file()}
    async with retrieval(tmp_path) as server:
        shown = (await server.stub.GetCatalog(GetCatalogRequest())).catalog
        assert (shown.name, shown.is_default, shown.material_count) == ("starter", True, 3)
        assert not server.catalogs.exists() or not any(server.catalogs.iterdir())
        response = await add(server.stub, "starter", to_add(silicon()), create=True)
        assert response.added_count == 1
        assert len(ids_of(await search(server))) == 4
    assert {path: path.read_bytes() for path in shipped.rglob("*") if path.is_file()} == files
    assert len(Catalogs(tmp_path / "catalogs").open("starter")) == 4


def test_the_command_line_copies_a_shipped_catalog_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`crystalmesh catalog add` to one that came with the package adds to a copy of it."""
    monkeypatch.setattr(places, "SHIPPED", tmp_path / "shipped")
    fill(tmp_path / "shipped", "starter", 3)
    cif = tmp_path / "si.cif"
    cif.write_text(crystal_to_cif(silicon()))
    done = CliRunner().invoke(catalog, ["add", "starter", str(cif), "--catalogs", str(tmp_path / "own")])
    assert done.exit_code == 0, done.output
    assert len(Catalogs(tmp_path / "own").open("starter")) == 4
    assert len(Catalogs(tmp_path / "shipped").open("starter")) == 3


def test_a_copy_is_made_once_and_whole(tmp_path: Path) -> None:
    """Copying leaves nothing half-made, and who finds the copy there takes it."""
    fill(tmp_path / "shipped", "starter", 3)
    both = CatalogPlaces(Catalogs(tmp_path / "own"), Catalogs(tmp_path / "shipped"))
    assert both.folder("starter") == tmp_path / "shipped" / "starter"
    own = both.make_own("starter")
    assert own == both.make_own("starter") == both.folder("starter") == tmp_path / "own" / "starter"
    assert len(both.own.open("starter")) == 3
    assert not any((tmp_path / "own.copying").iterdir())
    shutil.rmtree(own)
    assert both.names() == ["starter"]
    with pytest.raises(ResourceNotFoundError, match="there is starter"):
        both.make_own("ghost")


async def until_indexed(server: Hosted) -> None:
    """Return once GetCatalog says how the catalog is searched."""
    while not (await server.stub.GetCatalog(GetCatalogRequest())).catalog.index.encoder:
        pass
