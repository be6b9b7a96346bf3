"""The client side of RetrievalService, for asyncio code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing
from typing import cast

from google.protobuf.message import Message

from crystalmesh.retrieval.v1.catalog_pb2 import GetCatalogRequest, ListCatalogsRequest
from crystalmesh.retrieval.v1.material_pb2 import GetMaterialRequest
from crystalmesh.retrieval.v1.retrieval_service_pb2 import ListModelsRequest
from crystalmesh.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from crystalmesh_client import retrieval_questions as ask
from crystalmesh_client.calls import AsyncCaller
from crystalmesh_client.catalogs import Catalog, catalog_from
from crystalmesh_client.conditions import MaterialFilter
from crystalmesh_client.connection import Connection
from crystalmesh_client.embeddings import Embedding, TowerName, Vectors, stacked
from crystalmesh_client.ingestion import AddedMaterials, MaterialLike, Resending, Shipment
from crystalmesh_client.inputs import CrystalLike, to_crystal, to_crystals
from crystalmesh_client.matches import Matches, MatchTolerance
from crystalmesh_client.materials import Material, ViewName, material_from
from crystalmesh_client.models import Model, model_from
from crystalmesh_client.queries import QueryLike, is_one_query, to_queries
from crystalmesh_client.results import Failed, result_of
from crystalmesh_client.searches import SearchHits
from crystalmesh_common.runtime.errors import UnavailableError, WriterBusyError


class AsyncRetrievalClient:
    """Known materials, from asyncio code; each method like its namesake of `RetrievalClient`."""

    def __init__(self, connection: Connection) -> None:
        self._caller = AsyncCaller(connection, ask.SERVICE, RetrievalServiceStub)

    async def search(
        self,
        query: QueryLike,
        *,
        catalog: str = "",
        limit: int = 10,
        filter: MaterialFilter | None = None,  # noqa: A002 -- its name in the API
        view: ViewName = "basic",
        timeout: float | None = None,  # noqa: ASYNC109 -- it travels to the server as the call's deadline
    ) -> SearchHits:
        """The materials nearest to words, a `Target` or a crystal; raises what is wrong with the query."""
        outcomes = self.search_many(
            [query], catalog=catalog, limit=limit, filter=filter, view=view, timeout=timeout
        )
        async with aclosing(outcomes):
            return result_of(await anext(outcomes))

    def search_many(
        self,
        queries: Iterable[QueryLike],
        *,
        catalog: str = "",
        limit: int = 10,
        filter: MaterialFilter | None = None,  # noqa: A002 -- its name in the API
        view: ViewName = "basic",
        timeout: float | None = None,
    ) -> AsyncGenerator[SearchHits | Failed, None]:
        """One outcome per query, as each is done."""
        question = ask.searches(catalog, limit, filter, view)
        return self._caller.outcomes(question, to_queries(queries), timeout)

    async def find_matches(
        self,
        crystal: CrystalLike,
        *,
        catalog: str = "",
        tolerance: MatchTolerance | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 -- it travels to the server as the call's deadline
    ) -> Matches:
        """Which materials one crystal is; raises what is wrong with it."""
        one = [to_crystal(crystal)]
        outcomes = self.find_matches_many(one, catalog=catalog, tolerance=tolerance, timeout=timeout)
        async with aclosing(outcomes):
            return result_of(await anext(outcomes))

    def find_matches_many(
        self,
        crystals: Iterable[CrystalLike],
        *,
        catalog: str = "",
        tolerance: MatchTolerance | None = None,
        timeout: float | None = None,
    ) -> AsyncGenerator[Matches | Failed, None]:
        """One outcome per crystal, as each is done; one without matches is new to the catalog."""
        return self._caller.outcomes(ask.matches(catalog, tolerance), to_crystals(crystals), timeout)

    async def embed(
        self,
        inputs: QueryLike | Iterable[QueryLike],
        *,
        encoder: str = "",
        tower: TowerName = "",
        timeout: float | None = None,  # noqa: ASYNC109 -- it travels to the server as the call's deadline
    ) -> Vectors:
        """The vectors of texts, targets or crystals in their order, (n, d); of a single one, (d,)."""
        several = [inputs] if is_one_query(inputs) else inputs
        queries = to_queries(cast("Iterable[QueryLike]", several))
        outcomes = self.embed_many(queries, encoder=encoder, tower=tower, timeout=timeout)
        vectors = {outcome.id: result_of(outcome).vector async for outcome in outcomes}
        return vectors[queries[0].id] if is_one_query(inputs) else stacked(vectors, queries)

    def embed_many(
        self,
        inputs: Iterable[QueryLike],
        *,
        encoder: str = "",
        tower: TowerName = "",
        timeout: float | None = None,
    ) -> AsyncGenerator[Embedding | Failed, None]:
        """One outcome per input, as each is done; says which encoder and tower, and whether it cut a text."""
        return self._caller.outcomes(ask.embeddings(encoder, tower), to_queries(inputs), timeout)

    async def add_materials(
        self,
        materials: Iterable[MaterialLike] | AsyncIterable[MaterialLike],
        *,
        catalog: str,
        create: bool = False,
        description: str = "",
        timeout: float | None = None,  # noqa: ASYNC109 -- it travels to the server as the call's deadline
    ) -> AddedMaterials:
        """Add materials to a catalog; an iterable that is not asynchronous is read on the event loop."""
        resending = Resending(materials)
        while True:
            shipment = Shipment(catalog, create=create, description=description)
            try:
                messages = _messages(shipment, materials)
                return shipment.arrived(await self._caller.upload("AddMaterials", messages, timeout))
            except (UnavailableError, WriterBusyError) as error:
                await asyncio.sleep(resending.pause_after(error, shipment))

    async def material(self, material_id: str, *, catalog: str = "") -> Material:
        """One material, whole; ResourceNotFoundError when the catalog has none of this id."""
        request = GetMaterialRequest(catalog=catalog, material_id=material_id)
        return material_from((await self._caller.look_up("GetMaterial", request)).material)

    async def materials(
        self,
        *,
        catalog: str = "",
        filter: MaterialFilter | None = None,  # noqa: A002 -- its name in the API
        view: ViewName = "basic",
        page_size: int = 0,
    ) -> AsyncGenerator[Material, None]:
        """All materials of a catalog that pass the filter, fetched page by page as they are read."""
        request = ask.materials_request(catalog, filter, view, page_size)
        async with aclosing(self._caller.pages("ListMaterials", request)) as pages:
            async for page in pages:
                for message in page.materials:
                    yield material_from(message)

    async def catalog(self, name: str = "") -> Catalog:
        """What a catalog holds and how it is searched; without a name, the default."""
        return catalog_from((await self._caller.look_up("GetCatalog", GetCatalogRequest(name=name))).catalog)

    async def catalogs(self) -> list[Catalog]:
        """The catalogs that the server searches, the default first."""
        pages = self._caller.pages("ListCatalogs", ListCatalogsRequest())
        return [catalog_from(message) async for page in pages for message in page.catalogs]

    async def models(self) -> list[Model]:
        """The encoders that the server runs, the default first."""
        response = await self._caller.look_up("ListModels", ListModelsRequest())
        return [model_from(message) for message in response.models]

    async def close(self) -> None:
        """Close the channel; running calls are cancelled."""
        await self._caller.close()


async def _messages(
    shipment: Shipment, materials: Iterable[MaterialLike] | AsyncIterable[MaterialLike]
) -> AsyncGenerator[Message, None]:
    # The header goes ahead, so that a server which refuses it does so before anything is computed.
    yield shipment.header
    async for material in _each(materials):
        message = shipment.pack(material)
        if message is not None:
            yield message
            shipment.reached = True
    yield shipment.last()
    shipment.reached = True


async def _each(
    materials: Iterable[MaterialLike] | AsyncIterable[MaterialLike],
) -> AsyncGenerator[MaterialLike, None]:
    if isinstance(materials, AsyncIterable):
        async for material in materials:
            yield material
    else:
        for material in materials:
            yield material
