"""CampaignService over gRPC, with a scripted mesh behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from crystalmesh.agent.v1 import campaign_service_pb2 as service
from crystalmesh.agent.v1.campaign_candidate_pb2 import CandidateState
from crystalmesh.agent.v1.campaign_pb2 import CampaignBudget, CampaignModels, CampaignSpec, CampaignStopReason
from crystalmesh.agent.v1.run_pb2 import RunState
from crystalmesh.crystal.v1.target_pb2 import Target
from crystalmesh.generation.v1.generation_pb2 import Generator
from crystalmesh_agent.store.database import Database, file_url
from crystalmesh_common.runtime.errors import (
    ContradictoryTargetError,
    CrystalMeshError,
    InvalidFieldError,
    InvalidPageTokenError,
    ModelNotFoundError,
    QueueFullError,
    RequestIdReusedError,
    ResourceNotFoundError,
    ShuttingDownError,
    UnknownEnumValueError,
    UnreachableError,
    WrongStateError,
)
from tests.agent.campaigns import scripted_mesh
from tests.agent.campaigns.scripted_mesh import ScriptedMesh, Stuck, down
from tests.agent.serving import Calls, Served, serving
from tests.conftest import eventually

OXIDE = CampaignSpec(target=Target(required_elements=[3, 8]), budget=CampaignBudget(max_candidates=6))
WAITING = {"campaigns": 0}
"""Nobody works on anything."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.sqlite"


@pytest.fixture
async def idle(path: Path) -> AsyncIterator[Served]:
    """A service that only keeps what it is given."""
    async with serving(path, ScriptedMesh(), **WAITING) as served:
        yield served


async def test_from_creation_to_candidates(path: Path) -> None:
    """A campaign is created, watched to its end, and its candidates are read, ranked ones first."""
    async with serving(path, ScriptedMesh()) as served:
        calls = served.calls
        created = await calls.create(OXIDE)
        assert created.state == RunState.RUN_STATE_QUEUED
        events = [event async for event in calls.watch(created.id)]
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert events[0].HasField("created")
        assert events[-1].HasField("finished")
        ended = await calls.get(created.id)
        assert ended.stop_reason == CampaignStopReason.CAMPAIGN_STOP_REASON_CANDIDATE_BUDGET
        request = service.ListCandidatesRequest(campaign_id=created.id, states=CandidateState.values()[1:])
        found = list((await calls.answer("ListCandidates", request)).candidates)
        ranks = [candidate.rank for candidate in found if candidate.rank]
        assert ranks == list(range(1, len(ranks) + 1))
        assert [candidate.rank for candidate in found][: len(ranks)] == ranks
        assert len(found) == ended.progress.candidates
        for candidate in found:
            assert await calls.candidate(created.id, candidate.id) == candidate


async def test_defaults_are_filled_in(idle: Served) -> None:
    """The answer says what the campaign will use: catalog, reference, generators, models of this moment."""
    spec = (await idle.calls.create(OXIDE)).spec
    assert spec.catalog == scripted_mesh.CATALOG
    assert spec.reference == scripted_mesh.REFERENCE
    assert spec.models == CampaignModels(
        generation=scripted_mesh.LANGUAGE_MODEL, potential=scripted_mesh.POTENTIAL
    )
    assert set(spec.generators) == {
        Generator.GENERATOR_LANGUAGE_MODEL,
        Generator.GENERATOR_IONIC_SUBSTITUTION,
    }
    assert spec.planner == "bandit"
    assert spec.hits_wanted > 0
    assert spec.display_name


async def test_the_same_request_again(path: Path) -> None:
    """A request that is sent again answers with the campaign as it is, even while nothing else is there."""
    mesh = ScriptedMesh()
    async with serving(path, mesh, **WAITING) as served:
        first = await served.calls.create(OXIDE)
        mesh.troubles.append(down("retrieval", 100))
        assert await served.calls.create(OXIDE) == first
        await served.calls.cancel(first.id)
        assert (await served.calls.create(OXIDE)).state == RunState.RUN_STATE_CANCELLED
        with pytest.raises(RequestIdReusedError):
            await served.calls.create(CampaignSpec(target=Target(required_elements=[8])))
        assert (
            len((await served.calls.answer("ListCampaigns", service.ListCampaignsRequest())).campaigns) == 1
        )


