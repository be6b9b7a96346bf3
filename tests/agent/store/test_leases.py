"""Who works on what: one at a time, whatever the clocks say."""

from __future__ import annotations

from multiprocessing.context import ForkServerContext

import pytest
from sqlalchemy import update

from crystalmesh_agent.store.campaigns import CampaignStore
from crystalmesh_agent.store.leases import Lease, LeaseLostError
from crystalmesh_agent.store.schema import CampaignRow
from crystalmesh_common.runtime.errors import InvalidFieldError
from tests.agent.store import racing, story
from tests.agent.store.conftest import OpenStore


def beat_moved(store: CampaignStore, seconds: float) -> None:
    """As if the database's clock had been set by so much since the last signs of life."""
    with store._database.writing() as connection:
        connection.execute(update(CampaignRow).values(lease_beat=CampaignRow.lease_beat - seconds))


def test_a_campaign_has_one_worker(open_store: OpenStore) -> None:
    """What one has taken another does not get; who waited longest comes first."""
    ours, theirs = open_store(), open_store()
    first, second = ours.create("1", story.spec()), ours.create("2", story.spec())
    leases = [ours.leases.acquire("us", 60), theirs.leases.acquire("them", 60)]
    assert [lease and lease.campaign_id for lease in leases] == [first.id, second.id]
    assert ours.leases.acquire("us", 60) is None


def test_a_dead_worker_is_replaced_and_cannot_write(open_store: OpenStore, lease: Lease) -> None:
    """Once a lease is over another may take the campaign, and the old one is fenced off."""
    store, others = open_store(), open_store()
    store.create("waits", story.spec())
    beat_moved(store, 61)
    taken = others.leases.acquire("others", 60)
    assert taken is not None
    assert taken.campaign_id == lease.campaign_id
    with pytest.raises(LeaseLostError):
        store.append(lease, [story.generated(1)])
    with pytest.raises(LeaseLostError):
        store.leases.heartbeat(lease)
    store.leases.release(lease)  # of no effect: it is not ours any more
    others.append(taken, [story.started(), story.generated(1)])
    assert others.get(lease.campaign_id).last_sequence == 4


def test_a_late_worker_that_nobody_replaced_goes_on(store: CampaignStore, lease: Lease) -> None:
    """An expired lease is good until someone takes it, and writing renews it."""
    beat_moved(store, 61)
    store.append(lease, [story.generated(1)])
    assert store.leases.acquire("others", 60) is None


def test_heartbeats_keep_a_lease(store: CampaignStore, lease: Lease) -> None:
    """A sign of life counts by the database's clock for others and by a steady one for the holder."""
    beat_moved(store, 59)
    store.leases.heartbeat(lease)
    beat_moved(store, 59)
    assert store.leases.acquire("others", 60) is None
    assert 50 < lease.seconds_left <= 60


@pytest.mark.parametrize(("moved", "is_free"), [(59, False), (61, True), (-59, False), (-3600, True)])
def test_clock_jumps(store: CampaignStore, lease: Lease, moved: float, is_free: bool) -> None:  # noqa: FBT001 -- a table
    """A clock set back a lot does not keep a campaign from others for as long; a little changes nothing."""
    beat_moved(store, moved)
    taken = store.leases.acquire("others", 60)
    assert (taken is not None) is is_free
    assert lease.seconds_left > 50


def test_a_released_campaign_is_free_at_once(store: CampaignStore, lease: Lease) -> None:
    """Who stops in order leaves the campaign to others, and may not write to it any more."""
    store.leases.release(lease)
    with pytest.raises(LeaseLostError):
        store.append(lease, [story.generated(1)])
    assert store.leases.acquire("others", 60) is not None


def test_who_comes_back_under_its_name_need_not_wait(store: CampaignStore, lease: Lease) -> None:
    """A controller that starts again lets go of all that it held before, and of nothing else."""
    store.create("another", story.spec())
    other = store.leases.acquire("others", 60)
    assert other is not None
    assert store.leases.release_all("tests") == 1
    taken = store.leases.acquire("tests", 60)
    assert taken is not None
    assert taken.campaign_id == lease.campaign_id
    store.leases.heartbeat(other)


def test_a_finished_campaign_is_nobodys(store: CampaignStore, lease: Lease) -> None:
    """Nobody takes up what has ended."""
    store.append(lease, [story.finished()])
    assert store.leases.acquire("tests", 60) is None


@pytest.mark.parametrize(
    ("owner", "seconds"), [("", 60.0), ("x" * 201, 60.0), ("us", 0.0), ("us", float("nan"))]
)
def test_leases_of_no_use(store: CampaignStore, owner: str, seconds: float) -> None:
    """Owners have names, and leases last."""
    with pytest.raises(InvalidFieldError):
        store.leases.acquire(owner, seconds)


def test_processes_race_for_campaigns(processes: ForkServerContext, url: str, store: CampaignStore) -> None:
    """When processes take campaigns at the same time each goes to one of them, and all are done once."""
    campaigns = {store.create(str(number), story.spec()).id for number in range(12)}
    ours, theirs = processes.Pipe(duplex=False)
    workers = [processes.Process(target=racing.take_all, args=(url, name, theirs)) for name in ("one", "two")]
    for worker in workers:
        worker.start()
    theirs.close()
    taken: list[str] = []
    while len(taken) < 12:
        taken.append(ours.recv())
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert sorted(taken) == sorted(campaigns)
    for campaign_id in campaigns:
        assert [event.sequence for event in store.events(campaign_id)] == [1, 2, 3, 4]
