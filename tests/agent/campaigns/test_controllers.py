"""Who works on what: several campaigns and controllers at once, watched, cancelled, taken over."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from crystalmesh.agent.v1.campaign_pb2 import CampaignStopReason
from crystalmesh.agent.v1.run_pb2 import RunState
from crystalmesh_agent.campaigns.controller import CampaignController, Pace
from crystalmesh_agent.campaigns.mesh import CampaignMesh
from crystalmesh_agent.store.campaigns import CampaignStore
from crystalmesh_agent.store.leases import Lease
from crystalmesh_agent.store.watching import EventFeed
from crystalmesh_common.runtime.errors import DataCorruptError, StorageFullError
from crystalmesh_common.runtime.statuses import from_status
from tests.agent.campaigns import working
from tests.agent.campaigns.conftest import OpenStore
from tests.agent.campaigns.scripted_mesh import Delays, ScriptedMesh, Stuck
from tests.conftest import eventually

LONG = 60.0
"""Seconds of a lease that nobody waits for."""


@asynccontextmanager
async def controlling(
    store: CampaignStore, mesh: CampaignMesh, *, campaigns: int = 8, lease_seconds: float = LONG
) -> AsyncIterator[CampaignController]:
    controller = CampaignController(store, mesh, working.PLANNERS, Pace(campaigns, lease_seconds))
    await controller.start()
    try:
        yield controller
    finally:
        await controller.stop()


def ended(store: CampaignStore, *campaign_ids: str) -> Callable[[], bool]:
    return lambda: all(store.get(campaign_id).HasField("end_time") for campaign_id in campaign_ids)


def slow(seed: int = 0) -> Delays:
    return Delays(random.Random(seed), 0.005)  # noqa: S311 -- no secret


def workers(store: CampaignStore, campaign_id: str) -> list[str]:
    """Who took the campaign up, in order."""
    return [event.started.worker for event in working.log(store, campaign_id) if event.HasField("started")]


async def test_eight_at_once(store: CampaignStore) -> None:
    """Eight campaigns go on at the same time, a ninth waits for its turn, and all come to their ends."""
    stuck = Stuck("relax")
    made = [store.create(str(seed), working.spec(candidates=6, seed=seed)).id for seed in range(9)]
    async with controlling(store, ScriptedMesh(stuck)):
        running = [RunState.RUN_STATE_RUNNING]
        await eventually(lambda: len(store.campaigns(running).items) == 8, "eight at work")
        await eventually(lambda: stuck.waiting > 8, "crystals of several")
        assert store.get(made[-1]).state == RunState.RUN_STATE_QUEUED
        stuck.let_go.set()
        await eventually(ended(store, *made), "the ends")
    for campaign_id in made:
        assert store.get(campaign_id).state == RunState.RUN_STATE_FINISHED
        assert len(workers(store, campaign_id)) == 1
        working.check_log(store, campaign_id)


async def test_two_controllers(open_store: OpenStore) -> None:
    """Two controllers on one database share the campaigns, and never work on the same."""
    ours, theirs = open_store(), open_store()
    made = [ours.create(str(seed), working.spec(candidates=6, seed=seed)).id for seed in range(6)]
    async with AsyncExitStack() as both:
        await both.enter_async_context(controlling(ours, ScriptedMesh(slow(1)), campaigns=1))
        await both.enter_async_context(controlling(theirs, ScriptedMesh(slow(2)), campaigns=1))
        await eventually(ended(ours, *made), "the ends")
    each = [workers(ours, campaign_id) for campaign_id in made]
    assert all(len(one) == 1 for one in each)
    assert len({one[0] for one in each}) == 2


async def test_taken_over_from_one_that_stops(open_store: OpenStore) -> None:
    """A controller that stops leaves its campaign at once to another, which goes on where it was."""
    ours, theirs = open_store(), open_store()
    campaign = ours.create("request", working.spec(candidates=6))
    stuck = Stuck("score")
    first = ScriptedMesh(stuck)
    async with controlling(ours, first):
        await eventually(lambda: stuck.waiting > 0, "the first crystal to be scored")
    assert (stuck.waiting, first.closed) == (0, True)
    assert not ended(ours, campaign.id)()
    relaxed = {event.candidate_relaxed.candidate_id for event in working.log(ours, campaign.id)} - {""}
    second = ScriptedMesh()
    async with controlling(theirs, second):
        await eventually(ended(ours, campaign.id), "the end")
    assert relaxed
    assert not [candidate_id for candidate_id in relaxed if second.answered["relax", candidate_id]]
    first_name, second_name = workers(ours, campaign.id)
    assert first_name != second_name
    working.check_log(ours, campaign.id)


async def test_stopped_before_it_begins(open_store: OpenStore) -> None:
    """A controller that is stopped at whatever moment keeps no campaign from others."""
    ours, theirs = open_store(), open_store()
    ours.create("request", working.spec(candidates=6))
    for steps in range(0, 40, 3):
        async with controlling(ours, ScriptedMesh(Stuck("search"))):
            for _ in range(steps):
                await asyncio.sleep(0.001)
        lease = theirs.leases.acquire("others", 60)
        assert lease is not None
        theirs.leases.release(lease)


async def test_a_lease_that_runs_out(open_store: OpenStore) -> None:
    """What a controller held that gives no signs of life is taken over, and it cannot write any more."""
    ours, theirs = open_store(), open_store()
    campaign = ours.create("request", working.spec(candidates=6))
    frozen = theirs.leases.acquire("frozen", 0.05)
    assert frozen is not None
    async with controlling(ours, ScriptedMesh()):
        await eventually(ended(ours, campaign.id), "the end")
    assert len(workers(ours, campaign.id)) == 1
    working.check_log(ours, campaign.id)


async def test_signs_of_life(open_store: OpenStore) -> None:
    """While a service takes longer than a lease, its campaign stays with the controller that waits."""
    ours, theirs = open_store(), open_store()
    campaign = ours.create("request", working.spec(candidates=6))
    stuck = Stuck("relax")
    lease_seconds = 1.5
    async with controlling(ours, ScriptedMesh(stuck), lease_seconds=lease_seconds):
        await eventually(lambda: stuck.waiting > 0, "a relaxation")
        first = beat(ours)
        async with controlling(theirs, ScriptedMesh(), lease_seconds=lease_seconds):
            await eventually(lambda: beat(ours) > first + lease_seconds, "signs of life")
            stuck.let_go.set()
            await eventually(ended(ours, campaign.id), "the end")
    assert len(workers(ours, campaign.id)) == 1


def beat(store: CampaignStore) -> float:
    with store._database.reading() as connection:
        return float(connection.execute(text("SELECT lease_beat FROM campaigns")).scalar_one() or 0)


async def test_a_full_disk_is_waited_for(store: CampaignStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signs of life that find no space left do not end the work."""
    campaign = store.create("request", working.spec(candidates=6))
    stuck = Stuck("relax")
    tried: list[Lease] = []

    def no_space(lease: Lease) -> None:
        tried.append(lease)
        raise StorageFullError("no space left")

    monkeypatch.setattr(store.leases, "heartbeat", no_space)
    async with controlling(store, ScriptedMesh(stuck), lease_seconds=0.2):
        await eventually(lambda: len(tried) > 1, "signs of life")
        stuck.let_go.set()
        await eventually(ended(store, campaign.id), "the end")
    assert store.get(campaign.id).state == RunState.RUN_STATE_FINISHED


