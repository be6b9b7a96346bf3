"""Search through a real server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import grpc
import numpy as np
import pytest

from crystalmesh.crystal.v1.crystal_pb2 import CRYSTAL_SYSTEM_CUBIC, CrystalInput
from crystalmesh.crystal.v1.property_pb2 import PROPERTY_BAND_GAP_EV
from crystalmesh.crystal.v1.target_pb2 import PropertyRange, Target
from crystalmesh.retrieval.v1.filter_pb2 import MaterialFilter
from crystalmesh.retrieval.v1.material_pb2 import MATERIAL_VIEW_FULL
from crystalmesh.retrieval.v1.search_pb2 import Query, SearchRequest, SearchResponse
from crystalmesh_common.crystal.text import crystal_to_cif
from crystalmesh_common.runtime.statuses import from_status
from crystalmesh_retrieval.catalog_index.indexed import IndexedSnapshot
from tests.conftest import block, iron, silicon, sodium_chloride
from tests.retrieval.server.hosting import (
    Hosted,
    add,
    all_of,
    crystal_input,
    failure,
    ids_of,
    retrieval,
    text,
    to_add,
    wait_for_batch,
    wait_for_queue,
)

EVERYTHING = [silicon(), sodium_chloride(), iron()]


async def search(server: Hosted, *queries: Query, **fields: Any) -> list[SearchResponse]:
    return await all_of(server.stub.Search(SearchRequest(queries=queries, **fields)))


async def search_failure(server: Hosted, **fields: Any) -> Any:
    return await failure(server.stub.Search(SearchRequest(**fields)))


def reasons(responses: list[SearchResponse]) -> list[str]:
    """The reason of each outcome that is an error, "" of the others."""
    return [from_status(r.error).reason if r.WhichOneof("outcome") == "error" else "" for r in responses]


async def test_text_finds_the_nearest(tmp_path: Path) -> None:
    """A description finds the material with its words first, with similarity, version and encoder."""
    async with retrieval(tmp_path) as server:
        added = await add(server.stub, "known", *map(to_add, EVERYTHING))
        (response,) = await search(server, text("rock salt NaCl of Na and Cl"))
    hits = response.hits
    assert ids_of(response)[0] == "NaCl"
    assert len(hits.hits) == 3
    assert [hit.similarity for hit in hits.hits] == sorted((h.similarity for h in hits.hits), reverse=True)
    assert (hits.catalog, hits.encoder, hits.catalog_version) == ("known", "words", added.catalog_version)
    basic = hits.hits[0].material
    assert (basic.formula, basic.chemical_system, basic.space_group_number) == ("NaCl", "Cl-Na", 225)
    assert (basic.atom_count, basic.catalog) == (2, "known")
    assert not basic.HasField("crystal")
    assert not basic.structure_description


async def test_a_target_is_compared_as_its_description(tmp_path: Path) -> None:
    """A target searches with the text that describes it, whatever its parts."""
    target = Target(required_elements=[14], free_text="diamond silicon Si")
    async with retrieval(tmp_path) as server:
        await add(server.stub, "known", *map(to_add, EVERYTHING))
        by_target, by_text = await search(
            server, Query(target=target), text("with Si; diamond silicon Si", id="same")
        )
    assert ids_of(by_target)[0] == "Si"
    assert [hit.similarity for hit in by_target.hits.hits] == [hit.similarity for hit in by_text.hits.hits]


async def test_the_same_structure_comes_first(tmp_path: Path) -> None:
    """A strained supercell finds the material that it is before others whose words are as near or nearer."""
    salt = sodium_chloride()
    zincblende = replace(salt, frac_coords=np.array([[0, 0, 0], [0.25, 0.25, 0.25]]), id="zincblende")
    asked = replace(block(repeat=2), cell=block(repeat=2).cell @ np.diag([1.02, 1.0, 0.99]))
    liar = to_add(zincblende, structure_description="P4/mmm or whatever, NaCl tetragonal Na Cl")
    async with retrieval(tmp_path) as server:
        await add(server.stub, "known", liar, to_add(salt, structure_description="said otherwise"))
        (found,) = await search(server, Query(crystal=crystal_input(asked)))
        (cif,) = await search(server, Query(crystal=CrystalInput(cif_text=crystal_to_cif(asked))), limit=1)
        elsewhere = MaterialFilter(formula="KCl")
        (none,) = await search(server, Query(crystal=crystal_input(asked)), filter=elsewhere)
    assert ids_of(found) == ["NaCl", "zincblende"]
    assert found.hits.hits[0].similarity < found.hits.hits[1].similarity
    assert ids_of(cif) == ["NaCl"]
    assert ids_of(none) == []


async def test_a_formula_that_is_named_comes_first(tmp_path: Path) -> None:
    """Text or target, in any spelling: materials of its formula come before others whose words are nearer."""
    decoy = "two NaCl please diamond silicon Si"
    async with retrieval(tmp_path) as server:
        await add(
            server.stub,
            "known",
            to_add(silicon(), structure_description=decoy),
            to_add(sodium_chloride(), structure_description="said otherwise"),
            to_add(iron()),
        )
        by_text, other, by_target = await search(
            server,
            text("two Na2Cl2 please diamond silicon", id="text"),
            text("diamond silicon", id="no formula"),
            Query(target=Target(formula="Na4Cl4", free_text="diamond silicon"), id="target"),
        )
        (filtered,) = await search(server, text("NaCl"), filter=MaterialFilter(formula="Si"))
    assert ids_of(by_text)[0] == ids_of(by_target)[0] == "NaCl"
    assert by_text.hits.hits[0].similarity < by_text.hits.hits[1].similarity
    assert len(ids_of(by_text)) == len(set(ids_of(by_text))) == 3
    assert ids_of(other)[0] == "Si"
    assert ids_of(filtered) == ["Si"]


async def test_a_filter_acts_inside_the_search(tmp_path: Path) -> None:
    """Far materials that pass fill the limit; where none passes the list is empty and no error."""
    salts = [to_add(sodium_chloride(f"salt-{n}", a=5.5 + n / 100)) for n in range(20)]
    async with retrieval(tmp_path) as server:
        await add(server.stub, "known", to_add(silicon()), to_add(iron()), *salts)
        salt = text("rock salt NaCl")
        cubic = MaterialFilter(forbidden_elements=[11], crystal_systems=[CRYSTAL_SYSTEM_CUBIC])
        (strict,) = await search(server, salt, limit=2, filter=cubic)
        (nothing,) = await search(server, salt, filter=MaterialFilter(required_elements=[92]))
        (default,) = await search(server, salt)
    assert set(ids_of(strict)) == {"Si", "Fe"}
    assert nothing.WhichOneof("outcome") == "hits"
    assert not nothing.hits.hits
    assert len(default.hits.hits) == 10


async def test_a_full_view_has_crystal_and_descriptions(tmp_path: Path) -> None:
    """Descriptions that nobody brought are written; those that were brought stay."""
    async with retrieval(tmp_path) as server:
        ours = to_add(silicon(), property_description="hard", structure_description="like diamond")
        await add(server.stub, "known", ours, to_add(sodium_chloride()))
        (response,) = await search(server, text("NaCl"), view=MATERIAL_VIEW_FULL)
    materials = {hit.material.id: hit.material for hit in response.hits.hits}
    assert materials["Si"].structure_description == "like diamond"
    assert materials["Si"].property_description == "hard"
    assert "225" in materials["NaCl"].property_description
    assert "Na" in materials["NaCl"].structure_description
    assert list(materials["NaCl"].crystal.atomic_numbers) == [11, 17]
    assert materials["NaCl"].crystal.id == "NaCl"


async def test_what_is_wrong_with_a_query_is_its_outcome(tmp_path: Path) -> None:
    """Empty and overlong text, bad targets and crystals fail alone; the others are searched."""
    clash = replace(sodium_chloride(), frac_coords=np.zeros((2, 3)))
    bad_range = PropertyRange(property=PROPERTY_BAND_GAP_EV, min=2, max=1)
    queries = [
        (text("NaCl"), ""),
        (text(""), "INVALID_FIELD"),
        (text(" \n\t"), "INVALID_FIELD"),
        (text("salt " * 20_000), "INVALID_FIELD"),  # 100 kB
        (text("s" * 20_000), ""),
        (Query(id="empty"), "INVALID_FIELD"),
        (Query(target=Target()), "INVALID_FIELD"),
        (Query(target=Target(properties=[bad_range])), "INVALID_FIELD"),
        (Query(target=Target(formula="Xy")), "INVALID_FIELD"),
        (Query(target=Target(required_elements=[8], forbidden_elements=[8])), "CONTRADICTORY_TARGET"),
        (Query(target=Target(formula="NaCl", chemical_system="K-Cl")), "CONTRADICTORY_TARGET"),
        (Query(crystal=CrystalInput(cif_text="no cif")), "UNREADABLE_CRYSTAL"),
        (Query(crystal=CrystalInput()), "INVALID_FIELD"),
        (Query(crystal=crystal_input(clash)), "OVERLAPPING_ATOMS"),
        (text("Si"), ""),
    ]
    async with retrieval(tmp_path) as server:
        await add(server.stub, "known", *map(to_add, EVERYTHING))
        responses = await search(server, *(query for query, _ in queries))
    assert reasons(responses) == [reason for _, reason in queries]
    assert [response.query_id for response in responses[:5]] == ["0", "1", "2", "3", "4"]
    assert responses[5].query_id == "empty"
    assert ids_of(responses[-1])[0] == "Si"


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"queries": []}, "EMPTY_BATCH", "queries"),
        ({"queries": [text("a", id="x"), text("b", id="x")]}, "DUPLICATE_ID", "queries"),
        ({"queries": [text("a", id="1"), text("b")]}, "DUPLICATE_ID", "queries"),
        ({"limit": 1001}, "INVALID_FIELD", "limit"),
        ({"view": 9}, "UNKNOWN_ENUM_VALUE", "view"),
        ({"filter": MaterialFilter(required_elements=[0])}, "INVALID_FIELD", "filter.required_elements"),
        (
            {"filter": MaterialFilter(space_group_numbers=[231])},
            "INVALID_FIELD",
            "filter.space_group_numbers",
        ),
        (
            {"filter": MaterialFilter(crystal_systems=[cast("Any", 8)])},
            "UNKNOWN_ENUM_VALUE",
            "filter.crystal_systems",
        ),
        ({"filter": MaterialFilter(formula="??")}, "INVALID_FIELD", "filter.formula"),
        ({"filter": MaterialFilter(properties=[PropertyRange(max=1)])}, "UNKNOWN_ENUM_VALUE", None),
        (
            {"filter": MaterialFilter(properties=[PropertyRange(property=PROPERTY_BAND_GAP_EV)])},
            "INVALID_FIELD",
            "filter.properties",
        ),
        ({"catalog": "ghost"}, "RESOURCE_NOT_FOUND", None),
        ({"catalog": "../../etc"}, "RESOURCE_NOT_FOUND", None),
    ],
    ids=str,
)
async def test_a_request_that_is_wrong_fails_whole(
    tmp_path: Path, fields: dict[str, Any], reason: str, field: str | None
) -> None:
    """The reason says what is wrong, and the field where."""
    async with retrieval(tmp_path) as server:
        await add(server.stub, "known", to_add(silicon()))
        error = await search_failure(server, **{"queries": [text("Si")], **fields})
    assert error.reason == reason
    assert error.details.get("field") == field or field is None


async def test_more_queries_than_are_taken(tmp_path: Path) -> None:
    """The limit of a call holds for queries as for crystals."""
    async with retrieval(tmp_path, limits={"crystals_per_call": 3}) as server:
        await add(server.stub, "known", to_add(silicon()))
        error = await search_failure(server, queries=[text("Si")] * 4)
        assert error.reason == "TOO_MANY_CRYSTALS"
        assert len(await search(server, text("Si"), text("Fe"), text("Na"))) == 3


async def test_hits_beyond_the_message_limit(tmp_path: Path) -> None:
    """A query whose hits are too large for one message says so and what to do; others are answered."""
    large = [replace(block(repeat=4), id=f"large-{n}") for n in range(3)]
    queries = [text("NaCl"), text("Na")]
    async with retrieval(tmp_path, limits={"message_bytes": 6 * 1024}) as server:
        for crystal in large:
            await add(server.stub, "known", to_add(crystal))
        await add(server.stub, "known", to_add(silicon()))
        whole = await search(server, *queries, view=MATERIAL_VIEW_FULL)
        basic = await search(server, *queries)
    assert reasons(whole) == ["MESSAGE_TOO_LARGE"] * 2
    assert reasons(basic) == ["", ""]


async def test_queries_of_all_callers_share_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two calls with one plan that wait together are encoded together per tower and searched at once."""
    searched: list[int] = []
    search_them = IndexedSnapshot.search

    def counted(catalog: IndexedSnapshot, vectors: Any, *arguments: Any) -> Any:
        searched.append(len(vectors))
        return search_them(catalog, vectors, *arguments)

    monkeypatch.setattr(IndexedSnapshot, "search", counted)
    async with retrieval(tmp_path) as server:
        await add(server.stub, "known", *map(to_add, EVERYTHING))
        server.encoder.gate.clear()
        calls = [server.stub.Search(SearchRequest(queries=[text("blocker")], limit=1))]
        await wait_for_batch(server, "blocker")
        mixed = [text("a"), Query(id="c", crystal=crystal_input(silicon()))]
        calls += [server.stub.Search(SearchRequest(queries=mixed, limit=3)) for _ in range(2)]
        await wait_for_queue(server, 4)
        server.encoder.gate.set()
        for call in calls:
            assert all(response.WhichOneof("outcome") == "hits" for response in await all_of(call))
    after = [(tower, len(texts)) for tower, texts in server.encoder.batches[-2:]]
    assert after == [("properties", 2), ("structure", 2)]
    # The blocker; four at once; and for each crystal those of its formula.
    assert searched == [1, 4, 1, 1]


