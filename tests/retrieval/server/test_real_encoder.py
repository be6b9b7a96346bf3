"""The service as it is run, with a small random pair of T5 towers on disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
import torch
from transformers import T5Config, T5EncoderModel

from crystalmesh.retrieval.v1.catalog_pb2 import INDEX_KIND_FLAT, GetCatalogRequest
from crystalmesh.retrieval.v1.embedding_pb2 import EmbedRequest
from crystalmesh.retrieval.v1.retrieval_service_pb2 import ListModelsRequest
from crystalmesh.retrieval.v1.retrieval_service_pb2_grpc import RetrievalServiceStub
from crystalmesh.retrieval.v1.search_pb2 import Query, SearchRequest
from crystalmesh_common.crystal.description import describe_structure
from crystalmesh_retrieval.encoders.encoder import Tower
from crystalmesh_retrieval.encoders.folder import write_encoder_json
from crystalmesh_retrieval.encoders.loading import EncoderOptions, load_encoder
from crystalmesh_retrieval.training.tokenizer import train_tokenizer
from crystalmesh_retrieval.training.towers import TextTower, save_tower
from tests.conftest import ServiceProcess, iron, silicon, sodium_chloride
from tests.retrieval.server.hosting import additions, crystal_input, to_add

MAX_TOKENS = 64
CRYSTALS = [sodium_chloride(), silicon(), iron()]


@pytest.fixture(scope="module")
def tiny_t5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an encoder `tiny` with 32 dimensions, random weights."""
    folder = tmp_path_factory.mktemp("encoders") / "tiny"
    tokenizer = train_tokenizer([describe_structure(crystal) for crystal in CRYSTALS], 300, MAX_TOKENS)
    torch.manual_seed(0)
    for tower in Tower:
        config = T5Config(vocab_size=len(tokenizer), d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=4)
        save_tower(TextTower(T5EncoderModel(config)), tokenizer, folder / tower, MAX_TOKENS)
    write_encoder_json(folder, name="tiny", dimensions=32, max_tokens=MAX_TOKENS, describer="crystalmesh")
    return folder


@pytest.fixture(scope="module")
def server(tiny_t5: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    folder = tmp_path_factory.mktemp("server")
    arguments = ("--encoder", str(tiny_t5), "--catalogs", str(folder / "catalogs"), "--threads", "1")
    process = ServiceProcess(
        folder, *arguments, "--default-catalog", "mine", "--index-seconds", "100", service="retrieval"
    )
    try:
        process.wait_serving()
        yield process
    finally:
        process.kill()


def test_it_adds_searches_and_embeds(server: ServiceProcess, tiny_t5: Path) -> None:
    """Materials are found by their own crystals with similarity 1, and vectors are those of the encoder."""
    structure = load_encoder(str(tiny_t5), EncoderOptions(device="cpu", threads=1)).encode(
        Tower.STRUCTURE, [describe_structure(silicon())]
    )
    with grpc.insecure_channel(server.address) as channel:
        stub = RetrievalServiceStub(channel)
        added = stub.AddMaterials(additions("mine", *map(to_add, CRYSTALS)), timeout=60)
        queries = [Query(id=crystal.id, crystal=crystal_input(crystal)) for crystal in CRYSTALS]
        found = {answer.query_id: answer.hits for answer in stub.Search(SearchRequest(queries=queries))}
        (embedded,) = stub.Embed(EmbedRequest(inputs=queries[1:2]), timeout=60)
        (model,) = stub.ListModels(ListModelsRequest(), timeout=60).models
        catalog = stub.GetCatalog(GetCatalogRequest(name="mine"), timeout=60).catalog
    assert added.added_count == 3
    for crystal in CRYSTALS:
        first = found[crystal.id].hits[0]
        assert first.material.id == crystal.id
        assert first.similarity == pytest.approx(1, abs=2e-3)
    np.testing.assert_allclose(embedded.embedding.values, structure.vectors[0], atol=2e-3)
    assert (model.name, model.ready, model.device) == ("tiny", True, "cpu")
    assert (catalog.index.kind, catalog.index.dimensions) == (INDEX_KIND_FLAT, 32)


def test_it_is_told_what_it_serves(server: ServiceProcess) -> None:
    """Metrics count calls and batches, and say that the encoder is ready."""
    with grpc.insecure_channel(server.address) as channel:
        stub = RetrievalServiceStub(channel)
        _ = list(stub.Embed(EmbedRequest(inputs=[Query(text="salt"), Query(text="")]), timeout=60))
    assert server.metric("crystalmesh_ready") == 1
    assert server.metric("crystalmesh_batch_items_count") >= 1
    assert server.metric("crystalmesh_item_failures_total", reason="INVALID_FIELD") >= 1
    assert server.metric("crystalmesh_requests_total", method="RetrievalService/Embed", code="OK") >= 1
