"""The retrieval service in the process of a test, and what to ask it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import grpc
import pytest

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.retrieval.v1.ingestion_pb2 import AddMaterialsRequest, AddMaterialsResponse, MaterialInput
from crystalmesh.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from crystalmesh.retrieval.v1.search_pb2 import Query, SearchResponse
from crystalmesh_common.crystal.protobuf import crystal_to_proto
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.errors import CrystalMeshError
from crystalmesh_common.runtime.metrics import Metrics
from crystalmesh_common.runtime.service import Hosted as HostedService
from crystalmesh_common.runtime.service import Service, StandaloneProcess
from crystalmesh_common.runtime.statuses import from_rpc_failure
from crystalmesh_retrieval.service import NAME, LoadEncoder, assembled
from crystalmesh_retrieval.settings import RetrievalSettings
from tests.conftest import eventually
from tests.retrieval.server.small import CountingIndexer, WordEncoder

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Hosted:
    """A server with its levers."""

    process: StandaloneProcess[RetrievalSettings]
    stub: Any
    encoder: WordEncoder
    indexer: CountingIndexer
    catalogs: Path


@asynccontextmanager
async def retrieval(
    folder: Path,
    *,
    load_encoder: LoadEncoder | None = None,
    load: bool = True,
    encoder_setting: str = "words",
    **settings: Any,
) -> AsyncIterator[Hosted]:
    """The service over `catalogs` in this folder, with a channel to it."""
    encoder, indexer = WordEncoder(), CountingIndexer()
    catalogs = folder / "catalogs"
    chosen = {
        "encoder": encoder_setting,
        "catalogs": catalogs,
        "metrics_port": -1,
        "index_seconds": 60,
        **settings,
    }

    def build(given: RetrievalSettings, metrics: Metrics) -> HostedService:
        return assembled(given, metrics, load_encoder or (lambda: encoder), indexer)

    service = Service(NAME, RetrievalSettings, build)
    process = StandaloneProcess(service, RetrievalSettings(**chosen))
    await process.start()
    try:
        if load:
            assert await process.load()
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{process.port}", options=options) as channel:
            yield Hosted(process, RetrievalServiceStub(channel), encoder, indexer, catalogs)
    finally:
        encoder.gate.set()
        await process.stop()


async def failure(call: Any) -> CrystalMeshError:
    """What a call, unary or streamed, fails with."""
    answered = all_of(call) if hasattr(call, "__aiter__") else call
    with pytest.raises(grpc.RpcError) as raised:
        await answered
    return from_rpc_failure(cast("Any", raised.value))


async def all_of(stream: Any) -> list[Any]:
    """Every message of a stream, in the order of the items that they tell of."""
    return sorted([response async for response in stream], key=lambda response: response.index)


def crystal_input(crystal: Crystal, **fields: Any) -> CrystalInput:
    return CrystalInput(crystal=crystal_to_proto(crystal), **fields)


def to_add(crystal: Crystal, **fields: Any) -> MaterialInput:
    """A material to add, under the crystal's id."""
    return MaterialInput(id=crystal.id, crystal=crystal_input(crystal), **fields)


def additions(
    catalog: str, *materials: MaterialInput, create: bool = True, batch: int = 100
) -> Iterator[AddMaterialsRequest]:
    """The messages that add these materials."""
    for start in range(0, max(1, len(materials)), batch):
        part = materials[start : start + batch]
        if start:
            yield AddMaterialsRequest(materials=part)
        else:
            yield AddMaterialsRequest(catalog=catalog, create_catalog=create, materials=part)


async def add(
    stub: Any, catalog: str, *materials: MaterialInput, create: bool = True
) -> AddMaterialsResponse:
    response: AddMaterialsResponse = await stub.AddMaterials(additions(catalog, *materials, create=create))
    return response


def text(words: str, **fields: Any) -> Query:
    return Query(text=words, **fields)


def ids_of(response: SearchResponse) -> list[str]:
    """The ids of the hits, in order."""
    return [hit.material.id for hit in response.hits.hits]


async def once_it_can(call: Callable[[], Awaitable[T]], reason: str) -> T:
    """The answer, asked for again as long as it is refused for this reason."""
    while True:
        try:
            return await call()
        except grpc.RpcError as error:
            if from_rpc_failure(cast("Any", error)).reason != reason:
                raise


async def wait_for_batch(server: Hosted, words: str) -> None:
    """Return once the encoder has been given this text."""
    await eventually(
        lambda: any(words in texts for _, texts in server.encoder.batches), f"{words} to be encoded"
    )


async def wait_for_queue(server: Hosted, items: int) -> None:
    """Return once so many items wait for the encoder."""
    runner = server.process._hosted.runners[-1]
    await eventually(
        lambda: sum(len(ticket.waiting) for ticket in runner._tickets) == items, f"{items} items in the queue"
    )
