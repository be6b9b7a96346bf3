"""RetrievalService: translation between the wire, the runners and the catalogs, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from crystalmesh.common.v1.model_pb2 import ModelInfo
from crystalmesh.retrieval.v1.catalog_pb2 import (
    GetCatalogRequest,
    GetCatalogResponse,
    ListCatalogsRequest,
    ListCatalogsResponse,
)
from crystalmesh.retrieval.v1.embedding_pb2 import EmbedRequest, EmbedResponse
from crystalmesh.retrieval.v1.ingestion_pb2 import AddMaterialsRequest, AddMaterialsResponse
from crystalmesh.retrieval.v1.match_pb2 import FindMatchesRequest, FindMatchesResponse
from crystalmesh.retrieval.v1.material_pb2 import (
    GetMaterialRequest,
    GetMaterialResponse,
    ListMaterialsRequest,
    ListMaterialsResponse,
)
from crystalmesh.retrieval.v1.retrieval_service_pb2 import ListModelsRequest, ListModelsResponse
from crystalmesh.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceServicer
from crystalmesh.retrieval.v1.search_pb2 import SearchRequest, SearchResponse
from crystalmesh_common.runtime.calls import CallContext
from crystalmesh_common.runtime.intake import read_inputs
from crystalmesh_common.runtime.pages import page_of
from crystalmesh_common.runtime.runner import RunnerState
from crystalmesh_common.runtime.settings import Limits
from crystalmesh_retrieval import (
    convert_catalog,
    convert_listing,
    convert_match,
    convert_material,
    convert_search,
)
from crystalmesh_retrieval.answers import Answers
from crystalmesh_retrieval.descriptions.describers import OwnDescriber
from crystalmesh_retrieval.encoders.encoder import EncoderInfo
from crystalmesh_retrieval.ingestion import Ingestion, ingestion_into
from crystalmesh_retrieval.matching.worker import MatchingRunner
from crystalmesh_retrieval.models import ServedEncoder
from crystalmesh_retrieval.search.served import ServedCatalogs
from crystalmesh_retrieval.search.shared_encoder import SharedEncoder
from crystalmesh_retrieval.worker import EncodingRunner, SearchPlan

# Materials of a stream that are read at a time: a caller who has left is noticed in between.
_CHUNK = 256


@dataclass(frozen=True)
class Runners:
    """What works for the calls, beside the event loop."""

    encoding: EncodingRunner
    matching: MatchingRunner


class RetrievalServicer(RetrievalServiceServicer):
    """Serves catalogs."""

    def __init__(
        self,
        runners: Runners,
        encoder: ServedEncoder,
        catalogs: ServedCatalogs,
        answers: Answers,
        limits: Limits,
    ) -> None:
        self._runners = runners
        self._encoder = encoder
        self._catalogs = catalogs
        self._answers = answers
        self._limits = limits

    async def Search(self, request: SearchRequest, context: CallContext) -> AsyncIterator[SearchResponse]:
        info = self._encoder.resolve()
        order = await asyncio.to_thread(convert_search.search_order, request, self._limits)
        name = await asyncio.to_thread(self._catalogs.resolve, order.catalog)
        catalog = await self._catalogs.indexed(name, self._shared(info))
        plan = SearchPlan(
            (id(catalog), order.limit, order.filter_key), catalog, order.limit, order.material_filter
        )
        searched = convert_search.Searched(name, catalog.snapshot.manifest.content_version, info.name)
        items = convert_search.search_items(request.queries, order, plan, self._reading())
        outcomes = self._runners.encoding.stream(info.name, items, seconds=context.time_remaining())
        async with aclosing(outcomes):
            async for index, outcome in outcomes:
                hits = await asyncio.to_thread(self._answers.hits, outcome, name, whole=order.whole)
                yield convert_search.search_response(order.ids[index], index, hits, searched, self._limits)

    async def FindMatches(
        self, request: FindMatchesRequest, context: CallContext
    ) -> AsyncIterator[FindMatchesResponse]:
        order = convert_match.match_order(request, self._limits)
        name = await asyncio.to_thread(self._catalogs.resolve, order.catalog)
        snapshot = await asyncio.to_thread(self._catalogs.snapshot, name)
        version = snapshot.manifest.content_version
        crystals = read_inputs(request.crystals, order.ids, max_atoms=self._limits.atoms_per_crystal)
        lookups = convert_match.lookups(crystals, snapshot, order.tolerance)
        outcomes = self._runners.matching.stream("match", lookups, seconds=context.time_remaining())
        async with aclosing(outcomes):
            async for index, outcome in outcomes:
                yield convert_match.match_response(order.ids[index], index, outcome, name, version)

    async def Embed(self, request: EmbedRequest, context: CallContext) -> AsyncIterator[EmbedResponse]:
        info = self._encoder.resolve(request.encoder)
        order = convert_search.embed_order(request, self._limits)
        items = convert_search.embed_items(request.inputs, order, self._reading())
        outcomes = self._runners.encoding.stream(info.name, items, seconds=context.time_remaining())
        async with aclosing(outcomes):
            async for index, outcome in outcomes:
                yield convert_search.embed_response(order.ids[index], index, outcome, info.name)

    async def AddMaterials(
        self, requests: AsyncIterator[AddMaterialsRequest], context: CallContext
    ) -> AddMaterialsResponse:
        messages = aiter(requests)
        first = await anext(messages, AddMaterialsRequest())
        convert_catalog.check_first(first, self._limits)
        # Before anything is written: what cannot be indexed could not be found.
        info = None if self._encoder.is_absent else self._encoder.resolve()
        folder = await asyncio.to_thread(self._folder_to_write, first)
        async with ingestion_into(folder) as ingestion:
            await self._take(first, ingestion)
            async for message in messages:
                convert_catalog.check_later(message, first.catalog, self._limits)
                await self._take(message, ingestion)
                if ingestion.ingested.gave_up:
                    break
            await ingestion.flush()
        if info is not None:
            await self._catalogs.reindexed(first.catalog, self._shared(info))
        return convert_catalog.add_response(first.catalog, ingestion.version, ingestion.ingested)

    async def GetMaterial(self, request: GetMaterialRequest, context: CallContext) -> GetMaterialResponse:
        convert_listing.check_material_id(request.material_id)
        name = await asyncio.to_thread(self._catalogs.resolve, request.catalog)
        snapshot = await asyncio.to_thread(self._catalogs.snapshot, name)
        material = await asyncio.to_thread(self._answers.material, snapshot, name, request.material_id)
        return GetMaterialResponse(material=material)

    async def ListMaterials(
        self, request: ListMaterialsRequest, context: CallContext
    ) -> ListMaterialsResponse:
        name = await asyncio.to_thread(self._catalogs.resolve, request.catalog)
        order = await asyncio.to_thread(convert_listing.listing_order, request, name)
        snapshot = await asyncio.to_thread(self._catalogs.snapshot, name)
        materials, last = await asyncio.to_thread(self._answers.page, snapshot, name, order)
        return convert_listing.list_response(materials, last, order, self._limits)

    async def ListCatalogs(self, request: ListCatalogsRequest, context: CallContext) -> ListCatalogsResponse:
        names = await asyncio.to_thread(self._catalogs.names)
        await self._begin_to_index(names)
        page, token = page_of(names, "catalogs", request.page_size, request.page_token)
        catalogs = [await asyncio.to_thread(self._answers.catalog_or_summary, name) for name in page]
        return ListCatalogsResponse(
            catalogs=[catalog for catalog in catalogs if catalog is not None], next_page_token=token
        )

    async def GetCatalog(self, request: GetCatalogRequest, context: CallContext) -> GetCatalogResponse:
        name = await asyncio.to_thread(self._catalogs.resolve, request.name)
        catalog = await asyncio.to_thread(self._answers.catalog, name)
        await self._begin_to_index([name])
        return GetCatalogResponse(catalog=catalog)

    async def ListModels(self, request: ListModelsRequest, context: CallContext) -> ListModelsResponse:
        encoder = self._encoder
        if not encoder.spec:
            return ListModelsResponse()
        model = ModelInfo(name=encoder.name, is_default=True, device=encoder.device)
        if encoder.info is not None:
            model.version = encoder.info.version
            model.description = encoder.info.description
            model.ready = self._runners.encoding.state is RunnerState.READY
        else:
            model.description = encoder.missing
        return ListModelsResponse(models=[model])

    async def _begin_to_index(self, names: Sequence[str]) -> None:
        """Index what is not indexed yet, behind the calls."""
        if self._encoder.info is not None:
            for name in names:
                await self._catalogs.begin_to_index(name, self._shared(self._encoder.info))

    def _reading(self) -> convert_search.Reading:
        return convert_search.Reading(
            self._encoder.describer or OwnDescriber(), self._limits.atoms_per_crystal
        )

    def _shared(self, info: EncoderInfo) -> SharedEncoder:
        return SharedEncoder(self._runners.encoding, info, asyncio.get_running_loop())

    def _folder_to_write(self, first: AddMaterialsRequest) -> Path:
        places = self._catalogs.places
        if first.create_catalog and first.catalog not in places.names():
            places.own.create(first.catalog, first.catalog_description)
        return places.make_own(self._catalogs.resolve(first.catalog))

    async def _take(self, message: AddMaterialsRequest, ingestion: Ingestion) -> None:
        for start in range(0, len(message.materials), _CHUNK):
            chunk = message.materials[start : start + _CHUNK]
            offered = await asyncio.to_thread(
                convert_material.offered_each, chunk, max_atoms=self._limits.atoms_per_crystal
            )
            await ingestion.offer(offered)
            if ingestion.ingested.gave_up:
                return