def changed(**parts: object) -> CampaignSpec:
    spec = CampaignSpec()
    spec.CopyFrom(OXIDE)
    spec.MergeFrom(CampaignSpec(**parts))  # type: ignore[arg-type]  # fields by name
    return spec


@pytest.mark.parametrize(
    ("spec", "error", "detail"),
    [
        (CampaignSpec(), InvalidFieldError, ("field", "target")),
        (
            changed(target=Target(forbidden_elements=[8])),
            ContradictoryTargetError,
            ("field", "target"),
        ),
        (changed(planner="oracle"), ResourceNotFoundError, ("resource", "planner")),
        (changed(catalog="none"), ResourceNotFoundError, ("resource", "catalog")),
        (changed(reference="none"), ResourceNotFoundError, ("resource", "reference")),
        (changed(models=CampaignModels(potential="none")), ModelNotFoundError, ("model", "none")),
        (changed(models=CampaignModels(property="none")), ModelNotFoundError, ("model", "none")),
        (changed(models=CampaignModels(generation="none")), ModelNotFoundError, ("model", "none")),
        (changed(generators=[99]), UnknownEnumValueError, ("field", "generators")),
        (changed(hits_wanted=10**6), InvalidFieldError, ("field", "hits_wanted")),
    ],
    ids=lambda value: "" if isinstance(value, CampaignSpec) else str(value),
)
async def test_what_cannot_be_created(
    idle: Served, spec: CampaignSpec, error: type[CrystalMeshError], detail: tuple[str, str]
) -> None:
    """A spec that is wrong, or names what is not served, is refused with what is wrong; nothing is kept."""
    with pytest.raises(error) as refused:
        await idle.calls.create(spec)
    key, words = detail
    assert words in refused.value.details[key]
    listed = await idle.calls.answer("ListCampaigns", service.ListCampaignsRequest())
    assert not listed.campaigns


async def test_while_a_service_is_down(path: Path) -> None:
    """What needs a service's defaults cannot be created while the service is down: safe to retry."""
    async with serving(path, ScriptedMesh(down("relaxation", 1)), **WAITING) as served:
        with pytest.raises(UnreachableError):
            await served.calls.create(OXIDE)
        assert (await served.calls.create(OXIDE)).id


async def test_too_many_wait(path: Path) -> None:
    """Beyond the limit campaigns are refused with a time to come back, until others are through."""
    async with serving(path, ScriptedMesh(), waiting_campaigns=2, **WAITING) as served:
        first = await served.calls.create(OXIDE, "1")
        await served.calls.create(OXIDE, "2")
        with pytest.raises(QueueFullError) as refused:
            await served.calls.create(OXIDE, "3")
        assert refused.value.retry_after_seconds
        await served.calls.cancel(first.id)
        await served.calls.create(OXIDE, "3")


@pytest.mark.parametrize("name", ["", "x" * 129])
@pytest.mark.parametrize("rpc", ["CreateCampaign", "GetCampaign", "WatchCampaign", "GetCandidate"])
async def test_ids_that_are_none(idle: Served, rpc: str, name: str) -> None:
    """An id that is missing or far too long is the field that is wrong."""
    requests: dict[str, Callable[[], Awaitable[object]]] = {
        "CreateCampaign": lambda: idle.calls.create(OXIDE, name),
        "GetCampaign": lambda: idle.calls.get(name),
        "WatchCampaign": lambda: anext(aiter(idle.calls.watch(name))),
        "GetCandidate": lambda: idle.calls.candidate("some", name),
    }
    with pytest.raises(InvalidFieldError) as refused:
        await requests[rpc]()
    assert refused.value.details["field"] in ("request_id", "campaign_id", "candidate_id")


