"""Campaigns through MCP, by a service that goes as its script says."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from mcp import Client

from crystalmesh_client import AsyncMesh
from crystalmesh_client.mcp.server import CrystalMeshServer, build_server
from crystalmesh_common.crystal.text import crystal_from_cif
from crystalmesh_common.runtime.errors import QueueFullError
from tests.client.campaigns import story
from tests.client.campaigns.hosting import Laboratory, hosted
from tests.client.mcp.calls import Told, call, good, refused
from tests.conftest import eventually

SALTS = {"elements": ["Na", "Cl"], "band_gap_ev": {"min": 2, "max": 6}}


@pytest.fixture
def laboratory() -> Laboratory:
    return Laboratory()


@pytest.fixture
async def server(laboratory: Laboratory) -> AsyncIterator[CrystalMeshServer]:
    async with hosted(laboratory) as address:
        yield build_server(lambda: AsyncMesh(address))


async def test_a_design_is_started_and_says_how_to_follow_it(
    server: CrystalMeshServer, laboratory: Laboratory
) -> None:
    """It answers at once, with what was understood; the same request id starts no second one."""
    asked = {"target": SALTS, "hits_wanted": 3, "max_minutes": 5, "seed": 7, "request_id": "mine"}
    started = await call(server, "design", **asked)
    again = await call(server, "design", **asked)
    assert started["campaign_id"] == again["campaign_id"] == "camp-1"
    assert started["campaign_id"] in started["how_to_follow"]
    assert started["understood_target"] == "elements: Na, Cl; band_gap_ev: 2..6"
    assert (started["hits_wanted"], started["max_minutes"], started["max_candidates"]) == (3, 5, 1000)
    spec = laboratory.specs["mine"]
    assert (spec.seed, spec.hits_wanted, spec.budget.max_wall_time.seconds) == (7, 3, 300)


async def test_plain_words_are_understood_by_rules(server: CrystalMeshServer) -> None:
    """And what was understood can be checked; words that say nothing are refused."""
    started = await call(server, "design", in_words="a lithium oxide with a gap of 2-4 eV")
    assert "band_gap_ev: 2..4" in started["understood_target"]
    assert "Li" in started["understood_target"]
    fault = await refused(server, "design", in_words="something nice")
    assert fault["reason"] == "INVALID_FIELD"


async def test_the_status_tells_progress_hits_and_the_best(server: CrystalMeshServer) -> None:
    """Waiting reports what happens, and ends when the campaign does."""
    started = await call(server, "design", target=SALTS)
    fresh = await call(server, "campaign_status", campaign_id=started["campaign_id"])
    assert (fresh["state"], fresh["has_ended"], fresh["hits"]) == ("queued", False, 0)
    told = Told()
    async with Client(server) as client:
        await client.list_tools()
        answer = await client.call_tool("campaign_status", {"wait_seconds": 600}, progress_callback=told)
    ended = good(answer)
    assert ended["campaign_id"] == started["campaign_id"]  # the newest
    assert (ended["state"], ended["has_ended"], ended["stop_reason"]) == ("finished", True, "no_progress")
    assert (ended["hits"], ended["candidates_generated"], ended["rounds"]) == (1, 4, 2)
    assert ended["funnel"][1] == {"stage": "generate", "entered": 4, "passed": 3, "rejected": 1}
    best, second = ended["best_candidates"]
    assert (best["candidate_id"], best["is_hit"], best["score"]) == (story.HIT, True, 0.93)
    assert best["properties"]["band_gap_ev"]["value"] == 5.1
    assert second["is_hit"] is False
    assert told.values == sorted(set(told.values))
    assert any("hit" in message for message in told.messages)


async def test_waiting_ends_in_time(server: CrystalMeshServer, laboratory: Laboratory) -> None:
    """With the campaign as it is then; the watch is over on the mesh."""
    laboratory.waits = True
    await call(server, "design", target=SALTS)
    status = await call(server, "campaign_status", wait_seconds=0.2)
    assert status["has_ended"] is False
    await eventually(lambda: laboratory.ended == 1, "the end of the watch")


async def test_candidates_come_with_crystals_and_evidence(server: CrystalMeshServer) -> None:
    """Page by page, all or a kind of them."""
    campaign_id = (await call(server, "design", target=SALTS))["campaign_id"]
    page = await call(server, "campaign_candidates", campaign_id=campaign_id, limit=1)
    (hit,) = page["candidates"]
    assert page["has_more"] is True
    assert (hit["candidate_id"], hit["is_new"], hit["on_pareto_front"]) == (story.HIT, True, True)
    assert (hit["reference"], hit["energy_above_hull_ev_per_atom"]) == (story.REFERENCE, 0.012)
    assert len(crystal_from_cif(hit["cif"])) == 2
    rest = await call(server, "campaign_candidates", campaign_id=campaign_id, skip=1, with_cif=False)
    (ranked,) = rest["candidates"]
    assert (ranked["candidate_id"], ranked["cif"], rest["has_more"]) == (story.RANKED, "", False)
    assert ranked["misses"] == ["band gap 1.2 eV, asked for 2 to 6"]
    for which, expected in {
        "hits": [story.HIT],
        "pareto_front": [story.HIT],
        "rejected": [story.DROPPED, story.UNREADABLE],
    }.items():
        page = await call(server, "campaign_candidates", campaign_id=campaign_id, which=which)
        assert [each["candidate_id"] for each in page["candidates"]] == expected
    assert page["candidates"][0]["rejection"].endswith("band gap 0.3 eV, asked for 2 to 6")
    assert page["candidates"][1]["cif"] == ""


async def test_a_cancelled_campaign_stays_as_it_is(server: CrystalMeshServer) -> None:
    """What it found can still be read."""
    campaign_id = (await call(server, "design", target=SALTS))["campaign_id"]
    cancelled = await call(server, "cancel_campaign", campaign_id=campaign_id)
    assert (cancelled["state"], cancelled["has_ended"]) == ("cancelled", True)
    assert (await call(server, "campaign_candidates", campaign_id=campaign_id))["candidates"]


@pytest.mark.parametrize(
    ("tool", "arguments", "reason"),
    [
        ("design", {}, "INVALID_FIELD"),
        ("design", {"target": {}}, "INVALID_FIELD"),
        ("design", {"target": SALTS, "in_words": "an oxide"}, "INVALID_FIELD"),
        ("design", {"target": SALTS, "max_minutes": 0}, "INVALID_FIELD"),
        ("design", {"target": SALTS, "hits_wanted": 0}, "INVALID_FIELD"),
        ("design", {"target": SALTS, "name": "n" * 201}, "INVALID_FIELD"),
        ("campaign_status", {}, "RESOURCE_NOT_FOUND"),
        ("campaign_status", {"campaign_id": "none"}, "RESOURCE_NOT_FOUND"),
        ("campaign_status", {"wait_seconds": 601}, "INVALID_FIELD"),
        ("campaign_candidates", {"campaign_id": "none"}, "RESOURCE_NOT_FOUND"),
        ("campaign_candidates", {"campaign_id": "none", "which": "all"}, "INVALID_FIELD"),
        ("cancel_campaign", {"campaign_id": "none"}, "RESOURCE_NOT_FOUND"),
        ("cancel_campaign", {"campaign_id": ""}, "INVALID_FIELD"),
    ],
)
async def test_bad_calls_say_what_to_correct(
    server: CrystalMeshServer, tool: str, arguments: dict[str, object], reason: str
) -> None:
    """With a reason for programs, and a hint for models."""
    fault = await refused(server, tool, **arguments)
    assert fault["reason"] == reason
    assert fault["hint"]


async def test_a_busy_mesh_says_when_to_come_back(server: CrystalMeshServer, laboratory: Laboratory) -> None:
    """So that a model waits, and does not try again at once."""
    laboratory.refusal = QueueFullError("20 campaigns wait", limit=20)
    fault = await refused(server, "design", target=SALTS)
    assert (fault["reason"], fault["details"]["limit"]) == ("QUEUE_FULL", "20")