async def test_a_full_queue_refuses_with_a_hint(tmp_path: Path) -> None:
    """Beyond the calls that may wait a call is refused at once, and served once there is room."""
    async with retrieval(tmp_path, limits={"queued_calls": 1}) as server:
        await add(server.stub, "known", to_add(silicon()))
        server.encoder.gate.clear()
        running = server.stub.Search(SearchRequest(queries=[text("running")]))
        await wait_for_batch(server, "running")
        waiting = server.stub.Search(SearchRequest(queries=[text("waiting")]))
        await wait_for_queue(server, 1)
        error = await search_failure(server, queries=[text("refused")])
        assert error.reason == "QUEUE_FULL"
        assert error.retry_after_seconds is not None
        server.encoder.gate.set()
        for call in (running, waiting):
            assert [ids_of(response) for response in await all_of(call)] == [["Si"]]


async def test_who_has_left_is_not_worked_for(tmp_path: Path) -> None:
    """Queries of a cancelled call that have not started are never encoded, and its place is free."""
    async with retrieval(tmp_path, limits={"queued_calls": 1}) as server:
        await add(server.stub, "known", to_add(silicon()))
        server.encoder.gate.clear()
        running = server.stub.Search(SearchRequest(queries=[text("running")]))
        await wait_for_batch(server, "running")
        left = server.stub.Search(SearchRequest(queries=[text("left")]))
        await wait_for_queue(server, 1)
        assert left.cancel()
        await wait_for_queue(server, 0)
        server.encoder.gate.set()
        await all_of(running)
        assert len(await search(server, text("after"))) == 1
    encoded = {words for _, texts in server.encoder.batches for words in texts}
    assert "left" not in encoded
    assert {"running", "after"} <= encoded


async def test_a_deadline_ends_the_wait(tmp_path: Path) -> None:
    """A call whose time is up ends with DEADLINE_EXCEEDED, whatever the encoder does."""
    async with retrieval(tmp_path) as server:
        await add(server.stub, "known", to_add(silicon()))
        server.encoder.gate.clear()
        call = server.stub.Search(SearchRequest(queries=[text("slow")]), timeout=0.3)
        error = await failure(call)
        assert error.code is grpc.StatusCode.DEADLINE_EXCEEDED
        server.encoder.gate.set()
        assert len(await search(server, text("after"))) == 1