async def test_what_there_is_not(idle: Served) -> None:
    """Every call that names a campaign says that there is none of this id, and the same for candidates."""
    created = await idle.calls.create(OXIDE)
    listing = service.ListCandidatesRequest(campaign_id="none")
    for call in (
        idle.calls.get("none"),
        idle.calls.cancel("none"),
        idle.calls.delete("none"),
        idle.calls.candidate("none", "none"),
        idle.calls.candidate(created.id, "none"),
        idle.calls.answer("ListCandidates", listing),
        anext(aiter(idle.calls.watch("none"))),
    ):
        with pytest.raises(ResourceNotFoundError):
            await call


async def test_pages_of_campaigns(idle: Served) -> None:
    """Campaigns come newest first, page by page, those in the states that were asked for."""
    made = [(await idle.calls.create(OXIDE, str(number))).id for number in range(5)]
    await idle.calls.cancel(made[2])

    async def pages(*states: RunState.ValueType) -> list[list[str]]:
        request = service.ListCampaignsRequest(page_size=2, states=states)
        found = []
        while True:
            page = await idle.calls.answer("ListCampaigns", request)
            found.append([campaign.id for campaign in page.campaigns])
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    assert await pages() == [made[4:2:-1], made[2:0:-1], made[:1]]
    assert await pages(RunState.RUN_STATE_CANCELLED) == [[made[2]]]
    assert await pages(RunState.RUN_STATE_QUEUED) == [[made[4], made[3]], [made[1], made[0]]]


@pytest.mark.parametrize(
    ("rpc", "request_", "error"),
    [
        ("ListCampaigns", service.ListCampaignsRequest(page_size=1001), InvalidFieldError),
        ("ListCampaigns", service.ListCampaignsRequest(page_token="nonsense"), InvalidPageTokenError),
        (
            "ListCampaigns",
            service.ListCampaignsRequest(states=[RunState.ValueType(77)]),
            UnknownEnumValueError,
        ),
        (
            "ListCampaigns",
            service.ListCampaignsRequest(states=[RunState.RUN_STATE_UNSPECIFIED]),
            UnknownEnumValueError,
        ),
        ("ListCandidates", service.ListCandidatesRequest(campaign_id="c", page_size=501), InvalidFieldError),
        (
            "ListCandidates",
            service.ListCandidatesRequest(campaign_id="c", states=[CandidateState.ValueType(77)]),
            UnknownEnumValueError,
        ),
        (
            "ListCandidates",
            service.ListCandidatesRequest(campaign_id="c", page_token="x"),
            InvalidPageTokenError,
        ),
    ],
)
async def test_listings_that_cannot_be(
    idle: Served, rpc: str, request_: object, error: type[CrystalMeshError]
) -> None:
    """A page that is too large, a token of something else, and states that there are not are refused."""
    with pytest.raises(error):
        await idle.calls.answer(rpc, request_)


async def watched(calls: Calls, campaign_id: str, after: int = 0) -> list[int]:
    return [event.sequence async for event in calls.watch(campaign_id, after)]


async def test_watching_again(path: Path) -> None:
    """A watcher resumes after the last event that it saw; after the end is nothing, beyond it no place."""
    async with serving(path, ScriptedMesh()) as served:
        campaign = await served.calls.create(OXIDE)
        everything = await watched(served.calls, campaign.id)
        last = everything[-1]
        assert await watched(served.calls, campaign.id, last - 2) == [last - 1, last]
        assert await watched(served.calls, campaign.id, last) == []
        with pytest.raises(InvalidFieldError) as refused:
            await watched(served.calls, campaign.id, last + 1)
        assert refused.value.details["field"] == "after_sequence"


async def test_watching_what_is_deleted(idle: Served, path: Path) -> None:
    """A watcher of a campaign that is deleted before it saw the end is told so."""
    campaign = await idle.calls.create(OXIDE)
    events = aiter(idle.calls.watch(campaign.id))
    assert (await anext(events)).HasField("created")
    with Database(file_url(path)) as database, database.writing() as connection:
        for table in ("campaign_events", "campaigns"):
            connection.execute(text(f"DELETE FROM {table}"))  # noqa: S608 -- the names are ours
    with pytest.raises(WrongStateError):
        await anext(events)


