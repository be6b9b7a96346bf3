"""Vectors through a real server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.crystal.v1.target_pb2 import Target
from crystalmesh.retrieval.v1.embedding_pb2 import (
    TOWER_PROPERTIES,
    TOWER_STRUCTURE,
    EmbedRequest,
)
from crystalmesh.retrieval.v1.search_pb2 import Query
from crystalmesh_common.crystal.description import describe_structure
from crystalmesh_common.runtime.statuses import from_status
from crystalmesh_retrieval.encoders.encoder import Tower
from tests.conftest import sodium_chloride
from tests.retrieval.server.hosting import all_of, crystal_input, failure, retrieval, text
from tests.retrieval.server.small import DIMENSIONS, MAX_TOKENS


async def test_each_kind_of_input_has_its_tower(tmp_path: Path) -> None:
    """Text and targets go to the tower of properties, crystals to that of structures; lengths are 1."""
    inputs = [text("salt", id="t"), Query(target=Target(free_text="salt")), Query(crystal=salt())]
    async with retrieval(tmp_path) as server:
        responses = await all_of(server.stub.Embed(EmbedRequest(inputs=inputs)))
    assert [response.query_id for response in responses] == ["t", "1", "2"]
    assert [response.embedding.tower for response in responses] == [1, 1, 2]
    assert {response.embedding.encoder for response in responses} == {"words"}
    vectors = np.array([response.embedding.values for response in responses])
    assert vectors.shape == (3, DIMENSIONS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(vectors[0], vectors[1])


async def test_a_tower_can_be_chosen(tmp_path: Path) -> None:
    """A crystal is put into the words that a tower reads: structure, or composition and known properties."""
    known = replace(sodium_chloride(), scalars={"band_gap_ev": 5.0, "of_no_property": 1.0})
    async with retrieval(tmp_path) as server:
        for tower in (TOWER_STRUCTURE, TOWER_PROPERTIES):
            inputs = [Query(crystal=crystal_input(known)), text("salt")]
            responses = await all_of(server.stub.Embed(EmbedRequest(inputs=inputs, tower=tower)))
            assert [response.embedding.tower for response in responses] == [tower, tower]
    (_, structure), (_, properties) = server.encoder.batches
    assert server.encoder.batches[0][0] is Tower.STRUCTURE
    assert structure == [describe_structure(known), "salt"]
    assert properties == ["NaCl; space group 225; band gap 5.000 eV", "salt"]


async def test_what_was_cut_says_so(tmp_path: Path) -> None:
    """Text beyond what the encoder reads is embedded as far as it reads, and marked."""
    inputs = [text("word " * MAX_TOKENS), text("word " * (MAX_TOKENS + 1)), text("word" * 10_000)]
    async with retrieval(tmp_path) as server:
        responses = await all_of(server.stub.Embed(EmbedRequest(inputs=inputs)))
    assert [response.embedding.truncated for response in responses[:2]] == [False, True]
    assert from_status(responses[2].error).reason == "INVALID_FIELD"


async def test_requests_that_are_wrong(tmp_path: Path) -> None:
    """An unknown encoder or tower and an empty or ambiguous batch fail the call whole."""
    one = [text("salt")]
    wrong = {
        "MODEL_NOT_FOUND": EmbedRequest(inputs=one, encoder="bert"),
        "UNKNOWN_ENUM_VALUE": EmbedRequest(inputs=one, tower=7),  # type: ignore[arg-type]
        "EMPTY_BATCH": EmbedRequest(),
        "DUPLICATE_ID": EmbedRequest(inputs=[text("a", id="a"), text("b", id="a")]),
    }
    async with retrieval(tmp_path) as server:
        for reason, request in wrong.items():
            error = await failure(server.stub.Embed(request))
            assert error.reason == reason
        assert len(await all_of(server.stub.Embed(EmbedRequest(inputs=one, encoder="words")))) == 1


def salt() -> CrystalInput:
    return crystal_input(sodium_chloride())
