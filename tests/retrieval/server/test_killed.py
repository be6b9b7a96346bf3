"""A server that is killed while materials come."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from crystalmesh.retrieval.v1.ingestion_pb2 import AddMaterialsRequest, MaterialInput
from crystalmesh.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from crystalmesh.retrieval.v1.search_pb2 import Query, SearchRequest
from crystalmesh_retrieval.catalog.catalogs import Catalogs
from tests.conftest import ServiceProcess, sodium_chloride, until
from tests.retrieval.server.hosting import additions, to_add

ROOT = Path(__file__).resolve().parents[3]


def salt(number: int) -> MaterialInput:
    return to_add(sodium_chloride(f"salt-{number}", a=5.5 + number * 1e-4))


def serving(folder: Path) -> ServiceProcess:
    server = ServiceProcess(
        folder,
        *("--encoder", "words", "--catalogs", str(folder / "catalogs"), "--default-catalog", "mine"),
        *("--index-seconds", "100"),
        module="tests.retrieval.server.word_service",
        PYTHONPATH=str(ROOT),
    )
    server.wait_serving()
    return server


def found(stub: RetrievalServiceStub) -> set[str]:
    """The ids of all materials that a search finds."""
    request = SearchRequest(queries=[Query(text="NaCl")], limit=1000)
    (response,) = stub.Search(request, timeout=60)
    return {hit.material.id for hit in response.hits.hits}


def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """Killed in the middle of a stream, a server begins again with all that was answered for."""
    catalogs = Catalogs(tmp_path / "catalogs")
    server = serving(tmp_path)
    with grpc.insecure_channel(server.address) as channel:
        stub = RetrievalServiceStub(channel)
        acknowledged = stub.AddMaterials(additions("mine", *map(salt, range(20))), timeout=60)
        endless = stub.AddMaterials.future(all_that_come(start=20), timeout=60)
        until(lambda: catalogs.manifest("mine").material_count > 20, "a batch that is not answered for")
        server.kill()
        with pytest.raises(grpc.RpcError):
            endless.result()
    assert acknowledged.added_count == 20
    server = serving(tmp_path)
    try:
        with grpc.insecure_channel(server.address) as channel:
            stub = RetrievalServiceStub(channel)
            survived = found(stub)
            assert survived >= {f"salt-{n}" for n in range(20)}
            # Sent again, as after any failure.
            again = stub.AddMaterials(additions("mine", *map(salt, range(40))), timeout=60)
            assert again.added_count == 40 - len(survived & {f"salt-{n}" for n in range(40)})
            assert found(stub) >= {f"salt-{n}" for n in range(40)}
    finally:
        server.kill()


def all_that_come(*, start: int) -> Iterator[AddMaterialsRequest]:
    yield AddMaterialsRequest(catalog="mine")
    for first in itertools.count(start, 256):
        yield AddMaterialsRequest(materials=[salt(number) for number in range(first, first + 256)])