async def test_watching_while_the_server_stops(path: Path) -> None:
    """Watchers are told to come back, the work stays as it is, and the next server goes on with it."""
    stuck = Stuck("relax")
    async with serving(path, ScriptedMesh(stuck)) as served:
        campaign = await served.calls.create(OXIDE)
        seen: list[int] = []

        async def watch() -> None:
            async for event in served.calls.watch(campaign.id):
                seen.append(event.sequence)  # noqa: PERF401 -- what came before the failure counts

        watching = asyncio.create_task(watch())
        await eventually(lambda: stuck.waiting > 0, "a relaxation")
        stopping = served.stop()
        with pytest.raises(ShuttingDownError):
            await watching
        await stopping
        assert stuck.waiting == 0
    async with serving(path, ScriptedMesh()) as served:
        rest = await watched(served.calls, campaign.id, seen[-1])
        assert [*seen, *rest] == list(range(1, rest[-1] + 1))
        assert (await served.calls.get(campaign.id)).state == RunState.RUN_STATE_FINISHED


async def test_cancelling(path: Path) -> None:
    """A campaign is cancelled once the answer is there, its watchers see that, and again changes nothing."""
    stuck = Stuck("relax")
    async with serving(path, ScriptedMesh(stuck)) as served:
        campaign = await served.calls.create(OXIDE)
        watching = asyncio.create_task(watched(served.calls, campaign.id))
        await eventually(lambda: stuck.waiting > 0, "a relaxation")
        cancelled = await served.calls.cancel(campaign.id)
        assert cancelled.state == RunState.RUN_STATE_CANCELLED
        assert (await watching)[-1] == cancelled.last_sequence
        assert await served.calls.cancel(campaign.id) == cancelled
        await eventually(lambda: stuck.waiting == 0, "the calls to be dropped")
        assert await served.calls.get(campaign.id) == cancelled


async def test_deleting(idle: Served) -> None:
    """Only what has ended can be deleted, and then it is gone for good, request id and all."""
    campaign = await idle.calls.create(OXIDE)
    with pytest.raises(WrongStateError):
        await idle.calls.delete(campaign.id)
    await idle.calls.cancel(campaign.id)
    await idle.calls.delete(campaign.id)
    for call in (idle.calls.get(campaign.id), idle.calls.delete(campaign.id)):
        with pytest.raises(ResourceNotFoundError):
            await call
    assert (await idle.calls.create(OXIDE)).id != campaign.id


async def test_pages_of_candidates(path: Path) -> None:
    """Candidates come by rank, page by page, those in the states asked for, and those on the front alone."""
    async with serving(path, ScriptedMesh()) as served:
        spec = changed()
        spec.budget.max_candidates = 16
        campaign = await served.calls.create(spec)
        await watched(served.calls, campaign.id)

        async def listed(**parts: object) -> list[tuple[str, int, bool]]:
            request = service.ListCandidatesRequest(campaign_id=campaign.id, **parts)  # type: ignore[arg-type]  # fields by name
            found = []
            while True:
                page = await served.calls.answer("ListCandidates", request)
                found += [(each.id, each.rank, each.on_pareto_front) for each in page.candidates]
                if not page.next_page_token:
                    return found
                request.page_token = page.next_page_token

        ranked = await listed()
        assert [rank for _, rank, _ in ranked] == list(range(1, len(ranked) + 1))
        assert len(ranked) > 2
        assert await listed(page_size=1) == ranked
        everything = await listed(states=CandidateState.values()[1:], page_size=3)
        assert everything[: len(ranked)] == ranked
        rejected = await listed(states=[CandidateState.CANDIDATE_STATE_REJECTED])
        assert everything[len(ranked) :] == rejected
        front = await listed(pareto_front_only=True)
        assert front == [each for each in ranked if each[2]]
        assert front
