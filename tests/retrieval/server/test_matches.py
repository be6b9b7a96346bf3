"""Looking crystals up through a real server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymatgen.core.structure_matcher import StructureMatcher

from crystalmesh.crystal.v1.crystal_pb2 import CrystalInput
from crystalmesh.retrieval.v1.match_pb2 import FindMatchesRequest, FindMatchesResponse, MatchTolerance
from crystalmesh_common.crystal.pymatgen_codec import to_structure
from crystalmesh_common.crystal.structure import Crystal
from crystalmesh_common.runtime.statuses import from_status
from tests.conftest import block, copies, iron, silicon, sodium_chloride
from tests.retrieval.server.hosting import (
    Hosted,
    add,
    all_of,
    crystal_input,
    failure,
    once_it_can,
    retrieval,
    to_add,
)

ZINCBLENDE = replace(sodium_chloride("zincblende"), frac_coords=np.array([[0, 0, 0], [0.25, 0.25, 0.25]]))


def shaken(crystal: Crystal, amount: float = 0.1, *, seed: int = 0) -> Crystal:
    """The crystal with its atoms moved and its cell strained."""
    rng = np.random.default_rng(seed)
    strain = np.eye(3) + rng.normal(size=(3, 3)) * 0.01
    moved = crystal.cart_coords + rng.normal(size=(len(crystal), 3)) * amount
    return replace(crystal, cell=crystal.cell @ strain, frac_coords=moved @ np.linalg.inv(crystal.cell))


async def find(server: Hosted, *crystals: Crystal, **fields: Any) -> list[FindMatchesResponse]:
    inputs = [crystal_input(crystal) for crystal in crystals]
    return await all_of(server.stub.FindMatches(FindMatchesRequest(crystals=inputs, **fields)))


def matched(response: FindMatchesResponse) -> list[str]:
    return [match.material_id for match in response.matches.matches]


async def test_a_crystal_is_found_in_any_cell(tmp_path: Path) -> None:
    """Supercells, strained and shaken copies match, the closest first; polymorphs and others do not."""
    salt = sodium_chloride()
    async with retrieval(tmp_path) as server:
        near = to_add(shaken(sodium_chloride("near"), 0.15))
        added = await add(server.stub, "known", near, *map(to_add, (salt, ZINCBLENDE, silicon())))
        asked = [replace(block(repeat=2), id="super"), ZINCBLENDE, iron(), sodium_chloride("KCl")]
        asked[3] = replace(asked[3], numbers=np.array([19, 17]))
        supercell, zincblende, new, other = await find(server, *asked)
    assert matched(supercell) == ["NaCl", "near"]
    distances = [match.rms_distance_fraction for match in supercell.matches.matches]
    assert distances[0] == pytest.approx(0, abs=1e-5)
    assert 0.01 < distances[1] < 0.1
    assert (supercell.crystal_id, supercell.index) == ("super", 0)
    assert (supercell.matches.catalog, supercell.matches.compared_count) == ("known", 3)
    assert supercell.matches.catalog_version == added.catalog_version
    assert matched(zincblende) == ["zincblende"]
    assert (matched(new), new.matches.compared_count) == ([], 0)
    assert (matched(other), other.WhichOneof("outcome")) == ([], "matches")


async def test_the_answers_are_structure_matchers(tmp_path: Path) -> None:
    """Who matches, and how far away, is as pymatgen says, at tolerances of all kinds."""
    known = [sodium_chloride(), ZINCBLENDE, replace(shaken(sodium_chloride(), 0.3, seed=2), id="shaken")]
    asked = [shaken(sodium_chloride(f"{amount}"), amount, seed=5) for amount in (0.0, 0.2, 0.5, 0.9)]
    async with retrieval(tmp_path) as server:
        await add(server.stub, "known", *map(to_add, known))
        for length, site, angle in ((0.2, 0.3, 5.0), (0.05, 0.1, 2.0), (0.3, 0.5, 8.0)):
            tolerance = MatchTolerance(length_fraction=length, site_fraction=site, angle_degrees=angle)
            responses = await find(server, *asked, tolerance=tolerance)
            matcher = StructureMatcher(ltol=length, stol=site, angle_tol=angle)
            rms: Any = matcher.get_rms_dist
            for crystal, response in zip(asked, responses, strict=True):
                theirs = {
                    material.id: distance[0]
                    for material in known
                    if matcher.fit(to_structure(material), to_structure(crystal))
                    and (distance := rms(to_structure(material), to_structure(crystal)))
                }
                ours = {m.material_id: m.rms_distance_fraction for m in response.matches.matches}
                assert ours == pytest.approx(theirs, abs=1e-4)


async def test_a_bad_crystal_fails_alone(tmp_path: Path) -> None:
    """Unreadable and needle-shaped crystals have their errors; ids are those of the inputs."""
    needle = replace(sodium_chloride("needle"), cell=np.diag([2.0, 2.0, 900.0]))
    inputs = [
        CrystalInput(cif_text="no cif"),
        crystal_input(needle, id="thin"),
        crystal_input(silicon("own-id")),
    ]
    async with retrieval(tmp_path) as server:
        await add(server.stub, "known", to_add(sodium_chloride()), to_add(silicon()))
        responses = await all_of(server.stub.FindMatches(FindMatchesRequest(crystals=inputs)))
    assert [response.crystal_id for response in responses] == ["0", "thin", "own-id"]
    assert from_status(responses[0].error).reason == "UNREADABLE_CRYSTAL"
    assert from_status(responses[1].error).reason == "INVALID_CRYSTAL"
    assert matched(responses[2]) == ["Si"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"tolerance": MatchTolerance(length_fraction=0)}, "INVALID_FIELD"),
        ({"tolerance": MatchTolerance(site_fraction=float("nan"))}, "INVALID_FIELD"),
        ({"tolerance": MatchTolerance(angle_degrees=90)}, "INVALID_FIELD"),
        ({"catalog": "ghost"}, "RESOURCE_NOT_FOUND"),
        ({"crystals": []}, "EMPTY_BATCH"),
        ({"crystals": [crystal_input(silicon())] * 2}, "DUPLICATE_ID"),
    ],
    ids=["length", "site", "angle", "catalog", "empty", "twice"],
)
async def test_a_request_that_is_wrong_fails_whole(
    tmp_path: Path, fields: dict[str, Any], reason: str
) -> None:
    """The reason says what is wrong."""
    async with retrieval(tmp_path) as server:
        await add(server.stub, "known", to_add(silicon()))
        request = FindMatchesRequest(**{"crystals": [crystal_input(silicon())], **fields})
        assert (await failure(server.stub.FindMatches(request))).reason == reason


async def test_it_works_without_an_encoder_and_sees_what_was_added(tmp_path: Path) -> None:
    """Each call sees the catalog as it is; one that runs keeps the state that it began with."""
    async with retrieval(tmp_path, encoder_setting="") as server:
        await add(server.stub, "known", to_add(silicon()))
        (before,) = await find(server, sodium_chloride())
        await add(server.stub, "known", to_add(sodium_chloride("new")))
        (after,) = await find(server, sodium_chloride())
        many = await find(server, *copies(sodium_chloride(), 50))
    assert (matched(before), matched(after)) == ([], ["new"])
    assert before.matches.catalog_version != after.matches.catalog_version
    assert {tuple(matched(response)) for response in many} == {("new",)}


async def test_who_has_left_is_not_matched_for(tmp_path: Path) -> None:
    """A cancelled call frees its place; the next caller is served."""
    async with retrieval(tmp_path, limits={"queued_calls": 1}) as server:
        await add(server.stub, "known", to_add(sodium_chloride()))
        inputs = [crystal_input(crystal) for crystal in copies(sodium_chloride(), 1000)]
        call = server.stub.FindMatches(FindMatchesRequest(crystals=inputs))
        assert (await call.read()).WhichOneof("outcome") == "matches"
        assert call.cancel()
        # The place is freed a moment later.
        (found,) = await once_it_can(lambda: find(server, sodium_chloride()), "QUEUE_FULL")
    assert matched(found) == ["NaCl"]