async def test_cancelled_while_at_work(open_store: OpenStore) -> None:
    """A campaign that anybody cancels is cancelled at once, and its calls are dropped soon after."""
    ours, theirs = open_store(), open_store()
    campaign = ours.create("request", working.spec())
    stuck = Stuck("relax")
    async with controlling(ours, ScriptedMesh(stuck), lease_seconds=LONG):
        await eventually(lambda: stuck.waiting > 0, "a relaxation")
        cancelled = theirs.cancel(campaign.id)
        assert cancelled.stop_reason == CampaignStopReason.CAMPAIGN_STOP_REASON_CANCELLED
        await eventually(lambda: stuck.waiting == 0, "the calls to be dropped")
        assert stuck.left > 0
    assert ours.get(campaign.id) == cancelled


async def test_a_hundred_watchers(store: CampaignStore) -> None:
    """A hundred watchers of one campaign, wherever they begin, all see the rest of the log without a gap."""
    campaign = store.create("request", working.spec(candidates=12))

    async def watch(feed: EventFeed, after: int) -> list[int]:
        return [event.sequence async for event in feed.watch(campaign.id, after)]

    async with EventFeed(store) as feed, controlling(store, ScriptedMesh(slow())):
        seen = await asyncio.gather(*(watch(feed, number % 2) for number in range(100)))
    last = store.get(campaign.id).last_sequence
    assert last > 30
    for number, mine in enumerate(seen):
        assert mine == list(range(1 + number % 2, last + 1))


async def test_a_damaged_campaign(store: CampaignStore) -> None:
    """A campaign whose log is damaged fails, says so, and keeps nobody from the others."""
    damaged = store.create("damaged", working.spec(candidates=6))
    whole = store.create("whole", working.spec(candidates=6))
    with store._database.writing() as connection:
        connection.execute(
            text("UPDATE campaign_events SET payload = x'00' WHERE sequence = 1 AND campaign = 1")
        )
    async with controlling(store, ScriptedMesh(), campaigns=1):
        await eventually(ended(store, damaged.id, whole.id), "the ends")
    failed = store.get(damaged.id)
    assert failed.state == RunState.RUN_STATE_FAILED
    assert isinstance(from_status(failed.failure), DataCorruptError)
    assert store.get(whole.id).state == RunState.RUN_STATE_FINISHED


async def test_what_cannot_be_worked_on(store: CampaignStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A campaign that nobody can even begin with is tried again now and then, not all the time."""
    store.create("request", working.spec(candidates=6))
    reads: list[str] = []

    def broken(campaign_id: str) -> None:
        reads.append(campaign_id)
        raise ZeroDivisionError

    with capture_logs() as logged, monkeypatch.context() as patched:
        patched.setattr(store, "get", broken)
        async with controlling(store, ScriptedMesh()):
            await eventually(lambda: bool(reads), "the first try")
            for _ in range(10):
                store.create("another", working.spec())  # wakes the controller
                await asyncio.sleep(0.01)
    assert len(reads) <= 2  # one for each campaign
    assert {entry["event"] for entry in logged} == {"campaign_not_worked_on"}
