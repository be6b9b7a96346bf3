"""The server before its encoder is there, and without one."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

from crystalmesh.retrieval.v1.catalog_pb2 import ListCatalogsRequest
from crystalmesh.retrieval.v1.embedding_pb2 import EmbedRequest
from crystalmesh.retrieval.v1.match_pb2 import FindMatchesRequest
from crystalmesh.retrieval.v1.material_pb2 import GetMaterialRequest
from crystalmesh.retrieval.v1.retrieval_service_pb2 import ListModelsRequest
from crystalmesh.retrieval.v1.search_pb2 import SearchRequest
from crystalmesh_common.runtime.errors import ModelNotFoundError
from tests.conftest import silicon
from tests.retrieval.server.hosting import (
    Hosted,
    add,
    additions,
    all_of,
    crystal_input,
    failure,
    once_it_can,
    retrieval,
    text,
    to_add,
)
from tests.retrieval.server.small import WordEncoder


async def models(server: Hosted) -> list[Any]:
    return list((await server.stub.ListModels(ListModelsRequest())).models)


async def what_needs_no_encoder(server: Hosted) -> None:
    """Everything but searching, embedding and adding works."""
    inputs = [crystal_input(silicon())]
    (found,) = await all_of(server.stub.FindMatches(FindMatchesRequest(crystals=inputs)))
    assert [match.material_id for match in found.matches.matches] == ["Si"]
    assert (await server.stub.GetMaterial(GetMaterialRequest(material_id="Si"))).material.formula == "Si"
    (catalog,) = (await server.stub.ListCatalogs(ListCatalogsRequest())).catalogs
    assert catalog.material_count == 1


async def reasons_of_what_needs_one(server: Hosted) -> set[str]:
    search = await failure(server.stub.Search(SearchRequest(queries=[text("Si")])))
    embed = await failure(server.stub.Embed(EmbedRequest(inputs=[text("Si")])))
    return {search.reason, embed.reason}


async def test_without_an_encoder(tmp_path: Path) -> None:
    """Told to run without one, the server adds, matches and lists; searches say that there is none."""
    async with retrieval(tmp_path, encoder_setting="") as server:
        await add(server.stub, "mine", to_add(silicon()))
        await what_needs_no_encoder(server)
        assert await reasons_of_what_needs_one(server) == {"MODEL_NOT_FOUND"}
        assert await models(server) == []
    async with retrieval(tmp_path) as server:
        (found,) = await all_of(server.stub.Search(SearchRequest(queries=[text("Si")])))
        assert [hit.material.id for hit in found.hits.hits] == ["Si"]


async def test_an_encoder_that_is_not_here(tmp_path: Path) -> None:
    """The server serves what it can, and says what is missing in errors and in its list of models."""

    def missing() -> WordEncoder:
        raise ModelNotFoundError("there is no folder of that name: train one")

    async with retrieval(tmp_path, load_encoder=missing) as server:
        await add(server.stub, "mine", to_add(silicon()))
        await what_needs_no_encoder(server)
        assert await reasons_of_what_needs_one(server) == {"MODEL_NOT_FOUND"}
        error = await failure(server.stub.Search(SearchRequest(queries=[text("Si")])))
        (model,) = await models(server)
    assert "train one" in error.message
    assert (model.name, model.ready, model.is_default) == ("words", False, True)
    assert "train one" in model.description


async def test_while_it_loads(tmp_path: Path) -> None:
    """Calls that need no encoder are answered; the others are refused with a hint until it is there."""
    loaded = threading.Event()

    def slow() -> WordEncoder:
        assert loaded.wait(60)
        return WordEncoder()

    async with retrieval(tmp_path, encoder_setting="") as server:
        await add(server.stub, "mine", to_add(silicon()))
    async with retrieval(tmp_path, load_encoder=slow, load=False) as server:
        loading = asyncio.create_task(server.process.load())
        # Matching is ready at once.
        await once_it_can(
            lambda: all_of(server.stub.FindMatches(FindMatchesRequest(crystals=[crystal_input(silicon())]))),
            "MODEL_LOADING",
        )
        await what_needs_no_encoder(server)
        assert await reasons_of_what_needs_one(server) == {"MODEL_LOADING"}
        error = await failure(server.stub.AddMaterials(additions("mine", to_add(silicon()))))
        assert error.reason == "MODEL_LOADING"
        assert error.retry_after_seconds is not None
        (model,) = await models(server)
        assert (model.name, model.ready) == ("words", False)
        loaded.set()
        assert await loading
        (found,) = await all_of(server.stub.Search(SearchRequest(queries=[text("Si")])))
        (model,) = await models(server)
    assert [hit.material.id for hit in found.hits.hits] == ["Si"]
    assert (model.ready, model.version, model.device) == (True, WordEncoder.info.version, "cpu")
